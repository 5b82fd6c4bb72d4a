package devices

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// noPwait2 is set when the kernel is older than 5.11.
var noPwait2 atomic.Bool

// shortWait is how long a wait is not told to Go's scheduler, see epollWait.
const shortWait = time.Millisecond

// epollWait returns the number of events, 0 also for an interrupted call. often is
// the caller's: whether its last wait was a short one.
//
// Each wait that the scheduler knows of makes its watchdog (sysmon) take the waiting
// thread's P away and look again after 20 us, for as long as there are such waits:
// with a guest that goes idle thousands of times a second this took 5 to 15 % of a
// processor. So after a short wait the first millisecond of the next is not told, for
// which keepReady leaves Ps to others; a signal, such as a collection's, ends it.
func epollWait(ep int, events []unix.EpollEvent, timeout time.Duration, often *bool) int {
	if (*often || timeout == 0) && !noPwait2.Load() {
		short := timeout
		if timeout < 0 || timeout > shortWait {
			short = shortWait
		}
		if n, ok := epollPwait2(ep, events, short, true); ok && (n != 0 || short == timeout) {
			return max(n, 0)
		}
		if timeout > 0 {
			timeout -= short
		}
	}
	begin := time.Now()
	n := epollSleep(ep, events, timeout)
	*often = time.Since(begin) < shortWait
	return n
}

// epollSleep is epollWait for waits that may be long.
func epollSleep(ep int, events []unix.EpollEvent, timeout time.Duration) int {
	if timeout >= 0 && !noPwait2.Load() {
		// Nanoseconds: the guest's timers are to fire on time.
		if n, ok := epollPwait2(ep, events, timeout, false); ok {
			return max(n, 0)
		}
	}
	ms := -1
	if timeout >= 0 {
		ms = int(min((timeout+time.Millisecond-1)/time.Millisecond, 1<<31-1))
	}
	n, err := unix.EpollWait(ep, events, ms)
	if err != nil {
		return 0
	}
	return n
}

// epollPwait2 returns the number of events, -1 after an error; ok is false if the
// kernel is too old for it. raw is for one that Go's scheduler is not told of.
func epollPwait2(ep int, events []unix.EpollEvent, timeout time.Duration, raw bool) (n int, ok bool) {
	ts := unix.NsecToTimespec(int64(timeout))
	var r uintptr
	var errno unix.Errno
	// SAFETY: events is not empty, and it and ts outlive the calls.
	if raw {
		r, _, errno = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(ep), uintptr(unsafe.Pointer(&events[0])),
			uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	} else {
		r, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(ep), uintptr(unsafe.Pointer(&events[0])),
			uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	}
	if errno == 0 {
		return int(r), true
	}
	if errno == unix.ENOSYS {
		noPwait2.Store(true)
		return -1, false
	}
	return -1, true
}

// rawNanosleep sleeps without telling Go's scheduler, see epollWait.
func rawNanosleep(ts *unix.Timespec) {
	// SAFETY: ts outlives the call.
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(ts)), 0, 0)
}
