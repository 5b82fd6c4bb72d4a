package qemu

import (
	"os"
	"path/filepath"
)

// KVM reports whether QEMU is to use KVM on the machine whose file system is at
// root ("/"), and says why not. Without the processor's help (kvm_pvm, a
// hypervisor nested in software), KVM emulates the guest's ring 0 instruction by
// instruction, and firmware does not get through: TCG is the faster one there.
func KVM(root string) (use bool, why string) {
	loaded := func(module string) bool {
		_, err := os.Stat(filepath.Join(root, "/sys/module", module))
		return err == nil
	}
	f, err := os.OpenFile(filepath.Join(root, "/dev/kvm"), os.O_RDWR, 0)
	if err != nil {
		return false, "KVM cannot be used here: " + err.Error()
	}
	f.Close()
	switch {
	case loaded("kvm_pvm"):
		return false, "KVM is nested in software here (kvm_pvm)"
	case loaded("kvm_intel"), loaded("kvm_amd"):
		return true, ""
	}
	return false, "neither kvm_intel nor kvm_amd is loaded: KVM here is not the processor's"
}
