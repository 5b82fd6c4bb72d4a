package devices

import (
	"testing"
	"time"

	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/queue"
)

// txBuffers is the number of packets that a nic can have on the way out.
const txBuffers = 48

// A nic is a small network driver: fixed buffers, packets one at a time.
type nic struct {
	*guest
	net    *Net
	rx, tx *queue.Queue
	rxBufs [][]byte
	rxSize int
	txBufs [][]byte
	txFree []uint32
	done   [64]queue.Completion
	ready  []queue.Completion // reaped, not returned by recv yet
	recyc  []uint32           // buffers of the packet that recv returned
}

// newNIC makes a guest with one network device on fd, and posts rxCount
// buffers of rxSize bytes.
func newNIC(t testing.TB, fd, rxCount, rxSize, txSize int) *nic {
	n := &nic{rxSize: rxSize}
	n.guest = newGuest(t, func(g *guest) {
		var err error
		if n.net, err = g.bus.AddNet(&g.devs[0], fd); err != nil {
			t.Fatal(err)
		}
	}, NetSpec("net0", [6]byte{2, 0, 0, 0, 0, 1}, 1500, Offloads))
	n.rx, n.tx = n.drv[0][0], n.drv[0][1]
	for i := range rxCount {
		n.rxBufs = append(n.rxBufs, n.buf(rxSize))
		n.post(uint32(i))
	}
	n.rx.Publish()
	for i := range txBuffers {
		n.txBufs = append(n.txBufs, n.buf(txSize))
		n.txFree = append(n.txFree, uint32(i))
	}
	return n
}

func (n *nic) post(i uint32) {
	if err := n.rx.Add(nil, [][]byte{n.rxBufs[i]}, i); err != nil {
		n.t.Fatal(err)
	}
}

// slot returns a buffer to send from, nil if all are on the way.
func (n *nic) slot() (uint32, []byte) {
	for n.tx.Pending() {
		k, err := n.tx.Reap(n.done[:])
		if err != nil {
			n.t.Fatal(err)
		}
		for _, c := range n.done[:k] {
			n.txFree = append(n.txFree, c.Token)
		}
	}
	if len(n.txFree) == 0 || n.tx.Free() < 20 {
		return 0, nil
	}
	i := n.txFree[len(n.txFree)-1]
	return i, n.txBufs[i]
}

// send sends the first size bytes of the buffer that slot returned, in pieces
// of 4 KiB. The caller publishes.
func (n *nic) send(i uint32, size int) {
	var segs [32][]byte
	k := 0
	for b := n.txBufs[i][:size]; len(b) > 0; k++ {
		m := min(len(b), 4096)
		segs[k], b = b[:m], b[m:]
	}
	if err := n.tx.Add(segs[:k], nil, i); err != nil {
		n.t.Fatal(err)
	}
	n.txFree = n.txFree[:len(n.txFree)-1]
}

// recv returns the next packet with its header, nil if there is none. Its
// pieces are the caller's until the next call.
func (n *nic) recv() (parts [][]byte, size int) {
	for _, i := range n.recyc {
		n.post(i)
	}
	n.recyc = n.recyc[:0]
	n.rx.Publish()
	if len(n.ready) == 0 && !n.fetch() {
		return nil, 0
	}
	h, err := virtio.DecodeNetHdr(n.rxBufs[n.ready[0].Token])
	if err != nil {
		n.t.Fatal(err)
	}
	for len(n.ready) < int(h.NumBuffers) && n.fetch() {
	}
	if h.NumBuffers == 0 || len(n.ready) < int(h.NumBuffers) {
		n.t.Fatalf("packet of %d buffers, %d there", h.NumBuffers, len(n.ready))
	}
	for _, c := range n.ready[:h.NumBuffers] {
		parts, size = append(parts, n.rxBufs[c.Token][:c.Len]), size+int(c.Len)
		n.recyc = append(n.recyc, c.Token)
	}
	n.ready = n.ready[h.NumBuffers:]
	return parts, size
}

func (n *nic) fetch() bool {
	k, err := n.rx.Reap(n.done[:])
	if err != nil {
		n.t.Fatal(err)
	}
	n.ready = append(n.ready, n.done[:k]...)
	return k > 0
}

// recvWait is recv that parks; it fails the test after 5 seconds.
func (n *nic) recvWait() (parts [][]byte, size int) {
	for end := time.Now().Add(5 * time.Second); ; {
		if parts, size = n.recv(); parts != nil {
			return parts, size
		}
		if time.Now().After(end) {
			n.t.Fatalf("no packet: %+v", n.net.Stats())
		}
		n.park(time.Second, n.rx)
	}
}
