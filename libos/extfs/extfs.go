// Package extfs makes an ext4 volume a file system of libos. What the device
// cannot read or write is EIO, what is damaged EUCLEAN.
package extfs

import (
	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/volume/ext4"
)

// FS is a mounted volume. It implements libos.FileSystem and libos.Syncer.
type FS struct {
	fs   *ext4.FS
	root *ext4.Inode
}

// syncDelay is how long, in nanoseconds, what a program does not sync itself may
// stay in memory: as with Linux's commit interval.
const syncDelay = 5_000_000_000

// Open opens the volume on d, after a crash with what the journal holds. report is
// told of what no system call can be.
func Open(d block.Device, readOnly bool, report func(text string)) (*FS, error) {
	fs := new(FS)
	total, _ := libos.Hooks.Memory()
	e, err := ext4.Open(d, ext4.Options{
		ReadOnly: readOnly, CacheBytes: cacheBytes(total), Now: libos.Hooks.WallNow, Report: report,
		Changed: func() { libos.AfterFunc(syncDelay, func() { go fs.Sync() }) },
	})
	if err != nil {
		return nil, err
	}
	fs.fs = e
	fs.root, err = e.Root()
	return fs, err
}

// cacheBytes is how much memory a volume's cache may take: a 32nd, but some.
func cacheBytes(total uint64) int {
	return int(min(max(total/32, ext4.MinCache), 64<<20))
}

// ReadOnly says why the volume cannot be written, "" if it can.
func (fs *FS) ReadOnly() string { return fs.fs.ReadOnly() }

// Sync makes everything durable.
func (fs *FS) Sync() libos.Errno { return errnoOf(fs.fs.Sync()) }

// Close makes everything durable and marks the volume as clean. The system is about
// to stop: files cannot be used any more.
func (fs *FS) Close() libos.Errno { return errnoOf(fs.fs.Close()) }

// Root implements libos.FileSystem.
func (fs *FS) Root() libos.Directory { return directory{node{fs, fs.root}} }

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
func errnoOf(err error) libos.Errno { return libos.Errno(ext4.Code(err)) }

// A node is an inode. It is a value: the same file is always the same *ext4.Inode.
type node struct {
	fs *FS
	in *ext4.Inode
}

// The kinds of nodes.
type (
	directory struct{ node }
	file      struct{ node }
	link      struct{ node }
	special   struct{ node }
)

// node returns an inode as what it is.
func (fs *FS) node(in *ext4.Inode) libos.Node {
	n := node{fs, in}
	switch in.Type() {
	case ext4.ModeDir:
		return directory{n}
	case ext4.ModeReg:
		return file{n}
	case ext4.ModeLink:
		return link{n}
	}
	return special{n}
}

func timeOf(ns int64) libos.Time {
	t := libos.Time{Sec: ns / 1e9, Nsec: ns % 1e9}
	if t.Nsec < 0 {
		t.Sec, t.Nsec = t.Sec-1, t.Nsec+1e9
	}
	return t
}

func nanoseconds(t libos.Time) int64 {
	const most = 1 << 33 // seconds; ext4 stores less
	return min(max(t.Sec, -most), most)*1e9 + t.Nsec
}

// Attr implements libos.Node.
func (n node) Attr() (*libos.Attr, libos.Errno) {
	a := n.in.Attr()
	return &libos.Attr{
		Ino: uint64(a.Ino), Nlink: uint64(a.Links), Rdev: uint64(a.Rdev), Mode: a.Mode, UID: a.UID, GID: a.GID,
		Size: a.Size, Blocks: a.Sectors, Atime: timeOf(a.Atime), Mtime: timeOf(a.Mtime), Ctime: timeOf(a.Ctime),
	}, 0
}

// SetAttr implements libos.AttrSetter.
func (n node) SetAttr(which uint32, a *libos.Attr) libos.Errno {
	bits := 0
	for _, b := range [...][2]int{
		{libos.SetMode, ext4.SetMode}, {libos.SetOwner, ext4.SetOwner}, {libos.SetSize, ext4.SetSize},
		{libos.SetAtime, ext4.SetAtime}, {libos.SetMtime, ext4.SetMtime},
	} {
		if int(which)&b[0] != 0 {
			bits |= b[1]
		}
	}
	return errnoOf(n.in.SetAttr(bits, ext4.Attr{
		Mode: a.Mode, UID: a.UID, GID: a.GID, Size: a.Size, Atime: nanoseconds(a.Atime), Mtime: nanoseconds(a.Mtime),
	}))
}

// Sync implements libos.Syncer, for directories too.
func (n node) Sync() libos.Errno { return errnoOf(n.in.Sync()) }

// Open implements libos.Node for what is not opened here.
func (n node) Open(uint32) (libos.File, libos.Errno) { return nil, libos.ENXIO }

// Readlink implements libos.Symlink.
func (l link) Readlink() (string, libos.Errno) {
	s, err := l.in.Readlink()
	return s, errnoOf(err)
}

// Lookup implements libos.Directory.
func (d directory) Lookup(name string) (libos.Node, libos.Errno) {
	return d.result(d.in.Lookup(name))
}

// result returns an inode as a node.
func (d directory) result(in *ext4.Inode, err error) (libos.Node, libos.Errno) {
	if err != nil {
		return nil, errnoOf(err)
	}
	return d.fs.node(in), 0
}

// Parent implements libos.Directory. A directory whose parent cannot be read has no
// name.
func (d directory) Parent() (libos.Directory, string) {
	in, name, err := d.in.Parent()
	if err != nil {
		return d.fs.Root(), ""
	}
	return directory{node{d.fs, in}}, name
}

// Next implements libos.Directory.
func (d directory) Next(after int64) (e libos.Entry, ok bool, errno libos.Errno) {
	err := d.in.ReadDir(after, func(x ext4.DirEntry) bool {
		e, ok = libos.Entry{Cookie: x.Cookie, Ino: uint64(x.Ino), Mode: x.Mode, Name: x.Name}, true
		return false
	})
	return e, ok, errnoOf(err)
}

// Create implements libos.WritableDirectory.
func (d directory) Create(name string, a *libos.Attr, target string) (libos.Node, libos.Errno) {
	return d.result(d.in.Create(name, ext4.Attr{Mode: a.Mode, UID: a.UID, GID: a.GID, Rdev: uint32(a.Rdev)}, target))
}

// Link implements libos.WritableDirectory.
func (d directory) Link(name string, n libos.Node) libos.Errno {
	in := inodeOf(n)
	if in == nil {
		return libos.EXDEV
	}
	return errnoOf(d.in.Link(name, in))
}

// inodeOf returns the inode that a node is, nil if it is not one of ours.
func inodeOf(n libos.Node) *ext4.Inode {
	switch n := n.(type) {
	case directory:
		return n.in
	case file:
		return n.in
	case link:
		return n.in
	case special:
		return n.in
	}
	return nil
}

// Unlink implements libos.WritableDirectory.
func (d directory) Unlink(name string, dir bool) libos.Errno { return errnoOf(d.in.Unlink(name, dir)) }

// Rename implements libos.WritableDirectory.
func (d directory) Rename(name string, to libos.Directory, newName string, flags uint32) libos.Errno {
	dst, ok := to.(directory)
	if !ok {
		return libos.EXDEV
	}
	return errnoOf(d.in.Rename(name, dst.in, newName, int(flags)))
}
