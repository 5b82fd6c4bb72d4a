package netdev

import (
	"sync"

	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/queue"
	"gvisor.dev/gvisor/pkg/buffer"
)

const (
	// maxParts is how many descriptors a packet may take; one in more pieces
	// is copied into one. A 64 KiB packet of the stack's own making has two.
	maxParts = 18
	// maxWaiting bounds the packets that wait for room in the ring; more are
	// dropped. The sockets' send buffers keep TCP and UDP well below it.
	maxWaiting = 2048
)

// A transmitter is the transmit half of a device. While packets wait, only the
// draining goroutine touches the queue; otherwise whoever holds mu does.
type transmitter struct {
	mu      sync.Mutex
	q       *queue.Queue
	flight  []Packet // by token: what the device reads; as far as ever needed
	tokens  []uint32 // free ones, the next to use last
	parts   [][]byte // scratch
	limit   int      // parts of one packet
	waiting []Packet // for room, oldest first
	wake    chan struct{}
	err     error
}

func (t *transmitter) init(q *queue.Queue) {
	t.q = q
	t.limit = min(maxParts, q.Size())
	t.tokens = make([]uint32, q.Size())
	for i := range t.tokens {
		t.tokens[i] = uint32(len(t.tokens) - 1 - i)
	}
	t.parts = make([][]byte, 0, t.limit)
	t.wake = make(chan struct{}, 1)
}

// Send transmits a packet, which stays the caller's: the device keeps what it
// needs. It reports false, and drops the packet, if too many wait already or
// the device is broken. It does not block.
func (d *Device) Send(p Packet) bool {
	t := &d.tx
	t.mu.Lock()
	err := t.err
	if err == nil && len(t.waiting) == 0 {
		var posted bool
		if posted, err = t.post(p); posted {
			t.q.Publish()
			t.mu.Unlock()
			return true
		}
	}
	ok := err == nil && len(t.waiting) < maxWaiting
	if ok {
		t.waiting = append(t.waiting, p.Keep())
		t.signal()
	}
	t.mu.Unlock()
	if err != nil {
		d.fail(err)
	}
	return ok
}

// Backlog returns how many packets the device is not through with.
func (d *Device) Backlog() int {
	t := &d.tx
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.q.Backlog() + len(t.waiting)
}

// signal wakes the draining goroutine, which may be awake.
func (t *transmitter) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// post puts a packet into the ring, unpublished, if there is room.
func (t *transmitter) post(p Packet) (bool, error) {
	if t.q.Pending() {
		if err := t.reap(); err != nil {
			return false, err
		}
	}
	t.parts = p.Parts(t.parts[:0])
	var hold Packet
	if len(t.parts) > t.limit {
		if t.q.Free() == 0 {
			return false, nil
		}
		l := newLinear(t.parts)
		t.parts = append(t.parts[:0], l.view.AsSlice())
		hold = l
	} else if t.q.Free() < len(t.parts) {
		return false, nil
	} else {
		hold = p.Hold()
	}
	h := p.Header()
	h.Encode(t.parts[0][:virtio.NetHdrLen])
	token := t.tokens[len(t.tokens)-1]
	err := t.q.Add(t.parts, nil, token)
	clear(t.parts)
	if err != nil {
		hold.Release()
		return false, err
	}
	t.tokens = t.tokens[:len(t.tokens)-1]
	if int(token) == len(t.flight) { // the others were in use before
		t.flight = append(t.flight, nil)
	}
	t.flight[token] = hold
	return true, nil
}

// reap releases the packets that the device is through with.
func (t *transmitter) reap() error {
	var done [batch]queue.Completion
	for {
		n, err := t.q.Reap(done[:])
		for _, c := range done[:n] {
			p := t.flight[c.Token]
			t.flight[c.Token] = nil
			t.tokens = append(t.tokens, c.Token)
			p.Release()
		}
		if err != nil || n < len(done) {
			return err
		}
	}
}

// reap releases sent packets, unless the draining goroutine is about to.
func (d *Device) reap() {
	t := &d.tx
	t.mu.Lock()
	var err error
	if t.err == nil && len(t.waiting) == 0 && t.q.Pending() {
		err = t.reap()
	}
	t.mu.Unlock()
	if err != nil {
		d.fail(err)
	}
}

// drain is the goroutine that posts waiting packets as room appears.
func (d *Device) drain() {
	t := &d.tx
	for range t.wake {
		for t.more() {
			left, err := t.postWaiting()
			if err != nil {
				d.fail(err)
				return
			}
			if left {
				t.q.Wait(d.waiter)
			}
		}
	}
}

// more reports whether packets wait.
func (t *transmitter) more() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err == nil && len(t.waiting) > 0
}

// postWaiting posts what fits and reports whether some packets are left.
func (t *transmitter) postWaiting() (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return false, t.err
	}
	if err := t.reap(); err != nil {
		return false, err
	}
	n := 0
	for n < len(t.waiting) {
		posted, err := t.post(t.waiting[n])
		if err != nil {
			return false, err
		}
		if !posted {
			break
		}
		t.waiting[n].Release()
		t.waiting[n] = nil
		n++
	}
	t.q.Publish()
	left := copy(t.waiting, t.waiting[n:])
	clear(t.waiting[left:])
	t.waiting = t.waiting[:left]
	return left > 0, nil
}

// stop refuses further packets and drops those that wait. What the device has
// stays with it: it might still be reading.
func (t *transmitter) stop(err error) {
	t.mu.Lock()
	t.err = err
	waiting := t.waiting
	t.waiting = nil
	close(t.wake) // nobody signals once err is set
	t.mu.Unlock()
	for _, p := range waiting {
		p.Release()
	}
}

// A linear is a copy, in one piece, of a packet in too many.
type linear struct{ view *buffer.View }

func newLinear(parts [][]byte) *linear {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	v := buffer.NewView(n)
	for _, p := range parts {
		_, _ = v.Write(p)
	}
	return &linear{v}
}

func (l *linear) Parts(dst [][]byte) [][]byte { return append(dst, l.view.AsSlice()) }
func (l *linear) Header() virtio.NetHdr       { return virtio.NetHdr{} }
func (l *linear) Keep() Packet                { return l }
func (l *linear) Hold() Packet                { return l }
func (l *linear) Release()                    { l.view.Release() }
