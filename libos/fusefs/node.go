package fusefs

import (
	"runtime"
	"weak"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/fuse"
)

// An inode is what all nodes have. fs.mu guards what can change.
type inode struct {
	fs   *FS
	id   uint64
	typ  uint32     // libos.Mode*
	self libos.Node // the node that this is in

	parent *directory // nil for the root
	name   string     // "" for the root and once removed
	attr   libos.Attr
	expiry int64 // until when attr may be believed, on the monotonic clock
	told   *ticket
	made   *open // opened when the file was made; for the first who opens it
	kept   *keeper
}

// A ticket counts how often the server told us of a node. linked is the number
// of the file, if it is in FS.linked.
type ticket struct{ id, count, linked uint64 }

// nodeTable finds the nodes that are in use by a number.
type nodeTable map[uint64]weak.Pointer[inode]

// get returns a node, nil if there is none.
func (t nodeTable) get(id uint64) *inode { return t[id].Value() }

// The kinds of nodes. A writable one is an AttrSetter besides.
type (
	file        struct{ inode }
	link        struct{ inode }
	rwFile      struct{ file }
	rwLink      struct{ link }
	rwDirectory struct{ directory }
)

// newNode makes the node for a number that the server gave. fs.mu is held, or
// nobody else has fs yet.
func newNode(fs *FS, id uint64, parent *directory, name string, typ uint32) *inode {
	var self libos.Node
	var n *inode
	switch {
	case typ == libos.ModeDir && fs.opts.ReadOnly:
		d := new(directory)
		self, n = d, &d.inode
	case typ == libos.ModeDir:
		d := new(rwDirectory)
		self, n = d, &d.inode
	case typ == libos.ModeLink && fs.opts.ReadOnly:
		l := new(link)
		self, n = l, &l.inode
	case typ == libos.ModeLink:
		l := new(rwLink)
		self, n = l, &l.inode
	case fs.opts.ReadOnly:
		f := new(file)
		self, n = f, &f.inode
	default:
		f := new(rwFile)
		self, n = f, &f.inode
	}
	n.fs, n.id, n.typ, n.self, n.parent, n.name = fs, id, typ, self, parent, name
	n.told = &ticket{id: id}
	fs.nodes[id] = weak.Make(n)
	if id != fuse.RootNode {
		runtime.AddCleanup(n, fs.collected, n.told)
	}
	return n
}

// collected is called when a node is not in use any more.
func (fs *FS) collected(t *ticket) {
	fs.mu.Lock()
	if fs.nodes.get(t.id) == nil {
		delete(fs.nodes, t.id)
	}
	if t.linked != 0 && fs.linked.get(t.linked) == nil {
		delete(fs.linked, t.linked)
	}
	fs.forgets = append(fs.forgets, *t)
	var list []ticket
	if len(fs.forgets) >= forgetBatch {
		list, fs.forgets = fs.forgets, nil
	}
	fs.mu.Unlock()
	if list != nil {
		fs.forget(list)
	}
}

// forgetBatch is how many nodes the server is told of at once.
const forgetBatch = 256

// forget tells the server of nodes that are not in use. If it cannot be told,
// nothing works any more.
func (fs *FS) forget(list []ticket) {
	size := fuse.InHeaderLen + 8 + fuse.ForgetOneLen*len(list)
	h := fuse.InHeader{Len: uint32(size), Op: fuse.OpBatchForget, Unique: fs.unique.Add(2)}
	b := h.Append(make([]byte, 0, size))
	b = fuse.U32(b, uint32(len(list)), 0)
	for _, t := range list {
		b = fuse.U64(b, t.id, t.count)
	}
	_ = fs.conn.Forget(b)
}

// learn returns the node that the server told of by name in d, and remembers
// what it told. It returns nil if that cannot be.
func (fs *FS) learn(d *directory, name string, e *fuse.Entry) *inode {
	typ := e.Attr.Mode & libos.ModeFmt
	if e.Node == 0 || e.Node == fuse.RootNode || typ == 0 || int64(e.Attr.Size) < 0 {
		return nil
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := fs.nodes.get(e.Node)
	switch {
	case n != nil && n.typ != typ:
		return nil // a number stands for one node
	case n != nil:
		n.parent, n.name = d, name
		n.told.count++
	default:
		n = fs.newcomer(d, name, e, typ)
	}
	n.believe(&e.Attr, e.Valid)
	d.note(name, n, e.Valid)
	return n
}

// newcomer returns the node for a number that is not in use. A file with several
// links has one node for all, where nobody changes names: what covers a
// read-only tree relies on it. fs.mu is held.
func (fs *FS) newcomer(d *directory, name string, e *fuse.Entry, typ uint32) *inode {
	several := fs.opts.ReadOnly && typ == libos.ModeReg && e.Attr.Nlink > 1 && e.Attr.Ino != 0
	if several {
		if n := fs.linked.get(e.Attr.Ino); n != nil {
			fs.forgets = append(fs.forgets, ticket{id: e.Node, count: 1})
			return n
		}
	}
	n := newNode(fs, e.Node, d, name, typ)
	n.told.count = 1
	if several {
		n.told.linked = e.Attr.Ino
		fs.linked[e.Attr.Ino] = weak.Make(n)
	}
	return n
}

// now returns the monotonic time in nanoseconds.
func now() int64 { return libos.Hooks.Now() }

// believe remembers attributes for some time. fs.mu is held.
func (n *inode) believe(a *fuse.Attr, valid int64) {
	n.attr = libos.Attr{
		Ino: a.Ino, Nlink: uint64(a.Nlink), Rdev: uint64(a.Rdev), Mode: a.Mode, UID: a.UID, GID: a.GID,
		Size: int64(a.Size), Blocks: int64(a.Blocks),
		Atime: timeOf(a.Atime), Mtime: timeOf(a.Mtime), Ctime: timeOf(a.Ctime),
	}
	n.expiry = now() + valid
}

func timeOf(t fuse.Time) libos.Time {
	return libos.Time{Sec: t.Sec, Nsec: int64(min(t.Nsec, 999_999_999))}
}

// doubt makes the next look at attributes ask the server.
func (n *inode) doubt() {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	n.expiry = 0
}

// endsBefore reports whether attributes that may be believed say that there is
// nothing at an offset: who reads a whole file asks at its end once more.
func (n *inode) endsBefore(off int64) bool {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	return off >= n.attr.Size && n.attr.Size > 0 && now() < n.expiry
}

// Attr implements libos.Node.
func (n *inode) Attr() (*libos.Attr, libos.Errno) {
	n.fs.mu.Lock()
	if now() < n.expiry {
		a := n.attr
		n.fs.mu.Unlock()
		return &a, 0
	}
	n.fs.mu.Unlock()
	return n.ask()
}

// ask gets the attributes from the server.
func (n *inode) ask() (*libos.Attr, libos.Errno) {
	x := n.fs.begin(fuse.OpGetattr, n.id)
	defer n.fs.end(x)
	x.out = fuse.U32(x.out, 0, 0)
	x.out = fuse.U64(x.out, 0)
	d, errno := n.fs.call(x, fuse.AttrOutLen)
	if errno != 0 {
		return nil, errno
	}
	return n.take(d)
}

// take takes a struct fuse_attr_out.
func (n *inode) take(d *fuse.Decoder) (*libos.Attr, libos.Errno) {
	a, valid := d.AttrOut()
	if !d.OK() || int64(a.Size) < 0 {
		return nil, libos.EIO
	}
	if a.Mode&libos.ModeFmt != n.typ {
		return nil, errStale
	}
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	n.believe(&a, valid)
	attr := n.attr
	return &attr, 0
}

// errStale is ESTALE: the name stands for something else by now.
const errStale libos.Errno = 116

// setAttr changes attributes, as libos.AttrSetter says.
func (n *inode) setAttr(which uint32, a *libos.Attr) libos.Errno {
	valid := uint32(0)
	for _, m := range [...][2]uint32{
		{libos.SetMode, fuse.SetattrMode}, {libos.SetOwner, fuse.SetattrUID | fuse.SetattrGID},
		{libos.SetSize, fuse.SetattrSize}, {libos.SetAtime, fuse.SetattrAtime}, {libos.SetMtime, fuse.SetattrMtime},
	} {
		if which&m[0] != 0 {
			valid |= m[1]
		}
	}
	x := n.fs.begin(fuse.OpSetattr, n.id)
	defer n.fs.end(x)
	x.out = fuse.U32(x.out, valid, 0)
	x.out = fuse.U64(x.out, 0, uint64(a.Size), 0, uint64(a.Atime.Sec), uint64(a.Mtime.Sec), 0)
	x.out = fuse.U32(x.out, uint32(a.Atime.Nsec), uint32(a.Mtime.Nsec), 0, a.Mode&modePerm, 0, a.UID, a.GID, 0)
	d, errno := n.fs.call(x, fuse.AttrOutLen)
	if errno != 0 {
		return errno
	}
	_, errno = n.take(d)
	return errno
}

// modePerm are the permissions of a mode.
const modePerm = 0o7777

// SetAttr implements libos.AttrSetter.
func (f *rwFile) SetAttr(which uint32, a *libos.Attr) libos.Errno { return f.setAttr(which, a) }

// SetAttr implements libos.AttrSetter.
func (l *rwLink) SetAttr(which uint32, a *libos.Attr) libos.Errno { return l.setAttr(which, a) }

// SetAttr implements libos.AttrSetter.
func (d *rwDirectory) SetAttr(which uint32, a *libos.Attr) libos.Errno { return d.setAttr(which, a) }

// Open implements libos.Node.
func (l *link) Open(uint32) (libos.File, libos.Errno) { return nil, libos.ELOOP }

// Readlink implements libos.Symlink.
func (l *link) Readlink() (string, libos.Errno) {
	x := l.fs.begin(fuse.OpReadlink, l.id)
	defer l.fs.end(x)
	target := x.bounce(fuse.MaxTarget)
	_, n, errno := l.fs.callData(x, 0, nil, target)
	if errno != 0 {
		return "", errno
	}
	if n == 0 {
		return "", libos.EIO
	}
	return string(target[:n]), 0
}
