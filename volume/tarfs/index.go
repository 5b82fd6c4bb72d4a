package tarfs

import (
	"slices"
	"strings"
)

// A builder makes the index of an FS.
type builder struct {
	fs    *FS
	names map[place]Ino
}

// A place is a name in a directory.
type place struct {
	dir  Ino
	name string
}

func newBuilder(fs *FS) *builder {
	fs.inodes = []inode{{Info: Info{Mode: TypeDir | 0o755, Links: 2}}}
	return &builder{fs, map[place]Ino{}}
}

// add puts an entry of the archive into the tree, or notes why not. The error
// is that there are too many.
func (b *builder) add(h *header) error {
	if len(b.fs.inodes) >= MaxFiles || len(b.names) >= MaxFiles {
		return &Error{Off: h.off, What: "there are more than 1048576 files"}
	}
	if h.why != "" {
		b.fs.note(h, h.why)
		return nil
	}
	names, why := clean(h.name)
	switch {
	case why != "":
	case len(names) == 0 && h.kind == kindDir:
		b.fs.inodes[0].describe(h)
		return nil
	case len(names) == 0:
		why = "has no name"
	default:
		why = b.place(names, h)
	}
	if why != "" {
		b.fs.note(h, why)
	}
	return nil
}

// place adds h at the end of the way that names are, and returns why not.
func (b *builder) place(names []string, h *header) (why string) {
	last := len(names) - 1
	dir, why := b.walk(names[:last])
	if why != "" {
		return why
	}
	at := place{dir, strings.Clone(names[last])}
	old, there := b.names[at]
	switch h.kind {
	case kindDir:
		if there && b.isDir(old) {
			b.fs.inodes[old].describe(h)
			return ""
		}
		b.enter(at, b.newDir(at, h))
		return ""
	case kindHard:
		to, ok := b.find(h.link)
		switch {
		case !ok || b.isDir(to):
			return "is a link to what has not come before: " + h.link
		case there && to == old:
			return ""
		case there && b.isDir(old) && b.fs.inodes[old].count > 0:
			return "would replace a directory that is not empty"
		}
		b.fs.inodes[to].Links++
		b.enter(at, to)
		return ""
	}
	if there && b.isDir(old) && b.fs.inodes[old].count > 0 {
		return "would replace a directory that is not empty"
	}
	b.enter(at, b.newFile(h))
	return ""
}

func (b *builder) isDir(i Ino) bool { return b.fs.inodes[i].Mode&TypeMask == TypeDir }

// walk returns the directory that names lead to; those that are missing are
// made.
func (b *builder) walk(names []string) (dir Ino, why string) {
	for _, name := range names {
		at := place{dir, name}
		next, ok := b.names[at]
		switch {
		case !ok:
			at.name = strings.Clone(name)
			next = b.newDir(at, nil)
			b.enter(at, next)
		case !b.isDir(next):
			return 0, "leads through " + name + ", which is no directory"
		}
		dir = next
	}
	return dir, ""
}

// find returns the file that path names.
func (b *builder) find(path string) (Ino, bool) {
	names, why := clean(path)
	if why != "" || len(names) == 0 {
		return 0, false
	}
	at, ok := Ino(0), true
	for _, name := range names {
		if at, ok = b.names[place{at, name}]; !ok {
			return 0, false
		}
	}
	return at, true
}

// enter gives file i a name, which may be another's so far. While the tree is
// built, count is how many names a directory has.
func (b *builder) enter(at place, i Ino) {
	dir := &b.fs.inodes[at.dir]
	if old, there := b.names[at]; there {
		b.fs.inodes[old].Links--
		if b.isDir(old) {
			dir.Links--
		}
	} else {
		dir.count++
	}
	if b.isDir(i) {
		dir.Links++
	}
	b.names[at] = i
}

// newDir makes a directory; h may be nil.
func (b *builder) newDir(at place, h *header) Ino {
	n := inode{Info: Info{Mode: TypeDir | 0o755, Links: 2}, parent: at.dir, name: at.name}
	if h != nil {
		n.describe(h)
	}
	b.fs.inodes = append(b.fs.inodes, n)
	return Ino(len(b.fs.inodes) - 1)
}

// newFile makes a file or symbolic link.
func (b *builder) newFile(h *header) Ino {
	n := inode{Info: Info{Links: 1}}
	n.describe(h)
	n.off, n.Size = h.data, h.size
	if h.kind == kindSymlink {
		n.Mode = TypeSymlink | 0o777
		n.Target, n.Size = h.link, int64(len(h.link))
	}
	b.fs.inodes = append(b.fs.inodes, n)
	return Ino(len(b.fs.inodes) - 1)
}

// describe takes over what h says besides name, contents and kind.
func (n *inode) describe(h *header) {
	kind := uint32(TypeRegular)
	if h.kind == kindDir {
		kind = TypeDir
	}
	n.Mode = kind | h.mode&0o7777
	n.UID, n.GID, n.Sec, n.Nsec = h.uid, h.gid, h.sec, h.nsec
}

// finish sorts the names into the FS.
func (b *builder) finish() {
	fs := b.fs
	next := int32(0)
	for i := range fs.inodes {
		fs.inodes[i].first = next
		next += fs.inodes[i].count
		fs.inodes[i].count = 0
	}
	fs.entries = make([]entry, next)
	for at, ino := range b.names {
		dir := &fs.inodes[at.dir]
		fs.entries[dir.first+dir.count] = entry{at.name, ino}
		dir.count++
	}
	for i := range fs.inodes {
		list := fs.dir(Ino(i))
		slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	}
	b.names = nil
}
