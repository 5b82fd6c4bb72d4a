package monitor

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// KVM's ioctl numbers, from the Linux header linux/kvm.h (API version 12).
const (
	kvmGetAPIVersion       = 0xae00
	kvmCreateVM            = 0xae01
	kvmCheckExtension      = 0xae03
	kvmGetVCPUMmapSize     = 0xae04
	kvmGetSupportedCPUID   = 0xc008ae05
	kvmCreateVCPU          = 0xae41
	kvmSetUserMemoryRegion = 0x4020ae46
	kvmRun                 = 0xae80
	kvmGetRegs             = 0x8090ae81
	kvmSetRegs             = 0x4090ae82
	kvmGetSregs            = 0x8138ae83
	kvmSetSregs            = 0x4138ae84
	kvmGetMSRs             = 0xc008ae88
	kvmSetMSRs             = 0x4008ae89
	kvmGetVCPUEvents       = 0x8040ae9f
	kvmSetCPUID2           = 0x4008ae90
	kvmSetXCRs             = 0x4188aea7
	kvmGetTSCKHz           = 0xaea3

	kvmAPIVersion = 12

	kvmMemReadonly = 1 << 1 // flag of a memory region

	capUserMemory    = 3
	capImmediateExit = 136
)

// Exit reasons of struct kvm_run.
const (
	exitHLT           = 5
	exitMMIO          = 6
	exitShutdown      = 8
	exitFailEntry     = 9
	exitIntr          = 10
	exitInternalError = 17
)

const msrTSC = 0x10

// kvmSegment is struct kvm_segment.
type kvmSegment struct {
	Base                           uint64
	Limit                          uint32
	Selector                       uint16
	Type                           uint8
	Present, DPL, DB, S, L, G, AVL uint8
	Unusable                       uint8
	_                              uint8
}

// kvmDTable is struct kvm_dtable.
type kvmDTable struct {
	Base  uint64
	Limit uint16
	_     [3]uint16
}

// kvmSregs is struct kvm_sregs.
type kvmSregs struct {
	CS, DS, ES, FS, GS, SS  kvmSegment
	TR, LDT                 kvmSegment
	GDT, IDT                kvmDTable
	CR0, CR2, CR3, CR4, CR8 uint64
	EFER                    uint64
	APICBase                uint64
	InterruptBitmap         [4]uint64
}

// kvmRegs is struct kvm_regs.
type kvmRegs struct {
	RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	RIP, RFlags                            uint64
}

// kvmMemoryRegion is struct kvm_userspace_memory_region.
type kvmMemoryRegion struct {
	Slot, Flags   uint32
	GuestPhysAddr uint64
	MemorySize    uint64
	UserspaceAddr uint64
}

// kvmCPUIDEntry is struct kvm_cpuid_entry2.
type kvmCPUIDEntry struct {
	Function, Index, Flags uint32
	EAX, EBX, ECX, EDX     uint32
	_                      [3]uint32
}

const maxCPUIDEntries = 128

// kvmCPUID is struct kvm_cpuid2.
type kvmCPUID struct {
	N, _    uint32
	Entries [maxCPUIDEntries]kvmCPUIDEntry
}

// kvmXCRs is struct kvm_xcrs.
type kvmXCRs struct {
	N, Flags uint32
	XCRs     [16]struct {
		XCR, _ uint32
		Value  uint64
	}
	_ [16]uint64
}

// kvmMSRs is struct kvm_msrs with one entry.
type kvmMSRs struct {
	N, _     uint32
	Index, _ uint32
	Data     uint64
}

// ioctl issues a KVM ioctl whose argument is an integer.
func ioctl(fd int, name string, req, arg uintptr) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, arg)
		if errno == unix.EINTR && req != kvmRun {
			continue
		}
		if errno != 0 {
			return 0, fmt.Errorf("kvm: %s: %w", name, errno)
		}
		return int(r), nil
	}
}

// ioctlPtr issues a KVM ioctl whose argument is a structure.
func ioctlPtr(fd int, name string, req uintptr, arg unsafe.Pointer) error {
	// SAFETY: arg points to the structure that req is defined for, and is kept
	// alive by being an argument of this call.
	_, err := ioctl(fd, name, req, uintptr(arg))
	return err
}

// A hostError is a reason why this machine cannot run a guest, with what to do
// about it.
type hostError struct{ what, remedy string }

func (e *hostError) Error() string { return e.what }

// Hint returns what the user can do.
func (e *hostError) Hint() string { return e.remedy }

// openKVM opens /dev/kvm and checks that it is what this package was written
// for.
func openKVM() (int, error) {
	fd, err := unix.Open("/dev/kvm", unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == unix.ENOENT:
		return -1, &hostError{"/dev/kvm does not exist",
			"load the kvm_intel or kvm_amd module (virtualization must be on in the firmware, or nested virtualization in the hypervisor above); or run with -t unix"}
	case err == unix.EACCES || err == unix.EPERM:
		return -1, &hostError{"no permission to open /dev/kvm",
			"add yourself to the group that owns it (`sudo usermod -aG kvm $USER`, then log in again); or run with -t unix"}
	case err != nil:
		return -1, &hostError{fmt.Sprintf("open /dev/kvm: %v", err), "run with -t unix"}
	}
	version, err := ioctl(fd, "KVM_GET_API_VERSION", kvmGetAPIVersion, 0)
	if err == nil && version != kvmAPIVersion {
		err = fmt.Errorf("kvm: API version %d, not %d", version, kvmAPIVersion)
	}
	for _, c := range []struct {
		n    uintptr
		name string
	}{{capUserMemory, "KVM_CAP_USER_MEMORY"}, {capImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"}} {
		if err != nil {
			break
		}
		if r, e := ioctl(fd, "KVM_CHECK_EXTENSION", kvmCheckExtension, c.n); e != nil || r == 0 {
			err = fmt.Errorf("kvm: this kernel does not offer %s", c.name)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, &hostError{err.Error(), "use a newer Linux kernel (4.13 or later), or run with -t unix"}
	}
	return fd, nil
}

// Check reports whether this machine can run guests, with an error that has a
// Hint method if it cannot.
func Check() error {
	fd, err := openKVM()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	vm, err := ioctl(fd, "KVM_CREATE_VM", kvmCreateVM, 0)
	if err != nil {
		return &hostError{err.Error(), "another hypervisor may hold the processor's virtualization; run with -t unix"}
	}
	return os.NewSyscallError("close", unix.Close(vm))
}
