package netdevtest

import (
	"encoding/binary"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/netdev"
	"github.com/tailor-os/tailor/virtio/virtiotest"
)

// SAFETY: the slices and addresses made in this file are of mem, which q keeps.

// A Raw is a driver whose rings the test writes itself, as a hostile device
// would. Its methods must not run at the same time as the driver's goroutines.
type Raw struct {
	Device *netdev.Device
	Queue  [2]RawQueue // by abi.NetQueueRX and abi.NetQueueTX
}

// A RawQueue is the memory of a virtqueue.
type RawQueue struct {
	d    abi.Queue
	mem  []uint64
	rest *virtq.Memory
}

// NewRaw makes a driver on empty rings.
func NewRaw(size uint32, features uint64, c netdev.Config) (*Raw, error) {
	r := &Raw{}
	d := abi.Device{Type: abi.DeviceNet, NumQueues: 2, Features: features}
	for i := range r.Queue {
		q := &r.Queue[i]
		q.d, q.mem = virtiotest.NewQueue(size, uint32(i))
		q.rest = virtiotest.Memory()
		d.Queues[i] = q.d
	}
	c.Origin = virtiotest.Origin()
	c.Notify = func(uint32) {}
	var err error
	r.Device, err = netdev.New(&d, c)
	return r, err
}

// Bytes returns the rings: descriptors, available ring, used ring.
func (q *RawQueue) Bytes() []byte {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&q.mem[0])), 8*len(q.mem))
	return b[q.at(q.d.Desc):]
}

// at turns an address in the rings into an index into mem.
func (q *RawQueue) at(gpa uint64) int {
	return int(gpa + virtiotest.Start - uint64(uintptr(unsafe.Pointer(&q.mem[0]))))
}

func (q *RawQueue) part(gpa uint64) []byte { return q.Bytes()[gpa-q.d.Desc:] }

// SetUsed writes an entry of the used ring.
func (q *RawQueue) SetUsed(i uint16, id, n uint32) {
	e := q.part(q.d.Used + 4 + virtio.UsedElemSize*uint64(uint32(i)&(q.d.Size-1)))
	binary.LittleEndian.PutUint32(e, id)
	binary.LittleEndian.PutUint32(e[4:], n)
}

// UsedIdx and SetUsedIdx are used.idx; AvailIdx is avail.idx.
func (q *RawQueue) UsedIdx() uint16 { return binary.LittleEndian.Uint16(q.part(q.d.Used + 2)) }

// SetUsedIdx publishes used entries.
func (q *RawQueue) SetUsedIdx(v uint16) { binary.LittleEndian.PutUint16(q.part(q.d.Used+2), v) }

// AvailIdx returns avail.idx.
func (q *RawQueue) AvailIdx() uint16 { return binary.LittleEndian.Uint16(q.part(q.d.Avail + 2)) }

// Head returns entry i of the available ring.
func (q *RawQueue) Head(i uint16) uint32 {
	return uint32(binary.LittleEndian.Uint16(q.part(q.d.Avail + 4 + 2*uint64(uint32(i)&(q.d.Size-1)))))
}

// Buffer returns the memory of descriptor i, nil if it has none.
func (q *RawQueue) Buffer(i uint32) []byte {
	d := q.part(q.d.Desc + virtio.DescSize*uint64(i&(q.d.Size-1)))
	b, err := q.rest.Slice(virtq.GPA(binary.LittleEndian.Uint64(d)), uint64(binary.LittleEndian.Uint32(d[8:])), virtq.Write)
	if err != nil {
		return nil
	}
	return b
}
