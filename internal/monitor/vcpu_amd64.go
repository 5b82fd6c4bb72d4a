package monitor

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/ring0"
)

// SAFETY: each structure whose address is passed to ioctlPtr is the one that the
// request is defined for.

// Control register and EFER bits, AMD APM volume 2 section 3.1.
const (
	cr0PE = 1 << 0
	cr0MP = 1 << 1
	cr0ET = 1 << 4
	cr0NE = 1 << 5
	cr0WP = 1 << 16
	cr0PG = 1 << 31

	cr4PAE        = 1 << 5
	cr4OSFXSR     = 1 << 9
	cr4OSXMMEXCPT = 1 << 10
	cr4FSGSBASE   = 1 << 16
	cr4OSXSAVE    = 1 << 18

	eferSCE = 1 << 0
	eferLME = 1 << 8
	eferLMA = 1 << 10
	eferNXE = 1 << 11

	rflagsFixed = 1 << 1
	rflagsIF    = 1 << 9
)

// A vcpu is the one virtual processor of a guest.
type vcpu struct {
	fd  int
	run []byte // struct kvm_run, shared with the kernel

	computes bool // it was a signal that ended the last enter
}

func newVCPU(kvm, vm int) (*vcpu, error) {
	fd, err := ioctl(vm, "KVM_CREATE_VCPU", kvmCreateVCPU, 0)
	if err != nil {
		return nil, err
	}
	size, err := ioctl(kvm, "KVM_GET_VCPU_MMAP_SIZE", kvmGetVCPUMmapSize, 0)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	run, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("kvm: map vCPU state: %w", err)
	}
	return &vcpu{fd: fd, run: run}, nil
}

func (c *vcpu) close() {
	unix.Munmap(c.run)
	unix.Close(c.fd)
}

// setup puts the vCPU into ring 3 of a 64-bit address space, about to execute
// the first instruction of the image. No ring-0 code of the guest runs.
func (c *vcpu) setup(kvm int, entry, sp, cr3 uint64) error {
	features, err := c.setCPUID(kvm)
	if err != nil {
		return err
	}
	var s kvmSregs
	if err := ioctlPtr(c.fd, "KVM_GET_SREGS", kvmGetSregs, unsafe.Pointer(&s)); err != nil {
		return err
	}
	data := kvmSegment{Limit: 0xffffffff, Selector: ring0.SelUserData, Type: 3, Present: 1, DPL: 3, DB: 1, S: 1, G: 1}
	s.CS = kvmSegment{Limit: 0xffffffff, Selector: ring0.SelUserCode, Type: 11, Present: 1, DPL: 3, S: 1, L: 1, G: 1}
	s.SS, s.DS, s.ES, s.FS, s.GS = data, data, data, data, data
	s.TR = kvmSegment{Base: ring0.TSSAddr, Limit: ring0.TSSSize - 1, Selector: ring0.SelTSS, Type: 11, Present: 1}
	s.LDT = kvmSegment{Unusable: 1}
	s.GDT = kvmDTable{Base: ring0.GDTAddr, Limit: ring0.GDTSize - 1}
	s.IDT = kvmDTable{Base: ring0.IDTAddr, Limit: ring0.NumVectors*16 - 1}
	s.CR0 = cr0PE | cr0MP | cr0ET | cr0NE | cr0WP | cr0PG
	s.CR3 = cr3
	s.CR4 = cr4PAE | cr4OSFXSR | cr4OSXMMEXCPT | features.cr4
	s.EFER = eferSCE | eferLME | eferLMA | eferNXE
	if err := ioctlPtr(c.fd, "KVM_SET_SREGS", kvmSetSregs, unsafe.Pointer(&s)); err != nil {
		return err
	}
	for _, m := range ring0.MonitorMSRs() {
		r := kvmMSRs{N: 1, Index: m.Index, Data: m.Value}
		if err := ioctlPtr(c.fd, "KVM_SET_MSRS", kvmSetMSRs, unsafe.Pointer(&r)); err != nil {
			return err
		}
	}
	if features.xcr0 != 0 {
		x := kvmXCRs{N: 1}
		x.XCRs[0].Value = features.xcr0
		if err := ioctlPtr(c.fd, "KVM_SET_XCRS", kvmSetXCRs, unsafe.Pointer(&x)); err != nil {
			return err
		}
	}
	return c.setRegs(&kvmRegs{RIP: entry, RSP: sp, RFlags: rflagsFixed | rflagsIF})
}

// features are what of the processor has to be switched on for ring 3.
type features struct{ cr4, xcr0 uint64 }

// setCPUID gives the guest the processor features that KVM offers. A KVM that
// runs ring 3 on the bare processor may leave some out that are there all the
// same (kvm_pvm, which is itself nested, does not offer XSAVE and FSGSBASE);
// ring 3 then finds them as its host has switched them on.
func (c *vcpu) setCPUID(kvm int) (f features, err error) {
	cpuid := kvmCPUID{N: maxCPUIDEntries}
	if err := ioctlPtr(kvm, "KVM_GET_SUPPORTED_CPUID", kvmGetSupportedCPUID, unsafe.Pointer(&cpuid)); err != nil {
		return f, err
	}
	const xsave, fsgsbase = 1 << 26, 1 << 0
	for _, e := range cpuid.Entries[:cpuid.N] {
		switch {
		case e.Function == 1 && e.ECX&xsave != 0:
			f.cr4 |= cr4OSXSAVE
		case e.Function == 7 && e.Index == 0 && e.EBX&fsgsbase != 0:
			f.cr4 |= cr4FSGSBASE
		case e.Function == 0xd && e.Index == 0:
			f.xcr0 = uint64(e.EAX) | uint64(e.EDX)<<32
		}
	}
	if f.cr4&cr4OSXSAVE == 0 {
		f.xcr0 = 0
	}
	return f, ioctlPtr(c.fd, "KVM_SET_CPUID2", kvmSetCPUID2, unsafe.Pointer(&cpuid))
}

// An exit is why the guest stopped executing.
type exit struct {
	reason uint32
	bell   uint64 // exitMMIO: offset of the doorbell register
	value  uint64 // what was stored there
}

// unseen says that the guest may run without Go's scheduler knowing of it, since a
// signal comes when that wants the thread.
var unseen = !strings.Contains(os.Getenv("GODEBUG"), "asyncpreemptoff=1")

// enter runs the guest until it exits. It must be called on one OS thread. Go's
// scheduler is not told: it would take the thread's P away, and look every 20 us
// whether to do so again. It asks for the thread back after 10 ms; a guest that has
// computed for so long is better told of, and then left alone.
func (c *vcpu) enter() (exit, error) {
	var errno unix.Errno
	if unseen && !c.computes {
		_, _, errno = unix.RawSyscall(unix.SYS_IOCTL, uintptr(c.fd), kvmRun, 0)
	} else {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(c.fd), kvmRun, 0)
	}
	c.computes = errno == unix.EINTR
	if errno == unix.EINTR || errno == unix.EAGAIN {
		return exit{reason: exitIntr}, nil
	}
	if errno != 0 {
		return exit{}, fmt.Errorf("kvm: KVM_RUN: %w", errno)
	}
	le := nativeEndian
	e := exit{reason: le.Uint32(c.run[8:])}
	switch e.reason {
	case exitMMIO:
		addr, n, write := le.Uint64(c.run[32:]), le.Uint32(c.run[48:]), c.run[52]
		if addr < abi.DoorbellAddr || addr >= abi.DoorbellAddr+abi.PageSize || write == 0 || n != 8 {
			return e, &guest.Error{What: fmt.Sprintf("access of %d bytes to address %#x, where there is no memory", n, addr)}
		}
		e.bell, e.value = addr-abi.DoorbellAddr, le.Uint64(c.run[40:])
	case exitIntr:
	default:
		return e, c.unexpected(e.reason)
	}
	return e, nil
}

// unexpected describes an exit that no well-behaved guest makes.
func (c *vcpu) unexpected(reason uint32) error {
	var r kvmRegs
	ioctlPtr(c.fd, "KVM_GET_REGS", kvmGetRegs, unsafe.Pointer(&r))
	what := fmt.Sprintf("exit reason %d", reason)
	switch reason {
	case exitShutdown:
		what = "triple fault"
	case exitHLT:
		what = "halt"
	case exitFailEntry:
		what = fmt.Sprintf("entry failed, hardware reason %#x", nativeEndian.Uint64(c.run[32:]))
	case exitInternalError:
		what = fmt.Sprintf("the hypervisor could not emulate an instruction (suberror %d)", nativeEndian.Uint32(c.run[32:]))
	}
	return &guest.Error{What: fmt.Sprintf("%s at rip %#x, rsp %#x", what, r.RIP, r.RSP)}
}

// interrupt makes the next or current enter return, any thread's, until
// uninterrupt.
func (c *vcpu) interrupt() { c.setImmediateExit(1) }

func (c *vcpu) uninterrupt() { c.setImmediateExit(0) }

// setImmediateExit stores kvm_run.immediate_exit, together with its neighbours,
// which are zero: the smallest store that is atomic in Go.
func (c *vcpu) setImmediateExit(v uint32) {
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&c.run[0])), v<<8)
}
