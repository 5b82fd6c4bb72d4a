package netdev

import (
	"runtime"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/queue"
	"gvisor.dev/gvisor/pkg/buffer"
)

const (
	// mergeBuffer is the size in bytes of a receive buffer when the device may
	// merge several for a packet: a power of two, as the stack's pools have
	// them, that holds a full Ethernet frame.
	mergeBuffer = 2048
	// firstReceive is how many buffers the device gets at the start: two
	// packets of 64 KiB. Their number doubles when half of them come back at
	// once, up to maxReceive, so that little memory is touched at boot and
	// pinned by an idle guest.
	firstReceive = 64
	maxReceive   = 1024
	// The same bounds where each buffer must hold 64 KiB.
	firstBigReceive = 4
	maxBigReceive   = 32
	// copyBelow is the length in bytes under which a packet is copied out of
	// its buffer, which the device gets back at once.
	copyBelow = 512
	// batch is how many completions are taken before others get to run.
	batch = 64
)

// A receiver is the receive half of a device. It belongs to one goroutine.
type receiver struct {
	q       *queue.Queue
	size    int            // bytes of a buffer
	merge   bool           // packets may span buffers
	bufs    []*buffer.View // by token: what the device has
	first   int            // how many at the start
	max     int            // and at the most
	one     [1][]byte      // scratch for queue.Add
	checked bool           // the device may leave out or vouch for checksums
	hdr     virtio.NetHdr  // of the packet being put together
	packet  buffer.Buffer
	missing int // buffers still to come
}

func (r *receiver) init(q *queue.Queue, d *Device) {
	r.q = q
	r.merge = d.has(abi.NetFMrgRxBuf)
	r.checked = d.has(abi.NetFGuestCsum)
	r.max = min(q.Size(), maxReceive)
	first := firstReceive
	switch {
	case r.merge:
		r.size = mergeBuffer
	case d.features&(abi.NetFGuestTSO4|abi.NetFGuestTSO6) != 0:
		r.size, first = maxPacket+virtio.NetHdrLen, firstBigReceive
		r.max = min(r.max, maxBigReceive)
	default:
		// Section 5.1.6.3.1 asks for room for a full frame, whatever the MTU.
		r.size = max(d.mtu, DefaultMTU) + ethernetHeader + 4 + virtio.NetHdrLen
	}
	r.first = min(first, r.max)
}

// grow gives the device more buffers until it has n.
func (r *receiver) grow(n int) error {
	for i := len(r.bufs); i < min(n, r.max); i++ {
		r.bufs = append(r.bufs, nil)
		if err := r.supply(uint32(i)); err != nil {
			return err
		}
	}
	return nil
}

// supply gives the device a new buffer under a token.
func (r *receiver) supply(token uint32) error {
	r.bufs[token] = buffer.NewViewSize(r.size)
	return r.resupply(token)
}

// resupply gives the device the buffer of a token again.
func (r *receiver) resupply(token uint32) error {
	r.one[0] = r.bufs[token].AsSlice()
	err := r.q.Add(nil, r.one[:], token)
	r.one[0] = nil
	return err
}

// receive is the receiving goroutine.
func (d *Device) receive(deliver Receiver) {
	var done [batch]queue.Completion
	for {
		ready := d.rx.q.Ready()
		n, err := d.rx.q.Reap(done[:])
		for i := range n {
			if e := d.rx.take(done[i], deliver); e != nil {
				d.fail(e)
				return
			}
		}
		if err != nil {
			d.fail(err)
			return
		}
		if 2*ready >= len(d.rx.bufs) {
			if err := d.rx.grow(2 * len(d.rx.bufs)); err != nil {
				d.fail(err)
				return
			}
		}
		d.rx.q.Publish()
		d.reap()
		switch n {
		case 0:
			d.rx.q.Wait(d.waiter)
		case batch:
			runtime.Gosched()
		}
	}
}

// take handles one buffer that came back.
func (r *receiver) take(c queue.Completion, deliver Receiver) error {
	skip := 0
	if r.missing == 0 {
		if err := r.begin(c); err != nil {
			return err
		}
		skip = virtio.NetHdrLen
	}
	r.missing--
	if err := r.append(c, skip); err != nil {
		return err
	}
	if r.missing > 0 {
		return nil
	}
	packet := r.packet
	r.packet = buffer.Buffer{}
	if packet.Size() < ethernetHeader || r.hdr.Check(int(packet.Size())) != nil {
		packet.Release()
		return nil
	}
	deliver(packet, r.checked && r.hdr.Flags&(virtio.NetHdrNeedsCsum|virtio.NetHdrDataValid) != 0)
	return nil
}

// begin reads the header of a new packet.
func (r *receiver) begin(c queue.Completion) error {
	h, err := virtio.DecodeNetHdr(r.bufs[c.Token].AsSlice()[:c.Len])
	if err != nil {
		return ErrHeaderShort
	}
	r.hdr, r.missing = h, 1
	if r.merge {
		r.missing = int(h.NumBuffers)
		if r.missing < 1 || r.missing > len(r.bufs) {
			return ErrNumBuffers
		}
	}
	return nil
}

// append adds a buffer's bytes to the packet, by reference or, if that is all
// and they are few, by copy.
func (r *receiver) append(c queue.Completion, skip int) error {
	n := int(c.Len)
	v := r.bufs[c.Token]
	if int(r.packet.Size())+n-skip > maxPacket {
		return ErrPacketLong
	}
	if n < copyBelow || n == skip {
		if n > skip {
			_ = r.packet.Append(buffer.NewViewWithData(v.AsSlice()[skip:n]))
		}
		return r.resupply(c.Token)
	}
	v.CapLength(n)
	v.TrimFront(skip)
	_ = r.packet.Append(v)
	return r.supply(c.Token)
}
