package libos

import (
	"bytes"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// reset gives a test a system of its own, with hooks on the host's clock.
func reset(t testing.TB) {
	t.Helper()
	fds = fdTable{limit: maxFDs}
	locks.held = nil
	mapped.list = nil
	network = nil
	unixNet.bound, unixNet.abstract, unixNet.auto, unixNet.inFlight = nil, nil, 0, 0
	install(baseCalls)
	install(fileCalls)
	for i := range reported {
		reported[i].Store(0)
	}
	started := time.Now()
	Hooks = HookSet{
		Now:          func() int64 { return int64(time.Since(started)) },
		WallNow:      func() int64 { return time.Now().UnixNano() },
		Sleep:        func(ns int64) { time.Sleep(time.Duration(ns)) },
		Yield:        func() {},
		Exit:         func(int) {},
		Kill:         func(int) Errno { return 0 },
		ConsoleRead:  func([]byte) int { return 0 },
		ConsoleWrite: func(_ int, p []byte) int { return len(p) },
		PollNotify:   func(uintptr, int32) {},
		Memory:       func() (uint64, uint64) { return 1 << 30, 1 << 29 },
		Random:       func(p []byte) { clear(p) },
		Unsupported:  func(uintptr) {},
	}
	fds.openConsole()
	boot("")
}

// boot starts files over with these boot parameters.
func boot(p Params) {
	Boot(p)
	makeRoot()
	fillRoot(p)
}

// sys makes a call whose pointers lead into the heap.
//
//go:uintptrescapes
func sys(num uintptr, a ...uintptr) (uintptr, Errno) {
	var all [6]uintptr
	copy(all[:], a)
	r, _, errno := Enter(num, all[0], all[1], all[2], all[3], all[4], all[5])
	return r, Errno(errno)
}

// ptr returns the address of v for sys.
func ptr[T any](v *T) uintptr { return uintptr(unsafe.Pointer(v)) }

// str returns s with a NUL.
func str(s string) *byte { return &append([]byte(s), 0)[0] }

// must fails the test on an error.
func must(t testing.TB, r uintptr, errno Errno) uintptr {
	t.Helper()
	if errno != 0 {
		t.Fatalf("errno %d", errno)
	}
	return r
}

func want(t testing.TB, errno, expected Errno) {
	t.Helper()
	if errno != expected {
		t.Errorf("errno %d, want %d", errno, expected)
	}
}

// openTest opens a path in libos.
func openTest(t testing.TB, path string, flags uintptr) uintptr {
	t.Helper()
	fd, errno := sys(nr_openat, ^uintptr(99), ptr(str(path)), flags, 0o644)
	if errno != 0 {
		t.Fatalf("open %s: errno %d", path, errno)
	}
	return fd
}

// deepFile grows the stack in every call before it touches the buffer.
type deepFile struct{ got []byte }

//go:noinline
func grow(n int) byte {
	var pad [4096]byte
	pad[n%len(pad)] = byte(n)
	if n > 0 {
		pad[1] = grow(n - 1)
	}
	return pad[n%len(pad)]
}

func (f *deepFile) Read(p []byte) (int, Errno) {
	grow(200)
	for i := range p {
		p[i] = byte(i + 1)
	}
	return len(p), 0
}

func (f *deepFile) Write(p []byte) (int, Errno) {
	grow(200)
	f.got = append([]byte(nil), p...)
	return len(p), 0
}

func (f *deepFile) Close() Errno { return 0 }

// TestStackMoves has every kind of pointer lead into the stack of a goroutine
// that is too small, so that it moves while the call is under way.
func TestStackMoves(t *testing.T) {
	reset(t)
	f := &deepFile{}
	fd, _ := fds.add(newDesc(f, oRDWR), 0, false)
	fresh := func(name string, do func() string) {
		var problem string
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			problem = do()
		}()
		wg.Wait()
		if problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
	fresh("read", func() string {
		var buf [64]byte
		before := uintptr(unsafe.Pointer(&buf))
		Enter(nr_read, uintptr(fd), uintptr(unsafe.Pointer(&buf)), 64, 0, 0, 0)
		if uintptr(unsafe.Pointer(&buf)) == before {
			return "the stack did not move: the test proves nothing"
		}
		if buf[0] != 1 || buf[63] != 64 {
			return "the buffer was not written where it is now"
		}
		return ""
	})
	fresh("write", func() string {
		buf := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
		Enter(nr_write, uintptr(fd), uintptr(unsafe.Pointer(&buf)), 8, 0, 0, 0)
		if !bytes.Equal(f.got, []byte{1, 2, 3, 4, 5, 6, 7, 8}) {
			return "the wrong bytes were written"
		}
		return ""
	})
	fresh("readv", func() string {
		var x, y [4]byte
		iov := [2]struct {
			p *byte
			n uint64
		}{{&x[0], 4}, {&y[0], 4}}
		Enter(nr_readv, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 2, 0, 0, 0)
		if x != [4]byte{1, 2, 3, 4} || y != [4]byte{5, 6, 7, 8} {
			return "the parts were not written where they are now"
		}
		return ""
	})
}

// TestStackMovesInMessages does the same through a socket's parts.
func TestStackMovesInMessages(t *testing.T) {
	reset(t)
	RegisterNetwork(deepNetwork{})
	fd := must2(t)(sys(nr_socket, 2, 1, 0))
	done := make(chan string)
	go func() {
		var x, y, name [4]byte
		var n int32 = 4
		iov := [2]struct {
			p *byte
			n uint64
		}{{&x[0], 4}, {&y[0], 4}}
		var h struct {
			name    *byte
			nameLen uint32
			iov     unsafe.Pointer
			iovLen  uint64
			control *byte
			ctlLen  uint64
			flags   int32
		}
		h.iov, h.iovLen = unsafe.Pointer(&iov), 2
		h.name, h.nameLen = &name[0], 4
		Enter(nr_recvmsg, fd, uintptr(unsafe.Pointer(&h)), 0, 0, 0, 0)
		if x != [4]byte{1, 2, 3, 4} || y != [4]byte{5, 6, 7, 8} || name != [4]byte{9, 9, 9, 9} {
			done <- "recvmsg: not written where it is now"
			return
		}
		x, name, n = [4]byte{}, [4]byte{}, 4
		Enter(nr_recvfrom, fd, uintptr(unsafe.Pointer(&x)), 4, 0, uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&n)))
		if x != [4]byte{1, 2, 3, 4} || name != [4]byte{9, 9, 9, 9} || n != 4 {
			done <- "recvfrom: not written where it is now"
			return
		}
		done <- ""
	}()
	if problem := <-done; problem != "" {
		t.Error(problem)
	}
}

func must2(t testing.TB) func(uintptr, Errno) uintptr {
	return func(r uintptr, errno Errno) uintptr { t.Helper(); return must(t, r, errno) }
}

// deepNetwork makes sockets that grow the stack before they touch the parts.
type deepNetwork struct{}

type deepSocket struct{ *unixSocket }

func (deepNetwork) Socket(_, _, _ int) (Socket, Errno) {
	x, _ := newSocketPair(sockStream)
	return deepSocket{x}, 0
}

func (deepSocket) Recv(parts [][]byte, _ []byte, _ int) (Received, Errno) {
	grow(200)
	n := 0
	for _, p := range parts {
		for i := range p {
			n++
			p[i] = byte(n)
		}
	}
	return Received{N: n, From: []byte{9, 9, 9, 9}}, 0
}

// TestEnterDoesNotAllocate keeps the path of read and write free of garbage.
func TestEnterDoesNotAllocate(t *testing.T) {
	reset(t)
	fd := openTest(t, "/tmp/f", oRDWR|oCREAT)
	var buf [100]byte
	p := uintptr(unsafe.Pointer(&buf))
	n := testing.AllocsPerRun(100, func() {
		Enter(nr_pwrite64, fd, p, 100, 0, 0, 0)
		Enter(nr_pread64, fd, p, 100, 0, 0, 0)
		Enter(nr_write, 1, p, 100, 0, 0, 0)
		Enter(nr_lseek, fd, 0, 0, 0, 0, 0)
		Enter(nr_read, fd, p, 100, 0, 0, 0)
	})
	_ = buf[0]
	if n != 0 {
		t.Errorf("read and write allocate %v times", n)
	}
}

// TestArgsDoNotEscape asks the compiler: what holds pointers to the caller's
// stack may not move to the heap.
func TestArgsDoNotEscape(t *testing.T) {
	out, err := exec.Command("go", "build", "-gcflags=-m", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	seen := false
	for _, line := range strings.Split(string(out), "\n") {
		seen = seen || strings.Contains(line, "enter.go")
		for _, name := range []string{"a", "m", "v", "h", "buf", "b", "parts", "to", "oob"} {
			if strings.HasSuffix(line, "moved to heap: "+name) {
				t.Error(line)
			}
		}
	}
	if !seen {
		t.Fatal("the compiler said nothing of enter.go")
	}
}

func TestUnsupportedIsToldOnce(t *testing.T) {
	reset(t)
	var told []uintptr
	Hooks.Unsupported = func(num uintptr) { told = append(told, num) }
	for range 3 {
		for _, num := range []uintptr{nr_fork, nr_inotify_init1, 5000, 1 << 60} {
			_, errno := sys(num)
			want(t, errno, ENOSYS)
		}
	}
	if len(told) < 3 || len(told) > 4 {
		t.Errorf("told of %v", told)
	}
}

func TestCallName(t *testing.T) {
	for num, name := range map[uintptr]string{
		0: "read", nr_exit_group: "exit_group", nr_pidfd_send_signal: "pidfd_send_signal",
		nr_rseq: "rseq", maxCall: "rseq_slice_yield", 400: "", maxCall + 1: "", 1 << 63: "",
	} {
		if got := CallName(num); got != name {
			t.Errorf("CallName(%d) = %q, want %q", num, got, name)
		}
	}
}

// TestBadPointers passes what cannot be a pointer.
func TestBadPointers(t *testing.T) {
	reset(t)
	fd := openTest(t, "/tmp/f", oRDWR|oCREAT)
	for _, p := range []uintptr{0, 1, 4095, 1 << 47, ^uintptr(0)} {
		for _, num := range []uintptr{nr_read, nr_write, nr_pread64, nr_readv, nr_writev} {
			_, errno := sys(num, fd, p, 8)
			want(t, errno, EFAULT)
		}
		_, errno := sys(nr_open, p)
		want(t, errno, EFAULT)
		_, errno = sys(nr_newfstatat, ^uintptr(99), ptr(str("/")), p, 0)
		want(t, errno, EFAULT)
		_, errno = sys(nr_pipe2, p, 0)
		want(t, errno, EFAULT)
	}
}
