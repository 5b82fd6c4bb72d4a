// Package virtiotest lets tests have a driver and the device side of its queues in
// one process: all of the process's memory is the guest's, since the buffers of
// drivers lie on the Go heap, as they do in a guest.
package virtiotest

import (
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
	"github.com/tailor-os/tailor/virtio"
)

// Start stands for guest-physical address 0: the lowest address that is no nil
// dereference.
const Start = 4096

const heapSize = 1<<47 - Start

// Memory returns the process's memory as the device side sees it.
func Memory() *virtq.Memory {
	// SAFETY: the slice is only ever cut down to buffers which the driver's
	// queue holds. It is put together by hand because it spans allocations.
	ram := *(*[]byte)(unsafe.Pointer(&struct{ addr, len, cap uintptr }{Start, heapSize, heapSize}))
	m, err := virtq.NewMemory(ram, virtq.Range{Start: 0, End: heapSize, Writable: true})
	if err != nil {
		panic(err)
	}
	return m
}

// Origin is Start for queue.Config.
func Origin() unsafe.Pointer {
	addr := uintptr(Start)
	// SAFETY: it is only ever subtracted from and added to.
	return *(*unsafe.Pointer)(unsafe.Pointer(&addr))
}

// NewQueue lays out the rings of a queue on the heap; the second result keeps
// them there.
func NewQueue(size, notify uint32) (abi.Queue, []uint64) {
	n := virtio.DescBytes(size) + virtio.AvailBytes(size) + virtio.UsedBytes(size) + 32
	mem := make([]uint64, n/8+2)
	// SAFETY: heap memory does not move; the caller keeps it.
	at := uint64(uintptr(unsafe.Pointer(&mem[0]))) - Start
	at = (at + virtio.DescAlign - 1) &^ (virtio.DescAlign - 1)
	q := abi.Queue{Desc: at, Size: size, Notify: notify}
	q.Avail = q.Desc + virtio.DescBytes(size)
	q.Used = (q.Avail + virtio.AvailBytes(size) + virtio.UsedAlign - 1) &^ (virtio.UsedAlign - 1)
	return q, mem
}
