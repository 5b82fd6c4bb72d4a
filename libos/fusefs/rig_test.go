package fusefs

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tailor-os/tailor/internal/hostfs"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/fuse"
)

// clock is the monotonic time, which stands still unless a test moves it.
var clock atomic.Int64

func TestMain(m *testing.M) {
	libos.Hooks.Now = clock.Load
	os.Exit(m.Run())
}

// A direct connection calls a server as if it were in the same program.
type direct struct {
	mu     sync.Mutex
	server *hostfs.Server
	count  map[uint32]int // requests by operation
	told   uint64         // nodes given back
	fail   error
}

func (c *direct) Call(out, in [2][]byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return 0, c.fail
	}
	c.count[fuse.NewDecoder(out[0]).InHeader().Op]++
	var bufs [][]byte
	for _, b := range in {
		if len(b) > 0 { // as a ring does
			bufs = append(bufs, b)
		}
	}
	n, later := c.server.Handle(out[:], bufs)
	if later != nil {
		n = copy(in[0], later())
	}
	return n, nil
}

func (c *direct) Cast(out, in []byte, done func()) error {
	_, err := c.Call([2][]byte{out}, [2][]byte{in})
	if err == nil {
		done()
	}
	return err
}

func (c *direct) Forget(out []byte) error {
	_, err := c.Call([2][]byte{out}, [2][]byte{})
	d := fuse.NewDecoder(out)
	d.InHeader()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told += uint64(d.U32())
	return err
}

// calls returns the number of requests of an operation, all for 0.
func (c *direct) calls(op uint32) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for o, k := range c.count {
		if op == 0 || o == op {
			n += k
		}
	}
	return n
}

// A rig is a file system on a folder of the host.
type rig struct {
	testing.TB
	dir  string
	conn *direct
	fs   *FS
}

func newRig(t testing.TB, mode hostfs.Mode, o Options) *rig {
	t.Helper()
	r := &rig{TB: t, dir: t.TempDir()}
	server, err := hostfs.New(hostfs.Share{Dir: r.dir, Mode: mode})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r.conn = &direct{server: server, count: map[uint32]int{}}
	r.fs = New(r.conn, o)
	return r
}

// host writes a file on the host.
func (r *rig) host(name, text string) {
	r.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
}

// find looks a path up.
func (r *rig) find(names ...string) libos.Node {
	r.Helper()
	var n libos.Node = r.fs.Root()
	for _, name := range names {
		var errno libos.Errno
		if n, errno = n.(libos.Directory).Lookup(name); errno != 0 {
			r.Fatalf("%v: %s: error %d", names, name, errno)
		}
	}
	return n
}

func (r *rig) dirAt(names ...string) libos.WritableDirectory {
	r.Helper()
	return r.find(names...).(libos.WritableDirectory)
}

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

// names lists a directory.
func (r *rig) names(d libos.Directory) (list []libos.Entry) {
	r.Helper()
	for at := int64(0); ; {
		e, ok, errno := d.Next(at)
		if errno != 0 {
			r.Fatalf("next after %d: error %d", at, errno)
		}
		if !ok {
			return list
		}
		if e.Cookie <= at {
			r.Fatalf("cookie %d after %d", e.Cookie, at)
		}
		list, at = append(list, e), e.Cookie
	}
}
