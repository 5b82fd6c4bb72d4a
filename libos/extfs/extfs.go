// Package extfs makes an ext4 volume a file system of libos. What the device cannot
// read or write is EIO, what is damaged EUCLEAN. Nothing but shared mappings and
// named pipes is remembered here: names, attributes and contents are the volume's.
//
// # Shared mappings
//
// There are no page tables, so what a program maps is read into memory, all of it,
// and stays there. Writing to the file changes that memory too, and reading the
// file reads it. What a program writes to it itself is found by comparing it with
// the file, when the mapping ends or is synchronized (msync, fsync, sync, Close). A
// mapping that only reads costs no more than its memory. Two mappings of a file may
// have a part in common only if the later one lies within the earlier.
package extfs

import (
	"sync"
	"sync/atomic"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/volume/ext4"
)

// Options say how a volume is used.
type Options struct {
	// ReadOnly forbids all writing. What a crash left in the journal is replayed
	// in memory then.
	ReadOnly bool
	// Memory bounds what cached blocks may take, in bytes; 0 stands for a 32nd of
	// all memory, at most 64 MiB. Shared mappings come on top.
	Memory int64
	// Fixed reports whether a buffer stays where it is while its goroutine is
	// parked, as one of a stack does not; nil: all do.
	Fixed func(p []byte) bool
	// Now returns the time in nanoseconds since 1970; nil: libos's clock.
	Now func() int64
	// Report is told what no caller learns, such as why a volume became
	// read-only. It must not use the file system. It may be nil.
	Report func(text string)
	// Discard tells the device of blocks that were freed.
	Discard bool
}

// FS is a mounted volume. It implements libos.FileSystem and libos.Syncer. Any
// number of goroutines may use it at once.
type FS struct {
	fs       *ext4.FS
	root     *ext4.Inode
	readOnly bool
	fixed    func(p []byte) bool

	mapped atomic.Int32 // len(shown), for those who do not want the lock
	maps   sync.RWMutex // held for reading by those who write to files
	shown  map[*ext4.Inode]*shown

	mu    sync.Mutex
	fifos map[*ext4.Inode]libos.Node
}

// syncDelay is how long, in nanoseconds, what a program does not sync itself may
// stay in memory: as with Linux's commit interval.
const syncDelay = 5_000_000_000

// Open opens the volume on d, after a crash with what the journal holds. A volume
// that can only be read is opened so.
func Open(d block.Device, o Options) (*FS, error) {
	if o.Now == nil {
		o.Now = libos.Hooks.WallNow
	}
	if o.Memory <= 0 {
		total, _ := libos.Hooks.Memory()
		o.Memory = int64(min(total/32, 64<<20))
	}
	fs, early := &FS{fixed: o.Fixed}, false
	e, err := ext4.Open(d, ext4.Options{
		ReadOnly: o.ReadOnly, CacheBytes: int(max(o.Memory, ext4.MinCache)), Now: o.Now, Report: o.Report, Discard: o.Discard,
		Changed: func() {
			if early = fs.fs == nil; !early {
				fs.syncLater()
			}
		},
	})
	if err != nil {
		return nil, err
	}
	fs.fs, fs.readOnly = e, e.ReadOnly() != ""
	if early {
		fs.syncLater()
	}
	fs.root, err = e.Root()
	return fs, err
}

// syncLater is called when something was changed for the first time since the last
// Sync.
func (fs *FS) syncLater() { libos.AfterFunc(syncDelay, func() { go fs.Sync() }) }

// ReadOnly says why the volume cannot be written, "" if it can.
func (fs *FS) ReadOnly() string { return fs.fs.ReadOnly() }

// Sync makes everything durable.
func (fs *FS) Sync() libos.Errno {
	errno := fs.saveAll()
	if err := fs.fs.Sync(); err != nil {
		return errnoOf(err)
	}
	return errno
}

// Close makes everything durable and marks the volume as clean. The system is about
// to stop: files cannot be changed any more. After an error, the next Open recovers.
func (fs *FS) Close() libos.Errno {
	errno := fs.saveAll()
	if err := fs.fs.Close(); err != nil {
		return errnoOf(err)
	}
	return errno
}

// Root implements libos.FileSystem.
func (fs *FS) Root() libos.Directory { return fs.node(fs.root).(libos.Directory) }

// magic is EXT4_SUPER_MAGIC of linux/magic.h.
const magic = 0xEF53

// Usage implements libos.FileSystem.
func (fs *FS) Usage() libos.Usage {
	u := fs.fs.Usage()
	return libos.Usage{
		Magic: magic, Blocks: u.Blocks, Free: u.Free, Files: u.Inodes, FreeFiles: u.FreeInode,
		BlockSize: uint64(u.BlockSize), NameLength: ext4.MaxName,
	}
}

// errnoOf returns the number of an error. Those of ext4 are Linux's.
func errnoOf(err error) libos.Errno {
	e := ext4.Code(err)
	if e == ext4.EBADF { // it was removed after its name was looked up
		e = ext4.ENOENT
	}
	return libos.Errno(e)
}
