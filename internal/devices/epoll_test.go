package devices

import (
	"testing"
	"time"
)

// TestEpollWait: a wait lasts as long as it is to, whether or not its first part is
// kept from Go's scheduler, and whether or not the kernel takes nanoseconds.
func TestEpollWait(t *testing.T) {
	defer noPwait2.Store(noPwait2.Load())
	for _, old := range []bool{false, true} {
		for _, often := range []bool{false, true} {
			noPwait2.Store(old)
			p, err := newPark()
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			for _, timeout := range []time.Duration{0, shortWait / 2, shortWait, 5 * shortWait} {
				took := time.Duration(-1)
				for try := 0; took < timeout && try < 10; try++ { // a signal ends one early
					p.often = often
					begin := time.Now()
					if ev := p.wait(timeout); len(ev) > 0 {
						t.Fatalf("events: %v", ev)
					}
					took = time.Since(begin)
				}
				if took < timeout || timeout > shortWait && p.often {
					t.Errorf("old %v, often %v: a wait of %v took %v, and was a short one: %v", old, often, timeout, took, p.often)
				}
			}
			for _, timeout := range []time.Duration{-1, time.Minute} {
				p.often = often
				time.AfterFunc(5*shortWait, p.wake)
				for begin := time.Now(); !p.woken; p.wait(timeout) {
					if time.Since(begin) > 10*time.Second {
						t.Fatalf("old %v, often %v: not woken from a wait of %v", old, often, timeout)
					}
				}
				p.woken = false
			}
		}
	}
}
