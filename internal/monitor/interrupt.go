package monitor

import (
	"context"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Interrupting a guest that computes. The vCPU's thread is kicked out of
// KVM_RUN, by a timer of its own running time or by another thread; where the
// guest can take it, its registers go into abi.Control and it continues at its
// handler, as a Linux process does with a signal. Whatever the guest puts into
// that page, only its own registers of ring 3 come of it.

// control starts what stops the guest from outside. It is called by the vCPU's
// thread. The returned function ends it and must be called.
func (m *machine) control(ctx context.Context) (end func()) {
	tid := unix.Gettid()
	m.super.Kick = func() {
		m.cpu.interrupt()
		// SIGURG is what Go's scheduler sends its own threads: it makes KVM_RUN
		// return and does nothing else.
		unix.Tgkill(unix.Getpid(), tid, unix.SIGURG)
	}
	return m.super.Start(ctx)
}

// interrupted is called when KVM_RUN was left for no reason of the guest's. The
// registers can be had only then, not after an exit that the guest made itself.
func (m *machine) interrupted() error {
	m.cpu.uninterrupt()
	if m.resume {
		m.resume = false
		if err := m.resumeGuest(); err != nil {
			return err
		}
	}
	if m.profile.take(runTimer{}.Now()) {
		m.ints.Sample()
	}
	return m.ints.Deliver(atomic.LoadUint64(&m.super.Control.LoopCount), m.inject)
}
