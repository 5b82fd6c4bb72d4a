package devices

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/virtq"
)

// A receiver is the state of receiving. All but the atomics belong to who has
// the turn.
//
// Packets are read straight into the guest's buffers if these take any packet.
// If not, they are read into spill, since a read that is too short would cut
// them without a word; one that does not fit waits there until the guest has
// posted more, and is dropped if the guest goes idle without having done so.
type receiver struct {
	turn turn
	q    *virtq.Queue
	win  *virtq.Window
	// polled is as in transmitter.
	polled  atomic.Bool
	need    int // bytes that take any packet
	spill   []byte
	waiting []byte // packet in spill, nil if there is none
	iovs    [maxIovs + 1]unix.Iovec

	starved atomic.Bool // the last look found too few buffers
	taken   int         // buffers filled since there were enough again
	// enough is set while the guest is idle and has posted all the buffers it
	// is going to, unless it has got or is to get more than enough-1 packets
	// since the start. What does not fit then is dropped.
	enough atomic.Uint64
}

func (r *receiver) init(q *virtq.Queue, need int) {
	r.q, r.win, r.need = q, virtq.NewWindow(q), need
	r.spill = make([]byte, need+1)
}

// receive reads up to limit packets and returns how many it was. If another
// thread is at it, that one does it.
func (n *Net) receive(limit int) (got int) {
	if !n.rx.turn.take() {
		return 0
	}
	for {
		got += n.readSome(limit - got)
		if n.rx.turn.pass() {
			return got
		}
	}
}

// readSome reads up to limit packets. If it runs out of buffers, and nobody
// polls the ring, it turns notifications on.
func (n *Net) readSome(limit int) (got int) {
	r := &n.rx
	for got < limit {
		have, err := r.win.Fill(r.need)
		if err != nil {
			n.fail(err)
			return got
		}
		starved := have == 0 || have < len(r.waiting)
		if r.starved.Swap(starved) != starved {
			n.bus.wantIdle(starved || n.solo)
			if !starved {
				r.taken = 0
			}
		}
		switch {
		case starved && r.waiting != nil && n.hopeless():
			r.waiting = nil
			n.stats.rxDropped.Add(1)
		case starved:
			// A guest that is busy with what it has rings when it has posted
			// half of that again; one that goes idle is looked at in any case.
			enough := max(1, r.taken/2)
			if r.polled.Load() || !r.q.ArmAfter(enough) {
				return got
			}
		case r.waiting != nil:
			r.win.Put(0, r.waiting)
			n.deliver(len(r.waiting))
			r.waiting = nil
		default:
			if !n.read() {
				return got
			}
			got++
		}
	}
	return got
}

// hopeless reports whether a packet that does not fit never will. A guest that
// is about to be woken, or has got a packet since it went idle, is not done yet.
func (n *Net) hopeless() bool {
	return n.rx.enough.Load() == n.stats.rxPackets.Load()+1 && !n.bus.awake()
}

// read reads one packet, and reports whether there was one.
func (n *Net) read() bool {
	r := &n.rx
	k, room := r.target()
	errno, length := unix.EINTR, 0
	for errno == unix.EINTR {
		length, errno = rawVector(unix.SYS_READV, n.fd, r.iovs[:k])
	}
	if errno != 0 || length == 0 {
		// Nothing there, or the other side is gone, or the interface is down:
		// an event will tell when there is something again.
		return false
	}
	switch {
	case length < minPacket || length > r.need:
		n.stats.rxDropped.Add(1)
	case room == 0:
		r.waiting = r.spill[:length]
	default:
		n.deliver(length)
	}
	return true
}

// deliver gives the guest a packet of n bytes that is in the window.
func (n *Net) deliver(length int) {
	r := &n.rx
	// num_buffers, which fd leaves to us (virtio 1.2 section 5.1.6.4).
	count := r.win.Count(length)
	r.win.Put(10, []byte{byte(count), byte(count >> 8)})
	r.win.Commit(length)
	r.taken += count
	n.stats.rxPackets.Add(1)
	// For each packet: the guest starts with it while the next one is read.
	if r.q.Flush() {
		n.wake()
	}
}

// target prepares the vector to read into: as much of the window as takes any
// packet, and behind it spill, to tell a packet that is longer than it may be;
// or, if the window is short or in too many pieces, spill alone. It returns
// the number of elements and the bytes that are the guest's.
func (r *receiver) target() (k, room int) {
	for _, b := range r.win.Buffers() {
		if room >= r.need || k == maxIovs {
			break
		}
		setIovec(&r.iovs[k], b)
		room += len(b)
		k++
	}
	if room < r.need {
		k, room = 0, 0
	}
	setIovec(&r.iovs[k], r.spill)
	return k + 1, room
}
