package files

import (
	"sync"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/libos"
)

// romfsMagic is ROMFS_MAGIC of linux/magic.h.
const romfsMagic = 0x7275

// Root implements libos.FileSystem.
func (a *Archive) Root() libos.Directory { return directory{entry{a, 0}} }

// Usage implements libos.FileSystem: nothing is free.
func (a *Archive) Usage() libos.Usage {
	return libos.Usage{
		Magic: romfsMagic, BlockSize: abi.PageSize, NameLength: 255,
		Blocks: uint64(len(a.data)) / abi.PageSize,
		Files:  uint64(len(a.nodes) / abi.FileNodeSize),
	}
}

// An entry is a node by its number. It is a value, so that the same file is
// always the same value. Nothing in it can be changed: it is no
// libos.AttrSetter, and changing it is EROFS.
type entry struct {
	a *Archive
	i uint32
}

// node returns node i.
func (a *Archive) node(i uint32) (libos.Node, libos.Errno) {
	r, errno := a.record(i)
	if errno != 0 {
		return nil, errno
	}
	switch e := (entry{a, i}); r.mode & libos.ModeFmt {
	case libos.ModeDir:
		return directory{e}, 0
	case libos.ModeLink:
		return link{e}, 0
	default:
		return file{e}, 0
	}
}

// Attr implements libos.Node.
func (e entry) Attr() (*libos.Attr, libos.Errno) {
	r, errno := e.a.record(e.i)
	if errno != 0 {
		return nil, errno
	}
	t := libos.Time{Sec: r.mtime}
	a := &libos.Attr{
		Ino: ino(e.i), Nlink: 1, Mode: r.mode, Size: int64(len(r.body)),
		Blocks: int64(len(r.body)+511) / 512, Atime: t, Mtime: t, Ctime: t,
	}
	if r.mode&libos.ModeFmt == libos.ModeDir {
		a.Size = abi.PageSize
	}
	return a, 0
}

func ino(i uint32) uint64 { return uint64(i) + 1 }

// Open implements libos.Node for what cannot be opened.
func (e entry) Open(uint32) (libos.File, libos.Errno) { return nil, libos.ENXIO }

type link struct{ entry }

// Readlink implements libos.Symlink.
func (l link) Readlink() (string, libos.Errno) {
	r, errno := l.a.record(l.i)
	return string(r.body), errno
}

type directory struct{ entry }

// Lookup implements libos.Directory by binary search.
func (d directory) Lookup(name string) (libos.Node, libos.Errno) {
	r, errno := d.a.record(d.i)
	if errno != 0 {
		return nil, errno
	}
	low, high := uint32(r.start), uint32(r.start+r.size)
	for low < high {
		mid := low + (high-low)/2
		m, errno := d.child(mid)
		switch {
		case errno != 0:
			return nil, errno
		case string(m.name) == name:
			return d.a.node(mid)
		case string(m.name) < name:
			low = mid + 1
		default:
			high = mid
		}
	}
	return nil, libos.ENOENT
}

// child returns node i if it is in d.
func (d directory) child(i uint32) (record, libos.Errno) {
	r, errno := d.a.record(i)
	if errno == 0 && r.parent != d.i {
		errno = libos.EIO
	}
	return r, errno
}

// Parent implements libos.Directory.
func (d directory) Parent() (libos.Directory, string) {
	r, errno := d.a.record(d.i)
	if errno != 0 {
		return d.a.Root(), ""
	}
	return directory{entry{d.a, r.parent}}, string(r.name)
}

// Next implements libos.Directory; the cookie of the first child is 1.
func (d directory) Next(after int64) (e libos.Entry, ok bool, errno libos.Errno) {
	r, errno := d.a.record(d.i)
	if errno != 0 || after < 0 || uint64(after) >= r.size {
		return e, false, errno
	}
	i := uint32(r.start + uint64(after))
	c, errno := d.child(i)
	if errno != 0 {
		return e, false, errno
	}
	return libos.Entry{Cookie: after + 1, Ino: ino(i), Mode: c.mode & libos.ModeFmt, Name: string(c.name)}, true, 0
}

type file struct{ entry }

// Open implements libos.Node.
func (f file) Open(flags uint32) (libos.File, libos.Errno) {
	if libos.Writes(flags) {
		return nil, libos.EROFS
	}
	r, errno := f.a.record(f.i)
	if errno != 0 {
		return nil, errno
	}
	return &open{a: f.a, start: r.start, body: r.body}, 0
}

// open is an open file.
type open struct {
	a     *Archive
	start uint64 // of body in the archive
	body  []byte
	mu    sync.Mutex
	pos   int64
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
	if off >= int64(len(o.body)) {
		return 0, 0
	}
	return copy(p, o.body[off:]), 0
}

// Write implements libos.File. The file was not opened for writing.
func (o *open) Write([]byte) (int, libos.Errno) { return 0, libos.EBADF }

// WriteAt implements libos.SeekFile.
func (o *open) WriteAt([]byte, int64) (int, libos.Errno) { return 0, libos.EBADF }

// SeekTo implements libos.SeekFile.
func (o *open) SeekTo(off int64, whence int) (int64, libos.Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	pos, errno := libos.Seek(off, whence, o.pos, int64(len(o.body)))
	if errno == 0 {
		o.pos = pos
	}
	return pos, errno
}

// Close implements libos.File.
func (o *open) Close() libos.Errno { return 0 }

// Pages implements libos.Mappable: contents that lie on pages of their own are
// mapped where they are.
func (o *open) Pages(off int64, n uintptr) unsafe.Pointer {
	if len(o.body) < abi.PageSize || off >= int64(len(o.body)) {
		return nil
	}
	b, ok := o.a.slice(o.start+uint64(off), uint64(n))
	// SAFETY: the address of bytes that are there for good, if there are any.
	if p := unsafe.Pointer(unsafe.SliceData(b)); ok && uintptr(p)%abi.PageSize == 0 {
		return p
	}
	return nil
}
