package virtq

import (
	"errors"
	"fmt"
)

// Ways in which a guest breaks a queue, wrapped by [Error]. ErrMemory is one
// more.
var (
	// ErrAvailIndex: avail.idx is further ahead than the queue has entries.
	ErrAvailIndex = errors.New("available index is further ahead than the queue is long")
	// ErrHead: an entry of the available ring is no index of a descriptor.
	ErrHead = errors.New("available entry names a descriptor that does not exist")
	// ErrNext: a descriptor's next field is no index of a descriptor.
	ErrNext = errors.New("descriptor continues at one that does not exist")
	// ErrLoop: a chain has more descriptors than the queue, so it has a loop.
	ErrLoop = errors.New("descriptor chain has a loop")
	// ErrIndirect: a descriptor uses a feature that was not negotiated.
	ErrIndirect = errors.New("descriptor is indirect, which was not negotiated")
	// ErrZeroLength: a descriptor has no bytes.
	ErrZeroLength = errors.New("descriptor has zero length")
	// ErrOrder: a readable descriptor follows a writable one (virtio 1.2
	// section 2.7.4.2).
	ErrOrder = errors.New("readable descriptor follows a writable one")
	// ErrDirection: the queue is of the other direction.
	ErrDirection = errors.New("descriptor has the wrong direction for this queue")
)

// An Error says what the guest put into a queue that must not be there.
type Error struct {
	Queue string // name of the queue
	Where string // "available index", "available entry" or "descriptor"
	Index uint32 // of the entry or descriptor
	Value uint64 // what was found: an index, a length, flags or an address
	Err   error  // one of the above, or a *MemoryError
}

func (e *Error) Error() string {
	return fmt.Sprintf("virtqueue %s: %s %d: %v (value %#x)", e.Queue, e.Where, e.Index, e.Err, e.Value)
}

// Unwrap returns e.Err, for errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

const (
	atIndex      = "available index"
	atEntry      = "available entry"
	atDescriptor = "descriptor"
)

// fail breaks the queue for good.
func (q *Queue) fail(where string, index uint32, value uint64, err error) error {
	q.err = &Error{Queue: q.name, Where: where, Index: index, Value: value, Err: err}
	return q.err
}
