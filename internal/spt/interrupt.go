package spt

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Interrupting a guest that computes, by signals. Its handler puts one off where
// it needs the stack that was interrupted, so that it is sent again until taken.

// interrupt delivers what there is to deliver, if somebody said so.
func (p *process) interrupt() error {
	if !p.look.Swap(false) {
		return nil
	}
	if p.injected != 0 && atomic.LoadUint64(&p.control.Interrupt.Busy) == 0 {
		p.ints.Taken(p.injected)
		p.injected = 0
	}
	return p.ints.Deliver(atomic.LoadUint64(&p.control.LoopCount), p.inject)
}

// inject sends the guest a signal, or once more the one that it has not taken yet.
// Whether it was taken is seen the next time.
func (p *process) inject(sig unix.Signal, code, arg uint64) (taken bool, err error) {
	f := &p.control.Interrupt
	if atomic.LoadUint64(&p.control.Process.SignalEntry) == 0 {
		return false, nil
	}
	if p.injected == 0 {
		f.Vector, f.Error, f.CR2 = uint64(sig), code, arg
		atomic.StoreUint64(&f.Busy, 1)
		p.injected = sig
	}
	unix.PidfdSendSignal(p.child.pidfd, p.injected, nil, 0)
	return false, nil
}
