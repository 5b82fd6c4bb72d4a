//go:build tailoros

package runtime

import (
	"Tailor/abi"
	"internal/runtime/syscall/linux"
	"unsafe"
)

// What the library OS needs of the machine, under names it links to.

//go:linkname tailor_now
func tailor_now() int64 { return nanotime() }

//go:linkname tailor_wallNow
func tailor_wallNow() int64 {
	sec, nsec := tailorWall()
	return sec*1e9 + nsec
}

// tailor_clockAdjust sets the wall clock forward by step nanoseconds, and lets it and
// monotonic time run faster by rate parts per billion than the machine's counter says
// by itself. It reports whether it could: a starter may keep the clock itself.
//
//go:linkname tailor_clockAdjust
func tailor_clockAdjust(step, rate int64) bool {
	// By way of tailorKernel, where no interrupt comes between: it would wait for ever
	// for the clock page.
	r, _, _ := linux.Syscall6(tailorSysClock, uintptr(step), uintptr(rate), 0, 0, 0, 0)
	return r == 0
}

// tailor_battery returns the seconds since 1970 that the machine's battery-backed
// clock shows, 0 if it has none.
//
//go:linkname tailor_battery
func tailor_battery() int64 { return tailorBattery() }

//go:linkname tailor_sleep
func tailor_sleep(ns int64) { timeSleep(ns) }

//go:linkname tailor_args
func tailor_args() []string { return argslice }

//go:linkname tailor_envs
func tailor_envs() []string { return envs }

// tailor_setArgs and tailor_setEnvs change the arguments and the environment,
// before package os has looked at them.
//
//go:linkname tailor_setArgs
func tailor_setArgs(args []string) { argslice = args }

//go:linkname tailor_setEnvs
func tailor_setEnvs(list []string) { envs = list }

//go:linkname tailor_exit
func tailor_exit(code int) { exit(int32(code)) }

// tailor_kill sends the program a signal. What it neither catches nor ignores
// does what sighandler would do about it; where the runtime would leave it to
// the kernel, it ends the program unless its default is to be ignored.
//
//go:linkname tailor_kill
func tailor_kill(s uint32) {
	if s == 0 || s >= uint32(len(sigtable)) {
		return
	}
	flags := sigtable[s].flags
	if flags == 0 { // SIGKILL and SIGSTOP: nobody can catch them
		exit(int32(128 + s))
	}
	if sigsend(s) || signal_ignored(s) {
		return
	}
	switch {
	case flags&(_SigThrow|_SigPanic) != 0:
		systemstack(func() { tailorQuit(s) })
	case flags&(_SigKill|_SigSetStack) != 0, flags&_SigDefault != 0 && s != _SIGCONT:
		exit(int32(128 + s))
	}
}

//go:linkname tailor_consoleWrite
func tailor_consoleWrite(fd int, p unsafe.Pointer, n int) int {
	// By way of tailorKernel, where no interrupt comes between.
	return int(write1(uintptr(fd), p, int32(min(n, 1<<30))))
}

// tailor_memory returns the bytes of memory in total and those not yet taken
// by the runtime.
//
//go:linkname tailor_memory
func tailor_memory() (total, free uint64) {
	info := tailorBootInfo()
	return info.MemEnd, info.MemEnd - uint64(bloc)
}

// tailor_bootInfo returns what the starter says; it is read-only memory.
//
//go:linkname tailor_bootInfo
func tailor_bootInfo() *abi.BootInfo { return tailorBootInfo() }

// tailor_hardwareRandom returns a word of RDSEED, or of RDRAND when that has
// none, and whether there was one.
//
//go:linkname tailor_hardwareRandom
func tailor_hardwareRandom() (v uint64, ok bool) {
	const rdrand, rdseed = 1 << 30, 1 << 18
	// CPUID may be a VM exit, so it is asked once.
	if !tailorRandom.known {
		_, _, c, _ := tailorCPUID(1, 0)
		_, b, _, _ := tailorCPUID(7, 0)
		tailorRandom.rdrand, tailorRandom.rdseed = c&rdrand != 0, b&rdseed != 0
		tailorRandom.known = true
	}
	for range 10 {
		ok = tailorRandom.rdseed
		if ok {
			v, ok = tailorRandomWord(true)
		}
		if !ok && tailorRandom.rdrand {
			v, ok = tailorRandomWord(false)
		}
		if ok {
			// Some processors answer all ones for ever after a suspend.
			return v, v != ^uint64(0)
		}
	}
	return 0, false
}

// tailorRandom is which random sources the processor has.
var tailorRandom struct{ known, rdrand, rdseed bool }

func tailorCPUID(eax, ecx uint32) (a, b, c, d uint32)

// tailorRandomWord returns a word of RDSEED or of RDRAND, and whether there was one.
func tailorRandomWord(seed bool) (uint64, bool)

// tailorRung counts the stores to each doorbell register, which is at its index
// times 8.
var tailorRung [6]uint64

// tailor_figures returns tailorRung, how many turns the event loop has made, and for
// how many nanoseconds it had nothing to do.
//
//go:linkname tailor_figures
func tailor_figures() (rung [6]uint64, turns uint64, idle int64) {
	return tailorRung, tailorControl().LoopCount, tailorIdleTime
}

//go:linkname tailor_device
func tailor_device(typ uint32, n int) *abi.Device { return tailorDevice(typ, n) }

//go:linkname tailor_yield
func tailor_yield() { Gosched() }

// tailor_onStack reports whether p leads into the calling goroutine's stack,
// which moves when it grows.
//
//go:linkname tailor_onStack
func tailor_onStack(p unsafe.Pointer) bool {
	gp := getg()
	return gp.stack.lo <= uintptr(p) && uintptr(p) < gp.stack.hi
}
