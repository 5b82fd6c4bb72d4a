package virtio

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

// The boot protocols of hypervisors that are in no package: loaders of the test's
// own, which follow their specifications and memory layouts, start an image.
func TestBootProtocols(t *testing.T) {
	nasm := xtest.NeedCommand(t, "nasm", "nasm")
	path := xtest.NeedCommand(t, "qemu-system-x86_64", "qemu-system-x86")
	image := vmtest.Image(t, "virtio", "../e2e/testdata/guest")
	for name, variable := range map[string]string{
		"linux64": "T_A=by-linux\n", // Firecracker
		"pvh":     "T_A=by-pvh\n",   // Firecracker, Cloud Hypervisor
	} {
		t.Run(name, func(t *testing.T) {
			loader := filepath.Join(t.TempDir(), name)
			out, err := exec.Command(nasm, "-f", "bin", "-I", "testdata/", "-o", loader, "testdata/"+name+".asm").CombinedOutput()
			if err != nil {
				t.Fatalf("nasm: %v\n%s", err, out)
			}
			vmtest.Setting{}.Exec(t, path, "-M", "q35", "-accel", "tcg", "-m", "64M", "-nodefaults", "-display", "none",
				"-serial", "stdio", "-no-reboot", "-kernel", loader,
				"-device", "loader,file="+image+",addr=0x3000000,force-raw=on").Wait().Want(t, 0, []string{"-x|a b\n", variable, "to stderr\n"}, nil)
		})
	}
}

// Too little memory is said by the boot stub, and QEMU ends if it was given a way.
func TestTooLittleMemory(t *testing.T) {
	path := xtest.NeedCommand(t, "qemu-system-x86_64", "qemu-system-x86")
	vmtest.Setting{}.Exec(t, path, "-M", "microvm", "-accel", "tcg", "-m", "2M", "-nodefaults", "-display", "none",
		"-serial", "stdio", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4", "-kernel", vmtest.Image(t, "virtio", hello)).
		Wait().Want(t, 0x31<<1|1, []string{"tailor: boot: too little memory for this image; give it more"}, nil)
}

// What a boot parameter cannot be is said in one line, and the machine is switched
// off.
func TestBadParameters(t *testing.T) {
	for line, want := range map[string]string{
		"colour=red":            "tailor: error: boot parameter colour=red is unknown; known are: ip gw ",
		"syslog=tcp://10.0.0.1": "tailor: error: boot parameter syslog=tcp://10.0.0.1: the program was built without syslog+tcp; rebuild it with: tailor build --log syslog+tcp",
		"metrics=:9090":         "tailor: error: boot parameter metrics=:9090: the program was built without metrics; rebuild it with: tailor build --metrics",
		"mtu=9":                 "tailor: error: boot parameter mtu=9 is malformed: want mtu=[CARD:]BYTES",
		"stall-warning=1s":      "tailor: error: boot parameter stall-warning=1s is malformed: want stall-warning=MILLISECONDS",
		"hostname=a=b":          "tailor: error: boot parameter hostname=a=b is malformed: want hostname=NAME",
		`hostname="a b" mtu=x`:  `tailor: error: boot parameter "hostname=a b" is malformed: want hostname=NAME`,
	} {
		for _, machine := range []string{"microvm", "q35"} {
			t.Run(machine+" "+line, func(t *testing.T) {
				r := qemu(t, hello, machine, line).Wait()
				r.Want(t, 0, []string{want}, nil)
				if strings.Contains(r.Stdout, "Hello") || strings.Count(r.Stdout, "tailor: error:") != 1 {
					t.Errorf("it printed\n%s", r.Stdout)
				}
			})
		}
	}
}

// A command line is taken whole or not at all: what was cut off might matter.
func TestCommandLineTooLong(t *testing.T) {
	const most = 16<<10 - 1
	line := func(n int) string { return "-- " + strings.Repeat("x", n-len("-- ")) }
	qemu(t, hello, "microvm", line(most)).Wait().Want(t, 0, []string{"Hello"}, nil)
	r := qemu(t, hello, "microvm", line(most+1)).Wait()
	r.Want(t, 0, []string{"tailor: error: the command line has more than the 16383 bytes that there is room for",
		"tailor: the program ended with exit code 125"}, nil)
	if strings.Contains(r.Stdout, "Hello") {
		t.Errorf("it printed\n%s", r.Stdout)
	}
}

// An image of our own monitor has no entry for other loaders: QEMU says so.
func TestForeignImage(t *testing.T) {
	path := xtest.NeedCommand(t, "qemu-system-x86_64", "qemu-system-x86")
	for _, machine := range []string{"microvm", "q35"} {
		vmtest.Setting{}.Exec(t, path, "-M", machine, "-accel", "tcg", "-m", "64M", "-nodefaults", "-display", "none",
			"-serial", "stdio", "-no-reboot", "-kernel", vmtest.Image(t, "hvt", hello)).
			Wait().Want(t, 1, nil, []string{"PVH ELF Note"})
	}
}
