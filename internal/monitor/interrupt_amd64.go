package monitor

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/guest"
)

// SAFETY: each structure whose address is passed is the one that the request or
// system call is defined for.

// userFlags are the bits of RFLAGS that ring 3 may have as it likes: carry,
// parity, adjust, zero, sign, direction, overflow, alignment check, ID.
const userFlags = 1<<0 | 1<<2 | 1<<4 | 1<<6 | 1<<7 | 1<<10 | 1<<11 | 1<<18 | 1<<21

// inject makes the guest continue at its handler. ok is false if it cannot take
// an interrupt now.
func (m *machine) inject(sig unix.Signal, code, arg uint64) (ok bool, err error) {
	ctl := guest.At[abi.Control](m.mem, abi.ControlAddr)
	var r kvmRegs
	if err := ioctlPtr(m.cpu.fd, "KVM_GET_REGS", kvmGetRegs, unsafe.Pointer(&r)); err != nil {
		return false, err
	}
	entry, sp := ctl.InterruptEntry, ctl.TrapStack
	if entry == 0 || !interruptible(r.RIP, r.RSP, ctl.Trap.Busy, ctl.Masked) {
		return false, nil
	}
	// An exception on its way would find the handler's registers.
	var e kvmVCPUEvents
	if err := ioctlPtr(m.cpu.fd, "KVM_GET_VCPU_EVENTS", kvmGetVCPUEvents, unsafe.Pointer(&e)); err != nil {
		return false, err
	}
	if e.inFlight() {
		return false, nil
	}
	ctl.Interrupt = trapFrame(&r)
	ctl.Interrupt.Vector, ctl.Interrupt.Error, ctl.Interrupt.CR2 = uint64(sig), code, arg
	return true, m.cpu.setRegs(&kvmRegs{RIP: entry, RSP: sp, RFlags: rflagsFixed | rflagsIF})
}

// interruptible reports whether a guest can be interrupted at rip with its stack
// at rsp: in ring 3, which has none of the system's addresses, with no exception
// it has not taken yet, and on no stack that the handler needs.
func interruptible(rip, rsp, busy uint64, masked [2]abi.Range) bool {
	if rip >= abi.SystemAddr && rip < abi.SystemEnd || busy != 0 {
		return false
	}
	for _, r := range masked {
		if rsp >= r.Low && rsp < r.High {
			return false
		}
	}
	return true
}

// resumeGuest makes the guest continue as its handler says.
func (m *machine) resumeGuest() error {
	r := frameRegs(guest.At[abi.Control](m.mem, abi.ControlAddr).Interrupt)
	if r.RIP >= abi.SystemAddr && r.RIP < abi.SystemEnd || r.RIP>>47 != 0 {
		return &guest.Error{What: fmt.Sprintf("it resumed at %#x after an interrupt", r.RIP)}
	}
	return m.cpu.setRegs(&r)
}

func (c *vcpu) setRegs(r *kvmRegs) error {
	return ioctlPtr(c.fd, "KVM_SET_REGS", kvmSetRegs, unsafe.Pointer(r))
}

func trapFrame(r *kvmRegs) abi.TrapFrame {
	return abi.TrapFrame{
		R8: r.R8, R9: r.R9, R10: r.R10, R11: r.R11, R12: r.R12, R13: r.R13, R14: r.R14, R15: r.R15,
		RDI: r.RDI, RSI: r.RSI, RBP: r.RBP, RBX: r.RBX, RDX: r.RDX, RAX: r.RAX, RCX: r.RCX, RSP: r.RSP,
		RIP: r.RIP, RFlags: r.RFlags,
	}
}

func frameRegs(f abi.TrapFrame) kvmRegs {
	return kvmRegs{
		R8: f.R8, R9: f.R9, R10: f.R10, R11: f.R11, R12: f.R12, R13: f.R13, R14: f.R14, R15: f.R15,
		RDI: f.RDI, RSI: f.RSI, RBP: f.RBP, RBX: f.RBX, RDX: f.RDX, RAX: f.RAX, RCX: f.RCX, RSP: f.RSP,
		RIP: f.RIP, RFlags: f.RFlags&userFlags | rflagsFixed | rflagsIF,
	}
}

// kvmVCPUEvents is struct kvm_vcpu_events.
type kvmVCPUEvents struct {
	ExceptionInjected, ExceptionNr, ExceptionHasError, ExceptionPending uint8
	ExceptionError                                                      uint32
	InterruptInjected, InterruptNr, InterruptSoft, InterruptShadow      uint8
	NMIInjected, NMIPending, NMIMasked, _                               uint8
	_                                                                   [48]byte
}

func (e *kvmVCPUEvents) inFlight() bool {
	return e.ExceptionInjected|e.ExceptionPending|e.InterruptInjected|e.NMIInjected|e.NMIPending != 0
}

// A timer sends SIGURG to the thread that made it.
type timer struct {
	id    int32
	valid bool
}

// A runTimer does so each time that the thread has run for a while: time in the guest
// counts, time asleep does not. The kernel looks at it when its clock ticks.
type runTimer struct{ timer }

// timer_create's struct sigevent and constants, include/uapi/asm-generic/siginfo.h.
type sigevent struct {
	value    uint64
	signo    int32
	notify   int32
	threadID int32
	_        [44]byte
}

const sigevThreadID = 4

func newTimer(clock uintptr) (timer, error) {
	ev := sigevent{signo: int32(unix.SIGURG), notify: sigevThreadID, threadID: int32(unix.Gettid())}
	var id int32
	_, _, errno := unix.RawSyscall(unix.SYS_TIMER_CREATE, clock,
		uintptr(unsafe.Pointer(&ev)), uintptr(unsafe.Pointer(&id)))
	if errno != 0 {
		return timer{}, fmt.Errorf("timer_create: %w", errno)
	}
	return timer{id, true}, nil
}

// Set makes the timer go off every d from now, never if d is zero.
func (t timer) Set(d time.Duration) error {
	ts := unix.NsecToTimespec(int64(d))
	spec := [2]unix.Timespec{ts, ts} // struct itimerspec: interval, value
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMER_SETTIME, uintptr(t.id), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("timer_settime: %w", errno)
	}
	return nil
}

func (t timer) close() {
	if t.valid {
		unix.RawSyscall(unix.SYS_TIMER_DELETE, uintptr(t.id), 0, 0)
	}
}

// Now is how long the calling thread has run.
func (runTimer) Now() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}
