//go:build tailoros

package runtime

import "unsafe"

// SAFETY: chunks are memory from outside the heap, which the collector neither
// moves nor frees; links between them are numbers, so that it need not see them.

// A tailorDumpChunk is a piece of a heap dump.
type tailorDumpChunk struct {
	next uintptr
	n    uintptr
	data [1<<20 - 16]byte
}

// tailorDump is what debug.WriteHeapDump has written: the world is stopped then,
// and a file, or a socket, is Go code that may have to wait.
var tailorDump struct {
	first, last *tailorDumpChunk
	lost        bool
}

// tailorDumpWrite is write for a heap dump.
func tailorDumpWrite(_ uintptr, p unsafe.Pointer, n int32) {
	for left := uintptr(n); left > 0; {
		c := tailorDump.last
		if c == nil || c.n == uintptr(len(c.data)) {
			if c = tailorDumpGrow(); c == nil {
				return
			}
		}
		k := min(left, uintptr(len(c.data))-c.n)
		memmove(unsafe.Pointer(&c.data[c.n]), p, k)
		c.n += k
		left -= k
		p = add(p, k)
	}
}

// tailorDumpGrow adds a chunk; nil if there is no memory left.
func tailorDumpGrow() *tailorDumpChunk {
	if tailorDump.lost {
		return nil
	}
	c := (*tailorDumpChunk)(sysAlloc(unsafe.Sizeof(tailorDumpChunk{}), &memstats.other_sys, "heap dump"))
	switch {
	case c == nil:
		tailorDump.lost = true
		return nil
	case tailorDump.last == nil:
		tailorDump.first = c
	default:
		tailorDump.last.next = uintptr(unsafe.Pointer(c))
	}
	tailorDump.last = c
	return c
}

// tailorDumpDone writes the dump to fd and forgets it. As on Linux, the caller
// is not told of errors.
func tailorDumpDone(fd uintptr) {
	c := tailorDump.first
	if tailorDump.lost {
		print("runtime: no memory for the end of the heap dump\n")
	}
	tailorDump.first, tailorDump.last, tailorDump.lost = nil, nil, false
	for ok := true; c != nil; {
		for at := uintptr(0); ok && at < c.n; {
			n, _, errno := tailorEnter(tailorSysWrite, fd, uintptr(unsafe.Pointer(&c.data[at])), c.n-at, 0, 0, 0)
			ok = errno == 0 && n > 0
			at += n
		}
		next := (*tailorDumpChunk)(unsafe.Pointer(c.next))
		sysFree(unsafe.Pointer(c), unsafe.Sizeof(*c), &memstats.other_sys)
		c = next
	}
}
