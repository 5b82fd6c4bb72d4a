package libos

import (
	"testing"
	"time"
	"unsafe"
)

// fuzzMemory is all that pointers lead to under fuzzing.
const fuzzMemory = 1 << 13

// fuzzArena is the memory of one fuzz run.
type fuzzArena struct{ mem [fuzzMemory]byte }

// bounded tells which argument, if any, is the length of the buffer that
// another one points to, so that the buffer can be made to fit. Masks say what
// is a pointer, not how long it is.
func bounded(num uintptr) (lengths []int, limit uintptr) {
	switch num {
	case nr_readv, nr_writev, nr_preadv, nr_pwritev, nr_preadv2, nr_pwritev2,
		nr_sendmmsg, nr_recvmmsg:
		return []int{2}, 4
	case nr_poll, nr_ppoll:
		return []int{1}, 16
	case nr_epoll_wait, nr_epoll_pwait, nr_epoll_pwait2:
		return []int{2}, 16
	case nr_mincore:
		return []int{1}, 16 * pageSize
	case nr_mmap:
		return []int{1}, 1 << 20
	case nr_select, nr_pselect6:
		return []int{0}, 64
	}
	return []int{1, 2, 3, 4}, 256
}

// unfit are calls whose structures hold pointers or that wait for ever.
func unfit(num uintptr) bool {
	switch num {
	case nr_readv, nr_writev, nr_preadv, nr_pwritev, nr_preadv2, nr_pwritev2,
		nr_sendmsg, nr_recvmsg, nr_sendmmsg, nr_recvmmsg, // pointers within
		nr_munmap, nr_madvise, nr_mremap: // of memory that is not mapped
		return true
	}
	return false
}

// FuzzEnter makes arbitrary calls. Nothing may panic, wait for ever, or write
// outside the memory that the pointers lead to (the race detector's checkptr
// sees that).
func FuzzEnter(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 1, 2, 3, 4, 5, 6})
	for _, num := range []uint16{nr_openat, nr_renameat2, nr_fcntl, nr_ioctl, nr_mmap, nr_socket, nr_getsockopt} {
		f.Add([]byte{byte(num), byte(num >> 8), 0, 3, 1, 200, 17, 9, 4, 4, 77, 12, 1, 0, 5, 5, 5, 5, 5})
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		defer time.AfterFunc(10*time.Second, func() { panic("a call does not end") }).Stop()
		reset(t)
		RegisterNetwork(&echoNetwork{})
		Hooks.Sleep = func(int64) {}
		Hooks.AfterFunc = func(_ int64, f func()) func() { f(); return func() {} }
		step := int64(0)
		Hooks.Now = func() int64 { step += 1 << 56; return step } // every deadline passes
		arena := new(fuzzArena)
		for len(script) >= 10 && !t.Failed() {
			fuzzCall(arena, script[:min(len(script), 40)])
			script = script[min(len(script), 40):]
		}
		if !fds.mu.TryLock() || !files.mu.TryLock() || !rootFS().mu.TryLock() || !locks.mu.TryLock() || !mapped.mu.TryLock() {
			t.Error("a lock is held after the call")
			return
		}
		mapped.mu.Unlock()
		locks.mu.Unlock()
		rootFS().mu.Unlock()
		files.mu.Unlock()
		fds.mu.Unlock()
	})
}

// fuzzCall makes the call that b describes: a number, and for each argument a
// kind and a value; the rest goes to memory.
func fuzzCall(arena *fuzzArena, b []byte) {
	num := uintptr(b[0]) | uintptr(b[1]&3)<<8
	if unfit(num) || blocks(num) {
		return
	}
	var a [6]uintptr
	for i := range a {
		v := uintptr(b[3+i])
		switch b[2] + b[3+i]>>5 {
		case 0:
			a[i] = v
		case 1:
			a[i] = v << (v % 60)
		case 2:
			a[i] = ^uintptr(99)
		default:
			a[i] = v % 8
		}
	}
	m := pointerMask(num, a[0], a[1])
	lengths, limit := bounded(num)
	for _, i := range lengths {
		if m&(1<<i) == 0 && m != 0 {
			a[i] %= limit
		}
	}
	copy(arena.mem[:], "/tmp/a\x00../b/\x00/etc//c\x00")
	copy(arena.mem[512:], b[9:])
	for i := range a {
		if m&(1<<i) != 0 && b[3+i] != 0 {
			a[i] = uintptr(unsafe.Pointer(&arena.mem[[]int{0, 7, 13, 512, 1024, 2048}[b[3+i]%6]]))
		}
	}
	Enter(num, a[0], a[1], a[2], a[3], a[4], a[5])
}

// blocks tells which calls may rightly wait for ever in a program of one
// goroutine.
func blocks(num uintptr) bool {
	switch num {
	case nr_read, nr_write, nr_flock, nr_poll, nr_ppoll, nr_select, nr_pselect6,
		nr_epoll_wait, nr_epoll_pwait, nr_epoll_pwait2, nr_recvfrom, nr_dup2, nr_dup3,
		nr_accept, nr_accept4, nr_connect, nr_sendto:
		return true
	}
	return false
}

// FuzzControl parses ancillary data, and receives what a message was sent with
// into a buffer of any length.
func FuzzControl(f *testing.F) {
	rights := []byte{20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}
	f.Add(rights, uint8(24))
	f.Add(append(rights[:len(rights):len(rights)], 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255), uint8(3))
	f.Fuzz(func(t *testing.T, oob []byte, room uint8) {
		reset(t)
		x, y := newSocketPair(sockDgram)
		y.passCred = room%2 == 0
		if _, errno := x.Send([][]byte{{1}}, oob, nil, 0); errno != 0 {
			return
		}
		buf := make([]byte, room)
		r, errno := y.Recv([][]byte{make([]byte, 1)}, buf, msgDontWait)
		if errno != 0 || r.N != 1 || r.OOBN > len(buf) {
			t.Errorf("errno %d, %d bytes, %d of ancillary data in %d", errno, r.N, r.OOBN, len(buf))
		}
		if unixNet.inFlight != 0 {
			t.Errorf("%d descriptors are lost", unixNet.inFlight)
		}
	})
}
