package fusefs

import (
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/fuse"
)

// Flags of open(2) and renameat2(2).
const (
	oWRONLY  = 1
	oRDWR    = 2
	oACCMODE = 3
	oEXCL    = 0x80
	oAPPEND  = 0x400
	oSYNC    = 0x101000

	renameExchange = 2
)

// Create implements libos.WritableDirectory.
func (d *rwDirectory) Create(name string, a *libos.Attr, target string) (libos.Node, libos.Errno) {
	mode := a.Mode & modePerm
	switch a.Mode & libos.ModeFmt {
	case libos.ModeReg:
		return d.createFile(name, mode)
	case libos.ModeDir:
		x := d.fs.begin(fuse.OpMkdir, d.id)
		x.out = fuse.U32(x.out, mode, 0)
		return d.make(x, name, "")
	case libos.ModeLink:
		x := d.fs.begin(fuse.OpSymlink, d.id)
		return d.make(x, name, target)
	}
	return nil, libos.EPERM
}

// make sends a request that makes name; further is a second string.
func (d *directory) make(x *exchange, name, further string) (libos.Node, libos.Errno) {
	defer d.fs.end(x)
	x.out = fuse.Text(x.out, name)
	if further != "" {
		x.out = fuse.Text(x.out, further)
	}
	n, errno := d.entry(x, name, fuse.EntryLen)
	d.doubt()
	return n, errno
}

// createFile makes a regular file, which is open then: whoever makes a file is
// about to open it, and may do so whatever its permissions.
func (d *directory) createFile(name string, mode uint32) (libos.Node, libos.Errno) {
	x := d.fs.begin(fuse.OpCreate, d.id)
	defer d.fs.end(x)
	x.out = fuse.U32(x.out, oRDWR|oEXCL, mode, 0, 0)
	x.out = fuse.Text(x.out, name)
	dec, errno := d.fs.call(x, fuse.EntryLen+fuse.OpenOutLen)
	if errno != 0 {
		return nil, errno
	}
	d.doubt()
	node, errno := d.entryIn(dec, name)
	if errno != 0 {
		return nil, errno
	}
	fh := dec.U64()
	f, ok := node.(*rwFile)
	if !dec.OK() || !ok {
		return nil, libos.EIO
	}
	f.keepOpen(fh)
	return node, 0
}

// Link implements libos.WritableDirectory.
func (d *rwDirectory) Link(name string, n libos.Node) libos.Errno {
	var from *inode
	switch n := n.(type) {
	case *rwFile:
		from = &n.inode
	case *rwLink:
		from = &n.inode
	case *rwDirectory:
		if n.fs == d.fs {
			return libos.EPERM
		}
	}
	if from == nil || from.fs != d.fs {
		return libos.EXDEV
	}
	x := d.fs.begin(fuse.OpLink, d.id)
	x.out = fuse.U64(x.out, from.id)
	_, errno := d.make(x, name, "")
	from.doubt()
	return errno
}

// Unlink implements libos.WritableDirectory.
func (d *rwDirectory) Unlink(name string, dir bool) libos.Errno {
	op := uint32(fuse.OpUnlink)
	if dir {
		op = fuse.OpRmdir
	}
	x := d.fs.begin(op, d.id)
	defer d.fs.end(x)
	x.out = fuse.Text(x.out, name)
	_, errno := d.fs.call(x, 0)
	if errno == 0 || errno == libos.ENOENT {
		d.fs.mu.Lock()
		d.removed(name)
		d.fs.mu.Unlock()
	}
	return errno
}

// Rename implements libos.WritableDirectory.
func (d *rwDirectory) Rename(name string, to libos.Directory, newName string, flags uint32) libos.Errno {
	dst, ok := to.(*rwDirectory)
	if !ok || dst.fs != d.fs {
		return libos.EXDEV
	}
	x := d.fs.begin(fuse.OpRename2, d.id)
	defer d.fs.end(x)
	x.out = fuse.U64(x.out, dst.id)
	x.out = fuse.U32(x.out, flags, 0)
	x.out = fuse.Text(fuse.Text(x.out, name), newName)
	if _, errno := d.fs.call(x, 0); errno != 0 {
		return errno
	}
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	d.moved(name, &dst.directory, newName, flags&renameExchange != 0)
	return 0
}

// moved follows a rename. fs.mu is held. Two names that were exchanged are
// asked for anew.
func (d *directory) moved(name string, dst *directory, newName string, exchange bool) {
	if d == dst && name == newName {
		return
	}
	e, old := d.names[name], dst.names[newName]
	d.expiry, dst.expiry = 0, 0
	if exchange {
		d.removed(name)
		dst.removed(newName)
		return
	}
	if e != nil && old != nil && d.fs.sameFile(e, old) {
		return // two names of one file: rename(2) does nothing
	}
	dst.removed(newName)
	if e == nil {
		return
	}
	delete(d.names, name)
	n := d.fs.nodes.get(e.id)
	if n == nil {
		return
	}
	n.parent, n.name, n.expiry = dst, newName, 0
	if dst.names == nil {
		dst.names = map[string]*nameEntry{}
	}
	dst.names[newName] = e
}

// sameFile reports whether two names are known to stand for one file.
func (fs *FS) sameFile(a, b *nameEntry) bool {
	m, n := fs.nodes.get(a.id), fs.nodes.get(b.id)
	return m != nil && n != nil && m.attr.Ino == n.attr.Ino && m.attr.Nlink > 1
}
