package volfile

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readNow reads what the page cache has of a file at off, and returns how many
// bytes that were, negative for none. It does not wait for the medium, so it does
// not tell Go's scheduler that it might: that costs as much as a read of 4 KiB.
func readNow(fd int, p []byte, off int64) int {
	v := unix.Iovec{Base: unsafe.SliceData(p)}
	v.SetLen(len(p))
	// SAFETY: the vector says where p is and how long, and both outlive the call.
	n, _, errno := unix.RawSyscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&v)), 1,
		uintptr(off), 0, unix.RWF_NOWAIT)
	runtime.KeepAlive(p)
	if errno != 0 {
		return -1
	}
	return int(n)
}
