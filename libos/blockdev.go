package libos

import "unsafe"

// Block special files. What is behind them is not known here: package blockfile
// has a file of this kind.

// Requests of ioctl on block devices (include/uapi/linux/fs.h).
const (
	BLKROGET     = 0x125e     // int: cannot be written to
	BLKGETSIZE   = 0x1260     // unsigned long: size in units of 512 bytes
	BLKFLSBUF    = 0x1261     // no argument: make durable what was written
	BLKSSZGET    = 0x1268     // int: bytes of a sector
	BLKDISCARD   = 0x1277     // two uint64, offset and length: not needed any more
	BLKPBSZGET   = 0x127b     // unsigned int: bytes of a sector of the medium
	BLKZEROOUT   = 0x127f     // two uint64, offset and length: write zeros
	BLKBSZGET    = 0x80081270 // int, whatever its number says: bytes of a cached block
	BLKGETSIZE64 = 0x80081272 // uint64: size in bytes
)

// blockArgument returns the size in bytes of what the argument of a request on a
// block device points to, 0 for one without and for other requests.
//
//go:nosplit
func blockArgument(request uint32) uintptr {
	switch request {
	case BLKROGET, BLKSSZGET, BLKPBSZGET, BLKBSZGET:
		return 4
	case BLKGETSIZE, BLKGETSIZE64:
		return 8
	case BLKDISCARD, BLKZEROOUT:
		return 16
	}
	return 0
}

// A Controller is a File that knows requests of ioctl: those of block devices.
type Controller interface {
	// Control carries out a request. arg is its argument, which is read or filled,
	// and write says that the file was opened for writing. ENOTTY for an unknown one.
	Control(request uint32, arg []byte, write bool) Errno
}

// blockControl carries out a request on a file that may be a Controller.
func blockControl(d *desc, request uint32, p unsafe.Pointer) Errno {
	c, ok := d.file.(Controller)
	if !ok {
		return ENOTTY
	}
	var arg []byte
	if n := blockArgument(request); n > 0 {
		var errno Errno
		if arg, errno = buffer(p, n); errno != 0 {
			return errno
		}
	}
	return c.Control(request, arg, d.writable())
}

// Modes of fallocate that an [Allocator] may know.
const (
	FallocKeepSize  = fallocKeepSize
	FallocPunchHole = fallocPunchHole
	FallocZeroRange = fallocZeroRange
)

// An Allocator is a File for which fallocate is not to change the size of a file in
// memory. off is not negative, n positive, their sum no overflow, and the mode one of
// FallocZeroRange, FallocPunchHole with FallocKeepSize, or none, each with
// FallocKeepSize or without.
type Allocator interface {
	Allocate(mode uint32, off, n int64) Errno
}

// virtioMajor is what Linux gives virtio block devices first of those numbers that
// it hands out as it likes (Documentation/admin-guide/devices.txt, 240-254).
const virtioMajor = 254

// MakeBlockDevice makes a block special file at an absolute path, the nth of this
// machine, that is opened by open. Directories on the way are made. It fails with
// EEXIST if there is something already, and with EROFS where no such file can be.
func MakeBlockDevice(path string, n uint8, open func(flags uint32) (File, Errno)) Errno {
	UseFiles()
	if errno := MakeDirectories(parentPath(path)); errno != 0 {
		return errno
	}
	l, errno := parentOf(atFDCWD, path)
	if errno != 0 {
		return errno
	}
	dir, ok := l.dir.node.(*memDir)
	if !ok {
		return EROFS
	}
	if _, errno := dir.Lookup(l.name); errno != ENOENT {
		return EEXIST
	}
	dir.addSpecial(l.name, &Attr{Mode: ModeBlock | 0o660, Rdev: virtioMajor<<8 | uint64(n)}, open)
	return 0
}
