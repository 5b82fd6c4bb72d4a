package devices

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// noPwait2 is set when the kernel is older than 5.11.
var noPwait2 atomic.Bool

// epollWait returns the number of events, 0 also for an interrupted call.
func epollWait(ep int, events []unix.EpollEvent, timeout time.Duration) int {
	if timeout >= 0 && !noPwait2.Load() {
		// Nanoseconds: the guest's timers are to fire on time.
		ts := unix.NsecToTimespec(int64(timeout))
		// SAFETY: events is not empty, and it and ts outlive the call.
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(ep), uintptr(unsafe.Pointer(&events[0])),
			uintptr(len(events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
		if errno == 0 {
			return int(n)
		}
		if errno != unix.ENOSYS {
			return 0
		}
		noPwait2.Store(true)
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
