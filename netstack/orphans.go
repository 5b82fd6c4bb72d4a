package netstack

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	// maxOrphans is how many connections without a socket may linger in
	// TIME-WAIT or FIN-WAIT-2, at about 5 KiB each. Linux has the same bounds
	// (tcp_max_tw_buckets, tcp_max_orphans) and scales them with memory, too.
	maxOrphans = 512
	// maxUnsent is how many may still have data or a FIN to deliver.
	maxUnsent = 4 * maxOrphans
)

// orphans are the connections whose sockets were closed, oldest first. A guest
// that serves thousands of short connections a second would else run out of
// memory for the sake of stray packets.
type orphans struct {
	mu    sync.Mutex
	queue []*tcp.Endpoint
}

// add notes a connection that was closed, and ends the oldest if there are too
// many.
func (o *orphans) add(ep tcpip.Endpoint) {
	c, ok := ep.(*tcp.Endpoint)
	if !ok || ended(c) {
		return
	}
	o.mu.Lock()
	o.queue = append(o.queue, c)
	var victim *tcp.Endpoint
	if len(o.queue) > maxOrphans {
		victim = o.evict()
	}
	o.mu.Unlock()
	if victim != nil {
		end(victim)
	}
}

// evict takes out the oldest connection if it has nothing left to deliver; if
// it has, it goes to the end of the queue unless that is too long.
func (o *orphans) evict() *tcp.Endpoint {
	oldest := o.queue[0]
	o.queue = append(o.queue[:0], o.queue[1:]...)
	switch tcp.EndpointState(oldest.State()) {
	case tcp.StateClose, tcp.StateError:
		return nil
	case tcp.StateTimeWait, tcp.StateFinWait2:
		return oldest
	}
	if len(o.queue) < maxUnsent {
		o.queue = append(o.queue, oldest)
		return nil
	}
	return oldest
}

// ended reports whether nothing of a connection is left.
func ended(c *tcp.Endpoint) bool {
	st := tcp.EndpointState(c.State())
	return st == tcp.StateClose || st == tcp.StateError
}
