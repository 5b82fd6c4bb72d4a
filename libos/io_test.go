package libos

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// fdFile is an os.File of a kind on a descriptor of libos.
type fdFile uintptr

func (f fdFile) Read(p []byte) (int, error) {
	n, errno := sys(nr_read, uintptr(f), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return int(n), nil
}

func (f fdFile) Write(p []byte) (int, error) {
	n, errno := sys(nr_write, uintptr(f), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (f fdFile) close(t testing.TB) {
	t.Helper()
	_, errno := sys(nr_close, uintptr(f))
	want(t, errno, 0)
}

// Error makes an Errno an error in tests.
func (e Errno) Error() string { return CallName(0) + " error" }

func testPipe(t testing.TB, flags uintptr) (r, w fdFile) {
	var pair [2]int32
	_, errno := sys(nr_pipe2, ptr(&pair), flags)
	want(t, errno, 0)
	return fdFile(pair[0]), fdFile(pair[1])
}

func TestPipeCarriesBytes(t *testing.T) {
	reset(t)
	r, w := testPipe(t, 0)
	data := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	go func() {
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+rng.IntN(100_000))
			if k, err := w.Write(rest[:n]); err != nil || k != n {
				t.Errorf("blocking write of %d: %d, %v", n, k, err)
				break
			}
			rest = rest[n:]
		}
		w.close(t)
	}()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	r.close(t)
}

func TestPipeNonblock(t *testing.T) {
	reset(t)
	r, w := testPipe(t, oNONBLOCK)
	buf := make([]byte, pipeSize)
	_, err := r.Read(buf)
	if err != EAGAIN {
		t.Errorf("read of an empty pipe: %v", err)
	}
	if n, err := w.Write(make([]byte, pipeSize+1)); n != pipeSize || err != nil {
		t.Errorf("write of too much: %d, %v", n, err)
	}
	if _, err := w.Write([]byte{1}); err != EAGAIN {
		t.Errorf("write to a full pipe: %v", err)
	}
	r.Read(buf[:pipeBuf-1])
	if _, err := w.Write(buf[:pipeBuf]); err != EAGAIN {
		t.Errorf("a write of PIPE_BUF was split: %v", err)
	}
	if n, err := w.Write(buf[:pipeBuf+1]); n != pipeBuf-1 || err != nil {
		t.Errorf("a longer write: %d, %v", n, err)
	}
	var n int32
	sys(nr_ioctl, uintptr(r), ioFIONREAD, ptr(&n))
	if n != pipeSize {
		t.Errorf("FIONREAD: %d", n)
	}
	r.close(t)
	if _, err := w.Write([]byte{1}); err != EPIPE {
		t.Errorf("write without a reader: %v", err)
	}
	if _, err := r.Read(buf); err != EBADF {
		t.Errorf("read of a closed descriptor: %v", err)
	}
	w.close(t)
}

func TestPipeEndWakesReader(t *testing.T) {
	reset(t)
	r, w := testPipe(t, 0)
	w2, errno := sys(nr_dup, uintptr(w))
	want(t, errno, 0)
	done := make(chan error)
	go func() {
		_, err := r.Read(make([]byte, 1))
		done <- err
	}()
	w.close(t)
	select {
	case err := <-done:
		t.Fatalf("the end came while a writer was left: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	fdFile(w2).close(t)
	if err := <-done; err != io.EOF {
		t.Errorf("after the last writer: %v", err)
	}
}

func TestEventfd(t *testing.T) {
	reset(t)
	fd, errno := sys(nr_eventfd2, 3, efdSemaphore|oNONBLOCK)
	want(t, errno, 0)
	f := fdFile(fd)
	var v [8]byte
	for range 3 {
		if n, err := f.Read(v[:]); n != 8 || err != nil || v[0] != 1 {
			t.Errorf("read %v, %d, %v", v, n, err)
		}
	}
	if _, err := f.Read(v[:]); err != EAGAIN {
		t.Errorf("read at zero: %v", err)
	}
	if _, err := f.Write(bytes.Repeat([]byte{0xff}, 8)); err != EINVAL {
		t.Errorf("write of all ones: %v", err)
	}
	f.Write([]byte{0xfe, 255, 255, 255, 255, 255, 255, 255})
	if _, err := f.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0}); err != EAGAIN {
		t.Errorf("write past the greatest value: %v", err)
	}
	if _, err := f.Read(v[:7]); err != EINVAL {
		t.Errorf("short read: %v", err)
	}
}

func TestPoll(t *testing.T) {
	reset(t)
	r, w := testPipe(t, 0)
	file := openTest(t, "/tmp/f", oRDWR|oCREAT)
	list := [4]pollFD{
		{fd: int32(r), events: ReadyIn}, {fd: int32(w), events: ReadyOut},
		{fd: 99, events: ReadyIn}, {fd: -1, events: ReadyIn},
	}
	n, errno := sys(nr_poll, ptr(&list), 4, 0)
	if n != 2 || errno != 0 || list[0].revents != 0 || list[1].revents != ReadyOut || list[2].revents != pollNval {
		t.Errorf("poll: %d, %d, %v", n, errno, list)
	}
	one := [1]pollFD{{fd: int32(file), events: ReadyIn | ReadyOut}}
	if n, _ := sys(nr_poll, ptr(&one), 1, ^uintptr(0)); n != 1 || one[0].revents != ReadyIn|ReadyOut {
		t.Errorf("a regular file: %v", one)
	}
	begin := time.Now()
	if n, errno := sys(nr_poll, ptr(&list), 1, 20); n != 0 || errno != 0 || time.Since(begin) < 20*time.Millisecond {
		t.Errorf("timeout: %d, %d after %v", n, errno, time.Since(begin))
	}
	go func() { time.Sleep(5 * time.Millisecond); w.Write([]byte{1}) }()
	if n, _ := sys(nr_poll, ptr(&list), 1, ^uintptr(0)); n != 1 || list[0].revents != ReadyIn {
		t.Errorf("woken: %d, %v", n, list[0])
	}
	w.close(t)
	sys(nr_poll, ptr(&list), 1, ^uintptr(0))
	if list[0].revents != ReadyIn|ReadyHup {
		t.Errorf("after the writer: %#x", list[0].revents)
	}
	if d, _ := fds.get(int(r)); len(d.watch.load()) != 0 {
		t.Error("poll left watchers behind")
	}
}

func TestSelect(t *testing.T) {
	reset(t)
	r, w := testPipe(t, 0)
	var in, out [16]uint64
	in[0], out[0] = 1<<r, 1<<w
	tv := Time{0, 0}
	n, errno := sys(nr_select, uintptr(w)+1, ptr(&in), ptr(&out), 0, ptr(&tv))
	if n != 1 || errno != 0 || in[0] != 0 || out[0] != 1<<w {
		t.Errorf("select: %d, %d, %b %b", n, errno, in[0], out[0])
	}
	in[0] = 1 << r
	go w.Write([]byte{1})
	if n, _ := sys(nr_pselect6, uintptr(r)+1, ptr(&in), 0, 0, 0, 0); n != 1 || in[0] != 1<<r {
		t.Errorf("pselect: %d, %b", n, in[0])
	}
	in[0] = 1 << 40
	_, errno = sys(nr_select, 41, ptr(&in), 0, 0, ptr(&tv))
	want(t, errno, EBADF)
}

// epollTest is an epoll with helpers.
type epollTest struct {
	t  *testing.T
	fd uintptr
}

func newEpoll(t *testing.T) epollTest {
	fd, errno := sys(nr_epoll_create1, oCLOEXEC)
	want(t, errno, 0)
	return epollTest{t, fd}
}

func (e epollTest) ctl(op uintptr, fd uintptr, events uint32, data uint32, expect Errno) {
	e.t.Helper()
	ev := epollEvent{events, [2]uint32{data}}
	_, errno := sys(nr_epoll_ctl, e.fd, op, fd, ptr(&ev))
	want(e.t, errno, expect)
}

// wait returns the data of the events.
func (e epollTest) wait(max int, ms int) (list []uint32) {
	evs := make([]epollEvent, max)
	n, errno := sys(nr_epoll_wait, e.fd, ptr(&evs[0]), uintptr(max), uintptr(ms))
	want(e.t, errno, 0)
	for _, ev := range evs[:n] {
		list = append(list, ev.data[0])
	}
	return list
}

func TestEpollLevelAndEdge(t *testing.T) {
	reset(t)
	e := newEpoll(t)
	r, w := testPipe(t, oNONBLOCK)
	r2, w2 := testPipe(t, oNONBLOCK)
	e.ctl(epollAdd, uintptr(r), ReadyIn, 1, 0)
	e.ctl(epollAdd, uintptr(r), ReadyIn, 1, EEXIST)
	e.ctl(epollAdd, uintptr(r2), ReadyIn|epollEdge, 2, 0)
	if got := e.wait(8, 0); got != nil {
		t.Errorf("nothing ready: %v", got)
	}
	w.Write([]byte("ab"))
	w2.Write([]byte("ab"))
	if got := e.wait(8, -1); len(got) != 2 {
		t.Errorf("both: %v", got)
	}
	if got := e.wait(8, 0); len(got) != 1 || got[0] != 1 {
		t.Errorf("only the level-triggered one is told again: %v", got)
	}
	w2.Write([]byte("c"))
	if got := e.wait(1, 0); len(got) != 1 {
		t.Errorf("one of two: %v", got)
	}
	if got := e.wait(8, 0); len(got) == 0 {
		t.Errorf("the other is lost")
	}
	r.Read(make([]byte, 10))
	if got := e.wait(8, 0); len(got) != 0 {
		t.Errorf("drained: %v", got)
	}
	e.ctl(epollMod, uintptr(r), ReadyIn|epollOneshot, 7, 0)
	w.Write([]byte("a"))
	if got := e.wait(8, -1); len(got) != 1 || got[0] != 7 {
		t.Errorf("one shot: %v", got)
	}
	if got := e.wait(8, 0); len(got) != 0 {
		t.Errorf("one shot came twice: %v", got)
	}
	e.ctl(epollMod, uintptr(r), ReadyIn|epollOneshot, 8, 0)
	if got := e.wait(8, 0); len(got) != 1 || got[0] != 8 {
		t.Errorf("armed again: %v", got)
	}
	e.ctl(epollDel, uintptr(r), 0, 0, 0)
	e.ctl(epollDel, uintptr(r), 0, 0, ENOENT)
	e.ctl(epollAdd, openTest(t, "/tmp/f", oRDWR|oCREAT), ReadyIn, 0, EPERM)
	e.ctl(epollAdd, e.fd, ReadyIn, 0, EINVAL)
}

func TestEpollForgetsClosed(t *testing.T) {
	reset(t)
	e := newEpoll(t)
	r, w := testPipe(t, 0)
	e.ctl(epollAdd, uintptr(r), ReadyIn, 1, 0)
	w.Write([]byte("a"))
	r.close(t)
	if got := e.wait(8, 0); len(got) != 0 {
		t.Errorf("a closed file is told: %v", got)
	}
	d, _ := fds.get(int(e.fd))
	if n := len(d.file.(*epollFile).items); n != 0 {
		t.Errorf("%d items left", n)
	}
}

func TestEpollNested(t *testing.T) {
	reset(t)
	outer, inner := newEpoll(t), newEpoll(t)
	r, w := testPipe(t, 0)
	outer.ctl(epollAdd, inner.fd, ReadyIn, 5, 0)
	inner.ctl(epollAdd, outer.fd, ReadyIn, 5, ELOOP)
	inner.ctl(epollAdd, uintptr(r), ReadyIn, 6, 0)
	done := make(chan []uint32)
	go func() { done <- outer.wait(1, -1) }()
	time.Sleep(2 * time.Millisecond)
	w.Write([]byte("a"))
	if got := <-done; len(got) != 1 || got[0] != 5 {
		t.Errorf("outer: %v", got)
	}
	chain := newEpoll(t)
	for range 10 {
		next := newEpoll(t)
		ev := epollEvent{ReadyIn, [2]uint32{}}
		if _, errno := sys(nr_epoll_ctl, next.fd, epollAdd, chain.fd, ptr(&ev)); errno == ELOOP {
			return
		}
		chain = next
	}
	t.Error("epolls nest without end")
}

// TestPollOpen plays the runtime's netpoll.
func TestPollOpen(t *testing.T) {
	reset(t)
	var modes sync.Map
	var calls atomic.Int32
	Hooks.PollNotify = func(fd uintptr, mode int32) {
		calls.Add(1)
		modes.Store(fd, mode)
	}
	r, w := testPipe(t, oNONBLOCK)
	want(t, PollOpen(openTest(t, "/tmp/f", oRDWR|oCREAT)), EPERM)
	want(t, PollOpen(99), EBADF)
	want(t, PollOpen(uintptr(w)), 0)
	if m, _ := modes.Load(uintptr(w)); m != int32('w') {
		t.Errorf("the initial readiness of the writer: %v", m)
	}
	want(t, PollOpen(uintptr(r)), 0)
	if m, ok := modes.Load(uintptr(r)); ok {
		t.Errorf("the reader is not ready: %v", m)
	}
	// A second watcher must not displace the first.
	e := newEpoll(t)
	e.ctl(epollAdd, uintptr(r), ReadyIn, 3, 0)
	w.Write([]byte("a"))
	if m, _ := modes.Load(uintptr(r)); m != int32('r') {
		t.Errorf("netpoll was not told: %v", m)
	}
	if got := e.wait(1, 0); len(got) != 1 {
		t.Errorf("epoll was not told")
	}
	want(t, PollClose(uintptr(r)), 0)
	before := calls.Load()
	w.Write([]byte("a"))
	if calls.Load() != before {
		t.Error("told after PollClose")
	}
	if got := e.wait(1, 0); len(got) != 1 {
		t.Error("PollClose took epoll's watcher away")
	}
	r.close(t)
	if m, _ := modes.Load(uintptr(w)); m != int32('r'+'w') {
		t.Errorf("a reader that is gone wakes both sides: %v", m)
	}
	w.close(t)
}

// TestNoLostWakeups has a reader that sleeps only as long as netpoll is silent.
func TestNoLostWakeups(t *testing.T) {
	reset(t)
	ready := make(chan struct{}, 1)
	r, w := testPipe(t, oNONBLOCK)
	Hooks.PollNotify = func(fd uintptr, _ int32) {
		if fd == uintptr(r) {
			select {
			case ready <- struct{}{}:
			default:
			}
		}
	}
	want(t, PollOpen(uintptr(r)), 0)
	const total = 20000
	go func() {
		for i := range total {
			for {
				if _, err := w.Write([]byte{byte(i)}); err != EAGAIN {
					break
				}
				time.Sleep(10 * time.Microsecond)
			}
		}
		w.close(t)
	}()
	got, buf := 0, make([]byte, 7)
	for {
		n, err := r.Read(buf)
		if err == io.EOF {
			break
		}
		if err == EAGAIN {
			select {
			case <-ready:
			case <-time.After(5 * time.Second):
				t.Fatalf("no wake-up after %d bytes", got)
			}
			continue
		}
		for _, c := range buf[:n] {
			if c != byte(got) {
				t.Fatalf("byte %d is %d", got, c)
			}
			got++
		}
	}
	if got != total {
		t.Errorf("%d bytes of %d", got, total)
	}
}

func TestConsole(t *testing.T) {
	reset(t)
	var out [3]bytes.Buffer
	Hooks.ConsoleWrite = func(fd int, p []byte) int { out[fd].Write(p); return len(p) }
	Hooks.ConsoleRead = func(p []byte) int { return copy(p, "input") }
	fdFile(1).Write([]byte("one"))
	fdFile(2).Write([]byte("two"))
	iov := [2]struct {
		p *byte
		n uint64
	}{{str("a"), 1}, {str("b"), 1}}
	sys(nr_writev, 1, ptr(&iov), 2)
	if out[1].String() != "oneab" || out[2].String() != "two" {
		t.Errorf("%q %q", out[1].String(), out[2].String())
	}
	buf := make([]byte, 10)
	if n, err := fdFile(0).Read(buf); n != 5 || err != nil {
		t.Errorf("stdin: %d, %v", n, err)
	}
	if _, err := fdFile(0).Write(buf); err != EBADF {
		t.Errorf("write to stdin: %v", err)
	}
	_, errno := sys(nr_ioctl, 1, ioTCGETS, ptr(&[64]byte{}))
	want(t, errno, ENOTTY)
	want(t, PollOpen(0), EPERM)
}

func TestDescriptorLimit(t *testing.T) {
	reset(t)
	l := rlimit{8, maxFDs}
	_, errno := sys(nr_prlimit64, 0, rlimitNofile, ptr(&l), 0)
	want(t, errno, 0)
	for range 5 {
		_, errno = sys(nr_dup, 1)
		want(t, errno, 0)
	}
	for _, call := range []func() (uintptr, Errno){
		func() (uintptr, Errno) { return sys(nr_dup, 1) },
		func() (uintptr, Errno) { return sys(nr_pipe2, ptr(&[2]int32{}), 0) },
		func() (uintptr, Errno) { return sys(nr_openat, ^uintptr(99), ptr(str("/dev/null")), 0) },
	} {
		_, errno := call()
		want(t, errno, EMFILE)
	}
	sys(nr_close, 4)
	if fd, _ := sys(nr_dup, 1); fd != 4 {
		t.Errorf("the lowest free descriptor: %d", fd)
	}
	_, errno = sys(nr_dup2, 1, 8)
	want(t, errno, EBADF)
	_, errno = sys(nr_fcntl, 1, fDUPFD, 8)
	want(t, errno, EINVAL)
}

func TestDup(t *testing.T) {
	reset(t)
	fd := openTest(t, "/tmp/f", oRDWR|oCREAT|oCLOEXEC)
	on, _ := sys(nr_fcntl, fd, fGETFD, 0)
	fd2, errno := sys(nr_fcntl, fd, fDUPFD, 100)
	off, _ := sys(nr_fcntl, fd2, fGETFD, 0)
	if errno != 0 || fd2 != 100 || on != 1 || off != 0 {
		t.Errorf("F_DUPFD: %d, %d, flags %d %d", fd2, errno, on, off)
	}
	fdFile(fd).Write([]byte("abc"))
	if pos, _ := sys(nr_lseek, fd2, 0, 1); pos != 3 {
		t.Errorf("the position is not shared: %d", pos)
	}
	r, w := testPipe(t, 0)
	_, errno = sys(nr_dup3, fd, uintptr(w), oCLOEXEC)
	want(t, errno, 0)
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("dup3 did not close the writer: %v", err)
	}
	_, errno = sys(nr_dup3, fd, fd, 0)
	want(t, errno, EINVAL)
}

func TestPollOpenTwice(t *testing.T) {
	reset(t)
	r, _ := testPipe(t, oNONBLOCK)
	want(t, PollOpen(uintptr(r)), 0)
	want(t, PollOpen(uintptr(r)), EEXIST)
	want(t, PollClose(uintptr(r)), 0)
	want(t, PollOpen(uintptr(r)), 0)
}
