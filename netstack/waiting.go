package netstack

import (
	"sync/atomic"
	"time"
)

// addressWait is how long after the start what needs an address waits for it.
// Servers that ping an address before they give it away take 3 s.
const addressWait = 4 * time.Second

// A waiting is the time in which addresses are to be expected.
type waiting struct {
	over  chan struct{}
	ended atomic.Bool
	left  atomic.Int32 // cards without one
}

// newWaiting waits for so many cards.
func newWaiting(cards int) *waiting {
	w := &waiting{over: make(chan struct{})}
	w.left.Store(int32(cards))
	time.AfterFunc(addressWait, w.end)
	return w
}

func (w *waiting) end() {
	if !w.ended.Swap(true) {
		close(w.over)
	}
}

// await parks what needs an address until each card has one, lest the wrong card is
// chosen, or it takes too long.
func (s *Stack) await() {
	if w := s.waiting.Load(); w != nil && !w.ended.Load() {
		<-w.over
	}
}

// arrived notes that a card has an address.
func (c *card) arrived() {
	if w := c.s.waiting.Load(); w != nil && !c.there.Swap(true) && w.left.Add(-1) <= 0 {
		w.end()
	}
}
