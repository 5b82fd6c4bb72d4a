//go:build tailoros

package runtime

import (
	"Tailor/abi"
	goabi "internal/abi"
	"unsafe"
)

// Interrupts: what the starter does to a guest that computes. They arrive as
// signals at sighandler, at any instruction but those that run on the signal
// stack or on the stack of tailorKernel.

// tailorTakeInterrupts says where interrupts go and when they have to wait.
//
//go:nosplit
//go:nowritebarrierrec
func tailorTakeInterrupts(ctl *abi.Control) {
	if tailorBootInfo().Flags&abi.BootInterrupts == 0 {
		return
	}
	// SAFETY: only its address is used.
	low := uint64(uintptr(unsafe.Pointer(&tailorKernelStack)))
	ctl.Masked[0] = abi.Range{Low: ctl.TrapLow, High: ctl.TrapStack + 1}
	ctl.Masked[1] = abi.Range{Low: low, High: low + 4096 + 1}
	ctl.InterruptEntry = uint64(goabi.FuncPCABI0(tailorInterrupt))
}

// tailorInterrupt is where interrupts arrive.
func tailorInterrupt()

// tailorKernelStack is what tailorKernel runs on. The runtime makes system calls
// with next to no stack left, which a kernel does not mind; nor may we.
var tailorKernelStack [4096]byte

// tailorProfiler is sigprof in a program that can start a CPU profile.
var tailorProfiler func(pc, sp, lr uintptr, gp *g, mp *m)

// tailorProfile is setitimer of ITIMER_PROF.
//
//go:nosplit
//go:nowritebarrierrec
func tailorProfile(which uintptr, it *itimerval) {
	if which == _ITIMER_PROF && tailorBootInfo().Flags&abi.BootInterrupts != 0 {
		// For a process's own setitimer.
		tailorControl().Process.Profile = [4]int64{it.it_interval.tv_sec, it.it_interval.tv_usec, it.it_value.tv_sec, it.it_value.tv_usec}
		tailorBell(abi.BellProfile, uintptr(it.it_interval.tv_sec*1e9+it.it_interval.tv_usec*1e3))
	}
}

// tailorStalled is the time in nanoseconds since which the event loop was not
// reached, zero if that is not known to be long.
var tailorStalled int64

// tailorStallGoid is the goroutine that was warned about last.
var tailorStallGoid uint64

// tailorStall warns that a goroutine has kept the event loop waiting for the
// nanoseconds in si_addr. It runs on the signal stack and allocates nothing.
//
//go:nowritebarrierrec
func tailorStall(c *sigctxt, gp *g, mp *m) {
	curg := mp.curg
	if curg == nil || curg.goid == tailorStallGoid {
		return
	}
	waited := int64(c.sigaddr())
	tailorStallGoid = curg.goid
	tailorStalled = nanotime() - waited
	print("tailor: warning: goroutine ", curg.goid, " has computed for ")
	tailorPrintSeconds(waited)
	print(" without blocking; all others, timers and the network wait\n")
	goroutineheader(curg)
	if gp == curg {
		tracebacktrap(c.sigpc(), c.sigsp(), c.siglr(), gp)
	} else {
		traceback(^uintptr(0), ^uintptr(0), 0, curg)
	}
}

// tailorStallOver says how long the event loop was not reached.
func tailorStallOver() {
	print("tailor: warning: the event loop goes on after ")
	tailorPrintSeconds(nanotime() - tailorStalled)
	print("\n")
	tailorStalled = 0
}

func tailorPrintSeconds(ns int64) {
	print(ns/1e9, ".", ns/1e8%10, "s")
}
