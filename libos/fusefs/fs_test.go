package fusefs

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/hostfs"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/fuse"
)

const oneSecond = int64(time.Second)

// A file has one node, and knows where it is.
func TestNodes(t *testing.T) {
	r := newRig(t, hostfs.ReadWrite, Options{})
	r.host("sub/deep/a", "hello")
	a := r.find("sub", "deep", "a")
	clock.Add(2 * oneSecond)
	if b := r.find("sub", "deep", "a"); a != b {
		t.Error("the same file is another node")
	}
	deep := r.find("sub", "deep").(libos.Directory)
	parent, name := deep.Parent()
	if parent != r.find("sub") || name != "deep" {
		t.Errorf("the parent of deep is %v, its name %q", parent, name)
	}
	if root, name := r.fs.Root().Parent(); root != r.fs.Root() || name != "" {
		t.Errorf("the parent of the root is %v, %q", root, name)
	}
	attr, errno := a.Attr()
	r.want(errno, 0)
	if attr.Size != 5 || attr.Mode != libos.ModeReg|0o644 || attr.UID != 0 || attr.GID != 0 {
		t.Errorf("%+v", attr)
	}
	if u := r.fs.Usage(); u.Magic != fuseMagic || u.Blocks == 0 || u.NameLength != 255 {
		t.Errorf("%+v", u)
	}
	_, errno = r.fs.Root().Lookup("none")
	r.want(errno, libos.ENOENT)
}

// What is believed is asked for once, and what others change is seen later.
func TestBelief(t *testing.T) {
	r := newRig(t, hostfs.ReadWrite, Options{})
	for i := range 100 {
		r.host(fmt.Sprint("d/f", i), "x")
	}
	d := r.find("d").(libos.Directory)
	before := r.conn.calls(0)
	for _, e := range r.names(d) {
		n, errno := d.Lookup(e.Name)
		r.want(errno, 0)
		if a, errno := n.Attr(); errno != 0 || a.Size != 1 || a.Ino != e.Ino {
			t.Errorf("%s: %+v, %+v", e.Name, e, a)
		}
	}
	if n := r.conn.calls(0) - before; n > 5 {
		t.Errorf("%d requests to walk through 100 files", n)
	}
	r.host("d/f1", "longer")
	if err := os.Remove(r.dir + "/d/f2"); err != nil {
		t.Fatal(err)
	}
	if a, _ := r.find("d", "f1").Attr(); a.Size != 1 {
		t.Logf("the change was seen at once: %d", a.Size)
	}
	clock.Add(oneSecond + 1)
	if a, _ := r.find("d", "f1").Attr(); a.Size != 6 {
		t.Errorf("the change is not seen: %d", a.Size)
	}
	_, errno := d.Lookup("f2")
	r.want(errno, libos.ENOENT)
	r.host("d/f2", "back")
	if _, errno = d.Lookup("f2"); errno != 0 {
		t.Error("a name that was not there was believed not to be")
	}
}

// A name keeps its cookie while others come and go.
func TestCookies(t *testing.T) {
	r := newRig(t, hostfs.ReadWrite, Options{})
	for i := range 50 {
		r.host(fmt.Sprint("f", i), "")
	}
	root := r.fs.Root().(libos.WritableDirectory)
	cookies := map[string]int64{}
	for _, e := range r.names(root) {
		cookies[e.Name] = e.Cookie
	}
	for i := range 25 {
		r.want(root.Unlink(fmt.Sprint("f", 2*i), false), 0)
		_, errno := root.Create(fmt.Sprint("g", i), &libos.Attr{Mode: libos.ModeReg | 0o600}, "")
		r.want(errno, 0)
	}
	list := r.names(root)
	if len(list) != 50 {
		t.Errorf("%d names", len(list))
	}
	for _, e := range list {
		if had, ok := cookies[e.Name]; ok && had != e.Cookie {
			t.Errorf("%s: cookie %d, had %d", e.Name, e.Cookie, had)
		} else if !ok && e.Cookie <= 50 {
			t.Errorf("%s is new and has cookie %d", e.Name, e.Cookie)
		}
	}
}

// Nodes that are not in use are given back, all and once.
func TestForget(t *testing.T) {
	r := newRig(t, hostfs.ReadOnly, Options{ReadOnly: true})
	const files = 3 * forgetBatch
	for i := range files {
		r.host(fmt.Sprint("d/f", i), "")
	}
	kept := r.find("d", "f7")
	r.names(r.find("d").(libos.Directory))
	clock.Add(2 * oneSecond)
	r.find("d", "f8") // lets go of what is too old
	for i := 0; ; i++ {
		runtime.GC()
		time.Sleep(time.Millisecond)
		r.conn.mu.Lock()
		told := r.conn.told
		r.conn.mu.Unlock()
		r.fs.mu.Lock()
		told += uint64(len(r.fs.forgets))
		r.fs.mu.Unlock()
		if told >= files-2 {
			break
		}
		if i > 2000 {
			t.Fatalf("%d of %d nodes were given back", told, files)
		}
	}
	if _, errno := kept.Open(0); errno != 0 {
		t.Errorf("a node in use was given back: error %d", errno)
	}
	if r.find("d", "f7") != kept {
		t.Error("it is another one")
	}
}

// The same operations on a share and on a file of the host give the same.
func TestFileModel(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		r := newRig(t, hostfs.ReadWrite, Options{Fixed: func([]byte) bool { return fixed }})
		root := r.fs.Root().(libos.WritableDirectory)
		n, errno := root.Create("f", &libos.Attr{Mode: libos.ModeReg | 0o444}, "")
		r.want(errno, 0)
		ours := r.open(n, oRDWR)
		theirs, err := os.Create(t.TempDir() + "/f")
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		rnd := rand.New(rand.NewPCG(1, 2))
		for i := range 2000 {
			compare(t, i, rnd, n, ours, theirs)
		}
		r.want(ours.Close(), 0)
	}
}

// compare does one random operation on both files.
func compare(t *testing.T, i int, rnd *rand.Rand, n libos.Node, ours libos.SeekFile, theirs *os.File) {
	t.Helper()
	p, q := make([]byte, rnd.IntN(300_000)), []byte(nil)
	for k := range p {
		p[k] = byte(i + k)
	}
	off := int64(rnd.IntN(1 << 20))
	var a, b int64
	var errno libos.Errno
	var err error
	op := rnd.IntN(8)
	switch op {
	case 0:
		k, e := ours.Write(p)
		m, f := theirs.Write(p)
		a, b, errno, err = int64(k), int64(m), e, f
	case 1:
		k, e := ours.WriteAt(p, off)
		m, f := theirs.WriteAt(p, off)
		a, b, errno, err = int64(k), int64(m), e, f
	case 2, 3:
		q = make([]byte, len(p))
		k, e := ours.Read(p)
		m, f := io.ReadFull(theirs, q)
		a, b, errno, err = int64(k), int64(m), e, notEnd(f)
	case 4:
		q = make([]byte, len(p))
		k, e := ours.ReadAt(p, off)
		m, f := theirs.ReadAt(q, off)
		a, b, errno, err = int64(k), int64(m), e, notEnd(f)
	case 5:
		whence := rnd.IntN(3)
		a, errno = ours.SeekTo(off-1<<19, whence)
		b, err = theirs.Seek(off-1<<19, whence)
		if errno != 0 {
			a = b
		}
	case 6:
		errno = n.(libos.AttrSetter).SetAttr(libos.SetSize, &libos.Attr{Size: off / 4})
		err = theirs.Truncate(off / 4)
	case 7:
		ours.(libos.Appender).SetAppend(true)
		k, e := ours.Write(p)
		ours.(libos.Appender).SetAppend(false)
		m := 0
		if _, err = theirs.Seek(0, 2); err == nil {
			m, err = theirs.Write(p)
		}
		if len(p) == 0 {
			ours.SeekTo(0, 2)
		}
		a, b, errno = int64(k), int64(m), e
	}
	attr, _ := n.Attr()
	info, _ := theirs.Stat()
	if a != b || (errno == 0) != (err == nil) || q != nil && !slices.Equal(p[:a], q[:b]) || attr.Size != info.Size() {
		t.Fatalf("step %d, operation %d: %d and error %d, size %d; want %d, %v, size %d", i, op, a, errno, attr.Size, b, err, info.Size())
	}
}

func notEnd(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

// Names that change take their nodes with them.
func TestRename(t *testing.T) {
	r := newRig(t, hostfs.ReadWrite, Options{})
	r.host("d/e/f", "x")
	r.host("g", "y")
	root, d := r.dirAt(), r.dirAt("d")
	e, f := r.find("d", "e"), r.find("d", "e", "f")
	r.want(d.Rename("e", root, "moved", 0), 0)
	if _, name := e.(libos.Directory).Parent(); name != "moved" || r.find("moved") != e || r.find("moved", "f") != f {
		t.Errorf("the directory is called %q", name)
	}
	_, errno := d.Lookup("e")
	r.want(errno, libos.ENOENT)
	r.want(root.Rename("g", e.(libos.Directory), "f", 1), libos.EEXIST)
	r.want(root.Rename("g", e.(libos.Directory), "f", 0), 0)
	if a, errno := f.Attr(); errno != errStale && (errno != 0 || a.Nlink != 0) {
		t.Errorf("what was replaced: %+v, error %d", a, errno)
	}
	r.want(root.Rename("moved", e.(libos.Directory), "in", 0), libos.EINVAL)
	r.want(root.Rename("d", root, "moved", 0), libos.ENOTEMPTY)
	r.want(root.Rename("d", root, "moved", 2), 0)
	if r.find("d") == r.find("moved") || len(r.names(r.dirAt("d"))) != 1 || len(r.names(r.dirAt("moved"))) != 0 {
		t.Error("the two were not exchanged")
	}
	r.want(root.Unlink("d", true), libos.ENOTEMPTY)
	m := r.dirAt("moved")
	r.want(root.Unlink("moved", true), 0)
	if _, name := m.Parent(); name != "" {
		t.Errorf("a directory that was removed is called %q", name)
	}
	_, errno = m.Create("x", &libos.Attr{Mode: libos.ModeReg}, "")
	r.want(errno, errStale)
	r.want(root.Rename("d", newRig(t, hostfs.ReadWrite, Options{}).dirAt(), "d", 0), libos.EXDEV)
}

func TestLinks(t *testing.T) {
	r := newRig(t, hostfs.ReadWrite, Options{})
	r.host("f", "x")
	root, f := r.dirAt(), r.find("f")
	r.want(root.Link("g", f), 0)
	if a, _ := f.Attr(); a.Nlink != 2 {
		t.Errorf("%d links", a.Nlink)
	}
	r.want(root.Link("g", f), libos.EEXIST)
	r.want(root.Link("h", r.fs.Root()), libos.EPERM)
	r.want(root.Link("h", newRig(t, hostfs.ReadWrite, Options{}).fs.Root()), libos.EXDEV)
	target := "some/../where"
	l, errno := root.Create("l", &libos.Attr{Mode: libos.ModeLink | 0o777}, target)
	r.want(errno, 0)
	if got, errno := l.(libos.Symlink).Readlink(); errno != 0 || got != target {
		t.Errorf("%q, error %d", got, errno)
	}
	_, errno = root.Create("c", &libos.Attr{Mode: libos.ModeChar | 0o666}, "")
	r.want(errno, libos.EPERM)
}

// Where names do not change, a file has one node whatever its name.
func TestManyLinks(t *testing.T) {
	r := newRig(t, hostfs.ReadOnly, Options{ReadOnly: true})
	r.host("d/a", "x")
	if err := errors.Join(os.Link(r.dir+"/d/a", r.dir+"/b"), os.Link(r.dir+"/d/a", r.dir+"/d/c")); err != nil {
		t.Fatal(err)
	}
	a := r.find("d", "a")
	clock.Add(2 * oneSecond)
	for range 3 {
		r.names(r.find("d").(libos.Directory))
		if r.find("b") != a || r.find("d", "c") != a || r.find("d", "a") != a {
			t.Fatal("the names of one file are several nodes")
		}
	}
	if f := r.open(a, 0); f == nil {
		t.Fatal("it cannot be opened")
	}
	clock.Add(2 * oneSecond)
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	if len(r.fs.linked) != 1 {
		t.Errorf("%d files have several links", len(r.fs.linked))
	}
}

// A read-only file system asks nobody for what it refuses.
func TestReadOnly(t *testing.T) {
	r := newRig(t, hostfs.ReadOnly, Options{ReadOnly: true})
	r.host("d/f", "x")
	for _, n := range []libos.Node{r.fs.Root(), r.find("d"), r.find("d", "f")} {
		_, changes := n.(libos.WritableDirectory)
		if _, sets := n.(libos.AttrSetter); sets || changes {
			t.Errorf("%T can be changed", n)
		}
	}
	_, errno := r.find("d", "f").Open(oRDWR)
	r.want(errno, libos.EROFS)
}

// A connection that breaks is EIO for everybody.
func TestBroken(t *testing.T) {
	r := newRig(t, hostfs.ReadWrite, Options{})
	r.host("f", "x")
	n := r.find("f")
	f := r.open(n, oRDWR)
	r.conn.fail = errors.New("broken")
	clock.Add(2 * oneSecond)
	buf := make([]byte, 10)
	_, errno := f.ReadAt(buf, 0)
	r.want(errno, libos.EIO)
	_, errno = f.Write(buf)
	r.want(errno, libos.EIO)
	_, errno = n.Attr()
	r.want(errno, libos.EIO)
	_, errno = r.fs.Root().Lookup("x")
	r.want(errno, libos.EIO)
	_, _, errno = r.fs.Root().Next(0)
	r.want(errno, libos.EIO)
	r.want(f.Close(), libos.EIO)
}

// A file that is made and never opened is closed on the host in the end.
func TestMadeAndForgotten(t *testing.T) {
	r := newRig(t, hostfs.ReadWrite, Options{})
	root := r.dirAt()
	_, errno := root.Create("f", &libos.Attr{Mode: libos.ModeReg | 0o600}, "")
	r.want(errno, 0)
	r.want(root.Unlink("f", false), 0)
	for i := 0; r.conn.calls(fuse.OpRelease) == 0; i++ {
		runtime.GC()
		time.Sleep(time.Millisecond)
		if i > 2000 {
			t.Fatal("it is still open")
		}
	}
}
