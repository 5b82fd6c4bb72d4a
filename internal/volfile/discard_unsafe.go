package volfile

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// discard tells a block device that n bytes at off are not needed any more. Other than
// a hole that fallocate punches, they need not become zeros, so more devices can.
func discard(fd int, off, n int64) error {
	r := &[2]uint64{uint64(off), uint64(n)}
	// SAFETY: the request reads the two numbers, which outlive the call.
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.BLKDISCARD, uintptr(unsafe.Pointer(r)))
	runtime.KeepAlive(r)
	if errno != 0 {
		return errno
	}
	return nil
}
