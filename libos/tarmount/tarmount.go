// Package tarmount makes a tar archive on a block device a file system of libos.
// Every change is EROFS, and what the device cannot read is EIO.
package tarmount

import (
	"sync"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/volume/tarfs"
)

// FS is a mounted archive. It implements libos.FileSystem.
type FS struct {
	tar  *tarfs.FS
	size int64 // of the device, in bytes
}

// Open reads the index of the archive on d. fixed reports whether a buffer
// stays where it is while its goroutine is parked, as one of a stack does not;
// nil: all do.
func Open(d block.Device, fixed func(p []byte) bool) (*FS, error) {
	t, err := tarfs.Open(d)
	if err != nil {
		return nil, err
	}
	t.Fixed = fixed
	return &FS{t, d.Size()}, nil
}

// Notes says what of the archive is not shown, and how much that is.
func (fs *FS) Notes() (notes []string, skipped int) { return fs.tar.Notes() }

// Root implements libos.FileSystem.
func (fs *FS) Root() libos.Directory { return directory{node{fs, 0}} }

// romfsMagic is ROMFS_MAGIC of linux/magic.h: there is no number for tar.
const romfsMagic = 0x7275

const pageSize = 4096

// Usage implements libos.FileSystem: nothing is free.
func (fs *FS) Usage() libos.Usage {
	return libos.Usage{
		Magic: romfsMagic, BlockSize: pageSize, NameLength: tarfs.MaxName,
		Blocks: uint64(fs.size) / pageSize, Files: uint64(fs.tar.Len()),
	}
}

// A node is a file by its number. It is a value, so that the same file is
// always the same value.
type node struct {
	fs  *FS
	ino tarfs.Ino
}

// node returns file i as what it is.
func (fs *FS) node(i tarfs.Ino) libos.Node {
	n := node{fs, i}
	switch fs.tar.Stat(i).Mode & tarfs.TypeMask {
	case tarfs.TypeDir:
		return directory{n}
	case tarfs.TypeSymlink:
		return link{n}
	}
	return file{n}
}

// inoOf is the number that programs see; 0 would be none.
func inoOf(i tarfs.Ino) uint64 { return uint64(i) + 1 }

// Attr implements libos.Node.
func (n node) Attr() (*libos.Attr, libos.Errno) {
	i := n.fs.tar.Stat(n.ino)
	t := libos.Time{Sec: i.Sec, Nsec: int64(i.Nsec)}
	a := &libos.Attr{
		Ino: inoOf(n.ino), Nlink: uint64(i.Links), Mode: i.Mode, UID: i.UID, GID: i.GID,
		Size: i.Size, Blocks: (i.Size + 511) / 512, Atime: t, Mtime: t, Ctime: t,
	}
	if i.Mode&tarfs.TypeMask == tarfs.TypeDir {
		a.Size = pageSize
	}
	return a, 0
}

// Open implements libos.Node for what cannot be opened.
func (n node) Open(uint32) (libos.File, libos.Errno) { return nil, libos.ENXIO }

type link struct{ node }

// Readlink implements libos.Symlink.
func (l link) Readlink() (string, libos.Errno) { return l.fs.tar.Stat(l.ino).Target, 0 }

type directory struct{ node }

// Open implements libos.Node.
func (d directory) Open(uint32) (libos.File, libos.Errno) { return nil, libos.EISDIR }

// Lookup implements libos.Directory.
func (d directory) Lookup(name string) (libos.Node, libos.Errno) {
	i, ok := d.fs.tar.Lookup(d.ino, name)
	if !ok {
		return nil, libos.ENOENT
	}
	return d.fs.node(i), 0
}

// Parent implements libos.Directory.
func (d directory) Parent() (libos.Directory, string) {
	i, name := d.fs.tar.Parent(d.ino)
	return directory{node{d.fs, i}}, name
}

// Next implements libos.Directory; the cookie of the first entry is 1.
func (d directory) Next(after int64) (e libos.Entry, ok bool, errno libos.Errno) {
	if after < 0 || after > tarfs.MaxFiles {
		return e, false, 0
	}
	name, i, ok := d.fs.tar.Entry(d.ino, int(after))
	if !ok {
		return e, false, 0
	}
	kind := d.fs.tar.Stat(i).Mode & tarfs.TypeMask
	return libos.Entry{Cookie: after + 1, Ino: inoOf(i), Mode: kind, Name: name}, true, 0
}

type file struct{ node }

// Open implements libos.Node.
func (f file) Open(flags uint32) (libos.File, libos.Errno) {
	if libos.Writes(flags) {
		return nil, libos.EROFS
	}
	return &open{file: f}, 0
}

// open is an open file.
type open struct {
	file file
	mu   sync.Mutex
	pos  int64
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
	n, err := o.file.fs.tar.ReadAt(o.file.ino, p, off)
	if err != nil && n == 0 {
		return 0, libos.EIO
	}
	return n, 0
}

// Write implements libos.File. The file was not opened for writing.
func (o *open) Write([]byte) (int, libos.Errno) { return 0, libos.EBADF }

// WriteAt implements libos.SeekFile.
func (o *open) WriteAt([]byte, int64) (int, libos.Errno) { return 0, libos.EBADF }

// SeekTo implements libos.SeekFile.
func (o *open) SeekTo(off int64, whence int) (int64, libos.Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	pos, errno := libos.Seek(off, whence, o.pos, o.file.fs.tar.Stat(o.file.ino).Size)
	if errno == 0 {
		o.pos = pos
	}
	return pos, errno
}

// Close implements libos.File.
func (o *open) Close() libos.Errno { return 0 }
