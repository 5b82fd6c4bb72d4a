package virtio

import (
	"os/exec"
	"path/filepath"
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
