package blockfile

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/block/blocktest"
	"github.com/tailor-os/tailor/libos"
)

// file opens a device.
func file(t testing.TB, d block.Device, fixed func([]byte) bool, flags uint32) *open {
	t.Helper()
	f, errno := New(d, fixed).Open(flags)
	if errno != 0 {
		t.Fatalf("open: error %d", errno)
	}
	return f.(*open)
}

// sizes are of sectors.
var sizes = []int{512, 4096}

// Reads and writes at any offset and of any length do to a device what they do to
// memory, whether the device is given the program's buffers or not.
func TestModel(t *testing.T) {
	for _, sector := range sizes {
		for _, fixed := range []func([]byte) bool{nil, func([]byte) bool { return false }} {
			r := rand.New(rand.NewPCG(uint64(sector), 1))
			d := blocktest.New(1 << 20)
			d.Sector = sector
			f, model := file(t, d, fixed, 0), make([]byte, 1<<20)
			for range 2000 {
				off, n := r.Int64N(1<<20), r.IntN(9000)
				switch r.IntN(8) {
				case 0:
					n = r.IntN(200 << 10)
				case 1:
					off, n = off&^int64(sector-1), n&^(sector-1)
				}
				p := make([]byte, n)
				if r.IntN(2) == 0 {
					for i := range p {
						p[i] = byte(r.Uint32())
					}
					got, errno := f.WriteAt(p, off)
					if want := copy(model[off:], p); got != want || errno != 0 {
						t.Fatalf("write %d at %d: %d, error %d, want %d", n, off, got, errno, want)
					}
					continue
				}
				got, errno := f.ReadAt(p, off)
				want := model[off:min(off+int64(n), 1<<20)]
				if errno != 0 || !bytes.Equal(p[:got], want) {
					t.Fatalf("read %d at %d: %d, error %d", n, off, got, errno)
				}
			}
			if !bytes.Equal(d.Data, model) {
				t.Error("the device has something else")
			}
		}
	}
}

// Buffers that may move are never given to the device.
func TestMoving(t *testing.T) {
	p := make([]byte, 8192)
	s := &spy{Device: blocktest.New(1 << 20), not: &p[0]}
	for _, moves := range []bool{true, false} {
		f := file(t, s, func([]byte) bool { return !moves }, 0)
		s.seen = false
		f.WriteAt(p, 4096)
		f.ReadAt(p, 4096)
		if s.seen == moves {
			t.Errorf("moves %v: the device was given the buffer: %v", moves, s.seen)
		}
	}
}

// A spy looks for a buffer in the requests of a device.
type spy struct {
	block.Device
	not  *byte
	seen bool
}

func (s *spy) ReadAt(p []byte, off int64) error {
	s.seen = s.seen || &p[0] == s.not
	return s.Device.ReadAt(p, off)
}

func (s *spy) WriteAt(p []byte, off int64) error {
	s.seen = s.seen || &p[0] == s.not
	return s.Device.WriteAt(p, off)
}

// slow lets others run between the requests of one write.
type slow struct {
	block.Device
	turn chan struct{}
}

func (s slow) ReadAt(p []byte, off int64) error {
	err := s.Device.ReadAt(p, off)
	s.turn <- struct{}{}
	<-s.turn
	return err
}

// Writes to parts of one sector at the same time are all there afterwards.
func TestSharedSector(t *testing.T) {
	const writers, each = 16, 50
	d := blocktest.New(4096)
	f := file(t, slow{d, make(chan struct{}, 1)}, nil, 0)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			p := bytes.Repeat([]byte{byte(i + 1)}, 8)
			for range each {
				if n, errno := f.WriteAt(p, int64(500+8*i)); n != 8 || errno != 0 {
					t.Errorf("%d, error %d", n, errno)
				}
			}
		})
	}
	group.Wait()
	for i := range writers {
		if got := d.Data[500+8*i:][:8]; !bytes.Equal(got, bytes.Repeat([]byte{byte(i + 1)}, 8)) {
			t.Errorf("writer %d: %v", i, got)
		}
	}
	if len(f.disk.writes.busy) != 0 {
		t.Error("a part is still being written")
	}
}

// What the device does not do is EIO; what it did before that is told first.
func TestFailing(t *testing.T) {
	d := blocktest.New(1 << 20)
	f, p := file(t, d, func([]byte) bool { return false }, 0), make([]byte, 3*maxBounce)
	for op, call := range map[string]func() libos.Errno{
		"read":    func() libos.Errno { _, errno := f.ReadAt(p, 0); return errno },
		"write":   func() libos.Errno { _, errno := f.WriteAt(p, 0); return errno },
		"flush":   f.Sync,
		"discard": func() libos.Errno { return f.erase(libos.BLKDISCARD, 0, 512, true) },
	} {
		d.Fail = func(o string, _, _ int64) error {
			if o == op {
				return errors.New("broken")
			}
			return nil
		}
		if errno := call(); errno != libos.EIO {
			t.Errorf("%s: error %d", op, errno)
		}
	}
	d.Fail = func(op string, _, _ int64) error { // of a partly written sector
		if op == "read" {
			return block.ErrIO
		}
		return nil
	}
	if n, errno := f.WriteAt(p[:100], 0); n != 0 || errno != libos.EIO {
		t.Errorf("a sector that cannot be read: %d, error %d", n, errno)
	}
	d.Fail = func(_ string, off, _ int64) error {
		if off >= 2*maxBounce {
			return block.ErrIO
		}
		return nil
	}
	for _, call := range []func([]byte, int64) (int, libos.Errno){f.ReadAt, f.WriteAt} {
		if n, errno := call(p, 0); n != 2*maxBounce || errno != 0 {
			t.Errorf("in front of a bad sector: %d, error %d", n, errno)
		}
		if n, errno := call(p, 2*maxBounce); n != 0 || errno != libos.EIO {
			t.Errorf("at a bad sector: %d, error %d", n, errno)
		}
	}
}

// With O_DSYNC a write is made durable, or fails.
func TestSync(t *testing.T) {
	d, flushes := blocktest.New(4096), 0
	var fail error
	d.Fail = func(op string, _, _ int64) error {
		if op != "flush" {
			return nil
		}
		flushes++
		return fail
	}
	f, s := file(t, d, nil, 0), file(t, d, nil, 0x101000)
	f.WriteAt([]byte("x"), 1)
	if flushes != 0 {
		t.Error("a write flushes")
	}
	if _, errno := s.Write([]byte("x")); errno != 0 || flushes != 1 {
		t.Errorf("error %d, %d flushes", errno, flushes)
	}
	fail = block.ErrIO
	if n, errno := s.Write([]byte("x")); n != 0 || errno != libos.EIO {
		t.Errorf("%d, error %d", n, errno)
	}
	if errno := f.Control(libos.BLKFLSBUF, nil, false); errno != libos.EIO || flushes != 3 {
		t.Errorf("error %d, %d flushes", errno, flushes)
	}
}

// Zeros are zeros, whatever a discard would leave.
func TestZero(t *testing.T) {
	d := blocktest.New(256 << 10)
	for i := range d.Data {
		d.Data[i] = 7
	}
	f := file(t, d, nil, 0)
	if errno := f.Allocate(libos.FallocZeroRange, 512, 200<<10); errno != 0 {
		t.Fatalf("error %d", errno)
	}
	if d.Data[511] != 7 || d.Data[512+200<<10] != 7 || !bytes.Equal(d.Data[512:][:200<<10], make([]byte, 200<<10)) {
		t.Error("not what was asked for is zero")
	}
	if errno := f.Allocate(libos.FallocPunchHole|libos.FallocKeepSize, 0, 512); errno != libos.EOPNOTSUPP {
		t.Errorf("a hole: error %d", errno)
	}
}
