//go:build tailoros

// Package event joins drivers to the machine: their doorbells and the scheduler's
// event loop.
package event

import (
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/queue"
)

//go:linkname device runtime.tailor_device
func device(typ uint32, n int) *abi.Device

//go:linkname bell runtime.tailor_bellNotify
func bell(queue uint32)

//go:linkname irqRegister runtime.tailor_irqRegister
func irqRegister(used *uint32, event *uint16) int

//go:linkname irqWait runtime.tailor_irqWait
func irqWait(n int, seen uint16, foreground bool, looking *uint32, published uint16)

//go:linkname onStack runtime.tailor_onStack
func onStack(p unsafe.Pointer) bool

//go:linkname yield runtime.tailor_yield
func yield()

// Yield lets other goroutines run.
func Yield() { yield() }

// Device returns the nth device of a type, or nil.
func Device(typ uint32, n int) *abi.Device { return device(typ, n) }

// Bell notifies a queue.
func Bell(queue uint32) { bell(queue) }

// Fixed reports whether a buffer stays where it is: the caller's stack moves.
func Fixed(p []byte) bool {
	return !onStack(unsafe.Pointer(unsafe.SliceData(p))) // SAFETY: it is only looked at
}

// Waiter parks a driver's goroutine in the event loop.
type Waiter struct {
	// Background is for a driver that waits without anybody, as a network's does.
	// Else the program waits for something from outside: a request is outstanding.
	Background bool
}

// irqs are the event loop's numbers of the queues that have been waited for.
var irqs = map[*uint16]int{}

// Wait implements queue.Waiter. It is called by one goroutine for each queue.
func (e Waiter) Wait(w *queue.Waitable) {
	n, ok := irqs[w.UsedIdx]
	if !ok {
		// SAFETY: the index is the upper half of the word that begins with flags, in
		// memory outside the Go heap that is never freed.
		n = irqRegister((*uint32)(unsafe.Add(unsafe.Pointer(w.UsedIdx), -2)), w.UsedEvent)
		if n < 0 {
			panic("tailor: too many virtqueues")
		}
		irqs[w.UsedIdx] = n
	}
	looking := w.Looking
	if e.Background {
		looking = nil
	}
	irqWait(n, w.Seen, !e.Background, looking, w.Published)
}
