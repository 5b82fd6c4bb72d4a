package guest

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Interrupting a guest that computes: what is to be delivered, and when. How it
// is done is the starter's: it makes the guest continue at its handler, as a
// Linux process does with a signal.

// Signals that the starter makes itself, and the si_code values of
// include/uapi/asm-generic/siginfo.h.
const (
	sigProfile = unix.SIGPROF
	sigStall   = unix.SIGURG // never the program's: the runtime's handler warns

	codeUser   = 0    // SI_USER
	codeKernel = 0x80 // SI_KERNEL
)

const (
	// stallChecks is how often a stall is looked for in the time that makes one.
	stallChecks = 4

	// An interrupt that has to wait is tried again after retryMin, then after
	// twice as long each time up to retryMax.
	retryMin = 50 * time.Microsecond
	retryMax = 10 * time.Millisecond
)

// A RunTimer tells how long the guest has run.
type RunTimer interface {
	// Now is the time that the guest has run so far, asleep not counted.
	Now() time.Duration
	// Set has Deliver called whenever the guest has run for d more, about; never
	// for zero.
	Set(d time.Duration) error
}

// Interrupts is what a starter knows of interrupts. But for Post it belongs to
// one thread.
type Interrupts struct {
	posted  atomic.Uint64 // bit n-1: signal n, from outside
	waiting uint64        // bit n-1: signal n is to be delivered
	retry   time.Duration // of the last attempt, 0 if there was none
	again   *time.Timer   // calls nudge then
	nudge   func()

	timer   RunTimer
	stall   time.Duration // what is a stall, 0: nothing
	loop    uint64        // abi.Control.LoopCount at the last look,
	since   time.Duration // running time when it had changed,
	clock   time.Time     // and when that was
	stalled bool          // the guest has been told
}

// Start begins with a guest that is told of a stall after that long. nudge makes
// its thread call Deliver soon; any goroutine calls it.
func (x *Interrupts) Start(timer RunTimer, stall time.Duration, nudge func()) error {
	x.timer, x.stall, x.clock, x.nudge = timer, stall, time.Now(), nudge
	// As often as necessary, which is not at all while the guest is idle.
	return timer.Set(stall / stallChecks)
}

// Sample asks for a sample of a CPU profile. It belongs to the thread, too.
func (x *Interrupts) Sample() { x.waiting |= bit(sigProfile) }

// Post asks for a signal. It may be called by any goroutine.
func (x *Interrupts) Post(sig unix.Signal) { x.posted.Or(bit(sig)) }

func bit(sig unix.Signal) uint64 { return 1 << (sig - 1) }

// look finds out what there is to deliver when the guest has run for now and its
// event loop was reached loop times.
func (x *Interrupts) look(now time.Duration, loop uint64) {
	x.waiting |= x.posted.Swap(0)
	switch {
	case x.stall == 0:
	case loop != x.loop:
		x.loop, x.since, x.clock, x.stalled = loop, now, time.Now(), false
		x.waiting &^= bit(sigStall)
	case !x.stalled && now-x.since >= x.stall:
		x.waiting |= bit(sigStall)
		x.stalled = true
	}
}

// Deliver finds out what there is to deliver when the guest's event loop was
// reached loop times, and delivers one of the signals by inject, which reports
// whether the guest could take it. If there are more, or it could not, the guest is
// nudged when it is time for another attempt.
func (x *Interrupts) Deliver(loop uint64, inject func(sig unix.Signal, code, arg uint64) (bool, error)) error {
	x.look(x.timer.Now(), loop)
	if x.waiting == 0 {
		return nil
	}
	sig, code, arg := x.first()
	ok, err := inject(sig, code, arg)
	if err != nil {
		return err
	}
	if ok {
		x.Taken(sig)
	}
	if !ok || x.waiting != 0 {
		x.retryLater()
	}
	return nil
}

// Taken says that the guest has taken a signal, be it that it could not when that
// was tried.
func (x *Interrupts) Taken(sig unix.Signal) {
	x.waiting &^= bit(sig)
	x.retry = 0
}

// retryLater sets the one timer that there is for attempts: those that came
// meanwhile for other reasons put it off.
func (x *Interrupts) retryLater() {
	x.retry = min(max(2*x.retry, retryMin), retryMax)
	if x.again == nil {
		x.again = time.AfterFunc(x.retry, x.nudge)
		return
	}
	x.again.Reset(x.retry)
}

// first returns the waiting signal to deliver first: one that ends the guest,
// before others. A profile's has the si_code of ITIMER_PROF.
func (x *Interrupts) first() (sig unix.Signal, code, arg uint64) {
	switch {
	case x.waiting&^(bit(sigProfile)|bit(sigStall)) != 0:
		for sig = 1; x.waiting&bit(sig) == 0 || sig == sigProfile || sig == sigStall; sig++ {
		}
		return sig, codeUser, 0
	case x.waiting&bit(sigProfile) != 0:
		return sigProfile, codeKernel, 0
	}
	return sigStall, codeUser, uint64(time.Since(x.clock))
}
