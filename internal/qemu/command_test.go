package qemu

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCmdLine(t *testing.T) {
	m := Machine{Type: "q35", Image: "a b.elf", CmdLine: `x=1 -- it's "q"`, Memory: 64<<20 + 1, Nets: []Net{{
		MTU: 1400, Forwards: []Forward{{Host: 8080, Guest: 80}, {UDP: true, Addr: netip.MustParseAddr("127.0.0.1"), Host: 53, Guest: 5353}},
	}}}
	for _, c := range []struct {
		change     func()
		want, lack []string
	}{
		{func() {}, []string{
			"qemu -nodefaults ", "-accel tcg", "-machine q35,", "-m 65M", "-kernel 'a b.elf'", `-append 'x=1 -- it'\''s "q"'`,
			"virtio-net-pci,netdev=net0,host_mtu=1400,romfile=,disable-legacy=on",
			"user,hostfwd=tcp::8080-:80,hostfwd=udp:127.0.0.1:53-:5353,id=net0",
			"stdio,signal=off,id=out", "virtconsole,bus=bus-err.0,chardev=err", "isa-serial,index=0,chardev=com1",
		}, []string{"control", "tap"}},
		{func() { m.Type, m.KVM = "microvm", true }, []string{"-accel kvm", "-global virtio-mmio.force-legacy=false", "virtio-net-device,netdev=net0,host_mtu=1400", "virtio-rng-device"}, []string{"-pci", "romfile"}},
		{func() {
			m.Nets = []Net{{Tap: "tap0", MAC: "02:00:00:00:00:01"}, {Tap: "tap1", MAC: "02:00:00:00:00:02"}}
		},
			[]string{"tap,vhost=off,ifname=tap0,script=no,downscript=no,id=net0", "netdev=net0,mac=02:00:00:00:00:01",
				"ifname=tap1,script=no,downscript=no,id=net1", "netdev=net1,mac=02:00:00:00:00:02"}, []string{"host_mtu", "user,"}},
		{func() { m.Nets = nil }, nil, []string{"net"}},
		{func() {
			m.Drives = []Drive{{Name: "a", Path: "d.img", Size: 4096}, {Name: "b", Path: "e.img", Offset: 512, Size: 1024, ReadOnly: true}}
		},
			[]string{"file=d.img -device", "file=e.img,offset=512,size=1024,readonly=on -device"}, nil},
		{func() { m.Nets = make([]Net, 3) }, []string{"-machine microvm,acpi=off,", "netdev=net2"}, nil},
		{func() { m.Nets = make([]Net, 4) }, []string{"-machine microvm,acpi=on,"}, nil}, // with the drives, more than there are places for
	} {
		c.change()
		got := Quote(CmdLine("qemu", m))
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("no %q in %s", w, got)
			}
		}
		for _, w := range c.lack {
			if strings.Contains(got, w) {
				t.Errorf("%q in %s", w, got)
			}
		}
	}
}

// QEMU gets the names of files as they are, whatever it would read into them.
func TestNames(t *testing.T) {
	m := Machine{Type: "q35", Drives: []Drive{{Path: "a:b,c.img"}, {Path: "/a:b"}, {Path: "json:{}", ReadOnly: true}, {Path: "./x:y"}}}
	got := strings.Join(CmdLine("qemu", m), " ")
	for _, want := range []string{",file=./a:b,,c.img ", ",file=/a:b ", ",file=./json:{},readonly=on ", ",file=./x:y "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	dir := filepath.Join(t.TempDir(), "100%s,x")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	var e ends
	files := &inherited{}
	defer files.close()
	s, input, console, err := files.console(&e.console)
	if err != nil {
		t.Fatal(err)
	}
	defer s.read.Close()
	defer s.wake.Close()
	defer input.Close()
	want := "pipe,path=" + strings.ReplaceAll(console, ",", ",,") + "/console,id=out"
	if a := m.args(e); !slices.Contains(a, want) {
		t.Errorf("no %q in %q", want, a)
	}
}

func TestKVM(t *testing.T) {
	for _, c := range []struct {
		files string
		use   bool
		why   string
	}{
		{"", false, "no such file"},
		{"/dev/kvm", false, "neither"},
		{"/dev/kvm /sys/module/kvm_intel/x", true, ""},
		{"/dev/kvm /sys/module/kvm_amd/x", true, ""},
		{"/dev/kvm /sys/module/kvm_pvm/x /sys/module/kvm_intel/x", false, "kvm_pvm"},
	} {
		root := t.TempDir()
		for _, name := range strings.Fields(c.files) {
			name = filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if use, why := KVM(root); use != c.use || !strings.Contains(why, c.why) {
			t.Errorf("%q: %v, %q", c.files, use, why)
		}
	}
}

func TestVersion(t *testing.T) {
	for out, want := range map[string]string{
		"QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright": "7.2.22",
		"QEMU emulator version 9.0":                                     "9.0", "QEMU emulator version ": "", "QEMU emulator version x": "", "": "",
	} {
		if got, ok := parseVersion(out); got != want || ok != (want != "") {
			t.Errorf("%q: %q", out, got)
		}
	}
}

func TestParseMachine(t *testing.T) {
	if m, err := ParseMachine("q35"); m != "q35" || err != nil {
		t.Error(m, err)
	}
	if _, err := ParseMachine("virt"); err == nil {
		t.Error("virt is accepted")
	}
}

func TestReadExit(t *testing.T) {
	for _, c := range []struct {
		in   string
		code int
		ok   bool
		bad  bool
	}{
		{"exit 0\n", 0, true, false},
		{"exit 255\r\nmore", 255, true, false},
		{"", 0, false, false},
		{"memory\nexit 2\n", 2, true, false},
		{"memory\n", 0, false, false},
		{"memory\nmemory\nexit 2\n", 0, false, true},
		{"exit 256\n", 0, false, true},
		{"exit -1\n", 0, false, true},
		{"exit \n", 0, false, true},
		{"exit 1", 0, false, true},
		{"\n", 0, false, true},
		{"exit " + strings.Repeat("0", maxLine) + "\n", 0, false, true},
	} {
		e := readExit(strings.NewReader(c.in))
		if e.code != c.code || e.ok != c.ok || (e.err != nil) != c.bad || e.outOfMemory != strings.HasPrefix(c.in, "memory\n") {
			t.Errorf("%q: %+v", c.in, e)
		}
	}
}

func FuzzReadExit(f *testing.F) {
	f.Add([]byte("exit 7\n"))
	f.Add([]byte("memory\nexit 2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := readExit(strings.NewReader(string(b)))
		if e.code < 0 || e.code > 255 || e.ok && e.err != nil || !e.ok && e.err == nil && len(b) > 0 && !e.outOfMemory {
			t.Errorf("%q: %+v", b, e)
		}
	})
}
