//go:build tailoros

package netstack

import "gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

// A program often writes an answer in pieces, net/http a header and then a
// body, and each piece would be a packet. While a queue stands before the
// device, a segment that is not full waits until the goroutine that wrote it
// parks, and takes along what that writes next: the packet would wait in the
// ring anyway. Linux does the like, as tcp_autocorking (tcp(7)). With no queue a
// segment leaves at once, also one that is written before a long computation.

// holdFrom is how many packets make a queue: more than an exchange of a few
// packets with one peer leaves in the ring.
const holdFrom = 8

// held are the connections with a segment that waits.
var held = newLater()

// pushing is set while a connection's segments are sent whatever they hold.
var pushing bool

// holdBehind makes segments wait behind a backlog.
func holdBehind(backlog func() int) {
	tcp.TailorHold = func(e *tcp.Endpoint) bool {
		if pushing || backlog() < holdFrom {
			return false
		}
		held.add(e)
		return true
	}
	go held.run(func() {}, push)
}

func push(e *tcp.Endpoint) {
	pushing = true
	e.TailorPush()
	pushing = false
}
