package libos

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// A fifoCall is a random call on a named pipe, of which a test has four opened.
type fifoCall struct {
	num   uintptr
	slot  int
	n     int
	flags uintptr
}

// randomFifoCall opens without waiting, and writes little: how much fits
// depends on how Linux puts it into pages.
func randomFifoCall(r *rand.Rand) fifoCall {
	return fifoCall{
		num: []uintptr{nr_open, nr_open, nr_read, nr_read, nr_write, nr_write, nr_ioctl, nr_poll, nr_poll,
			nr_lseek, nr_close}[r.IntN(11)],
		slot: r.IntN(4), n: r.IntN(100),
		flags: []uintptr{oRDONLY, oWRONLY, oRDWR}[r.IntN(3)] | oNONBLOCK,
	}
}

// kept keeps the buffers of a call in the heap, where they do not move.
var kept []any

// call makes a call whose pointers are strings and slices of bytes.
func (x *side) call(num uintptr, args ...any) (uintptr, Errno) {
	var a [6]uintptr
	kept = kept[:0]
	for i, arg := range args {
		switch v := arg.(type) {
		case uintptr:
			a[i] = v
		case string:
			p := str(v)
			kept = append(kept, p)
			a[i] = ptr(p)
		case []byte:
			kept = append(kept, v)
			a[i] = ptr(&v[0])
		}
	}
	return x.enter(num, &a)
}

// fifo carries out c with the named pipe at path and returns what came of it.
func (x *side) fifo(c fifoCall, path string) (out []byte, r uintptr, errno Errno) {
	fd := x.fds[c.slot]
	out = make([]byte, 101)
	switch c.num {
	case nr_open:
		x.call(nr_close, fd)
		x.fds[c.slot], errno = x.call(nr_open, path, c.flags)
		if errno != 0 {
			x.fds[c.slot] = ^uintptr(0)
		}
	case nr_close:
		_, errno = x.call(nr_close, fd)
		x.fds[c.slot] = ^uintptr(0)
	case nr_ioctl:
		r, errno = x.call(nr_ioctl, fd, uintptr(ioFIONREAD), out)
	case nr_lseek:
		r, errno = x.call(nr_lseek, fd, uintptr(0), uintptr(1))
	case nr_poll:
		p := []byte{byte(fd), byte(fd >> 8), byte(fd >> 16), byte(fd >> 24), ReadyIn | ReadyOut | pollRdNorm, pollWrNorm >> 8, 0, 0}
		r, errno = x.call(nr_poll, p, uintptr(1), uintptr(0))
		copy(out, p[6:])
	case nr_write:
		for i := range out {
			out[i] = byte(c.n + i)
		}
		fallthrough
	default:
		r, errno = x.call(c.num, fd, out, uintptr(c.n))
	}
	return out, r, errno
}

// TestFifoParity runs random calls that do not wait on a named pipe against Linux
// and libos.
func TestFifoParity(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	tried, good := 0, 0
	for n := range uint64(200) {
		sides, paths := fifoSides(t)
		r := rand.New(rand.NewPCG(seed, n))
		for i := range 60 {
			c := randomFifoCall(r)
			out, ret, errno := sides[0].fifo(c, paths[0])
			out2, ret2, errno2 := sides[1].fifo(c, paths[1])
			if !bytes.Equal(out, out2) || ret != ret2 || errno != errno2 {
				t.Fatalf("seed %d,%d, call %d, %s %+v: Linux %d, errno %d, %v, libos %d, errno %d, %v",
					seed, n, i, CallName(c.num), c, ret, errno, out[:4], ret2, errno2, out2[:4])
			}
			tried++
			if errno == 0 {
				good++
			}
		}
		for _, fd := range sides[0].fds {
			sides[0].call(nr_close, fd)
		}
	}
	if good < tried/3 {
		t.Errorf("%d of %d calls succeed: the sequences test little but errors", good, tried)
	}
}

// fifoSides makes a named pipe on Linux and in a new libos.
func fifoSides(t *testing.T) (sides [2]*side, paths [2]string) {
	t.Helper()
	UseAll()
	reset(t)
	none := ^uintptr(0)
	sides = [2]*side{{enter: linuxEnter}, {enter: libosEnter}}
	paths = [2]string{t.TempDir() + "/fifo", "/fifo"}
	for i, x := range sides {
		x.fds = []uintptr{none, none, none, none}
		_, errno := x.call(nr_mknod, paths[i], uintptr(ModeFIFO|0o640))
		want(t, errno, 0)
	}
	return sides, paths
}

// A testFifo is a named pipe in a new libos.
type testFifo struct{ *side }

func newTestFifo(t *testing.T) testFifo {
	t.Helper()
	sides, _ := fifoSides(t)
	return testFifo{sides[1]}
}

func (f testFifo) open(t *testing.T, flags uintptr) fdFile {
	t.Helper()
	fd, errno := sys(nr_open, ptr(str("/fifo")), flags, 0)
	want(t, errno, 0)
	return fdFile(fd)
}

func TestFifoAttributes(t *testing.T) {
	fd := newTestFifo(t).open(t, oRDWR)
	var byPath, byFD stat
	_, errno := sys(nr_stat, ptr(str("/fifo")), ptr(&byPath))
	want(t, errno, 0)
	_, errno = sys(nr_fstat, uintptr(fd), ptr(&byFD))
	want(t, errno, 0)
	if byPath != byFD || byPath.mode != ModeFIFO|0o640 {
		t.Errorf("stat %+v, fstat %+v", byPath, byFD)
	}
}

// TestFifoOpenWaits opens each side before the other.
func TestFifoOpenWaits(t *testing.T) {
	for _, first := range []uintptr{oRDONLY, oWRONLY} {
		f := newTestFifo(t)
		opened := make(chan fdFile, 1)
		go func() { opened <- f.open(t, first) }()
		select {
		case <-opened:
			t.Fatal("open did not wait for the other side")
		case <-time.After(20 * time.Millisecond):
		}
		other := f.open(t, first^oWRONLY)
		r, w := <-opened, other
		if first == oWRONLY {
			r, w = w, r
		}
		fifoCarries(t, r, w)
	}
}

// fifoCarries checks that all of what is written arrives, and then the end.
func fifoCarries(t *testing.T, r, w fdFile) {
	t.Helper()
	data := bytes.Repeat([]byte("named pipe "), 20000)
	go func() {
		w.Write(data)
		w.close(t)
	}()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d of %d bytes: %v", len(got), len(data), err)
	}
	r.close(t)
}

// TestFifoOpenNoticesAPartnerThatLeft: who waits to read goes on if a writer
// came, even if it has closed already.
func TestFifoOpenNoticesAPartnerThatLeft(t *testing.T) {
	f := newTestFifo(t)
	opened := make(chan fdFile, 1)
	go func() { opened <- f.open(t, oRDONLY) }()
	for w, end := ^uintptr(0), time.Now().Add(10*time.Second); w == ^uintptr(0); time.Sleep(time.Millisecond) {
		var errno Errno
		if w, errno = sys(nr_open, ptr(str("/fifo")), oWRONLY|oNONBLOCK, 0); errno == 0 {
			fdFile(w).close(t)
		} else if time.Now().After(end) {
			t.Fatalf("no reader came: errno %d", errno)
		}
	}
	if n, err := (<-opened).Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read: %d, %v", n, err)
	}
}

// TestFifoWakesAllReaders: each open file of a named pipe is told.
func TestFifoWakesAllReaders(t *testing.T) {
	f := newTestFifo(t)
	woken := make(chan uintptr, 8)
	Hooks.PollNotify = func(fd uintptr, _ int32) { woken <- fd }
	a, b := f.open(t, oRDONLY|oNONBLOCK), f.open(t, oRDONLY|oNONBLOCK)
	w := f.open(t, oWRONLY)
	want(t, PollOpen(uintptr(a)), 0)
	want(t, PollOpen(uintptr(b)), 0)
	w.Write([]byte("x"))
	for range 2 {
		select {
		case fd := <-woken:
			if fd != uintptr(a) && fd != uintptr(b) {
				t.Errorf("told descriptor %d", fd)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a reader was not told")
		}
	}
}
