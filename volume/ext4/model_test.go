package ext4_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/volume/ext4"
)

// A model is what a file system should have: nodes by path.
type model struct {
	root *mnode
	dirs []*mnode
}

// An mnode is a file, directory or link of a model.
type mnode struct {
	mode   uint32
	uid    uint32
	data   []byte
	target string
	names  map[string]*mnode
	parent *mnode
	links  int
}

func newModel() *model {
	root := &mnode{mode: ext4.ModeDir | 0o755, names: map[string]*mnode{}}
	root.names["lost+found"] = &mnode{mode: ext4.ModeDir | 0o700, names: map[string]*mnode{}, parent: root}
	return &model{root: root, dirs: []*mnode{root}}
}

func (n *mnode) isDir() bool { return n.names != nil }

// A walker does the same to a file system and to a model.
type walker struct {
	t    testing.TB
	r    *rand.Rand
	fs   *ext4.FS
	m    *model
	max  int // bytes of a write
	full bool
}

// inode returns the inode that a directory of the model is.
func (w *walker) inode(n *mnode) *ext4.Inode {
	if n == w.m.root {
		in, err := w.fs.Root()
		if err != nil {
			w.t.Fatal(err)
		}
		return in
	}
	for name, c := range n.parent.names {
		if c == n {
			in, err := w.inode(n.parent).Lookup(name)
			if err != nil {
				w.t.Fatalf("lookup %s: %v", name, err)
			}
			return in
		}
	}
	w.t.Fatal("the model lost a directory")
	return nil
}

func (w *walker) dir() *mnode { return w.m.dirs[w.r.IntN(len(w.m.dirs))] }

func (w *walker) name() string {
	if w.r.IntN(20) == 0 {
		return strings.Repeat("x", 255-3) + fmt.Sprintf("%03d", w.r.IntN(20))
	}
	return fmt.Sprintf("f%d", w.r.IntN(40))
}

// pick returns a directory and one of its names, if it has any.
func (w *walker) pick() (d *mnode, name string) {
	d = w.dir()
	names := slices.Sorted(maps.Keys(d.names))
	if len(names) == 0 {
		return d, "none"
	}
	return d, names[w.r.IntN(len(names))]
}

// want fails unless err is what the model expects; a full volume is always allowed
// where a test says so.
func (w *walker) want(op string, err, expected error) bool {
	if w.full && err == ext4.ENOSPC && expected == nil {
		return false
	}
	if err != expected {
		w.t.Fatalf("%s: %v, want %v", op, err, expected)
	}
	return err == nil
}

// step does one thing, at random.
func (w *walker) step() {
	switch k := w.r.IntN(100); {
	case k < 18:
		w.create()
	case k < 50:
		w.write()
	case k < 60:
		w.truncate()
	case k < 73:
		w.unlink()
	case k < 87:
		w.rename()
	case k < 92:
		w.link()
	case k < 96:
		w.setattr()
	default:
		d, name := w.pick()
		if n := d.names[name]; n != nil {
			w.compare(n, w.lookup(d, name), name)
		}
	}
}

func (w *walker) lookup(d *mnode, name string) *ext4.Inode {
	in, err := w.inode(d).Lookup(name)
	if err != nil {
		w.t.Fatalf("lookup %s: %v", name, err)
	}
	return in
}

func (w *walker) create() {
	d, name := w.dir(), w.name()
	n := &mnode{mode: ext4.ModeReg | 0o644, parent: d, links: 1, uid: uint32(w.r.IntN(100000))}
	switch w.r.IntN(6) {
	case 0, 1:
		n.mode, n.names = ext4.ModeDir|0o755, map[string]*mnode{}
	case 2:
		n.mode, n.target = ext4.ModeLink|0o777, strings.Repeat("t", 1+w.r.IntN(200))
	}
	_, err := w.inode(d).Create(name, ext4.Attr{Mode: n.mode, UID: n.uid}, n.target)
	var expected error
	if d.names[name] != nil {
		expected = ext4.EEXIST
	}
	if n.isDir() {
		n.mode |= d.mode & 0o2000
	}
	if w.want("create "+name, err, expected) {
		d.names[name] = n
		if n.isDir() {
			w.m.dirs = append(w.m.dirs, n)
		}
	}
}

// file returns a regular file, or nil.
func (w *walker) file() (*mnode, *ext4.Inode) {
	for range 5 {
		d, name := w.pick()
		if n := d.names[name]; n != nil && n.mode&ext4.ModeFmt == ext4.ModeReg {
			return n, w.lookup(d, name)
		}
	}
	return nil, nil
}

func (w *walker) write() {
	n, in := w.file()
	if n == nil {
		return
	}
	p := make([]byte, w.r.IntN(w.max)+1)
	for i := range p {
		p[i] = byte(w.r.Uint32())
	}
	off := w.r.IntN(len(n.data) + 1)
	switch w.r.IntN(4) {
	case 0:
		off = len(n.data)
	case 1:
		off = len(n.data) + w.r.IntN(3*w.max)
	}
	k, err := in.WriteAt(p, int64(off))
	if w.full && (err == ext4.ENOSPC || k < len(p)) {
		p = p[:k]
		if k == 0 {
			return
		}
	} else if err != nil || k != len(p) {
		w.t.Fatalf("write: %d, %v", k, err)
	}
	n.resize(max(len(n.data), off+len(p)))
	copy(n.data[off:], p)
}

func (n *mnode) resize(size int) {
	if size <= len(n.data) {
		n.data = n.data[:size:size]
		return
	}
	n.data = append(n.data, make([]byte, size-len(n.data))...)
}

func (w *walker) truncate() {
	n, in := w.file()
	if n == nil {
		return
	}
	size := w.r.IntN(len(n.data)*5/4 + 100)
	if w.want("truncate", in.Truncate(int64(size)), nil) {
		n.resize(size)
	}
}

func (w *walker) unlink() {
	d, name := w.pick()
	n := d.names[name]
	dir := w.r.IntN(10) != 0 == (n != nil && n.isDir())
	var expected error
	switch {
	case d == w.m.root && name == "lost+found":
		return
	case n == nil:
		expected = ext4.ENOENT
	case dir && !n.isDir():
		expected = ext4.ENOTDIR
	case !dir && n.isDir():
		expected = ext4.EISDIR
	case dir && len(n.names) > 0:
		expected = ext4.ENOTEMPTY
	}
	if w.want("unlink "+name, w.inode(d).Unlink(name, dir), expected) {
		delete(d.names, name)
		w.gone(n)
	}
}

func (w *walker) gone(n *mnode) {
	n.links--
	if i := slices.Index(w.m.dirs, n); i >= 0 {
		w.m.dirs = slices.Delete(w.m.dirs, i, i+1)
	}
}

func within(n, dir *mnode) bool {
	for ; dir != nil; dir = dir.parent {
		if n == dir {
			return true
		}
	}
	return false
}

func (w *walker) rename() {
	d, name := w.pick()
	to, newName := w.dir(), w.name()
	if w.r.IntN(2) == 0 {
		to, newName = w.pick()
	}
	if name == "lost+found" || newName == "lost+found" {
		return
	}
	n, old := d.names[name], to.names[newName]
	flags := 0
	if w.r.IntN(4) == 0 {
		flags = 1 + w.r.IntN(2)
	}
	err := w.inode(d).Rename(name, w.inode(to), newName, flags)
	if !w.want("rename "+name+" to "+newName, err, renameError(n, old, d, to, flags)) || n == old {
		return
	}
	n.parent = to
	to.names[newName] = n
	if flags == ext4.RenameExchange {
		old.parent = d
		d.names[name] = old
		return
	}
	delete(d.names, name)
	if old != nil {
		w.gone(old)
	}
}

func renameError(n, old, d, to *mnode, flags int) error {
	switch {
	case n == nil || flags == ext4.RenameExchange && old == nil:
		return ext4.ENOENT
	case flags == ext4.RenameNoReplace && old != nil:
		return ext4.EEXIST
	case n.isDir() && within(n, to), flags == ext4.RenameExchange && old.isDir() && within(old, d):
		return ext4.EINVAL
	case old != nil && old.isDir() && within(old, d):
		return ext4.ENOTEMPTY
	case flags == ext4.RenameExchange || old == nil || n == old:
		return nil
	case old.isDir() && !n.isDir():
		return ext4.EISDIR
	case !old.isDir() && n.isDir():
		return ext4.ENOTDIR
	case old.isDir() && len(old.names) > 0:
		return ext4.ENOTEMPTY
	}
	return nil
}

func (w *walker) link() {
	d, name := w.pick()
	n := d.names[name]
	if n == nil {
		return
	}
	to, newName := w.dir(), w.name()
	var expected error
	switch {
	case n.isDir():
		expected = ext4.EPERM
	case to.names[newName] != nil:
		expected = ext4.EEXIST
	}
	if w.want("link "+name, w.inode(to).Link(newName, w.lookup(d, name)), expected) {
		to.names[newName] = n
		n.links++
	}
}

func (w *walker) setattr() {
	d, name := w.pick()
	n := d.names[name]
	if n == nil {
		return
	}
	mode, uid := w.r.Uint32N(0o10000), w.r.Uint32()
	if w.want("setattr", w.lookup(d, name).SetAttr(ext4.SetMode|ext4.SetOwner, ext4.Attr{Mode: mode, UID: uid}), nil) {
		n.mode, n.uid = n.mode&ext4.ModeFmt|mode, uid
	}
}

// compare compares a node with the inode that it should be like.
func (w *walker) compare(n *mnode, in *ext4.Inode, path string) {
	w.t.Helper()
	a := in.Attr()
	if a.Mode != n.mode || a.UID != n.uid && n.parent != nil && n.links > 0 {
		w.t.Fatalf("%s: mode %o of %d, want %o of %d", path, a.Mode, a.UID, n.mode, n.uid)
	}
	switch n.mode & ext4.ModeFmt {
	case ext4.ModeReg:
		if int(a.Links) != n.links || a.Size != int64(len(n.data)) {
			w.t.Fatalf("%s: %d links, %d bytes, want %d, %d", path, a.Links, a.Size, n.links, len(n.data))
		}
		got := make([]byte, len(n.data)+1)
		k, err := in.ReadAt(got, 0)
		if err != nil || k != len(n.data) {
			w.t.Fatalf("%s: read %d of %d: %v", path, k, len(n.data), err)
		}
		if !bytes.Equal(got[:k], n.data) {
			w.t.Fatalf("%s: contents differ at byte %d of %d", path, differ(got, n.data), k)
		}
	case ext4.ModeLink:
		if s, err := in.Readlink(); s != n.target || err != nil {
			w.t.Fatalf("%s: leads to %q, want %q (%v)", path, s, n.target, err)
		}
	}
}

func differ(a, b []byte) int {
	for i := range b {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// compareAll compares everything.
func (w *walker) compareAll() {
	w.t.Helper()
	w.compareDir(w.m.root, w.inode(w.m.root), "")
}

func (w *walker) compareDir(n *mnode, in *ext4.Inode, path string) {
	w.t.Helper()
	got := map[string]bool{}
	last := int64(0)
	if err := in.ReadDir(0, func(e ext4.DirEntry) bool {
		if got[e.Name] || e.Cookie <= last {
			w.t.Fatalf("%s/%s: twice, or out of order", path, e.Name)
		}
		got[e.Name], last = true, e.Cookie
		if c := n.names[e.Name]; c != nil && c.mode&ext4.ModeFmt != e.Mode {
			w.t.Fatalf("%s/%s: type %o, want %o", path, e.Name, e.Mode, c.mode)
		}
		return true
	}); err != nil {
		w.t.Fatal(err)
	}
	if len(got) != len(n.names) {
		w.t.Fatalf("%s has %d names, want %d", path, len(got), len(n.names))
	}
	for name, c := range n.names {
		child, err := in.Lookup(name)
		if err != nil {
			w.t.Fatalf("%s/%s: %v", path, name, err)
		}
		w.compare(c, child, path+"/"+name)
		if c.isDir() {
			w.compareDir(c, child, path+"/"+name)
		}
	}
}

// Random operations leave what a model in memory says, before and after the volume
// is opened anew, and what e2fsck finds clean.
func TestModel(t *testing.T) {
	for seed := range uint64(6) {
		for _, size := range []int64{8 << 20, 48 << 20} {
			t.Run(fmt.Sprintf("seed%d-%dM", seed, size>>20), func(t *testing.T) {
				d := newDisk(t, size)
				w := &walker{t: t, r: rand.New(rand.NewPCG(seed, 0)), m: newModel(), max: 30000, full: size < 16<<20}
				for range 4 {
					w.fs = open(t, d, ext4.Options{CacheBytes: ext4.MinCache << (2 * (seed % 3)), Discard: true})
					if seed%2 == 1 {
						w.fs.WriteDirect(8192)
					}
					for i := range 400 {
						w.step()
						if i%97 == 0 {
							if err := w.fs.Sync(); err != nil {
								t.Fatal(err)
							}
						}
					}
					w.compareAll()
					closeFS(t, w.fs)
					check(t, d)
					fsck(t, d.Bytes())
					w.fs = open(t, d, ext4.Options{ReadOnly: true})
					w.compareAll()
				}
			})
		}
	}
}
