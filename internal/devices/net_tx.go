package devices

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/virtq"
	"github.com/tailor-os/tailor/virtio"
)

// A transmitter is the state of sending. All but the atomics belong to who has
// the turn.
type transmitter struct {
	turn  turn
	q     *virtq.Queue
	chain virtq.Chain
	iovs  [maxIovs]unix.Iovec
	// polled says that the I/O thread looks at the ring, or is on its way:
	// notifications stay off. It is cleared before they are armed.
	polled atomic.Bool

	// dropping is set when there was no room for too long: packets that find
	// none are then dropped at once, until one is taken.
	dropping bool
	// stuck is when fd first had no room for the packet at the head of the
	// ring, as nanoseconds of the monotonic clock plus one; 0: it has room.
	stuck atomic.Int64
	room  atomic.Bool // fd has room again, try
}

// epoch makes monotonic times comparable as integers.
var epoch = time.Now()

// waits reports whether a packet waits for room, and there is none yet.
func (t *transmitter) waits() bool { return t.stuck.Load() != 0 && !t.room.Load() }

// patience returns how long to wait for room; negative, for ever, if there is
// no packet that waits.
func (t *transmitter) patience() time.Duration {
	since := t.stuck.Load()
	if since == 0 {
		return -1
	}
	return max(0, stuckTime-(time.Since(epoch)-time.Duration(since-1)))
}

// transmit sends up to limit packets and returns how many it was. If another
// thread is at it, that one does it.
func (n *Net) transmit(limit int) (sent int) {
	if !n.tx.turn.take() {
		return 0
	}
	for {
		sent += n.sendSome(limit - sent)
		if n.tx.turn.pass() {
			return sent
		}
	}
}

// sendSome sends up to limit packets. If it finds the ring empty, and nobody
// polls it, it turns notifications on.
func (n *Net) sendSome(limit int) (sent int) {
	t := &n.tx
	for sent < limit {
		ok, err := t.q.Pop(&t.chain)
		if err != nil {
			n.fail(err)
			return sent
		}
		if !ok {
			if t.polled.Load() || !t.q.Arm() {
				return sent
			}
			continue
		}
		if !n.send(&t.chain) {
			t.q.Unpop(1)
			return sent
		}
		t.q.Push(t.chain.Head, 0)
		// For each packet: the guest goes on at once with its room.
		if t.q.Flush() {
			n.wake()
		}
		sent++
	}
	return sent
}

// send writes one packet to the descriptor, or drops it. It reports false if
// the packet is to wait for room.
func (n *Net) send(c *virtq.Chain) bool {
	t := &n.tx
	if c.OutLen < virtio.NetHdrLen || len(c.Out) > len(t.iovs) {
		n.stats.txDropped.Add(1)
		return true
	}
	errno := unix.EINTR
	for errno == unix.EINTR {
		_, errno = rawVector(unix.SYS_WRITEV, n.fd, t.iovs[:fillIovs(t.iovs[:], c.Out)])
	}
	if errno == unix.EAGAIN && !n.giveUp() {
		return false
	}
	if errno == 0 {
		n.stats.txPackets.Add(1)
		t.stuck.Store(0)
		t.dropping = false
	} else {
		n.stats.txDropped.Add(1)
	}
	return true
}

// giveUp is asked when the descriptor has no room, and reports whether that has
// lasted so long that packets are dropped.
func (n *Net) giveUp() bool {
	t := &n.tx
	if t.dropping {
		return true
	}
	now := int64(time.Since(epoch)) + 1
	t.room.Store(false)
	if t.stuck.CompareAndSwap(0, now) {
		n.handover() // it waits for room
	}
	if time.Duration(now-t.stuck.Load()) < stuckTime {
		return false
	}
	t.dropping = true
	t.stuck.Store(0)
	return true
}
