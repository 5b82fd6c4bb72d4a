package fusefs

import (
	"slices"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/fuse"
)

// A directory is a node that has names. fs.mu guards its fields.
type directory struct {
	inode
	names  map[string]*nameEntry
	list   []libos.Entry // as last read, by cookie
	cookie int64         // the last one given
}

// A nameEntry is what a directory's name stands for.
type nameEntry struct {
	id     uint64
	node   *inode // keeps it in use while the name may be believed, else nil
	expiry int64
}

// recentNames are the names that keep their nodes in use, oldest first.
type recentNames []*nameEntry

// maxRecent bounds them: a node takes half a kilobyte.
const maxRecent = 1 << 14

// add notes a name that was just told, and lets go of those that are too old.
func (r *recentNames) add(e *nameEntry) {
	t, n := now(), 0
	for n < len(*r) && ((*r)[n].expiry <= t || len(*r)-n >= maxRecent) {
		if old := (*r)[n]; old != e {
			old.node = nil
		}
		n++
	}
	*r = append((*r)[:copy(*r, (*r)[n:])], e)
}

// note remembers that a name in d stands for n for some time. fs.mu is held.
func (d *directory) note(name string, n *inode, valid int64) {
	if d.names == nil {
		d.names = map[string]*nameEntry{}
	}
	e := &nameEntry{id: n.id, node: n, expiry: now() + valid}
	if old := d.names[name]; old != nil {
		if old.id != n.id {
			d.fs.replaced(old)
		}
		old.node = nil
	}
	d.names[name] = e
	d.fs.recent.add(e)
}

// replaced says of a node whose name stands for another one that it has none.
func (fs *FS) replaced(e *nameEntry) {
	if n := fs.nodes.get(e.id); n != nil {
		n.name = ""
	}
}

// removed forgets a name that is gone. fs.mu is held.
func (d *directory) removed(what string) {
	if e := d.names[what]; e != nil {
		d.fs.replaced(e)
		if n := d.fs.nodes.get(e.id); n != nil {
			n.expiry = 0 // it has one link less
		}
		e.node = nil
		delete(d.names, what)
	}
	d.expiry = 0
}

// Open implements libos.Node.
func (d *directory) Open(uint32) (libos.File, libos.Errno) { return nil, libos.EISDIR }

// Parent implements libos.Directory.
func (d *directory) Parent() (libos.Directory, string) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	if d.parent == nil {
		return d.fs.root, ""
	}
	return d.parent.self.(libos.Directory), d.name
}

// known returns what a name stands for, if that may be believed still.
func (d *directory) known(what string) *inode {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	if e := d.names[what]; e != nil && e.node != nil && now() < e.expiry {
		return e.node
	}
	return nil
}

// Lookup implements libos.Directory.
func (d *directory) Lookup(what string) (libos.Node, libos.Errno) {
	if n := d.known(what); n != nil {
		return n.self, 0
	}
	x := d.fs.begin(fuse.OpLookup, d.id)
	defer d.fs.end(x)
	x.out = fuse.Text(x.out, what)
	return d.entry(x, what, fuse.EntryLen)
}

// entry makes a request whose reply tells of a name in d.
func (d *directory) entry(x *exchange, what string, size int) (libos.Node, libos.Errno) {
	dec, errno := d.fs.call(x, size)
	if errno != 0 {
		if errno == libos.ENOENT {
			d.fs.mu.Lock()
			d.removed(what)
			d.fs.mu.Unlock()
		}
		return nil, errno
	}
	return d.entryIn(dec, what)
}

// entryIn takes what a reply tells of a name.
func (d *directory) entryIn(dec *fuse.Decoder, what string) (libos.Node, libos.Errno) {
	e := dec.Entry()
	if !dec.OK() {
		return nil, libos.EIO
	}
	n := d.fs.learn(d, what, &e)
	if n == nil {
		return nil, libos.EIO
	}
	return n.self, 0
}

// Next implements libos.Directory. The names are read from the server when the
// listing begins; a name has the same cookie in every listing.
func (d *directory) Next(after int64) (libos.Entry, bool, libos.Errno) {
	d.fs.mu.Lock()
	list := d.list
	d.fs.mu.Unlock()
	if after <= 0 || list == nil {
		var errno libos.Errno
		if list, errno = d.readAll(); errno != 0 {
			return libos.Entry{}, false, errno
		}
	}
	i, found := slices.BinarySearchFunc(list, after, func(e libos.Entry, c int64) int {
		return int(min(max(e.Cookie-c, -1), 1))
	})
	if found {
		i++
	}
	if i >= len(list) {
		return libos.Entry{}, false, 0
	}
	return list[i], true, 0
}

// maxNames bounds the names of one directory.
const maxNames = 1 << 20

// readAll reads all names.
func (d *directory) readAll() ([]libos.Entry, libos.Errno) {
	fh, errno := d.opendir()
	if errno != 0 {
		return nil, errno
	}
	defer d.fs.releaseHandle(fuse.OpReleasedir, d.id, fh)
	list := []libos.Entry{}
	for off := uint64(0); ; {
		more, next, errno := d.readSome(fh, off)
		if errno != 0 {
			return nil, errno
		}
		if len(more) == 0 {
			break
		}
		if list, off = append(list, more...), next; len(list) > maxNames {
			return nil, libos.EIO
		}
	}
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	d.number(list)
	d.list = list
	return list, 0
}

func (d *directory) opendir() (uint64, libos.Errno) {
	x := d.fs.begin(fuse.OpOpendir, d.id)
	defer d.fs.end(x)
	x.out = fuse.U32(x.out, 0, 0)
	dec, errno := d.fs.call(x, fuse.OpenOutLen)
	if errno != 0 {
		return 0, errno
	}
	fh := dec.U64()
	if !dec.OK() {
		return 0, libos.EIO
	}
	return fh, 0
}

// readSome reads names from an offset on, and returns the one to go on with.
func (d *directory) readSome(fh, off uint64) (list []libos.Entry, next uint64, errno libos.Errno) {
	x := d.fs.begin(fuse.OpReaddirplus, d.id)
	defer d.fs.end(x)
	x.out = fuse.U64(x.out, fh, off)
	x.out = fuse.U32(x.out, pieceSize, 0)
	x.out = fuse.U64(x.out, 0)
	x.out = fuse.U32(x.out, 0, 0)
	dec, _, errno := d.fs.callData(x, 0, nil, x.bounce(pieceSize))
	if errno != 0 {
		return nil, 0, errno
	}
	for dec.Len() > 0 {
		e := dec.Entry()
		ent := dec.Dirent()
		if !dec.OK() || !validName(ent.Name) {
			return nil, 0, libos.EIO
		}
		next = ent.Off
		if e.Node != 0 && d.fs.learn(d, ent.Name, &e) == nil {
			return nil, 0, libos.EIO
		}
		list = append(list, libos.Entry{Ino: ent.Ino, Mode: ent.Type << 12 & libos.ModeFmt, Name: ent.Name})
	}
	return list, next, 0
}

// validName reports whether a name can be one.
func validName(s string) bool {
	for i := range len(s) {
		if s[i] == '/' || s[i] == 0 {
			return false
		}
	}
	return s != "" && s != "." && s != ".."
}

// number gives each name of a new listing the cookie it had, or a new one, and
// sorts by it. fs.mu is held.
func (d *directory) number(list []libos.Entry) {
	had := make(map[string]int64, len(d.list))
	for i := range d.list {
		had[d.list[i].Name] = d.list[i].Cookie
	}
	for i := range list {
		e := &list[i]
		if e.Cookie = had[e.Name]; e.Cookie == 0 {
			d.cookie++
			e.Cookie = d.cookie
		}
		delete(had, e.Name) // a server that tells a name twice
	}
	slices.SortFunc(list, func(a, b libos.Entry) int { return int(min(max(a.Cookie-b.Cookie, -1), 1)) })
}
