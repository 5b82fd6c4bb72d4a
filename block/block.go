// Package block is what volumes stand on: a device of sectors that can be read
// and written at any of them. It has the same interface everywhere: virtio-blk
// in a virtual machine, a file on a host, a partition or an encrypted part of
// another device.
//
// It is compiled into images beneath package syscall, so it imports nothing that
// makes system calls.
package block

import "errors"

// A Device is an array of bytes that is read and written in whole sectors. Any
// number of goroutines may use it at once; what overlapping requests in flight
// leave is undefined, as on a disk. A request that has returned is seen by each
// one that begins later. What was written survives a power cut only after Flush.
type Device interface {
	// Size is the number of bytes, a multiple of SectorSize. It does not change.
	Size() int64
	// SectorSize is the number of bytes that are read and written as one: a power
	// of two from 512 to 4096. Offsets and lengths are multiples of it. A power cut
	// leaves each sector of a write in flight as it was or as it was to become.
	SectorSize() int
	// ReadOnly reports whether writes, discards and flushes fail with [ErrReadOnly].
	ReadOnly() bool
	// ReadAt fills p from byte off on, or fails.
	ReadAt(p []byte, off int64) error
	// WriteAt writes p at byte off, or fails; then any part of it may be written.
	WriteAt(p []byte, off int64) error
	// Flush makes durable all that was written by requests which had returned.
	Flush() error
	// Discard says that n bytes at off are not needed any more. What is read
	// there afterwards is undefined. A device may ignore it.
	Discard(off, n int64) error
}

// Errors of devices. Others are those of the medium.
var (
	ErrReadOnly = errors.New("block device is read-only")
	// ErrRange is for a request beyond the end, or that is not of whole sectors.
	ErrRange = errors.New("block request outside of the device or not of whole sectors")
	// ErrIO is a request that the device did not do.
	ErrIO = errors.New("block device: input/output error")
)

// Check returns ErrRange unless n bytes at off are whole sectors of d.
func Check(d Device, off, n int64) error {
	mask := int64(d.SectorSize() - 1)
	if off < 0 || n < 0 || (off|n)&mask != 0 || off > d.Size() || n > d.Size()-off {
		return ErrRange
	}
	return nil
}
