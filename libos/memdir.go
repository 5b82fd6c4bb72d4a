package libos

// dirSize is what stat tells as the size of a directory, in bytes.
const dirSize = 4096

// A memEntry is a name in a directory. node is nil once it was removed, and
// until it is looked up where the name is known from the directory below.
type memEntry struct {
	cookie int64
	name   string
	node   node
	lower  lowerEntry
}

// A memDir is a directory. Its entries are in the map by name, and in order,
// which is sorted by cookie, for listing.
type memDir struct {
	memNode
	parent *memDir
	name   string // in parent; "" for the root and once removed
	names  map[string]*memEntry
	order  []*memEntry
	last   int64    // greatest cookie given
	below  lowerDir // what names may be there beside those
}

// Open implements Node.
func (d *memDir) Open(uint32) (File, Errno) { return nil, EISDIR }

// Lookup implements Directory.
func (d *memDir) Lookup(name string) (Node, Errno) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	e, errno := d.find(name)
	if errno != 0 {
		return nil, errno
	}
	return e.node, 0
}

// find returns the entry name with its node. fs.mu is held.
func (d *memDir) find(name string) (*memEntry, Errno) {
	e := d.names[name]
	if d.below.dir != nil && (e == nil || e.node == nil) {
		return d.bringUp(name, e)
	}
	if e == nil {
		return nil, ENOENT
	}
	return e, 0
}

// missing returns 0 if there is no entry name, else EEXIST or what went wrong.
func (d *memDir) missing(name string) Errno {
	_, errno := d.find(name)
	switch errno {
	case 0:
		return EEXIST
	case ENOENT:
		return 0
	}
	return errno
}

// Parent implements Directory.
func (d *memDir) Parent() (Directory, string) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	return d.parent, d.name
}

// Next implements Directory.
func (d *memDir) Next(after int64) (Entry, bool, Errno) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	if errno := d.complete(); errno != 0 {
		return Entry{}, false, errno
	}
	for i := d.position(after); i < len(d.order); i++ {
		switch e := d.order[i]; {
		case e.node != nil:
			a := &e.node.base().attr
			return Entry{e.cookie, a.Ino, a.Mode & ModeFmt, e.name}, true, 0
		case e.lower.there:
			return Entry{e.cookie, e.lower.ino, e.lower.mode, e.name}, true, 0
		}
	}
	return Entry{}, false, 0
}

// position returns the index of the first entry in order behind cookie after.
func (d *memDir) position(after int64) int {
	low, high := 0, len(d.order)
	for low < high {
		mid := (low + high) / 2
		if d.order[mid].cookie <= after {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// removed reports whether the directory has been unlinked.
func (d *memDir) removed() bool { return d.name == "" && d != d.fs.root }

// insert adds a name for n. fs.mu is held.
func (d *memDir) insert(name string, n node) {
	d.enter(name).node = n
	if sub, ok := n.(*memDir); ok {
		sub.parent, sub.name = d, name
		d.attr.Nlink++
	}
	d.touch()
}

// enter makes an entry.
func (d *memDir) enter(name string) *memEntry {
	d.last++
	e := &memEntry{cookie: d.last, name: name}
	if d.names == nil {
		d.names = make(map[string]*memEntry)
	}
	d.names[name] = e
	d.order = append(d.order, e)
	return e
}

// erase removes a name, not the node. fs.mu is held.
func (d *memDir) erase(e *memEntry) {
	delete(d.names, e.name)
	if sub, ok := e.node.(*memDir); ok {
		sub.name = ""
		d.attr.Nlink--
	}
	e.node = nil
	d.below.hide(e)
	if len(d.order) > 2*len(d.names)+8 {
		d.compact()
	}
	d.touch()
}

// compact takes the removed entries out of order.
func (d *memDir) compact() {
	keep := make([]*memEntry, 0, len(d.names))
	for _, e := range d.order {
		if e.node != nil || e.lower.there {
			keep = append(keep, e)
		}
	}
	d.order = keep
}

// Create implements WritableDirectory.
func (d *memDir) Create(name string, a *Attr, target string) (Node, Errno) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	if d.removed() {
		return nil, ENOENT
	}
	if errno := d.missing(name); errno != 0 {
		return nil, errno
	}
	if d.attr.Mode&modeSetGID != 0 {
		a.GID = d.attr.GID
		if a.Mode&ModeFmt == ModeDir {
			a.Mode |= modeSetGID
		}
	}
	n := d.fs.create(a, target)
	if n == nil {
		return nil, EPERM
	}
	d.insert(name, n)
	return n, 0
}

// makeFifo makes a named pipe; nil until a call is in use that asks for one.
var makeFifo func() node

// NewFifo makes a named pipe, of which a file system uses Open only; nil if no call
// is in use that asks for one.
func NewFifo() Node {
	if makeFifo == nil {
		return nil
	}
	return makeFifo()
}

// create makes a node of the type in a.Mode, nil if there is none such.
func (fs *memFS) create(a *Attr, target string) node {
	var n node
	switch a.Mode & ModeFmt {
	case ModeReg:
		n = new(memFile)
	case ModeDir:
		n = new(memDir)
	case ModeLink:
		n = &memLink{target: target}
	case ModeSocket:
		n = new(memNode)
	case ModeFIFO:
		if makeFifo == nil {
			return nil
		}
		n = makeFifo()
	default:
		return nil
	}
	fs.adopt(n, a)
	t := &n.base().attr
	t.Size = int64(len(target))
	if a.Mode&ModeFmt == ModeDir {
		t.Nlink, t.Size = 2, dirSize
	}
	return n
}

// addDevice adds a node of a character device.
func (d *memDir) addDevice(name string, rdev uint64, open func(uint32) (File, Errno)) {
	d.addSpecial(name, &Attr{Mode: ModeChar | 0o666, Rdev: rdev}, open)
}

// addSpecial adds a device node with these attributes.
func (d *memDir) addSpecial(name string, a *Attr, open func(uint32) (File, Errno)) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	n := &memDev{open: open}
	d.fs.adopt(n, a)
	d.insert(name, n)
}

// Link implements WritableDirectory.
func (d *memDir) Link(name string, n Node) Errno {
	m, ok := n.(node)
	if !ok || m.base().fs != d.fs {
		return EXDEV
	}
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	if d.removed() {
		return ENOENT
	}
	if errno := d.missing(name); errno != 0 {
		return errno
	}
	b := m.base()
	switch {
	case b.attr.Mode&ModeFmt == ModeDir:
		return EPERM
	case b.attr.Nlink == 0:
		return ENOENT
	}
	b.attr.Nlink++
	b.attr.Ctime = now()
	d.insert(name, m)
	return 0
}

// Unlink implements WritableDirectory.
func (d *memDir) Unlink(name string, dir bool) Errno {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	e, errno := d.find(name)
	if errno != 0 {
		return errno
	}
	if errno := removable(e.node, dir); errno != 0 {
		return errno
	}
	d.discard(e)
	return 0
}

// removable tells why n cannot be removed as a directory, or as something else.
func removable(n node, dir bool) Errno {
	sub, isDir := n.(*memDir)
	switch {
	case dir && !isDir:
		return ENOTDIR
	case !dir && isDir:
		return EISDIR
	case !isDir:
		return 0
	}
	errno := sub.complete()
	if errno == 0 && len(sub.names) > 0 {
		errno = ENOTEMPTY
	}
	return errno
}

// discard removes a name and what it stands for.
func (d *memDir) discard(e *memEntry) {
	n := e.node
	d.erase(e)
	if sub, ok := n.(*memDir); ok {
		sub.attr.Nlink = 1 // "." goes as well
	}
	unlinked(n)
}

// Rename implements WritableDirectory.
func (d *memDir) Rename(name string, to Directory, newName string, flags uint32) Errno {
	dst, ok := to.(*memDir)
	if !ok || dst.fs != d.fs {
		return EXDEV
	}
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	from, errno := d.find(name)
	if errno != 0 {
		return errno
	}
	old, errno := dst.find(newName)
	if errno != 0 && errno != ENOENT {
		return errno
	}
	if errno := renamable(d, dst, from, old, flags); errno != 0 {
		return errno
	}
	if old != nil && from.node == old.node {
		return 0
	}
	n := from.node
	d.erase(from)
	if old != nil && flags&renameExchange != 0 {
		other := old.node
		dst.erase(old)
		d.insert(name, other)
		other.base().attr.Ctime = now()
	} else if old != nil {
		dst.discard(old)
	}
	dst.insert(newName, n)
	n.base().attr.Ctime = now()
	return 0
}

// renamable tells why from, of directory d, cannot take the place of old in
// dst, in the order of do_renameat2 and vfs_rename (fs/namei.c).
func renamable(d, dst *memDir, from, old *memEntry, flags uint32) Errno {
	exchange := flags&renameExchange != 0
	switch {
	case old != nil && flags&renameNoReplace != 0:
		return EEXIST
	case old == nil && exchange:
		return ENOENT
	case dst.within(from.node):
		return EINVAL
	case old != nil && d.within(old.node) && exchange:
		return EINVAL
	case old != nil && d.within(old.node):
		return ENOTEMPTY
	case dst.removed():
		return ENOENT
	case old == nil || exchange || from.node == old.node:
		return 0
	}
	_, isDir := from.node.(*memDir)
	return removable(old.node, isDir)
}

// within reports whether d is n or lies beneath it.
func (d *memDir) within(n node) bool {
	top, ok := n.(*memDir)
	if !ok {
		return false
	}
	for d != top && d != d.fs.root {
		d = d.parent
	}
	return d == top
}
