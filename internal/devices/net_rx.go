package devices

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/virtq"
)

// A receiver is the state of receiving. It belongs to who has the turn.
type receiver struct {
	turn turn
	q    *virtq.Queue
	win  *virtq.Window
	// polled is as in transmitter.
	polled atomic.Bool
	need   int // bytes that take any packet
	// roomy is set once the guest had posted need bytes at a time. A packet
	// is then left in the descriptor until it has again. A guest that never
	// posts so much gets the packets that fit, and spill takes the others,
	// since a read that is too short would cut them without a word.
	roomy bool
	spill []byte
	iovs  [maxIovs + 1]unix.Iovec
}

func (r *receiver) init(q *virtq.Queue, need int) {
	r.q, r.win, r.need = q, virtq.NewWindow(q), need
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
		if have >= r.need {
			r.roomy = true
		} else if have == 0 || r.roomy {
			if r.polled.Load() || !r.q.Arm() {
				return got
			}
			continue
		}
		if !n.read() {
			return got
		}
		got++
	}
	return got
}

// read reads one packet into the window, and reports whether there was one.
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
	if length > room || length < minPacket {
		n.stats.rxDropped.Add(1)
		return true
	}
	// num_buffers, which fd leaves to us (virtio 1.2 section 5.1.6.4).
	count := r.win.Count(length)
	r.win.Put(10, []byte{byte(count), byte(count >> 8)})
	r.win.Commit(length)
	n.stats.rxPackets.Add(1)
	// For each packet: the guest starts with it while the next one is read.
	if r.q.Flush() {
		n.wake()
	}
	return true
}

// target prepares the vector to read into: as much of the window as takes any
// packet, and spill behind it if that is not enough. It returns the number of
// elements and the bytes that are the guest's.
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
		if r.spill == nil {
			r.spill = make([]byte, maxPacket)
		}
		setIovec(&r.iovs[k], r.spill)
		k++
	}
	return k, room
}
