package virtq

import (
	"fmt"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
)

// Direction says which buffers a queue takes.
type Direction uint8

const (
	Out  Direction  = 1 << iota // the device reads them
	In                          // the device writes them
	Both = Out | In             // readable ones first, then writable ones
)

// A Queue is the device side of one virtqueue. It is used by one goroutine at
// a time. An error of one of its methods is final: the guest lied, and each
// later call returns the same error.
type Queue struct {
	rings
	mem  *Memory
	name string
	dir  Direction
	size uint32
	mask uint16

	avail    uint16 // avail.idx as last read and checked
	next     uint16 // next available entry to pop
	inflight uint32 // popped and not pushed
	used     uint16 // used.idx as it will be after Flush
	flushed  uint16 // used.idx as the guest sees it
	err      error
}

// New makes the device side of a queue whose rings are all zero. The name is
// for error messages, "net0 transmit" say.
func New(m *Memory, d *abi.Queue, dir Direction, name string) (*Queue, error) {
	r, err := newRings(m, d)
	if err != nil {
		return nil, fmt.Errorf("virtqueue %s: %w", name, err)
	}
	return &Queue{rings: r, mem: m, name: name, dir: dir, size: d.Size, mask: uint16(d.Size - 1)}, nil
}

// A Chain is one chain of buffers, as slices of guest memory. The guest may
// change their contents at any time, but not where they lie.
type Chain struct {
	Head   uint16
	Out    [][]byte // for the device to read
	In     [][]byte // for the device to write
	OutLen int      // bytes in Out
	InLen  int      // bytes in In
}

// Name returns the queue's name.
func (q *Queue) Name() string { return q.name }

// Err returns what broke the queue, nil if it works.
func (q *Queue) Err() error { return q.err }

// Pending reports whether Pop may find a chain. It is one look at memory, for
// polling. On a broken queue it is false.
func (q *Queue) Pending() bool {
	return q.err == nil && (q.avail != q.next || q.loadAvailIdx() != q.next)
}

// Next returns what Beyond is to be asked with.
func (q *Queue) Next() uint16 { return q.next }

// Beyond reports whether Pop may find a chain, if none was popped or put back since
// Next. It is for polling by a goroutine while others use the queue.
func (q *Queue) Beyond(next uint16) bool { return q.loadAvailIdx() != next }

// Pop takes the next available chain into c, whose slices it reuses, and
// reports whether there was one.
func (q *Queue) Pop(c *Chain) (bool, error) {
	if q.avail == q.next || q.err != nil {
		if n, err := q.refresh(); n == 0 || err != nil {
			return false, err
		}
	}
	head := q.loadHead(q.next & q.mask)
	if uint32(head) >= q.size {
		return false, q.fail(atEntry, uint32(q.next&q.mask), uint64(head), ErrHead)
	}
	if err := q.walk(head, c); err != nil {
		return false, err
	}
	q.next++
	q.inflight++
	return true, nil
}

// refresh reads avail.idx and returns the number of chains to pop.
func (q *Queue) refresh() (uint32, error) {
	if q.err != nil {
		return 0, q.err
	}
	idx := q.loadAvailIdx()
	n := uint32(idx - q.next)
	// Chains that we hold cannot be available a second time.
	if n > q.size-q.inflight {
		return 0, q.fail(atIndex, uint32(q.next), uint64(idx), ErrAvailIndex)
	}
	q.avail = idx
	return n, nil
}

// walk follows a chain, at most as many descriptors as there are.
func (q *Queue) walk(head uint16, c *Chain) error {
	*c = Chain{Head: head, Out: c.Out[:0], In: c.In[:0]}
	i := head
	for range q.size {
		d := q.loadDescriptor(i)
		if err := q.take(c, i, &d); err != nil {
			return err
		}
		if d.flags&virtio.DescNext == 0 {
			return nil
		}
		if uint32(d.next) >= q.size {
			return q.fail(atDescriptor, uint32(i), uint64(d.next), ErrNext)
		}
		i = d.next
	}
	return q.fail(atDescriptor, uint32(i), uint64(head), ErrLoop)
}

// take checks one descriptor and adds its buffer to the chain.
func (q *Queue) take(c *Chain, i uint16, d *descriptor) error {
	at := uint32(i)
	if d.flags&virtio.DescIndirect != 0 {
		return q.fail(atDescriptor, at, uint64(d.flags), ErrIndirect)
	}
	if d.len == 0 {
		return q.fail(atDescriptor, at, 0, ErrZeroLength)
	}
	dir, access := Out, Read
	if d.flags&virtio.DescWrite != 0 {
		dir, access = In, Write
	}
	if q.dir&dir == 0 {
		return q.fail(atDescriptor, at, uint64(d.flags), ErrDirection)
	}
	if dir == Out && len(c.In) > 0 {
		return q.fail(atDescriptor, at, uint64(d.flags), ErrOrder)
	}
	b, err := q.mem.Slice(d.addr, uint64(d.len), access)
	if err != nil {
		return q.fail(atDescriptor, at, uint64(d.addr), err)
	}
	if dir == Out {
		c.Out, c.OutLen = append(c.Out, b), c.OutLen+len(b)
	} else {
		c.In, c.InLen = append(c.In, b), c.InLen+len(b)
	}
	return nil
}

// Unpop puts the last n popped chains back, to be popped again (and read and
// checked again). They must not have been pushed. n must not be more than are
// held.
func (q *Queue) Unpop(n int) {
	q.next -= uint16(n)
	q.inflight -= uint32(n)
}

// Push gives a popped chain back with the number of bytes written into it. The
// guest sees it after [Queue.Flush].
func (q *Queue) Push(head uint16, written int) {
	q.storeUsed(q.used&q.mask, uint32(head), uint32(written))
	q.used++
	q.inflight--
}

// Flush makes pushed chains visible to the guest, and reports whether the guest
// asked to be woken for one of them.
func (q *Queue) Flush() (wake bool) {
	if q.used == q.flushed {
		return false
	}
	old := q.flushed
	q.flushed = q.used
	q.storeUsedIdx(q.flushed)
	return virtio.NeedEvent(q.loadUsedEvent(), q.flushed, old)
}

// Arm asks the guest to notify us of the next chain it makes available, and
// reports whether there already is one, for which no notification may come:
// the caller must pop it rather than sleep. Until it is armed (again), a queue
// that is being worked on causes no notification.
func (q *Queue) Arm() (pending bool) {
	if q.err != nil {
		return false
	}
	q.storeAvailEvent(q.next)
	return q.Pending()
}

// ArmAfter is Arm for a caller who is content to be notified when n more chains
// than are known of are available; n is not more than the size of the queue.
func (q *Queue) ArmAfter(n int) (pending bool) {
	if q.err != nil {
		return false
	}
	event := q.next + uint16(n) - 1
	q.storeAvailEvent(event)
	return virtio.NeedEvent(event, q.loadAvailIdx(), q.next)
}

// Quiet asks the guest for no notification, as it stands in a queue that was
// armed and is not yet worked on: a new one, whose zeroed rings ask for one at
// the first chain.
func (q *Queue) Quiet() { q.storeAvailEvent(q.next - 1) }
