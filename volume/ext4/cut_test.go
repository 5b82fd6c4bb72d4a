package ext4_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/xtest"
	"github.com/tailor-os/tailor/volume/cuttest"
	"github.com/tailor-os/tailor/volume/ext4"
)

// A promise is what a file must hold if the power fails between two moments.
type promise struct {
	name        string
	data        []byte // nil: it must not be there
	from, until int    // events of the disk's log
}

// A worker works with some files, and notes what was promised.
type worker struct {
	t        testing.TB
	d        *cuttest.Disk
	fs       *ext4.FS
	r        *rand.Rand
	files    map[string]*content
	promises []*promise
	nextID   byte
	max      int
	held     []*ext4.Inode // open files that may have no name any more
	dir      string
	broken   bool // the disk fails
}

// content is what a file holds. Its even bytes are 0 or its id.
type content struct {
	id   byte
	data []byte
}

const noPower = 1 << 60

func (w *worker) now() int { return w.d.Events() }

// touch ends the promises about a name.
func (w *worker) touch(name string) {
	for _, p := range w.promises {
		if p.name == name && p.until == noPower {
			p.until = w.now()
		}
	}
}

func (w *worker) promise(name string) {
	w.touch(name)
	p := &promise{name: name, from: w.now(), until: noPower}
	if c := w.files[name]; c != nil {
		p.data = append([]byte{}, c.data...)
	}
	w.promises = append(w.promises, p)
}

// must fails the test if something failed that may not.
func (w *worker) must(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}

// did reports whether something was done. It may only fail where the disk may;
// then nothing was changed.
func (w *worker) did(err error) bool {
	w.t.Helper()
	if code := ext4.Code(err); w.broken && (code == ext4.EIO || code == ext4.EROFS) {
		return false
	}
	w.must(err)
	return true
}

func workName(i int) string { return fmt.Sprintf("file-%d", i) }

const workNames = 14

func (w *worker) step() {
	root, err := w.fs.Root()
	if !w.did(err) {
		return
	}
	dir, err := root.Lookup(w.dir)
	if !w.did(err) {
		return
	}
	name := workName(w.r.IntN(workNames))
	c := w.files[name]
	switch k := w.r.IntN(20); {
	case c == nil:
		w.touch(name)
		_, err := dir.Create(name, ext4.Attr{Mode: ext4.ModeReg | 0o600}, "")
		if w.did(err) {
			w.nextID = w.nextID%250 + 1
			w.files[name] = &content{id: w.nextID}
		}
	case k < 10:
		w.write(dir, name, c)
	case k < 12:
		w.touch(name)
		size := w.r.IntN(len(c.data)*5/4 + 1)
		in, err := dir.Lookup(name)
		if w.did(err) && w.did(in.Truncate(int64(size))) {
			c.resize(size)
		}
	case k < 15:
		w.rename(dir, name)
	case k < 17:
		w.unlink(dir, name)
	case k < 18:
		if w.did(w.fs.Sync()) {
			for i := range workNames {
				w.promise(workName(i))
			}
		}
	default:
		sub := fmt.Sprintf("dir-%d", w.r.IntN(5))
		if _, err := dir.Create(sub, ext4.Attr{Mode: ext4.ModeDir | 0o700}, ""); err == ext4.EEXIST {
			w.did(dir.Unlink(sub, true))
		} else {
			w.did(err)
		}
	}
}

// unlink removes a file, which may be open: then it is closed some time.
func (w *worker) unlink(dir *ext4.Inode, name string) {
	in, err := dir.Lookup(name)
	if !w.did(err) {
		return
	}
	if w.r.IntN(2) == 0 {
		w.must(in.Open())
		w.held = append(w.held, in)
	}
	w.touch(name)
	if w.did(dir.Unlink(name, false)) {
		delete(w.files, name)
	}
	if len(w.held) > w.r.IntN(6) {
		i := w.r.IntN(len(w.held))
		w.did(w.held[i].Close())
		w.held = slices.Delete(w.held, i, i+1)
	}
}

func (c *content) resize(n int) {
	if n < len(c.data) {
		c.data = c.data[:n:n]
	} else {
		c.data = append(c.data, make([]byte, n-len(c.data))...)
	}
}

func (w *worker) write(dir *ext4.Inode, name string, c *content) {
	w.touch(name)
	in, err := dir.Lookup(name)
	if !w.did(err) {
		return
	}
	off := len(c.data)
	switch w.r.IntN(4) {
	case 0:
		off = w.r.IntN(len(c.data) + 1)
	case 1:
		off += w.r.IntN(5000)
	}
	p := make([]byte, 1+w.r.IntN(w.max))
	seq := byte(w.r.Uint32())
	for i := range p {
		if p[i] = seq; (off+i)%2 == 0 {
			p[i] = c.id
		}
	}
	n, err := in.WriteAt(p, int64(off))
	if err != ext4.ENOSPC {
		w.did(err)
	}
	if n > 0 {
		c.resize(max(len(c.data), off+n))
		copy(c.data[off:], p[:n])
	}
	if w.r.IntN(2) == 0 {
		if w.did(in.Sync()) {
			w.promise(name)
		}
	}
}

func (w *worker) rename(dir *ext4.Inode, name string) {
	to := workName(w.r.IntN(workNames))
	if to == name {
		return
	}
	w.touch(name)
	w.touch(to)
	if w.did(dir.Rename(name, dir, to, 0)) {
		w.files[to] = w.files[name]
		delete(w.files, name)
	}
}

// verify checks a state after a power cut.
func (w *worker) verify(s *cuttest.State) error {
	if problems, err := ext4.Check(s); err != nil || len(problems) > 0 {
		return fmt.Errorf("check before mounting: %v %q", err, problems)
	}
	fs, err := ext4.Open(s, ext4.Options{CacheBytes: ext4.MinCache})
	if err != nil {
		return err
	}
	root, err := fs.Root()
	if err != nil {
		return err
	}
	dir, err := root.Lookup(w.dir)
	if err != nil {
		return err
	}
	if err := w.kept(s, dir); err != nil {
		return err
	}
	if err := own(dir); err != nil {
		return err
	}
	if err := fs.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if problems, err := ext4.Check(s); err != nil || len(problems) > 0 {
		return fmt.Errorf("check after mounting: %v %q", err, problems)
	}
	return nil
}

// kept checks the promises.
func (w *worker) kept(s *cuttest.State, dir *ext4.Inode) error {
	for _, p := range w.promises {
		if s.At < p.from || s.At > p.until {
			continue
		}
		in, err := dir.Lookup(p.name)
		if p.data == nil {
			if err != ext4.ENOENT {
				return fmt.Errorf("%s should not be there: %v", p.name, err)
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("%s is lost: %w", p.name, err)
		}
		got := make([]byte, len(p.data)+1)
		n, err := in.ReadAt(got, 0)
		if err != nil || !bytes.Equal(got[:n], p.data) {
			return fmt.Errorf("%s holds %d bytes that are not the %d promised (%v), they differ at %d", p.name, n, len(p.data), err, differ(got, p.data))
		}
	}
	return nil
}

// own checks that no file shows what is not its own.
func own(dir *ext4.Inode) error {
	var names []string
	if err := dir.ReadDir(0, func(e ext4.DirEntry) bool {
		if e.Mode == ext4.ModeReg {
			names = append(names, e.Name)
		}
		return true
	}); err != nil {
		return err
	}
	for _, name := range names {
		in, err := dir.Lookup(name)
		if err != nil {
			return err
		}
		p := make([]byte, in.Attr().Size)
		if n, err := in.ReadAt(p, 0); err != nil || n != len(p) {
			return fmt.Errorf("%s: read %d of %d: %v", name, n, len(p), err)
		}
		id := byte(0)
		for i := 0; i < len(p); i += 2 {
			if p[i] != 0 && id != 0 && p[i] != id {
				return fmt.Errorf("%s shows what is not its own at byte %d: %#x, not %#x", name, i, p[i], id)
			}
			if p[i] != 0 {
				id = p[i]
			}
		}
	}
	return nil
}

// newWorker makes a volume on a disk full of what somebody left there.
func newWorker(t testing.TB, size int64, seed uint64, o ext4.Options) *worker {
	d := cuttest.New(size)
	for i := range d.Bytes() {
		d.Bytes()[i] = byte(i/512) | 1
	}
	if err := ext4.Mkfs(d, ext4.MkfsOptions{UUID: [16]byte{byte(seed)}}); err != nil {
		t.Fatal(err)
	}
	w := &worker{t: t, d: d, r: rand.New(rand.NewPCG(seed, 1)), files: map[string]*content{}, max: 12000, dir: "d"}
	w.fs = open(t, d, o)
	root, _ := w.fs.Root()
	if _, err := root.Create("d", ext4.Attr{Mode: ext4.ModeDir | 0o700}, ""); err != nil {
		t.Fatal(err)
	}
	if err := w.fs.Sync(); err != nil {
		t.Fatal(err)
	}
	d.Record()
	return w
}

// TestPowerCut cuts the power at every write of some work, and looks at what there
// may be afterwards: structure and promises are kept.
func TestPowerCut(t *testing.T) {
	total, start := 0, time.Now()
	seeds := []uint64{1, 5, 2, 3, 4, 6}
	if testing.Short() {
		seeds = seeds[:2]
	}
	for _, seed := range seeds {
		w := newWorker(t, 4<<20, seed, ext4.Options{CacheBytes: ext4.MinCache << (seed % 3), Discard: seed%2 == 0})
		if seed > 3 {
			w.fs.WriteDirect(2048)
		}
		for range 150 {
			w.step()
		}
		if seed%2 == 0 {
			closeFS(t, w.fs)
		}
		sample := 0
		total += cuttest.Cuts(w.d, seed, 1, func(s *cuttest.State) {
			if err := w.verify(s); err != nil {
				t.Fatalf("seed %d, cut at event %d, %s: %v", seed, s.At, s.How, err)
			}
			if sample++; sample%97 == 0 {
				fsck(t, s.Bytes())
			}
		})
	}
	t.Logf("%d states of seeds %v in %v", total, seeds, time.Since(start))
}

// TestPowerCutTwo does the same with two who work at the same time, so that one
// changes what the other is just making durable.
func TestPowerCutTwo(t *testing.T) {
	total, seeds := 0, uint64(6)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		w := newWorker(t, 4<<20, seed, ext4.Options{CacheBytes: ext4.MinCache})
		root, _ := w.fs.Root()
		if _, err := root.Create("e", ext4.Attr{Mode: ext4.ModeDir | 0o700}, ""); err != nil {
			t.Fatal(err)
		}
		if err := w.fs.Sync(); err != nil {
			t.Fatal(err)
		}
		w.d.Record()
		other := &worker{t: t, d: w.d, fs: w.fs, r: rand.New(rand.NewPCG(seed, 2)), files: map[string]*content{}, max: 5000, dir: "e", nextID: 125}
		w.d.Yield = runtime.Gosched
		if seed%2 == 1 {
			w.fs.CheckpointOften()
		}
		if seed > 1 {
			w.fs.WriteDirect(2048)
		}
		var wg sync.WaitGroup
		for _, one := range []*worker{w, other} {
			wg.Go(func() {
				for range 250 {
					one.step()
				}
			})
		}
		wg.Wait()
		w.d.Yield = nil
		total += cuttest.Cuts(w.d, seed, 0, func(s *cuttest.State) {
			for _, one := range []*worker{w, other} {
				if err := one.verify(s); err != nil {
					t.Fatalf("seed %d, cut at event %d, %s: %v", seed, s.At, s.How, err)
				}
			}
		})
	}
	t.Logf("%d states", total)
}

// TestPowerCutMounting cuts the power while a volume is mounted after a power cut.
func TestPowerCutMounting(t *testing.T) {
	w := newWorker(t, 4<<20, 11, ext4.Options{CacheBytes: ext4.MinCache})
	for range 100 {
		w.step()
	}
	total, n := 0, 0
	cuttest.Cuts(w.d, 11, 0, func(first *cuttest.State) {
		if n++; n%9 != 0 {
			return
		}
		d := cuttest.From(bytes.Clone(first.Bytes()))
		d.Record()
		fs, err := ext4.Open(d, ext4.Options{CacheBytes: ext4.MinCache})
		if err != nil {
			t.Fatal(err)
		}
		closeFS(t, fs)
		total += cuttest.Cuts(d, 12, 1, func(s *cuttest.State) {
			s.At, s.How = first.At, fmt.Sprint(first.How, ", then at event ", s.At, " of mounting, ", s.How)
			if err := w.verify(s); err != nil {
				t.Fatalf("cut at event %d, %s: %v", s.At, s.How, err)
			}
		})
	})
	t.Logf("%d states", total)
}

// TestPowerCutFragments cuts the power while files of thousands of pieces become
// shorter or are removed, which takes several transactions.
func TestPowerCutFragments(t *testing.T) {
	w := newWorker(t, 16<<20, 13, ext4.Options{CacheBytes: 1 << 20})
	root, _ := w.fs.Root()
	dir, err := root.Lookup(w.dir)
	w.must(err)
	for _, name := range []string{"cut", "removed"} {
		in, err := dir.Create(name, ext4.Attr{Mode: ext4.ModeReg | 0o600}, "")
		w.must(err)
		for i := range int64(3500) {
			if _, err := in.WriteAt([]byte{7}, 2048*i); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.must(w.fs.Sync())
	w.fs.SmallTransactions()
	w.d.Record()
	in, err := dir.Lookup("cut")
	w.must(err)
	w.must(in.Truncate(5000))
	w.must(dir.Unlink("removed", false))
	w.must(w.fs.Sync())
	_, log := w.d.Log()
	n := cuttest.Cuts(w.d, 13, 1, func(s *cuttest.State) {
		if err := w.verify(s); err != nil {
			t.Fatalf("cut at event %d, %s: %v", s.At, s.How, err)
		}
	})
	t.Logf("%d states of %d events", n, len(log))
}

// A block that looks as if it were the journal's own is replayed as it was.
func TestReplayEscaped(t *testing.T) {
	d := newDisk(t, 4<<20)
	fs := open(t, d, ext4.Options{})
	root, _ := fs.Root()
	target := "\xC0\x3B\x39\x98" + strings.Repeat("x", 200)
	if _, err := root.Create("link", ext4.Attr{Mode: ext4.ModeLink | 0o777}, target); err != nil {
		t.Fatal(err)
	}
	if err := fs.Sync(); err != nil {
		t.Fatal(err)
	}
	for _, ro := range []bool{true, false} { // and without a close before
		fs = open(t, cuttest.From(bytes.Clone(d.Bytes())), ext4.Options{ReadOnly: ro})
		root, _ = fs.Root()
		in, err := root.Lookup("link")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := in.Readlink(); got != target || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	debugfs(t, d.Bytes(), "logdump")
	// Linux's own tools replay it, too.
	name := image(t, d.Bytes())
	if out, err := exec.Command(xtest.NeedCommand(t, "e2fsck", "e2fsprogs"), "-fy", name).CombinedOutput(); err != nil && err.(*exec.ExitError).ExitCode() > 1 {
		t.Fatalf("e2fsck: %v: %s", err, out)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	fs = open(t, cuttest.From(data), ext4.Options{})
	root, _ = fs.Root()
	in, err := root.Lookup("link")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := in.Readlink(); got != target || err != nil {
		t.Errorf("after e2fsck: %q, %v", got, err)
	}
}
