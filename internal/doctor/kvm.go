package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/hint"
)

// ioctls of /dev/kvm, Linux Documentation/virt/kvm/api.rst sections 4.1, 4.2.
const (
	kvmGetAPIVersion = 0xae00
	kvmCreateVM      = 0xae01
	kvmAPIVersion    = 12 // the only one there is
)

// checkKVM goes as far as making an empty virtual machine: a device that can
// be opened may still refuse.
func checkKVM(cfg Config) Check {
	const name = "kvm"
	f, err := os.OpenFile(cfg.path("/dev/kvm"), os.O_RDWR, 0)
	if err != nil {
		return kvmOpenFailed(name, err)
	}
	defer f.Close()
	fd := int(f.Fd())
	version, err := unix.IoctlRetInt(fd, kvmGetAPIVersion)
	if err != nil {
		return missing(name, "/dev/kvm does not answer: "+err.Error(), "check that it is the kernel's KVM device")
	}
	if version != kvmAPIVersion {
		return missing(name, fmt.Sprintf("/dev/kvm has API version %d, not %d", version, kvmAPIVersion), "update the kernel")
	}
	vm, err := unix.IoctlRetInt(fd, kvmCreateVM)
	if err != nil {
		return missing(name, "cannot create a virtual machine: "+err.Error(), "see the kernel's log: dmesg | grep -i kvm")
	}
	unix.Close(vm)
	if cfg.CheckVM != nil {
		if err := cfg.CheckVM(); err != nil {
			return Check{name, Missing, err.Error(), hint.Of(err)}
		}
	}
	return ok(name, fmt.Sprintf("/dev/kvm, API version %d%s", version, kvmKind(cfg)))
}

func kvmOpenFailed(name string, err error) Check {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing(name, "no /dev/kvm", "sudo modprobe kvm_intel (or kvm_amd); in a virtual machine, turn nested virtualization on; in a container, pass --device /dev/kvm")
	case errors.Is(err, fs.ErrPermission):
		return missing(name, "/dev/kvm: permission denied", "sudo usermod -aG kvm $USER, then log in again")
	}
	return missing(name, err.Error(), "see the kernel's log: dmesg | grep -i kvm")
}

// kvmKind says what is behind /dev/kvm, as far as the host shows it: nested in
// software, a guest's exits cost some ten times more.
func kvmKind(cfg Config) string {
	var kinds []string
	for _, m := range []struct{ module, what string }{
		{"kvm_intel", "Intel VT-x"},
		{"kvm_amd", "AMD-V"},
		{"kvm_pvm", "nested in software (PVM): exits cost some 25 us"},
	} {
		if _, err := os.Stat(cfg.path("/sys/module/" + m.module)); err == nil {
			kinds = append(kinds, m.what)
		}
	}
	if len(kinds) == 0 {
		return ""
	}
	return ", " + strings.Join(kinds, ", ")
}
