package libos

import (
	"sync"
	"sync/atomic"
)

// tmpfsMagic is TMPFS_MAGIC.
const tmpfsMagic = 0x01021994

// A memFS is a file system in memory. One lock guards all of it: nothing that
// is done under it waits, but for what may lie below it (see [Overlay]).
type memFS struct {
	mu      sync.Mutex
	root    *memDir
	lastIno uint64
	nodes   uint64
	held    *budget
	known   map[Node]node // by the node below, where that may have more names
}

// A budget is the memory that the contents of files may take, in one file
// system or several.
type budget struct {
	used  atomic.Int64 // bytes
	limit int64        // bytes; 0 for none
}

// allows reports whether n more bytes may be used.
func (b *budget) allows(n int64) bool { return b.limit <= 0 || b.used.Load()+n <= b.limit }

// memBudget is that of the root file system and of what lies over others.
var memBudget *budget

func newMemFS() *memFS {
	fs := &memFS{held: new(budget)}
	fs.root = fs.create(&Attr{Mode: ModeDir | 0o755}, "").(*memDir)
	fs.root.parent = fs.root
	return fs
}

// Root implements FileSystem.
func (fs *memFS) Root() Directory { return fs.root }

// Usage implements FileSystem.
func (fs *memFS) Usage() Usage {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	u := Usage{Magic: tmpfsMagic, BlockSize: pageSize, NameLength: maxName}
	if limit := fs.held.limit; limit > 0 {
		u.Blocks = uint64(limit) / pageSize
		u.Free = uint64(max(limit-fs.held.used.Load(), 0)) / pageSize
		u.Files = u.Blocks
		u.FreeFiles = u.Files - min(u.Files, fs.nodes)
	}
	return u
}

// adopt makes n a node of fs with the type, permissions and owner of a.
func (fs *memFS) adopt(n node, a *Attr) {
	fs.lastIno++
	fs.nodes++
	b := n.base()
	b.fs = fs
	t := &b.attr
	t.Ino, t.Nlink, t.Rdev = fs.lastIno, 1, a.Rdev
	t.Mode, t.UID, t.GID = a.Mode, a.UID, a.GID
	t.Mtime = now()
	t.Atime, t.Ctime = t.Mtime, t.Mtime
}

// A memNode is what all nodes of a memFS have. fs.mu guards attr.
type memNode struct {
	fs   *memFS
	attr Attr
}

// node is implemented by all nodes of a memFS.
type node interface {
	Node
	base() *memNode
}

func (n *memNode) base() *memNode { return n }

// Attr implements Node.
func (n *memNode) Attr() (*Attr, Errno) {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	attr := n.attr
	return &attr, 0
}

// Open implements Node for nodes that cannot be opened.
func (n *memNode) Open(uint32) (File, Errno) { return nil, ENXIO }

// SetAttr implements AttrSetter.
func (n *memNode) SetAttr(which uint32, a *Attr) Errno {
	if which&SetSize != 0 {
		return EINVAL
	}
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	n.set(which, a)
	return 0
}

// set changes all but the size. fs.mu is held.
func (n *memNode) set(which uint32, a *Attr) {
	if which&SetMode != 0 {
		n.attr.Mode = n.attr.Mode&ModeFmt | a.Mode&modePerm
	}
	if which&SetOwner != 0 {
		n.attr.UID, n.attr.GID = a.UID, a.GID
	}
	if which&SetAtime != 0 {
		n.attr.Atime = a.Atime
	}
	if which&SetMtime != 0 {
		n.attr.Mtime = a.Mtime
	}
	n.attr.Ctime = now()
}

// touch sets the times of a change of contents. fs.mu is held.
func (n *memNode) touch() {
	n.attr.Mtime = now()
	n.attr.Ctime = n.attr.Mtime
}

// unlinked drops one name of n.
func unlinked(n node) {
	b := n.base()
	b.attr.Nlink--
	b.attr.Ctime = now()
	if b.attr.Nlink > 0 {
		return
	}
	b.fs.nodes--
	if f, ok := n.(*memFile); ok {
		f.release()
	}
}

// A memLink is a symbolic link.
type memLink struct {
	memNode
	target string
}

// Readlink implements Symlink.
func (l *memLink) Readlink() (string, Errno) { return l.target, 0 }

// A memDev is a device; open makes its file.
type memDev struct {
	memNode
	open func(flags uint32) (File, Errno)
}

// Open implements Node.
func (d *memDev) Open(flags uint32) (File, Errno) { return d.open(flags) }
