// Package ext4 is a read-write file system on a [block.Device]: ext4 with its
// JBD2 journal, as Linux mounts it and e2fsck checks it.
//
// What a call of [File] Sync or [FS.Sync] has acknowledged survives a power cut at
// any moment; so does the structure of the file system, whatever was written.
// Metadata is journalled in compound transactions, as Linux does in its mode
// data=ordered. Data blocks are written before the transaction that makes them
// reachable even begins to know of them, so that no file ever shows what was
// on the disk before it.
//
// Limits: volumes of 2 MiB to 16 TiB in blocks of 1, 2 or 4 KiB; files up to
// 2^32-1 blocks (16 TiB in blocks of 4 KiB); names of 255 bytes; 65,000 links to
// a file or subdirectories of a directory; times from 1901 to 2262. Access times are not kept up, as with
// Linux's noatime. Extended attributes and access control lists are left as they
// are, and not looked at. Directories are written as lists of names; those that
// Linux has indexed (dir_index) are read as they are, and become lists when a
// name is added.
//
// The format is described in the Linux kernel's Documentation/filesystems/ext4.
//
// The package runs beneath package syscall in images, and on the host.
package ext4

import (
	"errors"
	"strconv"

	"github.com/tailor-os/tailor/block"
)

// Options say how a volume is used. The zero value is good for tests.
type Options struct {
	// ReadOnly forbids all writing. A journal that was left by a crash is then
	// replayed in memory.
	ReadOnly bool
	// CacheBytes bounds the memory that cached blocks may take, in bytes. It
	// is at least [MinCache]; 0 stands for 8 MiB.
	CacheBytes int
	// Now returns the time in nanoseconds since 1970; without it files have
	// the time 0.
	Now func() int64
	// Report is told of what no caller learns: why the file system became
	// read-only, say. It must not call the file system.
	Report func(text string)
	// Changed is called when something was changed for the first time since Sync
	// was last called: Sync should be called some seconds later. It must not
	// block, nor call the file system.
	Changed func()
	// Discard tells the device of blocks that were freed.
	Discard bool
}

// MinCache is the least memory for cached blocks, in bytes.
const MinCache = 256 << 10

// Limits of the format as it is used here.
const (
	MinSize  = 2 << 20  // bytes of a volume
	MaxSize  = 16 << 40 // bytes of a volume
	MaxName  = 255      // bytes
	MaxLinks = 65000
)

// An Errno is the number of an error as Linux has it.
type Errno uint16

// The errors of operations.
const (
	EPERM        Errno = 1
	ENOENT       Errno = 2
	EIO          Errno = 5
	EBADF        Errno = 9
	EEXIST       Errno = 17
	EXDEV        Errno = 18
	ENOTDIR      Errno = 20
	EISDIR       Errno = 21
	EINVAL       Errno = 22
	EFBIG        Errno = 27
	ENOSPC       Errno = 28
	EROFS        Errno = 30
	EMLINK       Errno = 31
	ENAMETOOLONG Errno = 36
	ENOTEMPTY    Errno = 39
	EOPNOTSUPP   Errno = 95
	EUCLEAN      Errno = 117 // damaged
)

// errnoText are the texts of errors; an array, since a map would be made at each
// start of an image.
var errnoText = [...]struct {
	e    Errno
	text string
}{
	{EPERM, "operation not permitted"}, {ENOENT, "no such file or directory"}, {EIO, "input/output error"},
	{EBADF, "file is closed"}, {EEXIST, "file exists"}, {EXDEV, "another file system"}, {ENOTDIR, "not a directory"},
	{EISDIR, "is a directory"}, {EINVAL, "invalid argument"}, {EFBIG, "file too large"}, {ENOSPC, "no space left on volume"},
	{EROFS, "read-only file system"}, {EMLINK, "too many links"}, {ENAMETOOLONG, "name too long"},
	{ENOTEMPTY, "directory not empty"}, {EOPNOTSUPP, "not supported"}, {EUCLEAN, "file system is damaged"},
}

// Error implements error.
func (e Errno) Error() string {
	for i := range errnoText {
		if errnoText[i].e == e {
			return errnoText[i].text
		}
	}
	return "error " + strconv.Itoa(int(e))
}

// A Damage says what of a volume contradicts the format, and where.
type Damage struct{ Where, What string }

// Error implements error.
func (d *Damage) Error() string { return "ext4: " + d.Where + ": " + d.What }

// Code returns the error number that stands for err, 0 for nil: EUCLEAN for
// damage, EIO for what a device failed with.
func Code(err error) Errno {
	if err == nil {
		return 0
	}
	var e Errno
	if errors.As(err, &e) {
		return e
	}
	var d *Damage
	if errors.As(err, &d) {
		return EUCLEAN
	}
	if errors.Is(err, block.ErrReadOnly) {
		return EROFS
	}
	return EIO
}

func damage(where, what string) error { return &Damage{where, what} }

func blockName(b uint64) string { return "block " + strconv.FormatUint(b, 10) }

func inodeName(ino uint32) string { return "inode " + strconv.FormatUint(uint64(ino), 10) }

func groupName(g uint32) string { return "group " + strconv.FormatUint(uint64(g), 10) }

func hex(v uint32) string { return "0x" + strconv.FormatUint(uint64(v), 16) }
