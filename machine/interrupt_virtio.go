//go:build tailoros && tailorvirtio

package runtime

import "Tailor/abi"

// What interrupts a guest that computes, where there is no monitor to do it: the
// channel that brings signals, and the timer, for the samples of a CPU profile
// and to find out that the event loop was not reached.

// tailorStallChecks is how often a stall is looked for in the time that makes
// one.
const tailorStallChecks = 4

var tailorWatch struct {
	stall  int64  // nanoseconds without the event loop that are a stall, 0: for ever
	period int64  // of a CPU profile, 0 without one
	left   int64  // for how long ring 3 runs until the next sample,
	armed  int64  // counted from then
	loop   uint64 // Control.LoopCount at the last look,
	since  int64  // when it had changed,
	told   bool   // and whether the program was warned since
}

// tailorWatchInit reads how long a stall is. The default is that of run.
func tailorWatchInit() {
	w := &tailorWatch
	w.stall = 1e9
	if v, ok := tailor_param("stall-warning"); ok {
		w.stall = tailorMilliseconds(v) * 1e6
	}
	w.since = tailorMono()
	tailorControl().Diverted |= abi.IRQTimer
	tailorTick()
}

// tailorMilliseconds reads a number of milliseconds, 0 if it is none.
func tailorMilliseconds(s string) (n int64) {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' || n > 1e9 {
			return 0
		}
		n = 10*n + int64(s[i]-'0')
	}
	return n
}

// tailorTick sets the timer to what is to be looked for while ring 3 runs, which
// may be nothing.
//
//go:nosplit
//go:nowritebarrierrec
func tailorTick() {
	w := &tailorWatch
	ns := w.left
	if w.period == 0 {
		ns = w.stall / tailorStallChecks
	}
	w.armed = tailorMono()
	counts := uintptr(0)
	if ns != 0 {
		counts = tailorTimerCounts(ns)
	}
	tailorService(abi.ServiceTimer, counts, 0, 0)
}

// tailorTickRests is called when ring 3 goes idle: a program that computes for less
// than a period at a time is to be found in a profile, too.
//
//go:nosplit
//go:nowritebarrierrec
func tailorTickRests() {
	const least = 10e3 // nanoseconds: a sample that is due comes soon after
	if w := &tailorWatch; w.period != 0 {
		w.left = max(w.left-(tailorMono()-w.armed), least)
	}
}

const tailorSIGTERM = 15

// Values of si_code, include/uapi/asm-generic/siginfo.h.
const (
	tailorCodeUser   = 0    // SI_USER
	tailorCodeKernel = 0x80 // SI_KERNEL
)

// tailorInterruptIs returns which signal an interrupt is, 0 for none. It runs on
// the signal stack, at any moment of the program.
//
//go:nosplit
//go:nowritebarrierrec
func tailorInterruptIs(bit uint64) (sig, code, arg uint64) {
	ctl := tailorControl()
	if bit == tailorCOM2Pin {
		tailorCommands(ctl)
		return tailorSignalNow(ctl), tailorCodeUser, 0
	}
	// A signal may have come at a moment that was not to be interrupted. Its bit
	// stays, so that the event loop does not go idle before it has looked.
	if ctl.IRQs&(1<<tailorCOM2Pin) != 0 {
		tailorCommands(ctl)
	}
	if sig = tailorSignalNow(ctl); sig != 0 {
		tailorTick()
		return sig, tailorCodeUser, 0
	}
	w := &tailorWatch
	now := tailorMono()
	switch {
	case w.period != 0:
		sig, code = _SIGPROF, tailorCodeKernel
		w.left = w.period
	case ctl.LoopCount != w.loop:
		w.loop, w.since, w.told = ctl.LoopCount, now, false
	case !w.told && now-w.since >= w.stall:
		w.told = true
		sig, arg = _SIGURG, uint64(now-w.since)
	}
	tailorTick()
	return sig, code, arg
}

// tailorSignalNow returns a signal that does not wait for the event loop: one
// that the program does not catch. Most of those end it.
//
//go:nosplit
//go:nowritebarrierrec
func tailorSignalNow(ctl *abi.Control) uint64 {
	for s := uint64(1); s < 65; s++ {
		if (ctl.SigPending&^ctl.SigCaught)>>(s-1)&1 == 0 {
			continue
		}
		if s == _SIGQUIT || s == _SIGABRT {
			ctl.SigPending &^= 1 << (s - 1)
			return s
		}
		if s == _SIGINT || s == tailorSIGTERM || s == _SIGHUP {
			tailorBell(abi.BellExit, uintptr(128+s))
		}
	}
	return 0
}

// tailorProfilePeriod is setitimer's: a sample each so many nanoseconds.
//
//go:nosplit
//go:nowritebarrierrec
func tailorProfilePeriod(ns int64) {
	const least = 100e3
	if ns > 0 {
		ns = max(ns, least)
	}
	tailorWatch.period, tailorWatch.left = ns, ns
	tailorTick()
}
