package extfs

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"
	"unsafe"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/volume/ext4"
)

func TestNodes(t *testing.T) {
	r := newRig(t, 8<<20, Options{})
	d := r.create("d", libos.ModeDir|0o2755).(libos.WritableDirectory)
	a, errno := d.Create("a", &libos.Attr{Mode: libos.ModeReg | 0o600, UID: 7}, "")
	r.want(errno, 0)
	l := r.create("l", libos.ModeLink|0o777)
	r.want(r.root().Link("b", a), 0)
	if r.find("d/a") != a || r.find("b") != a || r.find("d") != libos.Node(d) || r.find("l") == a {
		t.Error("nodes do not compare as files do")
	}
	if up, name := d.Parent(); up != r.fs.Root() || name != "d" {
		t.Errorf("parent %v, name %q", up, name)
	}
	if up, name := r.fs.Root().Parent(); up != r.fs.Root() || name != "" {
		t.Errorf("parent of the root %v, name %q", up, name)
	}
	if target, _ := l.(libos.Symlink).Readlink(); target != "target" {
		t.Errorf("link to %q", target)
	}
	if t1, _ := a.Attr(); t1.Nlink != 2 || t1.UID != 7 || t1.Mode != libos.ModeReg|0o600 || t1.Mtime.Sec != 1_700_000_000 || t1.Mtime.Nsec != 123_456_789 {
		t.Errorf("%+v", t1)
	}
	if u := r.fs.Usage(); u.Magic != magic || u.Free == 0 || u.Free > u.Blocks || u.NameLength != 255 || u.FreeFiles >= u.Files {
		t.Errorf("%+v", u)
	}
	for _, at := range []libos.Time{{Sec: -1, Nsec: 5}, {Sec: 1 << 33}, {Sec: 1 << 62}, {Sec: -1 << 62, Nsec: 1}} {
		r.want(a.(libos.AttrSetter).SetAttr(libos.SetMtime, &libos.Attr{Mtime: at}), 0)
		b, _ := a.Attr()
		want := libos.Time{Sec: min(max(at.Sec, minTime), maxTime), Nsec: at.Nsec}
		if b.Mtime != want {
			t.Errorf("time %v became %v", at, b.Mtime)
		}
	}
	other := newRig(t, 8<<20, Options{})
	r.want(other.root().Link("x", a), libos.EXDEV)
	r.want(r.root().Rename("d", other.root(), "d", 0), libos.EXDEV)
	r.sound()
}

// A name keeps its cookie while others come and go.
func TestCookies(t *testing.T) {
	r := newRig(t, 8<<20, Options{})
	d := r.create("d", libos.ModeDir|0o755).(libos.WritableDirectory)
	add := func(format string, i int) {
		_, errno := d.Create(fmt.Sprintf(format, i), &libos.Attr{Mode: libos.ModeReg | 0o600}, "")
		r.want(errno, 0)
	}
	list := func() map[string]int64 {
		m := map[string]int64{}
		for at := int64(0); ; {
			e, ok, errno := d.Next(at)
			if errno != 0 || ok && e.Cookie <= at {
				t.Fatalf("%+v, error %d", e, errno)
			}
			if !ok {
				return m
			}
			if n, _ := d.Lookup(e.Name); n == nil {
				t.Fatalf("%s is listed and not there", e.Name)
			} else if a, _ := n.Attr(); a.Ino != e.Ino || a.Mode&libos.ModeFmt != e.Mode {
				t.Errorf("%+v, %+v", e, a)
			}
			m[e.Name], at = e.Cookie, e.Cookie
		}
	}
	for i := range 500 {
		add("name-of-file-%d", i)
	}
	before := list()
	for i := range 250 {
		r.want(d.Unlink(fmt.Sprintf("name-of-file-%d", 2*i), false), 0)
		add("another-%d", i)
	}
	now := list()
	if len(before) != 500 || len(now) != 500 {
		t.Errorf("%d and %d names", len(before), len(now))
	}
	for name, cookie := range now {
		if had, ok := before[name]; ok && had != cookie {
			t.Errorf("%s: cookie %d, had %d", name, cookie, had)
		}
	}
	r.sound()
}

// A view is a directory of libos as an fs.FS.
type view struct{ root libos.Directory }

func (v view) Open(name string) (fs.File, error) {
	var n libos.Node = v.root
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if name != "." {
		for part := range strings.SplitSeq(name, "/") {
			d, ok := n.(libos.Directory)
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
			var errno libos.Errno
			if n, errno = d.Lookup(part); errno != 0 {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
		}
	}
	f := &viewFile{name: name[strings.LastIndexByte(name, '/')+1:], n: n}
	if _, dir := n.(libos.Directory); dir {
		return f, nil
	}
	o, errno := n.Open(oRDONLY)
	if errno != 0 {
		return nil, fmt.Errorf("open: error %d", errno)
	}
	f.o = o.(libos.SeekFile)
	return f, nil
}

type viewFile struct {
	name string
	n    libos.Node
	o    libos.SeekFile
	at   int64
}

func (f *viewFile) Stat() (fs.FileInfo, error) { return viewInfo{f.name, f.n}, nil }
func (f *viewFile) Close() error               { return nil }
func (f *viewFile) Read(p []byte) (int, error) {
	if f.o == nil {
		return 0, fs.ErrInvalid
	}
	n, errno := f.o.Read(p)
	if errno != 0 {
		return n, fmt.Errorf("error %d", errno)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *viewFile) ReadDir(n int) (list []fs.DirEntry, err error) {
	for n <= 0 || len(list) < n {
		e, ok, _ := f.n.(libos.Directory).Next(f.at)
		if !ok {
			break
		}
		f.at = e.Cookie
		sub, _ := f.n.(libos.Directory).Lookup(e.Name)
		list = append(list, fs.FileInfoToDirEntry(viewInfo{e.Name, sub}))
	}
	if n > 0 && len(list) == 0 {
		err = io.EOF
	}
	return list, err
}

type viewInfo struct {
	name string
	n    libos.Node
}

func (i viewInfo) attr() *libos.Attr { a, _ := i.n.Attr(); return a }
func (i viewInfo) Name() string      { return i.name }
func (i viewInfo) Size() int64       { return i.attr().Size }
func (i viewInfo) ModTime() time.Time {
	m := i.attr().Mtime
	return time.Unix(m.Sec, m.Nsec)
}
func (i viewInfo) IsDir() bool { return i.Mode().IsDir() }
func (i viewInfo) Sys() any    { return nil }
func (i viewInfo) Mode() fs.FileMode {
	m := i.attr().Mode
	mode := fs.FileMode(m & 0o777)
	if m&libos.ModeFmt == libos.ModeDir {
		mode |= fs.ModeDir
	}
	return mode
}

func TestFS(t *testing.T) {
	r := newRig(t, 8<<20, Options{})
	r.create("empty", libos.ModeReg|0o600)
	r.write(r.file("large"), strings.Repeat("0123456789", 30_000))
	d := r.create("d", libos.ModeDir|0o755).(libos.WritableDirectory)
	n, errno := d.Create("in", &libos.Attr{Mode: libos.ModeReg | 0o600}, "")
	r.want(errno, 0)
	r.write(r.open(n, oWRONLY), "text")
	for range 2 {
		if err := fstest.TestFS(view{r.fs.Root()}, "empty", "large", "d/in", "lost+found"); err != nil {
			t.Error(err)
		}
		r.sound()
		r.reopen(Options{ReadOnly: true})
	}
}

// The same operations on a volume and on a file of the host give the same. Where
// buffers may move, the device never gets one of the program's.
func TestFileModel(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		var given atomic.Bool
		var buf []byte
		r := newRig(t, 16<<20, Options{Memory: ext4.MinCache})
		r.fs.Close()
		spy := &spy{Device: r.dev, see: func(p []byte) {
			if len(buf) > 0 && len(p) > 0 {
				low, at := uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&p[0]))
				if at >= low && at < low+uintptr(len(buf)) {
					given.Store(true)
				}
			}
		}}
		var err error
		if r.fs, err = Open(spy, Options{Memory: ext4.MinCache, Fixed: func([]byte) bool { return fixed }}); err != nil {
			t.Fatal(err)
		}
		n := r.create("f", libos.ModeReg|0o600)
		ours := r.open(n, oRDWR)
		theirs, err := os.Create(t.TempDir() + "/f")
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		rnd := rand.New(rand.NewPCG(1, 2))
		for i := range 1500 {
			buf = make([]byte, rnd.IntN(300_000))
			compare(t, i, rnd, buf, n, ours, theirs)
		}
		buf = nil
		if given.Load() != fixed {
			t.Errorf("fixed %v: the device got the program's buffer: %v", fixed, given.Load())
		}
		r.want(ours.Close(), 0)
		r.sound()
	}
}

// A spy sees the buffers that a device gets.
type spy struct {
	block.Device
	see func(p []byte)
}

func (s *spy) ReadAt(p []byte, off int64) error {
	s.see(p)
	return s.Device.ReadAt(p, off)
}

func (s *spy) WriteAt(p []byte, off int64) error {
	s.see(p)
	return s.Device.WriteAt(p, off)
}

// compare does one random operation on both files.
func compare(t *testing.T, i int, rnd *rand.Rand, p []byte, n libos.Node, ours libos.SeekFile, theirs *os.File) {
	t.Helper()
	var q []byte
	for k := range p {
		p[k] = byte(i + k)
	}
	off := int64(rnd.IntN(1 << 20))
	var a, b int64
	var errno libos.Errno
	var err error
	op := rnd.IntN(9)
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
		if len(p) > 0 {
			theirs.Seek(0, 2)
			m, err = theirs.Write(p)
		}
		a, b, errno = int64(k), int64(m), e
	case 8:
		errno = ours.(libos.Syncer).Sync()
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

// A file without a name stays while it is open, and its space comes back then.
func TestUnlinkedOpen(t *testing.T) {
	r := newRig(t, 8<<20, Options{})
	free := r.fs.Usage().Free
	f := r.file("f")
	n := r.find("f")
	text := strings.Repeat("unlinked ", 40_000)
	r.write(f, text)
	r.want(r.root().Unlink("f", false), 0)
	sync1(t, r.fs)
	if a, _ := n.Attr(); a.Nlink != 0 || a.Size != int64(len(text)) {
		t.Errorf("%+v", a)
	}
	b := make([]byte, len(text))
	if k, errno := f.ReadAt(b, 0); string(b[:k]) != text || errno != 0 {
		t.Errorf("%d bytes, error %d", k, errno)
	}
	r.write(f, "more")
	crashed := r.after(Options{}) // the orphan is freed when it is opened again
	if got := crashed.fs.Usage().Free; got != free {
		t.Errorf("after a crash %d blocks are free, want %d", got, free)
	}
	crashed.sound()
	r.want(r.root().Link("again", n), libos.ENOENT)
	r.want(f.Close(), 0)
	if _, errno := n.Open(oRDONLY); errno != libos.ENOENT {
		t.Errorf("opened when it was gone: error %d", errno)
	}
	r.want(n.(libos.AttrSetter).SetAttr(libos.SetSize, &libos.Attr{}), libos.ENOENT)
	sync1(t, r.fs)
	if got := r.fs.Usage().Free; got != free {
		t.Errorf("%d blocks are free, want %d", got, free)
	}
	r.sound()
}

func TestFull(t *testing.T) {
	r := newRig(t, 4<<20, Options{})
	f := r.file("f")
	chunk := bytes.Repeat([]byte("full"), 16<<10)
	total := int64(0)
	for {
		n, errno := f.Write(chunk)
		total += int64(n)
		if errno == libos.ENOSPC {
			break
		}
		if errno != 0 || total > 8<<20 {
			t.Fatalf("wrote %d, error %d", total, errno)
		}
	}
	if total < 1<<20 {
		t.Errorf("full after %d bytes", total)
	}
	sync1(t, f)
	if a, _ := r.find("f").Attr(); a.Size != total {
		t.Errorf("size %d, wrote %d", a.Size, total)
	}
	var errno libos.Errno
	for i := 0; errno == 0 && i < 1e5; i++ {
		_, errno = r.root().Create(fmt.Sprint("n", i), &libos.Attr{Mode: libos.ModeReg | 0o600}, "")
	}
	r.want(errno, libos.ENOSPC)
	r.want(r.find("f").(libos.AttrSetter).SetAttr(libos.SetSize, &libos.Attr{Size: 100}), 0)
	sync1(t, r.fs)
	r.write(f, "space again")
	r.want(f.Close(), 0)
	r.sound()
}

func TestReadOnly(t *testing.T) {
	r := newRig(t, 8<<20, Options{})
	r.write(r.file("f"), "text")
	r.create("p", libos.ModeSocket|0o600)
	r.create("l", libos.ModeLink|0o777)
	sync1(t, r.fs)
	for _, device := range []bool{false, true} {
		ro := &rig{TB: t, dev: r.dev} // what is in the journal was not brought to its place
		old := bytes.Clone(r.dev.Data)
		ro.dev.RO = device
		ro.reopen(Options{ReadOnly: !device})
		if ro.contents(ro.find("f")) != "text" || ro.fs.ReadOnly() == "" {
			t.Error("it cannot be read")
		}
		for _, n := range []libos.Node{ro.fs.Root(), ro.find("f"), ro.find("l"), ro.find("p")} {
			_, changes := n.(libos.WritableDirectory)
			_, shares := n.(libos.Sharer)
			if _, sets := n.(libos.AttrSetter); sets || changes || shares {
				t.Errorf("%T can be changed", n)
			}
		}
		_, errno := ro.find("f").Open(oRDWR)
		ro.want(errno, libos.EROFS)
		sync1(t, ro.fs)
		if errno := ro.fs.Close(); errno != 0 || !bytes.Equal(old, ro.dev.Data) {
			t.Errorf("the device was changed, or close: error %d", errno)
		}
	}
	r.dev.RO = false
	r.sound()
}

// What the device fails with is EIO; when the journal cannot be written, the volume
// becomes read-only, and what was durable stays.
func TestDeviceErrors(t *testing.T) {
	for _, op := range []string{"read", "write", "flush"} {
		told := ""
		r := newRig(t, 8<<20, Options{Memory: ext4.MinCache, Report: func(s string) { told = s }})
		r.write(r.file("durable"), strings.Repeat("d", 1<<20))
		sync1(t, r.fs)
		f := r.file("f")
		r.dev.Fail = func(o string, _, _ int64) error {
			if o == op {
				return block.ErrIO
			}
			return nil
		}
		if op == "read" {
			d := r.open(r.find("durable"), oRDONLY)
			if _, errno := d.ReadAt(make([]byte, 1<<20), 0); errno != libos.EIO {
				t.Errorf("read: error %d", errno)
			}
			r.dev.Fail = nil
			if r.contents(r.find("durable")) != strings.Repeat("d", 1<<20) {
				t.Error("it is not read when the device works again")
			}
			r.sound()
			continue
		}
		r.write(f, "lost")
		r.want(f.(libos.Syncer).Sync(), libos.EIO)
		r.want(r.fs.Sync(), libos.EIO)
		if r.fs.ReadOnly() != "" {
			_, errno := r.root().Create("x", &libos.Attr{Mode: libos.ModeReg}, "")
			r.want(errno, libos.EROFS)
		}
		t.Logf("%s: read-only: %q, told %q", op, r.fs.ReadOnly(), told)
		if r.fs.Close() == 0 {
			t.Errorf("%s: close says nothing", op)
		}
		again := r.after(Options{})
		if again.contents(again.find("durable")) != strings.Repeat("d", 1<<20) {
			t.Errorf("%s: what was durable is lost", op)
		}
		again.sound()
	}
}

// What a program does not make durable itself is some seconds later.
func TestLater(t *testing.T) {
	later.Lock()
	later.list = nil
	later.Unlock()
	r := newRig(t, 8<<20, Options{})
	sync1(t, r.fs)
	r.write(r.file("f"), "text")
	later.Lock()
	list := later.list
	later.Unlock()
	if len(list) == 0 {
		t.Fatal("nothing is to be done later")
	}
	for _, f := range list {
		f()
	}
	for end := time.Now().Add(5 * time.Second); ; {
		n := r.after(Options{})
		if m, errno := n.root().Lookup("f"); errno == 0 && n.contents(m) == "text" {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is not durable")
		}
		time.Sleep(time.Millisecond)
	}
}

// A named pipe is one for all who open it.
func TestFifo(t *testing.T) {
	r := newRig(t, 8<<20, Options{})
	n := r.create("p", libos.ModeFIFO|0o600)
	done := make(chan string)
	go func() {
		f, errno := r.find("p").Open(oRDONLY)
		b := make([]byte, 10)
		k := 0
		if errno == 0 {
			k, _ = f.Read(b)
			f.Close()
		}
		done <- string(b[:k])
	}()
	w, errno := n.Open(oWRONLY)
	r.want(errno, 0)
	w.Write([]byte("piped"))
	if got := <-done; got != "piped" {
		t.Errorf("read %q", got)
	}
	r.want(w.Close(), 0)
	_, errno = r.create("s", libos.ModeSocket|0o600).Open(oRDWR)
	r.want(errno, libos.ENXIO)
	_, errno = r.root().Create("c", &libos.Attr{Mode: libos.ModeChar | 0o600}, "")
	r.want(errno, libos.EPERM)
	r.sound()
}
