package extfs

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/tailor-os/tailor/block/blocktest"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/volume/ext4"
)

// later is what would be done some seconds later; tests do it when they want.
var later struct {
	sync.Mutex
	list []func()
}

func TestMain(m *testing.M) {
	libos.Hooks.WallNow = func() int64 { return 1_700_000_000_123_456_789 }
	libos.Hooks.AfterFunc = func(_ int64, f func()) func() {
		later.Lock()
		defer later.Unlock()
		later.list = append(later.list, f)
		return func() {}
	}
	os.Exit(m.Run())
}

// A rig is a volume in memory.
type rig struct {
	testing.TB
	dev *blocktest.Mem
	fs  *FS
}

func newRig(t testing.TB, size int64, o Options) *rig {
	t.Helper()
	r := &rig{TB: t, dev: blocktest.New(size)}
	if err := ext4.Mkfs(r.dev, ext4.MkfsOptions{}); err != nil {
		t.Fatal(err)
	}
	r.reopen(o)
	return r
}

func (r *rig) reopen(o Options) {
	r.Helper()
	fs, err := Open(r.dev, o)
	if err != nil {
		r.Fatal(err)
	}
	r.fs = fs
}

// sound closes the volume and checks it.
func (r *rig) sound() {
	r.Helper()
	if errno := r.fs.Close(); errno != 0 {
		r.Errorf("close: error %d", errno)
	}
	if problems, err := ext4.Check(r.dev); err != nil || len(problems) > 0 {
		r.Errorf("check: %v %q", err, problems)
	}
}

// after returns another rig with what the device holds now.
func (r *rig) after(o Options) *rig {
	r.Helper()
	now := make([]byte, r.dev.Size())
	if err := r.dev.ReadAt(now, 0); err != nil {
		r.Fatal(err)
	}
	n := &rig{TB: r.TB, dev: blocktest.Of(now)}
	n.reopen(o)
	return n
}

func (r *rig) root() libos.WritableDirectory { return r.fs.Root().(libos.WritableDirectory) }

// find looks a path up.
func (r *rig) find(path string) libos.Node {
	r.Helper()
	var n libos.Node = r.fs.Root()
	for name := range strings.SplitSeq(path, "/") {
		var errno libos.Errno
		if n, errno = n.(libos.Directory).Lookup(name); errno != 0 {
			r.Fatalf("%s: error %d", path, errno)
		}
	}
	return n
}

func (r *rig) create(name string, mode uint32) libos.Node {
	r.Helper()
	n, errno := r.root().Create(name, &libos.Attr{Mode: mode}, "target")
	r.want(errno, 0)
	return n
}

// file makes and opens a file.
func (r *rig) file(name string) libos.SeekFile {
	r.Helper()
	return r.open(r.create(name, libos.ModeReg|0o644), oRDWR)
}

const (
	oRDONLY = 0
	oWRONLY = 1
	oRDWR   = 2
)

func (r *rig) open(n libos.Node, flags uint32) libos.SeekFile {
	r.Helper()
	f, errno := n.Open(flags)
	if errno != 0 {
		r.Fatalf("open: error %d", errno)
	}
	return f.(libos.SeekFile)
}

func (r *rig) want(errno, want libos.Errno) {
	r.Helper()
	if errno != want {
		r.Errorf("error %d, want %d", errno, want)
	}
}

func (r *rig) write(f libos.SeekFile, text string) {
	r.Helper()
	if n, errno := f.Write([]byte(text)); n != len(text) || errno != 0 {
		r.Errorf("wrote %d of %d, error %d", n, len(text), errno)
	}
}

// contents reads all of a file.
func (r *rig) contents(n libos.Node) string {
	r.Helper()
	f := r.open(n, oRDONLY)
	defer f.Close()
	a, _ := n.Attr()
	b := make([]byte, a.Size+1)
	k, errno := f.ReadAt(b, 0)
	r.want(errno, 0)
	return string(b[:k])
}

func sync1(t testing.TB, s any) {
	t.Helper()
	if errno := s.(libos.Syncer).Sync(); errno != 0 {
		t.Errorf("sync: error %d", errno)
	}
}
