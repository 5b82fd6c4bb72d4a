package usernet

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/waiter"
)

// settleTime is how long Close waits at the most for what the guest has said.
const settleTime = 100 * time.Millisecond

// heard are the connections of which the host has not heard all that the guest may
// say.
type heard struct {
	mu    sync.Mutex
	conns map[*guestConn]struct{}
}

func (h *heard) add(g *guestConn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conns == nil {
		h.conns = make(map[*guestConn]struct{})
	}
	h.conns[g] = struct{}{}
}

func (h *heard) remove(g *guestConn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, g)
}

// look reports whether there are any, and whether something waits in one of them.
func (h *heard) look() (some, waits bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for g := range h.conns {
		if g.passing.Load() || g.ep.Readiness(waiter.ReadableEvents|waiter.EventRdHUp|hangup) != 0 {
			return true, true
		}
	}
	return len(h.conns) > 0, false
}

// settle passes on what the guest has sent before it ended: a program may answer
// and exit, and on Linux its answer would arrive.
func (n *Network) settle() {
	for end, quiet := time.Now().Add(settleTime), 0; time.Now().Before(end); time.Sleep(time.Millisecond) {
		some, waits := n.said.look()
		if n.link.unread() || waits {
			quiet = 0
		} else if quiet++; !some || quiet > 1 { // a packet may be on its way to a connection
			return
		}
	}
}

// unread reports whether there are packets of the guest that were not read.
func (l *link) unread() (some bool) {
	l.raw.Control(func(fd uintptr) {
		n, err := unread(int(fd))
		some = err == nil && n > 0
	})
	return some
}
