//go:build tailoros

package runtime

import (
	"Tailor/abi"
	"internal/runtime/atomic"
	"unsafe"
)

// A guest that is a Linux process: package abi says which system calls it may
// make, and what they are for.

// SAFETY: addresses are fixed by the contract, or those of the signal stack,
// which the starter has mapped there.

const (
	tailorSysFutexWait = 0 // FUTEX_WAIT on memory that is shared with the monitor
	tailorForever      = 1 << 40
)

// tailorBell stores value to a doorbell register, or does what that stands for
// in a process.
//
//go:noinline
//go:nosplit
//go:nowritebarrierrec
func tailorBell(register, value uintptr) {
	if tailorBootInfo().Flags&abi.BootProcess == 0 {
		tailorDoorbell(register, value)
		return
	}
	p := &tailorControl().Process
	switch register {
	case abi.BellNotify:
		tailorRingBell(p, 1<<(value&63))
	case abi.BellIdle:
		tailorPark(p, value)
	case abi.BellProfile:
		atomic.Store64(&p.Profile, uint64(value))
		tailorRingBell(p, abi.BellBitProfile)
	case abi.BellExit:
		tailorSyscall(tailorSysExitGroup, value, 0, 0, 0)
	}
}

// tailorRingBell tells the monitor something, and wakes it if it sleeps.
//
//go:noinline
//go:nosplit
//go:nowritebarrierrec
func tailorRingBell(p *abi.Process, bits uint64) {
	atomic.Or64(&p.Bells, bits)
	if atomic.Xchg(&p.Listen, abi.ParkToken) == abi.ParkAsleep {
		count := uintptr(unsafe.Pointer(&tailorBootInfo().BellCount))
		tailorSyscall(tailorSysWrite, abi.ProcessBell, count, 8, 0)
	}
}

// tailorPark sleeps until the monitor wakes the guest, or until the deadline.
//
//go:nosplit
//go:nowritebarrierrec
func tailorPark(p *abi.Process, deadline uintptr) {
	p.Timeout = [2]int64{tailorForever, 0}
	if deadline != ^uintptr(0) {
		left := int64(deadline) - tailorMono()
		if left <= 0 {
			return
		}
		p.Timeout = [2]int64{left / 1e9, left % 1e9}
	}
	if atomic.Load(&p.IdleBell) != 0 {
		tailorRingBell(p, abi.BellBitIdle)
	}
	if atomic.Cas(&p.Park, abi.ParkAwake, abi.ParkAsleep) {
		park, timeout := uintptr(unsafe.Pointer(&p.Park)), uintptr(unsafe.Pointer(&p.Timeout))
		tailorSyscall(tailorSysFutex, park, tailorSysFutexWait, abi.ParkAsleep, timeout)
	}
	atomic.Xchg(&p.Park, abi.ParkAwake)
}

// tailorLeave tells the monitor that the bells in tailorBells were left for now.
//
//go:nosplit
func tailorLeave() {
	if tailorBells != 0 && tailorBootInfo().Flags&abi.BootProcess != 0 {
		tailorRingBell(&tailorControl().Process, tailorBells|abi.BellBitIdle)
	}
	tailorBells = 0 // a doorbell's device looks at its queues when the vCPU goes idle
}

// tailorProcessSignals makes the starter's signal stack that of the runtime, and
// says where signals go.
//
//go:nosplit
//go:nowritebarrierrec
func tailorProcessSignals(ctl *abi.Control) {
	st := stackt{ss_size: abi.SignalStackHigh - abi.SignalStackLow}
	setSignalstackSP(&st, abi.SignalStackLow)
	setGsignalStack(&st, nil)
	ctl.TrapLow, ctl.TrapStack = abi.SignalStackLow, abi.SignalStackHigh
	ctl.Process.SignalEntry = uint64(tailorSignalEntry())
}

// tailorSignalEntry returns the address of tailorSignal.
//
//go:nosplit
func tailorSignalEntry() uintptr

// tailorSyscall makes a system call of Linux's. The arguments that it does not
// take are zero.
//
//go:noescape
func tailorSyscall(num, a1, a2, a3, a4 uintptr) uintptr

// tailorDoorbell stores value to a doorbell register: one VM exit. It is assembly
// so that the compiler keeps every other memory access on its side of it.
//
//go:noescape
func tailorDoorbell(register, value uintptr)
