package queue

import (
	"sync/atomic"
	"unsafe"

	"github.com/tailor-os/tailor/virtio"
)

// A Waitable is what an event loop needs to wait for a queue without polling:
// there is something to reap when *UsedIdx differs from Seen. It belongs to its
// queue; Reap moves Seen. A queue that broke stays pending, so that its driver
// is woken and sees the error: the driver then takes it out of the loop.
type Waitable struct {
	UsedIdx   *uint16 // used.idx, written by the device
	UsedEvent *uint16 // used_event: the device notifies when it uses this entry
	Seen      uint16  // index of the next used entry to reap
	// Looking is nil, or the device looked at the queue by itself when something was
	// published last, up to index Published. It does so until the low half of Looking
	// has reached Published, and may have answered sooner than an exit takes.
	Looking   *uint32
	Published uint16
}

// A Waiter parks the calling goroutine until w is pending. It may return early.
// It calls [Waitable.Arm], or does the like, before it sleeps and relies on a
// notification. The guest's event loop, which is one, looks at its queues as it
// goes round and arms them only when it has nothing else to do: a busy guest
// is not notified.
type Waiter interface {
	Wait(w *Waitable)
}

// Pending reports whether there is something to reap.
func (w *Waitable) Pending() bool {
	// SAFETY: idx is the upper half of the 4-byte aligned word with flags.
	head := (*uint32)(unsafe.Add(unsafe.Pointer(w.UsedIdx), -2))
	return uint16(atomic.LoadUint32(head)>>16) != w.Seen
}

// Arm asks the device to notify when it uses the next buffer, and reports
// whether there already is something to reap, in which case no notification
// may come and the caller must not sleep. Without Arm the device stays silent.
func (w *Waitable) Arm() bool {
	w.setEvent(w.Seen)
	return w.Pending()
}

// setEvent stores used_event with a full barrier behind it: the device stores
// used.idx and then reads used_event, so the look at used.idx that follows must
// not overtake this store.
func (w *Waitable) setEvent(v uint16) {
	// SAFETY: used_event is 4-byte aligned and has 2 bytes of padding behind
	// it, see virtio.AvailBytes.
	atomic.SwapUint32((*uint32)(unsafe.Pointer(w.UsedEvent)), uint32(v))
}

// Waitable returns what to wait for. It is the same for the queue's life.
func (q *Queue) Waitable() *Waitable { return &q.wait }

// Pending reports whether there is something to reap.
func (q *Queue) Pending() bool { return q.wait.Pending() }

// Arm is [Waitable.Arm].
func (q *Queue) Arm() bool { return q.wait.Arm() }

// ArmLate asks the device to notify only when it has used three quarters of
// what is outstanding: for a driver that waits for room to send. It reports
// whether that is so already.
func (q *Queue) ArmLate() bool {
	late := uint16(uint32(q.Outstanding()) * 3 / 4)
	q.wait.setEvent(q.wait.Seen + late)
	idx := uint16(atomic.LoadUint32(q.usedHead) >> 16)
	return virtio.NeedEvent(q.wait.Seen+late, idx, q.wait.Seen)
}

// Wait parks the calling goroutine until there is something to reap. It
// returns at once on a broken queue and if nothing is outstanding.
func (q *Queue) Wait(w Waiter) {
	for q.err == nil && q.Outstanding() > 0 && !q.wait.Pending() {
		w.Wait(&q.wait)
	}
}
