package spt

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
)

// A signal that was taken is not sent again because a more urgent one has come
// before that was seen.
func TestInterruptOnce(t *testing.T) {
	p := &process{control: new(abi.Control), child: noChild, timer: &runTimer{clock: unix.CLOCK_MONOTONIC}}
	p.control.Process.SignalEntry = 1
	if err := p.ints.Start(p.timer, 0, func() {}); err != nil {
		t.Fatal(err)
	}
	p.ints.Post(unix.SIGURG)
	for i, want := range []unix.Signal{unix.SIGURG, unix.SIGQUIT, 0, 0} {
		p.look.Store(true)
		if err := p.interrupt(); err != nil {
			t.Fatal(err)
		}
		if p.injected != want {
			t.Errorf("look %d: %v was sent, not %v", i, p.injected, want)
		}
		p.control.Interrupt.Busy = 0 // taken
		if i == 0 {
			p.ints.Post(unix.SIGQUIT)
		}
	}
}
