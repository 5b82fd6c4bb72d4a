package virtq

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
)

// rings is the shared memory of one queue as typed views. Its methods are the
// only code that touches it, and each reads what the guest may change once.
//
// The words at 4-byte alignment are the smallest that Go has atomics for:
// flags and idx are one word, an event field and its padding another.
type rings struct {
	desc      []uint64 // two words each: addr; len | flags<<32 | next<<48
	availHead *uint32  // flags | idx<<16, written by the guest
	avail     []uint16
	usedEvent *uint32     // low half, written by the guest
	usedHead  *uint32     // flags | idx<<16, written by us
	used      [][2]uint32 // id, len
	availEv   *uint32     // low half, written by us
}

// newRings finds the parts of a queue in guest memory.
func newRings(m *Memory, d *abi.Queue) (r rings, err error) {
	if err := virtio.CheckQueue(d); err != nil {
		return r, err
	}
	desc, err := m.Slice(GPA(d.Desc), virtio.DescBytes(d.Size), Read)
	if err != nil {
		return r, fmt.Errorf("descriptor table: %w", err)
	}
	avail, err := m.Slice(GPA(d.Avail), virtio.AvailBytes(d.Size), Read)
	if err != nil {
		return r, fmt.Errorf("available ring: %w", err)
	}
	used, err := m.Slice(GPA(d.Used), virtio.UsedBytes(d.Size), Write)
	if err != nil {
		return r, fmt.Errorf("used ring: %w", err)
	}
	if uintptr(unsafe.Pointer(unsafe.SliceData(m.ram)))%virtio.DescAlign != 0 {
		return r, fmt.Errorf("guest memory is not mapped at a multiple of %d", virtio.DescAlign)
	}
	n := uintptr(d.Size)
	// SAFETY: the slices have the lengths that these views need, and their
	// alignment follows from that of the addresses and of the mapping.
	r.desc = unsafe.Slice((*uint64)(unsafe.Pointer(&desc[0])), 2*n)
	r.availHead = (*uint32)(unsafe.Pointer(&avail[0]))
	r.avail = unsafe.Slice((*uint16)(unsafe.Pointer(&avail[4])), n)
	r.usedEvent = (*uint32)(unsafe.Pointer(&avail[4+2*n]))
	r.usedHead = (*uint32)(unsafe.Pointer(&used[0]))
	r.used = unsafe.Slice((*[2]uint32)(unsafe.Pointer(&used[4])), n)
	r.availEv = (*uint32)(unsafe.Pointer(&used[4+virtio.UsedElemSize*n]))
	return r, nil
}

// loadAvailIdx reads avail.idx; what the guest stored before it is visible then.
func (r *rings) loadAvailIdx() uint16 { return uint16(atomic.LoadUint32(r.availHead) >> 16) }

// loadHead reads an available entry. A plain load: Go has no 16-bit atomics,
// and its compiler never splits or repeats a load.
func (r *rings) loadHead(i uint16) uint16 { return r.avail[i] }

// loadUsedEvent reads used_event.
func (r *rings) loadUsedEvent() uint16 { return uint16(atomic.LoadUint32(r.usedEvent)) }

// A descriptor is a copy of one, virtio 1.2 section 2.7.5.
type descriptor struct {
	addr        GPA
	len         uint32
	flags, next uint16
}

// loadDescriptor copies a descriptor. Its two halves may be of different times
// if the guest changes it; each is checked as it is.
func (r *rings) loadDescriptor(i uint16) descriptor {
	addr := atomic.LoadUint64(&r.desc[2*int(i)])
	meta := atomic.LoadUint64(&r.desc[2*int(i)+1])
	return descriptor{GPA(addr), uint32(meta), uint16(meta >> 32), uint16(meta >> 48)}
}

// storeUsed writes a used entry; storeUsedIdx makes it visible.
func (r *rings) storeUsed(i uint16, id, n uint32) { r.used[i] = [2]uint32{id, n} }

// storeUsedIdx publishes used entries. It is a swap, hence a full barrier: the
// look at used_event that follows must not overtake it, or both sides could
// miss each other, we seeing no wish to be notified and the guest no entry.
func (r *rings) storeUsedIdx(idx uint16) { atomic.SwapUint32(r.usedHead, uint32(idx)<<16) }

// storeAvailEvent asks for a notification at an entry; a full barrier for the
// same reason, with avail.idx.
func (r *rings) storeAvailEvent(idx uint16) { atomic.SwapUint32(r.availEv, uint32(idx)) }
