// Package blockfile makes a file of libos of a block device: what a block special
// file is on Linux, with the same answers (block/fops.c, block/ioctl.c), which
// TestParity compares. Any offset works; but there is no cache, so a transfer
// that is not of whole sectors costs more than one that is.
//
// What Linux does and this does not: mappings (ENODEV), and punching holes, which
// would have to read as zeros (EOPNOTSUPP, as from a disk that cannot).
package blockfile

import (
	"sync"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/libos"
)

// oDSYNC is O_DSYNC of open(2), a part of O_SYNC too.
const oDSYNC = 0x1000

// A Disk is a block device that can be opened. Any number of goroutines may use it
// and its files at once.
type Disk struct {
	dev    block.Device
	size   int64
	mask   int64 // a sector's bytes, less one
	fixed  func(p []byte) bool
	writes ranges
}

// New returns the disk d. fixed reports whether a buffer stays where it is while its
// goroutine is parked, as one of a stack does not; nil: all do.
func New(d block.Device, fixed func(p []byte) bool) *Disk {
	disk := &Disk{dev: d, size: d.Size(), mask: int64(d.SectorSize()) - 1, fixed: fixed}
	disk.writes.changed.L = &disk.writes.mu
	return disk
}

// Open makes an open file. Flags are those of open(2). As on Linux, one that can only
// be read can be opened for writing too.
func (d *Disk) Open(flags uint32) (libos.File, libos.Errno) {
	return &open{disk: d, sync: flags&oDSYNC != 0}, 0
}

// flush makes durable what was written.
func (d *Disk) flush() libos.Errno {
	if d.dev.ReadOnly() {
		return 0
	}
	return errnoOf(d.dev.Flush())
}

// errnoOf returns the number of a device's error.
func errnoOf(err error) libos.Errno {
	switch err {
	case nil:
		return 0
	case block.ErrReadOnly:
		return libos.EPERM
	}
	return libos.EIO
}

// An open is an open block special file.
type open struct {
	disk *Disk
	sync bool // each write is made durable

	mu  sync.Mutex // orders the users of pos, as Linux does
	pos int64
}

// Read implements libos.File.
func (o *open) Read(p []byte) (int, libos.Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, errno := o.ReadAt(p, o.pos)
	o.pos += int64(n)
	return n, errno
}

// ReadAt implements libos.SeekFile.
func (o *open) ReadAt(p []byte, off int64) (int, libos.Errno) {
	n, err := o.disk.read(p, off)
	if err != nil && n == 0 {
		return 0, errnoOf(err)
	}
	return n, 0
}

// Write implements libos.File. It knows no O_APPEND, as on Linux.
func (o *open) Write(p []byte) (int, libos.Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, errno := o.WriteAt(p, o.pos)
	o.pos += int64(n)
	return n, errno
}

// WriteAt implements libos.SeekFile.
func (o *open) WriteAt(p []byte, off int64) (int, libos.Errno) {
	switch {
	case o.disk.dev.ReadOnly():
		return 0, libos.EPERM
	case len(p) == 0:
		return 0, 0
	case off >= o.disk.size:
		return 0, libos.ENOSPC
	}
	n, err := o.disk.write(p, off)
	if err != nil && n == 0 {
		return 0, errnoOf(err)
	}
	if o.sync {
		if errno := o.disk.flush(); errno != 0 {
			return 0, errno
		}
	}
	return n, 0
}

// Values of lseek's whence beyond those that a device knows (SEEK_DATA, SEEK_HOLE).
const seekData = 3

// SeekTo implements libos.SeekFile. There is nothing behind the end, and no holes.
func (o *open) SeekTo(off int64, whence int) (int64, libos.Errno) {
	if whence >= seekData {
		return 0, libos.EINVAL
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	pos, errno := libos.Seek(off, whence, o.pos, o.disk.size)
	if errno == 0 && pos > o.disk.size {
		errno = libos.EINVAL
	}
	if errno != 0 {
		return 0, errno
	}
	o.pos = pos
	return pos, 0
}

// Sync implements libos.Syncer.
func (o *open) Sync() libos.Errno { return o.disk.flush() }

// Close implements libos.File.
func (o *open) Close() libos.Errno { return 0 }
