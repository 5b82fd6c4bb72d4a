package monitor

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
)

// Interrupting a guest that computes. The vCPU's thread is kicked out of
// KVM_RUN, by a timer of its own running time or by another thread; where the
// guest can take it, its registers go into abi.Control and it continues at its
// handler, as a Linux process does with a signal. Whatever the guest puts into
// that page, only its own registers of ring 3 come of it.

// Signals that the monitor makes itself, and the si_code values of
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
	// minPeriod bounds what a guest can ask for: each sample is an exit or two.
	minPeriod = 100 * time.Microsecond

	// An interrupt that has to wait is tried again after retryMin, then after
	// twice as long each time up to retryMax.
	retryMin = 50 * time.Microsecond
	retryMax = 10 * time.Millisecond
)

// interrupts is what the vCPU's thread knows of interrupts. Only posted may be
// used by others.
type interrupts struct {
	posted  atomic.Uint64 // bit n-1: signal n, from outside
	waiting uint64        // bit n-1: signal n is to be delivered
	retry   time.Duration // of the last attempt, 0 if there was none
	resume  bool          // the guest has rung BellResume

	timer  runTimer
	period time.Duration // of a CPU profile, 0 without one
	next   time.Duration // running time of the next sample

	stall   time.Duration // what is a stall, 0: nothing
	loop    uint64        // abi.Control.LoopCount at the last look,
	since   time.Duration // running time when it had changed,
	clock   time.Time     // and when that was
	stalled bool          // the guest has been told
}

// startInterrupts prepares for interrupting the vCPU's thread, which is the
// calling one.
func (m *machine) startInterrupts() (err error) {
	x := &m.ints
	x.stall = m.cfg.Stall
	x.clock = time.Now()
	if x.timer, err = newRunTimer(); err != nil {
		return err
	}
	return x.setTimer()
}

// setTimer makes the vCPU's thread leave KVM_RUN as often as necessary, which is
// not at all while the guest is idle.
func (x *interrupts) setTimer() error {
	if x.period > 0 {
		return x.timer.set(x.period)
	}
	return x.timer.set(x.stall / stallChecks)
}

// profile answers abi.BellProfile.
func (x *interrupts) profile(value uint64) error {
	x.period = time.Duration(min(value, uint64(time.Hour)))
	if x.period > 0 {
		x.period = max(x.period, minPeriod)
		x.next = runningTime() + x.period
	}
	x.waiting &^= bit(sigProfile)
	return x.setTimer()
}

func bit(sig unix.Signal) uint64 { return 1 << (sig - 1) }

// kick makes the vCPU's thread leave KVM_RUN, from any thread.
func (s *stopper) kick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kickLocked()
}

func (s *stopper) kickLocked() {
	if s.tid == 0 {
		return // not running yet, or no more
	}
	s.cpu.interrupt()
	// SIGURG is what Go's scheduler sends its own threads: it makes KVM_RUN
	// return and does nothing else.
	unix.Tgkill(unix.Getpid(), s.tid, unix.SIGURG)
}

// due is asked after an exit that the guest made itself: whether it is time for
// a sample. The registers can be had only once KVM_RUN was entered again.
func (x *interrupts) due() bool {
	return x.resume || x.period > 0 && runningTime() >= x.next
}

// interrupted is called when KVM_RUN was left for no reason of the guest's.
func (m *machine) interrupted() error {
	x := &m.ints
	m.cpu.uninterrupt()
	if x.resume {
		x.resume = false
		if err := m.resumeGuest(); err != nil {
			return err
		}
	}
	ctl := at[abi.Control](m.mem, abi.ControlAddr)
	x.look(runningTime(), atomic.LoadUint64(&ctl.LoopCount))
	return m.deliver()
}

// look finds out what there is to deliver when the thread has run for now and
// the guest's event loop was reached loop times.
func (x *interrupts) look(now time.Duration, loop uint64) {
	x.waiting |= x.posted.Swap(0)
	if x.period > 0 && now >= x.next {
		x.waiting |= bit(sigProfile)
		if x.next += x.period; x.next <= now {
			x.next = now + x.period // too late for that one
		}
	}
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

// deliver delivers one of the waiting signals, or sees to it that it is tried
// again soon.
func (m *machine) deliver() error {
	x := &m.ints
	if x.waiting == 0 {
		return nil
	}
	sig, code, arg := x.first()
	ok, err := m.inject(sig, code, arg)
	if err != nil {
		return err
	}
	if ok {
		x.waiting &^= bit(sig)
		x.retry = 0
	}
	if !ok || x.waiting != 0 {
		x.retry = min(max(2*x.retry, retryMin), retryMax)
		time.AfterFunc(x.retry, m.stop.kick)
	}
	return nil
}

// first returns the waiting signal to deliver first: one that ends the guest,
// before others. A profile's has the si_code of ITIMER_PROF.
func (x *interrupts) first() (sig unix.Signal, code, arg uint64) {
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
