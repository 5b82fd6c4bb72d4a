//go:build tailoros

package netstack

import (
	"runtime"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip/seqnum"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// The TCP/IP stack acknowledges each batch of segments at once. Here an
// acknowledgement waits for the goroutines that can run now: one of them may be
// about to answer, and the answer carries it. That is far within the 500 ms of
// RFC 1122 section 4.2.3.2, which also asks for one acknowledgement for every
// second full-sized segment.

// ackAtOnce is how many bytes are acknowledged without a delay: two segments.
const ackAtOnce = 2 * 1440

// acks are the connections whose acknowledgement waits.
var acks struct {
	mu   sync.Mutex
	due  []*tcp.Endpoint
	wake chan struct{}
}

func init() {
	acks.wake = make(chan struct{}, 1)
	tcp.TailorDelayAck = delayAck
	go sendAcks()
}

// delayAck takes over the acknowledgement of unacked bytes, or leaves it to the
// caller, who holds the connection's lock.
func delayAck(e *tcp.Endpoint, unacked seqnum.Size) bool {
	if unacked >= ackAtOnce {
		return false
	}
	acks.mu.Lock()
	acks.due = append(acks.due, e)
	first := len(acks.due) == 1
	acks.mu.Unlock()
	if first {
		acks.wake <- struct{}{} // there is room: it was taken with the last list
	}
	return true
}

// sendAcks sends what no answer has carried.
func sendAcks() {
	var list []*tcp.Endpoint
	for range acks.wake {
		runtime.Gosched() // behind all that can run
		acks.mu.Lock()
		list, acks.due = acks.due, list[:0]
		acks.mu.Unlock()
		for i, e := range list {
			e.TailorAck()
			list[i] = nil
		}
	}
}
