package devices

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxIovs is the number of buffers of one packet; Linux takes 1024 (UIO_MAXIOV),
// and a receiver needs one of its own.
const maxIovs = 1023

// setIovec makes an iovec of a slice that is not empty.
func setIovec(v *unix.Iovec, b []byte) {
	v.Base = unsafe.SliceData(b) // SAFETY: the length is that of b too
	v.SetLen(len(b))
}

// fillIovs makes iovecs of slices, as many as dst takes, and returns how many.
func fillIovs(dst []unix.Iovec, bufs [][]byte) int {
	n := min(len(dst), len(bufs))
	for i := range n {
		setIovec(&dst[i], bufs[i])
	}
	return n
}

// rawVector calls readv or writev on a non-blocking descriptor. It never
// blocks, so it does not tell Go's scheduler that it might.
func rawVector(trap uintptr, fd int, iovs []unix.Iovec) (int, unix.Errno) {
	// SAFETY: the iovecs hold pointers to memory that is mapped as long as the
	// device lives, and are themselves alive during the call.
	n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(iovs))), uintptr(len(iovs)))
	runtime.KeepAlive(iovs)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
