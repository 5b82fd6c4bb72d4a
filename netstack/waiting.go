package netstack

import (
	"sync/atomic"
	"time"
)

// addressWait is how long after the start what needs an address waits for it.
// Servers that ping an address before they give it away take 3 s.
const addressWait = 4 * time.Second

// A waiting is the time in which an address is to be expected.
type waiting struct {
	over  chan struct{}
	ended atomic.Bool
}

func newWaiting() *waiting {
	w := &waiting{over: make(chan struct{})}
	time.AfterFunc(addressWait, w.end)
	return w
}

func (w *waiting) end() {
	if !w.ended.Swap(true) {
		close(w.over)
	}
}

// await parks what needs an address until there is one, or it takes too long.
func (s *Stack) await() {
	if w := s.waiting.Load(); w != nil && !w.ended.Load() {
		<-w.over
	}
}

// arrived ends the waiting.
func (s *Stack) arrived() {
	if w := s.waiting.Load(); w != nil {
		w.end()
	}
}
