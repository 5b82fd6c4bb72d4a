package guest

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestInterruptsLook(t *testing.T) {
	x := Interrupts{stall: time.Second}
	steps := []struct {
		now  time.Duration
		loop uint64
		want uint64
	}{
		{5 * time.Millisecond, 1, 0},
		{900 * time.Millisecond, 1, 0},
		{1005 * time.Millisecond, 1, bit(sigStall)}, // a second after the loop was reached
		{1016 * time.Millisecond, 1, 0},             // once
		{1017 * time.Millisecond, 3, 0},             // reached
		{2020 * time.Millisecond, 3, bit(sigStall)}, // and not again
	}
	for i, s := range steps {
		x.look(s.now, s.loop)
		if x.waiting != s.want {
			t.Errorf("step %d: waiting %#x, want %#x", i, x.waiting, s.want)
		}
		x.waiting = 0
	}
	x.posted.Store(bit(unix.SIGQUIT))
	x.waiting = bit(sigProfile) | bit(sigStall)
	x.look(2020*time.Millisecond, 4)
	if sig, code, _ := x.first(); sig != unix.SIGQUIT || code != codeUser || x.waiting&bit(sigStall) != 0 {
		t.Errorf("first is %v with code %d of %#x", sig, code, x.waiting)
	}
}

// A noTimer is that of a guest which does not run.
type noTimer struct{}

func (noTimer) Now() time.Duration      { return 0 }
func (noTimer) Set(time.Duration) error { return nil }

// However often it was tried meanwhile, there is one next attempt.
func TestInterruptsRetry(t *testing.T) {
	var nudges atomic.Int32
	var x Interrupts
	if err := x.Start(noTimer{}, 0, func() { nudges.Add(1) }); err != nil {
		t.Fatal(err)
	}
	x.Post(unix.SIGQUIT)
	for range 100 {
		if err := x.Deliver(0, func(unix.Signal, uint64, uint64) (bool, error) { return false, nil }); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(3 * retryMax)
	// Those that came due before the next attempt are few: each was twice as late.
	if n := nudges.Load(); n == 0 || n > 10 {
		t.Errorf("nudged %d times", n)
	}
}
