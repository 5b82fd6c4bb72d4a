// Package queue is the driver side of a split virtqueue (virtio 1.2 section
// 2.7), over rings that the starter of the guest laid out beforehand. It uses
// EVENT_IDX (section 2.7.10); with a device that does not offer that, it honours
// the device's flag NO_NOTIFY and takes an interrupt for each buffer.
//
// The driver adds chains of buffers, publishes them once for a batch, and
// reaps what the device has used, also in batches:
//
//	q.Add(out, in, token)  // any number of times
//	q.Publish()            // makes them available, rings the doorbell if asked
//	n, err := q.Reap(done) // what the device is through with
//
// None of these allocates or blocks. A Queue is used by one goroutine at a
// time. The device is not trusted: what it writes is read once, checked, and
// then used; a lie breaks the queue, which then returns a [BrokenError] for
// good. What the driver needs to know of its chains is kept in memory of its
// own and never read back from the rings.
//
// # Memory ordering
//
// Descriptors and ring entries are plain stores, published by an atomic store
// of avail.idx; used entries are read after an atomic load of used.idx. Before
// the driver decides not to ring, its store of avail.idx must be visible to the
// device, which stores avail_event and then looks at avail.idx: the classical
// store-then-load that x86 reorders unless a locked instruction stands between
// (Intel SDM vol. 3A, 9.2.3.4). Hence the index is stored with an atomic swap.
// The same holds for used_event and used.idx, see [Waitable.Arm].
package queue

import (
	"sync/atomic"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
)

// descriptor is struct virtq_desc, virtio 1.2 section 2.7.5, as two words:
// meta is len | flags<<32 | next<<48.
type descriptor struct{ addr, meta uint64 }

// usedElem is struct virtq_used_elem, virtio 1.2 section 2.7.8.
type usedElem struct{ id, len uint32 }

// chain is the driver's own record of a chain, kept at its head's index.
type chain struct {
	token    uint32
	capacity uint32 // bytes the device may write
	count    uint16 // descriptors; 0: no chain starts here
	last     uint16 // last descriptor
	seq      uint16 // avail.idx that published it, less one
}

// A Queue is the driver side of one virtqueue.
type Queue struct {
	desc      []descriptor
	availHead *uint32 // flags | idx<<16
	avail     []uint16
	usedHead  *uint32 // flags | idx<<16
	used      []usedElem
	availEv   *uint32 // avail_event, in the low half
	origin    uintptr
	bell      func(value uint32)
	notify    uint32
	mask      uint16
	noEvents  bool

	// By descriptor: what keeps its buffer alive, and off the stack, while the
	// device has it, as far as there ever was one, so that the collector does not
	// look through a large ring that is hardly used; and the next descriptor of
	// the chain or of the free list.
	holds    []unsafe.Pointer
	nexts    []uint16
	chains   []chain
	freeHead uint16
	free     int
	added    uint16 // avail.idx as it will be after Publish; wait.Published is what the device sees
	wait     Waitable
	err      error
}

// Config says how a queue reaches the world.
type Config struct {
	// Origin is where guest-physical address 0 is mapped. It is nil in a
	// guest, whose addresses are physical ones; host tests place the rings and
	// buffers in one piece of memory and set it to its start.
	Origin unsafe.Pointer
	// Notify rings the doorbell with the queue's notify value
	// ([abi.BellNotify]). It must not call the queue.
	Notify func(value uint32)
	// NoEventIdx says that EVENT_IDX was not negotiated.
	NoEventIdx bool
}

// usedNoNotify is VIRTQ_USED_F_NO_NOTIFY, section 2.7.8, in usedHead.
const usedNoNotify = 1

// New makes the driver side of a virtqueue whose rings are all zero. It fails
// if the description is not valid ([virtio.CheckQueue]); the addresses in it
// are taken on trust, for they come from the starter.
func New(d *abi.Queue, c Config) (*Queue, error) {
	if err := virtio.CheckQueue(d); err != nil {
		return nil, err
	}
	q := &Queue{
		origin: uintptr(c.Origin),
		bell:   c.Notify,
		notify: d.Notify,
		mask:   uint16(d.Size - 1),
		nexts:  make([]uint16, d.Size),
		chains: make([]chain, d.Size),
		free:   int(d.Size),

		noEvents: c.NoEventIdx,
	}
	q.place(d, c.Origin)
	for i := range q.nexts {
		q.nexts[i] = uint16(i) + 1
	}
	return q, nil
}

// place sets the views of the shared memory. Tests put the rings on the heap,
// where the race detector sees them, but not in one allocation with the origin.
//
//go:nocheckptr
func (q *Queue) place(d *abi.Queue, origin unsafe.Pointer) {
	// SAFETY: the starter laid out the three parts at these addresses with the
	// sizes virtio.*Bytes give, aligned as CheckQueue saw; nothing else uses
	// that memory and it is never freed.
	avail := unsafe.Add(origin, d.Avail)
	used := unsafe.Add(origin, d.Used)
	q.desc = unsafe.Slice((*descriptor)(unsafe.Add(origin, d.Desc)), d.Size)
	q.availHead = (*uint32)(avail)
	q.avail = unsafe.Slice((*uint16)(unsafe.Add(avail, 4)), d.Size)
	q.usedHead = (*uint32)(used)
	q.used = unsafe.Slice((*usedElem)(unsafe.Add(used, 4)), d.Size)
	q.availEv = (*uint32)(unsafe.Add(used, 4+virtio.UsedElemSize*uintptr(d.Size)))
	q.wait.UsedIdx = (*uint16)(unsafe.Add(used, 2))
	q.wait.UsedEvent = (*uint16)(unsafe.Add(avail, 4+2*uintptr(d.Size)))
}

// Size returns the number of entries of the queue.
func (q *Queue) Size() int { return len(q.desc) }

// Free returns the number of free descriptors: the segments that can be added.
func (q *Queue) Free() int { return q.free }

// Outstanding returns the number of chains that were published and not reaped.
func (q *Queue) Outstanding() int { return int(q.wait.Published - q.wait.Seen) }

// Ready returns the number of chains that the device has used and that were not
// reaped, as it says: the number is not checked.
func (q *Queue) Ready() int {
	return int(uint16(atomic.LoadUint32(q.usedHead)>>16) - q.wait.Seen)
}

// Backlog returns the number of chains that were published and that the device
// has not used, as it says: the number is not checked.
func (q *Queue) Backlog() int {
	return int(q.wait.Published - uint16(atomic.LoadUint32(q.usedHead)>>16))
}

// Err returns what broke the queue, nil if it works.
func (q *Queue) Err() error { return q.err }

// Add adds one chain: the buffers of out, which the device reads, then those
// of in, which it writes. Empty buffers are left out. The device sees the chain
// only after [Queue.Publish]; token comes back with its completion.
//
// The queue keeps the buffers alive until then; the caller must not touch those
// of in, nor change those of out. The slices out and in themselves are the
// caller's again when Add returns.
func (q *Queue) Add(out, in [][]byte, token uint32) error {
	if q.err != nil {
		return q.err
	}
	no, bo := measure(out)
	ni, bi := measure(in)
	n := no + ni
	switch {
	case n == 0:
		return ErrEmpty
	case n > len(q.desc) || bo+bi > 1<<32-1:
		return ErrTooLong
	case n > q.free:
		return ErrFull
	}
	head := q.freeHead
	last := q.link(out, 0, n)
	if ni > 0 {
		last = q.link(in, virtio.DescWrite, ni)
	}
	q.chains[head] = chain{token: token, capacity: uint32(bi), count: uint16(n), last: last, seq: q.added}
	q.avail[q.added&q.mask] = head
	q.added++
	q.free -= n
	return nil
}

// measure counts the buffers that are not empty, and their bytes.
func measure(bufs [][]byte) (n int, bytes uint64) {
	for _, b := range bufs {
		if len(b) != 0 {
			n++
			bytes += uint64(len(b))
		}
	}
	return n, bytes
}

// link writes descriptors for bufs, taken from the free list, of a chain that
// has left descriptors to come. It returns the last one it wrote.
func (q *Queue) link(bufs [][]byte, flags uint64, left int) (last uint16) {
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		last = q.freeHead
		next := q.nexts[last]
		if int(last) >= len(q.holds) {
			q.more()
		}
		// SAFETY: only the address of the buffer's first byte is taken; holds
		// keeps it valid as long as the device may use it.
		q.holds[last] = unsafe.Pointer(unsafe.SliceData(b))
		f := flags
		if left--; left > 0 {
			f |= virtio.DescNext
		}
		q.desc[last] = descriptor{
			addr: q.address(q.holds[last]),
			meta: uint64(len(b)) | f<<32 | uint64(next)<<48,
		}
		q.freeHead = next
	}
	return last
}

// more makes holds larger. Descriptors that were used before are used first, and
// the others in order, so that one step is always enough.
func (q *Queue) more() {
	grown := make([]unsafe.Pointer, min(max(2*len(q.holds), 16), len(q.nexts)))
	copy(grown, q.holds)
	q.holds = grown
}

// address returns the guest-physical address of memory: the one place where
// pointers become addresses.
func (q *Queue) address(p unsafe.Pointer) uint64 { return uint64(uintptr(p) - q.origin) }

// Publish makes the chains added since the last call available to the device,
// and rings the doorbell if the device asked for it. It reports whether it rang.
func (q *Queue) Publish() bool {
	if q.added == q.wait.Published || q.err != nil {
		return false
	}
	old := q.wait.Published
	q.wait.Published = q.added
	// A swap, not a store: it must be visible before avail_event is read
	// (see the package comment). The flags half stays zero, as EVENT_IDX asks.
	atomic.SwapUint32(q.availHead, uint32(q.wait.Published)<<16)
	if q.wait.Looking = nil; !q.wanted(old) {
		if !q.noEvents {
			q.wait.Looking = q.availEv
		}
		return false
	}
	q.bell(q.notify)
	return true
}

// wanted reports whether the device is to be notified, of which avail.idx was
// old the last time (section 2.7.13.3).
func (q *Queue) wanted(old uint16) bool {
	if q.noEvents {
		return atomic.LoadUint32(q.usedHead)&usedNoNotify == 0
	}
	return virtio.NeedEvent(uint16(atomic.LoadUint32(q.availEv)), q.wait.Published, old)
}

// A Completion is a chain that the device is through with.
type Completion struct {
	Token uint32 // as given to Add
	Len   uint32 // bytes the device says it wrote, from the start of in
}

// Reap fills done with chains that the device has used and returns how many;
// 0 if there are none. Their descriptors are free again. An error means that
// the device lied: the completions before it are valid, the queue is broken.
func (q *Queue) Reap(done []Completion) (int, error) {
	if q.err != nil {
		return 0, q.err
	}
	idx := uint16(atomic.LoadUint32(q.usedHead) >> 16)
	ready := idx - q.wait.Seen
	if limit := q.wait.Published - q.wait.Seen; ready > limit {
		return 0, q.fail(ErrUsedIndex, uint32(idx), uint32(q.wait.Published))
	}
	n := min(int(ready), len(done))
	for i := range n {
		if err := q.reapOne(&done[i]); err != nil {
			return i, err
		}
	}
	return n, nil
}

// reapOne takes the next used entry.
func (q *Queue) reapOne(c *Completion) error {
	e := &q.used[q.wait.Seen&q.mask]
	id, length := atomic.LoadUint32(&e.id), atomic.LoadUint32(&e.len)
	if id >= uint32(len(q.chains)) {
		return q.fail(ErrUsedID, id, uint32(q.mask))
	}
	ch := &q.chains[id]
	// A chain that was added but not published has a seq not before published.
	if ch.count == 0 || int16(ch.seq-q.wait.Published) >= 0 {
		return q.fail(ErrUsedID, id, uint32(q.mask))
	}
	if length > ch.capacity {
		return q.fail(ErrUsedLength, length, ch.capacity)
	}
	*c = Completion{Token: ch.token, Len: length}
	q.release(uint16(id), ch)
	q.wait.Seen++
	return nil
}

// release puts the descriptors of a chain back on the free list.
func (q *Queue) release(head uint16, ch *chain) {
	i := head
	for range ch.count {
		q.holds[i] = nil
		i = q.nexts[i]
	}
	q.nexts[ch.last] = q.freeHead
	q.freeHead = head
	q.free += int(ch.count)
	ch.count = 0
}

// fail breaks the queue.
func (q *Queue) fail(err error, value, limit uint32) error {
	q.err = &BrokenError{Err: err, Notify: q.notify, Index: q.wait.Seen, Value: value, Limit: limit}
	return q.err
}
