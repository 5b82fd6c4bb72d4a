package libos

import "unsafe"

// HookSet is what libos needs of the runtime and the machine beneath it. The
// functions are called by any goroutine. Those that are given a buffer must
// not keep it, nor store it in a heap object for the time of the call: it may
// lie on the caller's stack.
type HookSet struct {
	// Now returns the monotonic time in nanoseconds since boot.
	Now func() int64
	// WallNow returns the time in nanoseconds since 1970 UTC.
	WallNow func() int64
	// CPUTime returns the nanoseconds the program has been running, without
	// the time it was parked. nil: Now is used.
	CPUTime func() int64
	// Sleep parks the calling goroutine for ns nanoseconds.
	Sleep func(ns int64)
	// AfterFunc calls f on a goroutine of its own, or one of the scheduler's,
	// after ns nanoseconds, unless stop is called before. f does not block. nil:
	// a goroutine that sleeps is used, which lives until the time has passed.
	AfterFunc func(ns int64, f func()) (stop func())
	// Yield lets other goroutines run.
	Yield func()
	// Random fills p with secure random bytes. nil: there are none, and
	// getrandom fails with ENOSYS.
	Random func(p []byte)
	// Args returns the program's arguments, which are not to be changed. nil:
	// there are none.
	Args func() []string
	// Exit ends the program; it does not return.
	Exit func(code int)
	// Kill delivers a signal to the program itself.
	Kill func(sig int) Errno
	// ConsoleRead reads standard input, parking until there is some; 0 is its
	// end.
	ConsoleRead func(p []byte) int
	// ConsoleWrite writes p to standard output (fd 1) or error (2) and returns
	// how many bytes were taken.
	ConsoleWrite func(fd int, p []byte) int
	// PollNotify tells the runtime's netpoll that fd, which was given to
	// [PollOpen], may be ready for mode: 'r', 'w' or 'r'+'w'. It may be called
	// from within PollOpen, and for a descriptor closed meanwhile.
	PollNotify func(fd uintptr, mode int32)
	// Alloc returns n zeroed bytes aligned to a page, nil when memory is short;
	// n is a multiple of the page size. Free takes back any whole pages of it.
	// nil: the Go heap is used, and the pages of one mapping go back together.
	Alloc func(n uintptr) unsafe.Pointer
	Free  func(p unsafe.Pointer, n uintptr)
	// Memory returns the bytes of memory in total and those not in use.
	Memory func() (total, free uint64)
	// Unsupported is told the number of a system call that is not offered, or
	// whose promise cannot be kept (mprotect), once for each number.
	Unsupported func(num uintptr)
}

// Hooks is set once, before the first system call. The values it starts with
// do nothing: time stands still, output is lost, input is at its end.
var Hooks = HookSet{
	Now:          func() int64 { return 0 },
	WallNow:      func() int64 { return 0 },
	Sleep:        func(int64) {},
	Yield:        func() {},
	Exit:         func(int) {},
	Kill:         func(int) Errno { return EPERM },
	ConsoleRead:  func([]byte) int { return 0 },
	ConsoleWrite: func(_ int, p []byte) int { return len(p) },
	PollNotify:   func(uintptr, int32) {},
	Memory:       func() (total, free uint64) { return 0, 0 },
	Unsupported:  func(uintptr) {},
}

// AfterFunc calls f after ns nanoseconds, as [HookSet] says of it, unless stop is
// called before.
func AfterFunc(ns int64, f func()) (stop func()) { return afterFunc(ns, f) }

// afterFunc is Hooks.AfterFunc, or what stands in for it.
func afterFunc(ns int64, f func()) (stop func()) {
	if Hooks.AfterFunc != nil {
		return Hooks.AfterFunc(ns, f)
	}
	done := make(chan struct{})
	go func() {
		Hooks.Sleep(ns)
		select {
		case <-done:
		default:
			f()
		}
	}()
	return func() { close(done) }
}
