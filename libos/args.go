package libos

import "unsafe"

// maxIO is the number of bytes that one read or write transfers at the most
// (MAX_RW_COUNT in include/linux/fs.h).
const maxIO = 0x7ffff000

// maxPath is the length in bytes of a path with its NUL (PATH_MAX).
const maxPath = 4096

// fd returns argument n as a descriptor, int32 like the kernel.
func (a *args) fd(n int) int { return int(int32(a.i[n])) }

// int returns argument n as a C int.
func (a *args) int(n int) int { return int(int32(a.i[n])) }

// bytes returns the buffer at argument ptr with the length of argument n, cut
// to maxIO.
func (a *args) bytes(ptr, n int) ([]byte, Errno) {
	return buffer(a.p[ptr], a.i[n])
}

// buffer returns the n bytes at p, cut to maxIO.
func buffer(p unsafe.Pointer, n uintptr) ([]byte, Errno) {
	if n > 1<<63-1 {
		return nil, EINVAL
	}
	n = min(n, maxIO)
	if n == 0 {
		return nil, 0
	}
	if p == nil {
		return nil, EFAULT
	}
	// SAFETY: the caller gives n bytes at p, as it would to the kernel.
	return unsafe.Slice((*byte)(p), n), 0
}

// path returns the NUL-terminated path at argument n, copied.
func (a *args) path(n int) (string, Errno) {
	return cstring(a.p[n], maxPath)
}

// cstring copies the NUL-terminated string at p, of less than limit bytes.
func cstring(p unsafe.Pointer, limit int) (string, Errno) {
	if p == nil {
		return "", EFAULT
	}
	for n := range limit {
		// SAFETY: every byte up to the NUL belongs to the caller's string.
		if *(*byte)(unsafe.Add(p, n)) == 0 {
			return string(unsafe.Slice((*byte)(p), n)), 0
		}
	}
	return "", ENAMETOOLONG
}

// put stores v at p.
func put[T any](p unsafe.Pointer, v T) Errno {
	if p == nil {
		return EFAULT
	}
	// SAFETY: the caller gives room for a T at p, as it would to the kernel.
	*(*T)(p) = v
	return 0
}

// load reads a T at p.
func load[T any](p unsafe.Pointer) (v T, errno Errno) {
	if p == nil {
		return v, EFAULT
	}
	// SAFETY: the caller gives a T at p, as it would to the kernel.
	return *(*T)(p), 0
}

// field returns the pointer that lies at p, nil when it cannot be one.
func field(p unsafe.Pointer) unsafe.Pointer {
	// SAFETY: read as an integer first, for a pointer-typed local must never
	// hold what the runtime takes for a bad pointer.
	if v := *(*uintptr)(p); v < minPointer || v >= maxPointer {
		return nil
	}
	return *(*unsafe.Pointer)(p)
}

// noescape hides p from escape analysis.
//
//go:nosplit
func noescape(p unsafe.Pointer) unsafe.Pointer {
	x := uintptr(p)
	// SAFETY: the value is unchanged, and nothing can move the stack between
	// the two conversions; the caller keeps what p leads to alive in its own
	// frame, and the callee does not keep it.
	return *(*unsafe.Pointer)(unsafe.Pointer(&x))
}

// parseUint returns the decimal number that s starts with.
func parseUint(s string) uint64 {
	var v uint64
	for i := 0; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		v = v*10 + uint64(s[i]-'0')
	}
	return v
}
