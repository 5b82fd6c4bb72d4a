package extfs

import (
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/volume/ext4"
)

// Open implements libos.Node.
func (d directory) Open(uint32) (libos.File, libos.Errno) { return nil, libos.EISDIR }

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
	return d.fs.node(in).(libos.Directory), name
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
func (d rwDirectory) Create(name string, a *libos.Attr, target string) (libos.Node, libos.Errno) {
	switch a.Mode & libos.ModeFmt {
	case libos.ModeChar, libos.ModeBlock:
		return nil, libos.EPERM
	case libos.ModeFIFO:
		if libos.NewFifo() == nil {
			return nil, libos.EPERM
		}
	}
	return d.result(d.in.Create(name, ext4.Attr{Mode: a.Mode, UID: a.UID, GID: a.GID}, target))
}

// Link implements libos.WritableDirectory.
func (d rwDirectory) Link(name string, n libos.Node) libos.Errno {
	in := inodeOf(n)
	if in == nil {
		return libos.EXDEV
	}
	return errnoOf(d.in.Link(name, in))
}

// inodeOf returns the inode that a node is, nil if it is not one of ours.
func inodeOf(n libos.Node) *ext4.Inode {
	switch n := n.(type) {
	case rwDirectory:
		return n.in
	case rwFile:
		return n.in
	case rwLink:
		return n.in
	case rwSpecial:
		return n.in
	}
	return nil
}

// Unlink implements libos.WritableDirectory.
func (d rwDirectory) Unlink(name string, dir bool) libos.Errno {
	return errnoOf(d.in.Unlink(name, dir))
}

// Rename implements libos.WritableDirectory.
func (d rwDirectory) Rename(name string, to libos.Directory, newName string, flags uint32) libos.Errno {
	dst, ok := to.(rwDirectory)
	if !ok {
		return libos.EXDEV
	}
	return errnoOf(d.in.Rename(name, dst.in, newName, int(flags)))
}
