// Package virtio holds what the driver side (the guest) and the device side
// (the monitor) of a virtio device agree on: the layout of split virtqueues
// (virtio 1.2 section 2.7) and the header of network packets (section 5.1.6).
//
// It holds layouts and pure functions only. It is compiled into images beneath
// package syscall, so it imports nothing but abi and what that allows (no fmt,
// os, time). Rings are little-endian (virtio 1.2 section 2.7, "le16"); so are
// the machines Tailor runs on, and the code relies on it.
package virtio

import (
	"strconv"

	"github.com/tailor-os/tailor/abi"
)

// Descriptor flags, virtio 1.2 section 2.7.5.
const (
	DescNext     = 1 // the chain continues at the descriptor's next field
	DescWrite    = 2 // the device writes the buffer; otherwise it reads it
	DescIndirect = 4 // the buffer is a table of descriptors; never negotiated
)

// Sizes in bytes of the parts of a virtqueue, virtio 1.2 section 2.7.
const (
	DescSize     = 16 // struct virtq_desc
	UsedElemSize = 8  // struct virtq_used_elem
	ringHeader   = 4  // flags and idx, in both rings
	eventWord    = 4  // used_event or avail_event and two bytes of padding
)

// Alignments in bytes of the parts of a virtqueue. The specification asks for
// 2 only on the available ring; 4 lets both sides reach flags and idx, and the
// event field with the two bytes behind it, as one atomic 32-bit word, the
// smallest that Go has.
const (
	DescAlign  = 16
	AvailAlign = 4
	UsedAlign  = 4
)

// Bounds of the number of entries of a virtqueue. The specification allows 1,
// where the event fields would not be aligned to 4 bytes.
const (
	MinQueueSize = 2
	MaxQueueSize = 32768
)

// DescBytes returns the bytes taken by the descriptor table of a queue.
func DescBytes(size uint32) uint64 { return DescSize * uint64(size) }

// AvailBytes returns the bytes taken by the available ring of a queue,
// used_event and its padding to a 32-bit word included.
func AvailBytes(size uint32) uint64 { return ringHeader + 2*uint64(size) + eventWord }

// UsedBytes returns the bytes taken by the used ring of a queue, avail_event
// and its padding to a 32-bit word included.
func UsedBytes(size uint32) uint64 { return ringHeader + UsedElemSize*uint64(size) + eventWord }

// NeedEvent reports whether a side that moved its index from old to new must
// notify the other one, which asked for a notification when the entry event is
// passed (virtio 1.2 section 2.7.10, the function vring_need_event).
func NeedEvent(event, new, old uint16) bool { return new-event-1 < new-old }

// CheckQueue reports what is wrong with the size and alignment of a queue, nil
// if nothing. Where its parts may lie is for the caller to know.
func CheckQueue(q *abi.Queue) error {
	if q.Size < MinQueueSize || q.Size > MaxQueueSize || q.Size&(q.Size-1) != 0 {
		return &QueueError{"size is not a power of two from 2 to 32768", uint64(q.Size)}
	}
	parts := [...]struct {
		what         string
		addr, length uint64
		align        uint64
	}{
		{"descriptor table", q.Desc, DescBytes(q.Size), DescAlign},
		{"available ring", q.Avail, AvailBytes(q.Size), AvailAlign},
		{"used ring", q.Used, UsedBytes(q.Size), UsedAlign},
	}
	for _, p := range parts {
		if p.addr&(p.align-1) != 0 {
			return &QueueError{p.what + " is not aligned", p.addr}
		}
		if p.addr+p.length < p.addr {
			return &QueueError{p.what + " wraps around the address space", p.addr}
		}
	}
	return nil
}

// A QueueError says why a queue's description cannot be used.
type QueueError struct {
	What  string
	Value uint64
}

func (e *QueueError) Error() string {
	return "virtio: queue refused: " + e.What + ": 0x" + strconv.FormatUint(e.Value, 16)
}
