package params

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		in, want string // of a Line: system, environment, arguments
	}{
		{"", "[] [] []"},
		{" \t ", "[] [] []"},
		{"ip=1 gw=2", `["ip=1" "gw=2"] [] []`},
		{"ip=1 -- a b", `["ip=1"] [] ["a" "b"]`},
		{"-- -- a", `[] [] ["--" "a"]`},
		{`"--" a -- "--"`, `["--" "a"] [] ["--"]`},
		{`-- "a b" "" c"d e"f`, `[] [] ["a b" "" "cd ef"]`},
		{`-- "\"\\\n" \"x"`, `[] [] ["\"\\\\n" "\\x"]`},
		{`env=A=1 env="B=x y" "env=C=" -- env=D=2`, `[] ["A=1" "B=x y" "C="] ["env=D=2"]`},
		{"a=1 -- x virtio_mmio.device=1@2:3 virtio_mmio.device=4@5:6 ", `["a=1" "virtio_mmio.device=1@2:3" "virtio_mmio.device=4@5:6"] [] ["x"]`},
		{"-- virtio_mmio.device=1@2:3 x", `[] [] ["virtio_mmio.device=1@2:3" "x"]`},
		{`-- "virtio_mmio.device=1@2:3"`, `[] [] ["virtio_mmio.device=1@2:3"]`},
		{"virtio_mmio.device=1@2:3 --", `["virtio_mmio.device=1@2:3"] [] []`},
		{"virtio_mmio.device=1@2:3", `["virtio_mmio.device=1@2:3"] [] []`},
		{"-- x virtio_mmio.device=1@2:3 --", `[] [] ["x" "virtio_mmio.device=1@2:3" "--"]`},
	} {
		l, err := Split(c.in)
		if got := fmt.Sprintf("%q %q %q", l.System, l.Env, l.Args); err != nil || got != c.want {
			t.Errorf("%q:\n got %s, %v\nwant %s", c.in, got, err, c.want)
		}
	}
	if _, err := Split(`a=1 b="x y`); err == nil || !strings.Contains(err.Error(), `b="x y`) {
		t.Errorf("an open quote: %v", err)
	}
}

// What splits before there is a heap must not allocate, and may write over what
// it reads.
func TestSplitInPlace(t *testing.T) {
	line := []byte(`ip=1 env="A=b \"c\"" -- "x y" virtio_mmio.device=1@2:3`)
	text := string(line)
	var got [8]int
	allocs := testing.AllocsPerRun(1, func() {
		for w, i := paramsOf(text), 0; ; i++ {
			raw, _ := w.next()
			if raw == "" {
				break
			}
			at := strings.Index(text, raw)
			got[i] = paramUnquote(line[at:at+len(raw)], raw)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if want := [8]int{4, 11, 3, 24}; got != want {
		t.Errorf("lengths %v, want %v", got, want)
	}
	if !strings.Contains(string(line), `env=A=b "c"`) || !strings.Contains(string(line), `-- x y`) {
		t.Errorf("in place: %q", line)
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ in, name, last, all string }{
		{"", "a", "", "[]"},
		{"a=1 b=2", "b", "2", "[2]"},
		{"  a=1\t a=2\n", "a", "2", "[1 2]"},
		{`a="x y" b`, "a", "x y", "[x y]"},
		{`a="x \"y\""`, "a", `x "y"`, `[x "y"]`},
		{"a==b=c", "a", "=b=c", "[=b=c]"},
		{"a=1,2,,3 a=4,", "a", "4,", "[1 2 3 4]"},
		{"ab=1 =2", "a", "", "[]"},
		{`"`, "a", "", "[]"},
	} {
		if got := Words(c.in).Get(c.name); got != c.last {
			t.Errorf("%q: Get %q", c.in, got)
		}
		if got := fmt.Sprint(Words(c.in).All(c.name)); got != c.all {
			t.Errorf("%q: All %s", c.in, got)
		}
	}
}

func TestCheck(t *testing.T) {
	good := strings.Fields("ip=10.0.2.15/24 hostname=web-1.example mtu=1280 mtu=65535 trace=syscalls env=A= control=com2 verbose=1 " +
		"virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=4K@0xd0001000:5:0 " +
		"console=ttyS0 reboot=k panic=1 pci=off root=/dev/vda ro rw 8250.nr_uarts=0 i8042.noaux nomodule quiet BOOT_IMAGE=/x")
	if err := Check(good); err != nil {
		t.Error(err)
	}
	for _, word := range append(strings.Fields("ip ip= mtu=1279 mtu=65536 mtu=99999999999999999999 mtu=-1 mtu= hostname=-a hostname=a- hostname=a..b hostname=.a hostname=a. "+
		"hostname=a.-b hostname="+strings.Repeat("a", 65)+" hostname=a_b trace=all env=A env==b control=com1 verbose=yes "+
		"virtio_mmio.device= virtio_mmio.device=4K virtio_mmio.device=@1:2 virtio_mmio.device=4K@:2 virtio_mmio.device=4K@1 virtio_mmio.device=4K@1: "+
		"virtio_mmio.device=4K@1::2 virtio_mmio.device=4K@1:2:3:4 virtio_mmio.device=4K@1@2:3"), "hostname=a b") {
		name, _, _ := strings.Cut(word, "=")
		if err := Check([]string{"ip=1", word}); err == nil || !strings.Contains(err.Error(), "boot parameter "+Quote(word)+" is malformed: want "+name+"=") {
			t.Errorf("%q: %v", word, err)
		}
	}
	for _, word := range []string{"ipp=1", "=1", "", "8250", "consolex=1", "a b"} {
		if err := Check([]string{word}); err == nil || !strings.Contains(err.Error(), Quote(word)+" is unknown; known are: ip gw ") {
			t.Errorf("%q: %v", word, err)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(`ip=1 env="A=\"b\" \\" -- "x y" "" virtio_mmio.device=1@2:3`)
	f.Add(`-- "--" "virtio_mmio.device=1@2:3" virtio_mmio.device="1"`)
	f.Add(`a="x`)
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Split(s)
		words := Words(s)
		for n := 0; ; n++ {
			_, _, rest, ok := words.Next()
			if !ok {
				break
			}
			if n > len(s) || len(rest) >= len(words) {
				t.Fatal("more words than bytes")
			}
			words = rest
		}
		if err != nil {
			return
		}
		Check(l.System)
		again, err := Split(l.String())
		if err != nil || !slices.Equal(again.System, l.System) || !slices.Equal(again.Env, l.Env) || !slices.Equal(again.Args, l.Args) {
			t.Errorf("%q\nis %q\nthen %q, %v", s, l, again, err)
		}
	})
}

func FuzzQuote(f *testing.F) {
	f.Add("a b", "")
	f.Add(`\"`, "--")
	f.Fuzz(func(t *testing.T, a, b string) {
		l, err := Split(Line{Args: []string{a, b}}.String())
		if err != nil || !slices.Equal(l.Args, []string{a, b}) || len(l.System)+len(l.Env) > 0 {
			t.Errorf("%q %q: %q, %v", a, b, l, err)
		}
	})
}

func TestCutCard(t *testing.T) {
	for in, want := range map[string]string{
		"eth1:10.0.0.1/8": "1 10.0.0.1/8", "eth0:dhcp": "0 dhcp", "eth7:fd00::1/64": "7 fd00::1/64", "eth3:": "3 ",
		"10.0.0.1/8": "0 10.0.0.1/8", "eth8:dhcp": "0 eth8:dhcp", "eth/:dhcp": "0 eth/:dhcp", "eth1": "0 eth1", "eth": "0 eth",
		"": "0 ", "eth10:dhcp": "0 eth10:dhcp", "xeth1:dhcp": "0 xeth1:dhcp",
	} {
		if n, rest := CutCard(in); fmt.Sprint(n, " ", rest) != want {
			t.Errorf("%q: %d %q, want %s", in, n, rest, want)
		}
	}
	for word, ok := range map[string]bool{"mtu=eth1:1400": true, "mtu=eth8:1400": false, "mtu=eth1:14": false, "mtu=1400": true} {
		if err := Check([]string{word}); (err == nil) != ok {
			t.Errorf("%s: %v", word, err)
		}
	}
}
