package libos

// overlayInos is where the inode numbers begin of what an overlay itself makes;
// what comes from below keeps its number there.
const overlayInos = 1 << 62

// Overlay returns a file system in memory that begins as what lies below: the
// tree under lower, which is read, never changed. A name is looked up below
// when it is first asked for, a directory is listed there when it is first
// listed or must be empty. What the program makes, renames and removes hides
// what is below. File contents are read from below as the program reads them;
// writing copies 64 KiB at a time into memory, and fails with ENOSPC when
// files take more of that than they may.
//
// What lower and its nodes must keep to: a file has one Node, whatever its name
// (the nodes of files with several links are remembered), numbers (Attr.Ino,
// Entry.Ino) tell files apart and are below 1<<62, and Open returns a
// [SeekFile] for regular files. Their methods may park: others who use the
// overlay wait meanwhile, except where file contents are read. The error is
// that of lower's Attr.
func Overlay(lower Directory) (FileSystem, Errno) {
	UseFiles()
	fs := &memFS{held: memBudget, lastIno: overlayInos, known: make(map[Node]node)}
	n, errno := fs.fromBelow(lower)
	if errno != 0 {
		return nil, errno
	}
	fs.root = n.(*memDir)
	fs.root.parent = fs.root
	return fs, 0
}

// fromBelow returns the node that stands for n of the tree below.
func (fs *memFS) fromBelow(n Node) (node, Errno) {
	if m := fs.known[n]; m != nil {
		return m, 0
	}
	a, errno := n.Attr()
	if errno != 0 {
		return nil, errno
	}
	m, errno := standIn(n, a)
	if errno != 0 {
		return nil, errno
	}
	b := m.base()
	b.fs, b.attr = fs, *a
	b.attr.Dev = 0
	fs.nodes++
	if _, dir := m.(*memDir); dir {
		b.attr.Nlink = max(a.Nlink, 2) // some file systems do not count
	} else if a.Nlink > 1 {
		fs.known[n] = m
	}
	return m, 0
}

// standIn makes the node for n, whose attributes are a.
func standIn(n Node, a *Attr) (node, Errno) {
	switch n := n.(type) {
	case Directory:
		return &memDir{below: lowerDir{dir: n}}, 0
	case Symlink:
		target, errno := n.Readlink()
		return &memLink{target: target}, errno
	}
	if a.Mode&ModeFmt != ModeReg {
		return &memDev{open: n.Open}, 0
	}
	a.Blocks = blocksOf(a.Size)
	return &memFile{below: lowerFile{node: n, size: a.Size}}, 0
}

func blocksOf(size int64) int64 { return (size + 511) / 512 }

// A lowerDir is the directory below one in memory.
type lowerDir struct {
	dir    Directory       // nil: there is none
	listed bool            // all its names are entries above, or hidden
	hidden map[string]bool // names below that were removed or replaced
}

// A lowerEntry says of an entry that it came from below. While its node is not
// known, the rest is what listing told.
type lowerEntry struct {
	there bool
	mode  uint32
	ino   uint64
}

// bringUp makes the node for a name that may be below; e is its entry, if there
// is one.
func (d *memDir) bringUp(name string, e *memEntry) (*memEntry, Errno) {
	if e == nil && (d.below.listed || d.below.hidden[name]) {
		return nil, ENOENT
	}
	low, errno := d.below.dir.Lookup(name)
	if errno != 0 {
		return nil, errno
	}
	n, errno := d.fs.fromBelow(low)
	if errno != 0 {
		return nil, errno
	}
	if e == nil {
		e = d.enter(name)
	}
	e.node, e.lower.there = n, true
	if sub, ok := n.(*memDir); ok {
		sub.parent, sub.name = d, name
	}
	return e, 0
}

// complete makes entries of all names below.
func (d *memDir) complete() Errno {
	if d.below.dir == nil || d.below.listed {
		return 0
	}
	for after := int64(0); ; {
		e, ok, errno := d.below.dir.Next(after)
		if errno != 0 {
			return errno
		}
		if !ok {
			break
		}
		after = e.Cookie
		if d.names[e.Name] == nil && !d.below.hidden[e.Name] {
			d.enter(e.Name).lower = lowerEntry{true, e.Mode, e.Ino}
		}
	}
	d.below.listed = true
	return 0
}

// hide is told that entry e was removed.
func (l *lowerDir) hide(e *memEntry) {
	if !e.lower.there {
		return
	}
	e.lower.there = false
	if !l.listed {
		if l.hidden == nil {
			l.hidden = make(map[string]bool)
		}
		l.hidden[e.name] = true
	}
}

// A lowerFile is the file below one in memory: what chunks that are not in
// memory are read from. The zero value stands for no file.
type lowerFile struct {
	node Node
	file SeekFile // while it is open
	size int64    // bytes of it that still count
}

// open opens the file below, if it is not open.
func (l *lowerFile) open() Errno {
	if l.size == 0 || l.file != nil {
		return 0
	}
	f, errno := l.node.Open(oRDONLY | oLARGEFILE)
	if errno != 0 {
		return errno
	}
	file, ok := f.(SeekFile)
	if !ok {
		f.Close()
		return EIO
	}
	l.file = file
	return 0
}

func (l *lowerFile) close() {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

// cut says that the file ends at size, and returns how many blocks fewer that
// are.
func (l *lowerFile) cut(size int64) int64 {
	old := l.size
	l.size = min(old, size)
	return blocksOf(old) - blocksOf(l.size)
}

// readAt reads until p is full or what counts of the file ends.
func (l lowerFile) readAt(p []byte, off int64) (int, Errno) {
	p = p[:min(int64(len(p)), l.size-off)]
	n := 0
	for n < len(p) {
		k, errno := l.file.ReadAt(p[n:], off+int64(n))
		if errno != 0 && n == 0 {
			return 0, errno
		}
		if errno != 0 || k == 0 {
			break
		}
		n += k
	}
	return n, 0
}

// untouched returns the file below, and how many of the n bytes at off can be
// read from it alone: none if anything of the file is in memory.
func (f *memFile) untouched(off int64, n int) (lowerFile, int) {
	if f.first != nil || len(f.rest) > 0 || f.attr.Size != f.below.size || off >= f.below.size {
		return lowerFile{}, 0
	}
	return f.below, int(min(int64(n), f.below.size-off))
}

// copyUp brings chunk i into memory, of which the bytes from start to end will
// be overwritten.
func (f *memFile) copyUp(i int64, start, end int) Errno {
	base := i << chunkShift
	n := int(min(chunkSize, f.below.size-base))
	if n <= 0 || f.chunk(i) != nil || start == 0 && end >= n {
		return 0
	}
	c, ok := f.extend(i, 0, n)
	if !ok {
		return ENOSPC
	}
	k, errno := f.below.readAt(c[:n], base)
	if errno != 0 {
		f.setChunk(i, nil)
		return errno
	}
	clear(c[k:n])
	return 0
}
