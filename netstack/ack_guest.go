//go:build tailoros

package netstack

import (
	_ "unsafe" // for go:linkname

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

// quiet parks the calling goroutine until no other can run.
//
//go:linkname quiet runtime.tailor_quiet
func quiet()

// acks are the connections whose acknowledgement waits.
var acks = newLater()

func init() {
	tcp.TailorDelayAck = delayAck
	go acks.run(quiet, (*tcp.Endpoint).TailorAck)
}

// delayAck takes over the acknowledgement of unacked bytes, or leaves it to the
// caller, who holds the connection's lock.
func delayAck(e *tcp.Endpoint, unacked seqnum.Size) bool {
	if unacked >= ackAtOnce {
		return false
	}
	acks.add(e)
	return true
}
