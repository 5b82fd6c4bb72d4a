package virtq

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/queue"
)

// Guest memory of the tests: rings, then a hole no device may touch, then a
// read-only range, then the heap up to the end.
const (
	ringAt  = 0x1000
	holeAt  = 0x20000
	roAt    = 0x30000
	heapAt  = 0x38000
	memSize = 0x80000
)

// ranges says so to NewMemory.
var ranges = []Range{
	{roAt, heapAt, false},
	{heapAt, memSize, true},
	{ringAt, holeAt, true},
}

// newRAM returns aligned memory on the Go heap, where the race detector sees it.
func newRAM() []byte {
	words := make([]uint64, memSize/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), memSize)
}

// A rig is a device queue in memory that the test writes as a guest would.
type rig struct {
	*Queue
	ram []byte
	mem *Memory
	d   abi.Queue
}

func place(size uint32) abi.Queue {
	d := abi.Queue{Desc: ringAt, Size: size}
	d.Avail = d.Desc + virtio.DescBytes(size)
	d.Used = (d.Avail + virtio.AvailBytes(size) + 3) &^ 3
	return d
}

func newRig(t testing.TB, size uint32, dir Direction) *rig {
	r := &rig{ram: newRAM(), d: place(size)}
	var err error
	if r.mem, err = NewMemory(r.ram, ranges...); err != nil {
		t.Fatal(err)
	}
	if r.Queue, err = New(r.mem, &r.d, dir, "test"); err != nil {
		t.Fatal(err)
	}
	return r
}

// driver returns the driver side of the rig's queue.
func (r *rig) driver(t testing.TB, notify func(uint32)) *queue.Queue {
	q, err := queue.New(&r.d, queue.Config{Origin: unsafe.Pointer(&r.ram[0]), Notify: notify})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// setDesc writes a descriptor.
func (r *rig) setDesc(i int, addr uint64, n uint32, flags, next uint16) {
	b := r.ram[r.d.Desc+16*uint64(i):]
	binary.LittleEndian.PutUint64(b, addr)
	binary.LittleEndian.PutUint32(b[8:], n)
	binary.LittleEndian.PutUint16(b[12:], flags)
	binary.LittleEndian.PutUint16(b[14:], next)
}

// setAvail makes heads available from the start of the ring.
func (r *rig) setAvail(idx uint16, heads ...uint16) {
	for i, h := range heads {
		binary.LittleEndian.PutUint16(r.ram[r.d.Avail+4+2*uint64(i):], h)
	}
	binary.LittleEndian.PutUint16(r.ram[r.d.Avail+2:], idx)
}

func (r *rig) setUsedEvent(v uint16) {
	binary.LittleEndian.PutUint16(r.ram[r.d.Avail+4+2*uint64(r.d.Size):], v)
}

func (r *rig) availEvent() uint16 {
	return binary.LittleEndian.Uint16(r.ram[r.d.Used+4+8*uint64(r.d.Size):])
}

func (r *rig) usedIdx() uint16 { return binary.LittleEndian.Uint16(r.ram[r.d.Used+2:]) }

func (r *rig) usedEntry(i uint16) (id, n uint32) {
	b := r.ram[r.d.Used+4+8*uint64(i%uint16(r.d.Size)):]
	return binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
}

// gpa returns the guest address of a slice of the rig's memory.
func (r *rig) gpa(b []byte) GPA {
	return GPA(uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(&r.ram[0])))
}
