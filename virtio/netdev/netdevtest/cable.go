// Package netdevtest joins two network drivers by a cable of real virtqueues,
// for tests: what a monitor's back end does, with impairments, and with a look
// at each packet that makes sure it left as the specification says.
package netdevtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/netdev"
	"github.com/tailor-os/tailor/virtio/queue"
	"github.com/tailor-os/tailor/virtio/virtiotest"
)

// AllFeatures is what a starter offers at best.
const AllFeatures = abi.NetFCsum | abi.NetFGuestCsum | abi.NetFMTU | abi.NetFMAC |
	abi.NetFGuestTSO4 | abi.NetFGuestTSO6 | abi.NetFHostTSO4 | abi.NetFHostTSO6 |
	abi.NetFMrgRxBuf | abi.FEventIdx | abi.FVersion1

// Options describe a cable. The zero value is a good one with small queues.
type Options struct {
	Features  uint64  // of both ends; 0: AllFeatures
	QueueSize uint32  // 0: 256
	MTU       int     // 0: 1500
	Loss      float64 // part of the packets that vanish
	Reorder   float64 // part of the packets that come one later
	Backlog   int     // packets that wait for receive buffers; 0: 512, more are dropped
	Seed      uint64
}

func (o *Options) fill() {
	if o.Features == 0 {
		o.Features = AllFeatures
	}
	if o.QueueSize == 0 {
		o.QueueSize = 256
	}
	if o.MTU == 0 {
		o.MTU = 1500
	}
	if o.Backlog == 0 {
		o.Backlog = 512
	}
}

// Stats count what a direction carried.
type Stats struct {
	Packets, Bytes, Dropped, Segmented, Partial, Wakes, Kicks atomic.Uint64
}

// A Cable joins two drivers.
type Cable struct {
	Device [2]*netdev.Device
	Stats  [2]Stats // of packets sent by that end
	Broken [2]chan error
	opts   Options
	ends   [2]*end
	mem    [][]uint64
	closed atomic.Bool
	errMu  sync.Mutex
	err    error
}

// An end is the device side of one driver.
type end struct {
	*Cable
	n      int
	waker  waker
	kick   chan struct{} // the driver sent something
	refill chan struct{} // the driver made receive buffers available
	tx     *virtq.Queue
	rx     *virtq.Queue
}

// A waker parks the driver's goroutines; it is a [queue.Waiter].
type waker struct {
	mu   sync.Mutex
	cond *sync.Cond
}

func (w *waker) Wait(q *queue.Waitable) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !q.Arm() {
		w.cond.Wait()
	}
}

func (w *waker) wake() {
	w.mu.Lock()
	w.cond.Broadcast()
	w.mu.Unlock()
}

// New makes a cable and the two drivers at its ends, which have yet to Run.
func New(o Options) (*Cable, error) {
	o.fill()
	c := &Cable{opts: o}
	for i := range c.ends {
		if err := c.addEnd(i); err != nil {
			return nil, err
		}
	}
	for i, e := range c.ends {
		go e.carry(c.ends[1-i])
	}
	return c, nil
}

func (c *Cable) addEnd(i int) error {
	rq, m1 := virtiotest.NewQueue(c.opts.QueueSize, abi.NetQueueRX)
	tq, m2 := virtiotest.NewQueue(c.opts.QueueSize, abi.NetQueueTX)
	c.mem = append(c.mem, m1, m2)
	d := abi.Device{Type: abi.DeviceNet, NumQueues: 2, Features: c.opts.Features}
	d.Queues[abi.NetQueueRX], d.Queues[abi.NetQueueTX] = rq, tq
	copy(d.Config[:], []byte{0x02, 0, 0, 0, 0, byte(i + 1)})
	d.Config[10], d.Config[11] = byte(c.opts.MTU), byte(c.opts.MTU>>8)
	e := &end{Cable: c, n: i, kick: make(chan struct{}, 1), refill: make(chan struct{}, 1)}
	e.waker.cond = sync.NewCond(&e.waker.mu)
	c.ends[i] = e
	c.Broken[i] = make(chan error, 1)
	mem := virtiotest.Memory()
	var err error
	if e.rx, err = virtq.New(mem, &rq, virtq.In, "rx"); err != nil {
		return err
	}
	if e.tx, err = virtq.New(mem, &tq, virtq.Out, "tx"); err != nil {
		return err
	}
	c.Device[i], err = netdev.New(&d, netdev.Config{
		Origin: virtiotest.Origin(),
		Notify: e.notify,
		Waiter: &e.waker,
		Broken: func(err error) { c.fail(err); c.Broken[i] <- err },
	})
	return err
}

func (e *end) notify(value uint32) {
	ch := e.refill
	if value == abi.NetQueueTX {
		ch = e.kick
		e.Stats[e.n].Kicks.Add(1)
	}
	select {
	case ch <- struct{}{}:
	default:
	}
}

// String describes the state of the cable, for tests that hang.
func (c *Cable) String() string {
	var b strings.Builder
	for i := range c.Stats {
		s := &c.Stats[i]
		fmt.Fprintf(&b, "end %d sent %d packets, %d dropped, %d kicks, woke its peer %d times; ",
			i, s.Packets.Load(), s.Dropped.Load(), s.Kicks.Load(), s.Wakes.Load())
	}
	fmt.Fprintf(&b, "error %v", c.Err())
	return b.String()
}

// Close ends the goroutines of the device side.
func (c *Cable) Close() {
	c.closed.Store(true)
	for _, e := range c.ends {
		e.notify(abi.NetQueueTX)
		e.notify(abi.NetQueueRX)
	}
}

// Err returns what was wrong with a packet, nil if nothing so far.
func (c *Cable) Err() error {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	return c.err
}

func (c *Cable) fail(err error) {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// carry is the goroutine that takes packets from e to the other end.
func (e *end) carry(to *end) {
	d := delivery{to: to, window: virtq.NewWindow(to.rx), stats: &e.Stats[e.n],
		rng: rand.New(rand.NewPCG(e.opts.Seed, uint64(e.n)))}
	var chain virtq.Chain
	for !e.closed.Load() {
		n := 0
		for ; n < 64; n++ {
			ok, err := e.tx.Pop(&chain)
			if err != nil {
				e.fail(err)
				return
			}
			if !ok {
				break
			}
			frame := gather(&chain)
			e.tx.Push(chain.Head, 0)
			d.offer(frame)
		}
		if e.tx.Flush() {
			e.Stats[e.n].Wakes.Add(1)
			e.waker.wake()
		}
		d.flush()
		if n == 0 && !e.tx.Arm() {
			e.idle(&d)
		}
	}
}

// idle waits for something to do.
func (e *end) idle(d *delivery) {
	d.release()
	if len(d.backlog) > 0 && !d.to.rx.Arm() {
		select {
		case <-e.kick:
		case <-d.to.refill:
		}
		return
	}
	if len(d.backlog) == 0 {
		<-e.kick
	}
}

// frames are buffers for packets on their way.
var frames = sync.Pool{New: func() any { return new([]byte) }}

func gather(c *virtq.Chain) []byte {
	frame := *frames.Get().(*[]byte)
	if cap(frame) < c.OutLen {
		frame = make([]byte, 0, max(c.OutLen, 2048))
	}
	frame = frame[:0]
	for _, b := range c.Out {
		frame = append(frame, b...)
	}
	return frame
}

// A delivery is the receiving half of a direction.
type delivery struct {
	to      *end
	window  *virtq.Window
	stats   *Stats
	rng     *rand.Rand
	held    []byte // packet held back, to be delivered after the next
	backlog [][]byte
}

// offer checks a packet, impairs it and queues it for delivery.
func (d *delivery) offer(frame []byte) {
	d.stats.Packets.Add(1)
	d.stats.Bytes.Add(uint64(len(frame)))
	if err := d.check(frame); err != nil {
		d.to.fail(err)
	}
	o := &d.to.opts
	if d.rng.Float64() < o.Loss || len(d.backlog) >= o.Backlog {
		d.stats.Dropped.Add(1)
		return
	}
	if d.held == nil && d.rng.Float64() < o.Reorder {
		d.held = frame
		return
	}
	d.backlog = append(d.backlog, frame)
	d.release()
}

// release delivers the packet that was held back.
func (d *delivery) release() {
	if d.held != nil {
		d.backlog = append(d.backlog, d.held)
		d.held = nil
	}
	d.flush()
}

// flush gives the receiver what it has buffers for.
func (d *delivery) flush() {
	n := 0
	for _, f := range d.backlog {
		have, err := d.window.Fill(len(f))
		if err != nil {
			d.to.fail(err)
			return
		}
		if d.to.opts.Features&abi.NetFMrgRxBuf == 0 && have > 0 {
			have = d.window.First()
		}
		if have < len(f) {
			break
		}
		k := d.window.Count(len(f))
		f[10], f[11] = byte(k), byte(k>>8)
		d.window.Put(0, f)
		d.window.Commit(len(f))
		frames.Put(&f)
		n++
	}
	d.backlog = d.backlog[n:]
	if d.to.rx.Flush() {
		d.stats.Wakes.Add(1)
		d.to.waker.wake()
	}
}

// check makes sure that a packet left with a correct checksum, complete or
// partial, and sane offloads.
func (d *delivery) check(frame []byte) error {
	h, err := virtio.DecodeNetHdr(frame)
	if err != nil {
		return err
	}
	p := frame[virtio.NetHdrLen:]
	if err := h.Check(len(p)); err != nil {
		return err
	}
	if h.GSOType != virtio.GSONone {
		d.stats.Segmented.Add(1)
	} else if len(p) > d.to.opts.MTU+14 {
		return fmt.Errorf("packet of %d bytes exceeds the MTU", len(p))
	}
	if h.Flags&virtio.NetHdrNeedsCsum != 0 {
		d.stats.Partial.Add(1)
	} else if h.GSOType != virtio.GSONone {
		return fmt.Errorf("packet to be segmented without partial checksum")
	}
	return checkSums(p, &h)
}
