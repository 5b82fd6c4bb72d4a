package queue

import (
	"errors"
	"strconv"
)

// Errors of [Queue.Add]. The queue stays usable.
var (
	// ErrFull is returned when fewer descriptors are free than the chain needs.
	ErrFull = errors.New("virtio queue: not enough free descriptors")
	// ErrEmpty is returned for a chain without a single byte.
	ErrEmpty = errors.New("virtio queue: chain has no bytes")
	// ErrTooLong is returned for a chain that never fits: more segments than
	// the queue has entries, or 4 GiB or more of bytes.
	ErrTooLong = errors.New("virtio queue: chain is longer than the queue takes")
)

// Ways a device breaks a queue; wrapped by [BrokenError].
var (
	// ErrUsedIndex: used.idx is ahead of what was made available.
	ErrUsedIndex = errors.New("used index is ahead of the available buffers")
	// ErrUsedID: a used entry names no chain that the device has.
	ErrUsedID = errors.New("used entry names no outstanding chain")
	// ErrUsedLength: a used entry claims more bytes than the chain takes.
	ErrUsedLength = errors.New("used entry is longer than its chain")
)

// A BrokenError says what the device wrote that it must not. The queue that
// returned it is broken for good: each later call returns the same error.
type BrokenError struct {
	Err    error  // ErrUsedIndex, ErrUsedID or ErrUsedLength
	Notify uint32 // the queue, by its notify value
	Index  uint16 // index in the used ring
	Value  uint32 // what was found there
	Limit  uint32 // what it may be at the most
}

func (e *BrokenError) Error() string {
	return "virtio queue " + utoa(e.Notify) + ": " + e.Err.Error() +
		" (used entry " + utoa(uint32(e.Index)) + ": " + utoa(e.Value) +
		", limit " + utoa(e.Limit) + "); the device is not to be trusted any more"
}

// Unwrap returns e.Err, for errors.Is.
func (e *BrokenError) Unwrap() error { return e.Err }

func utoa(v uint32) string { return strconv.FormatUint(uint64(v), 10) }
