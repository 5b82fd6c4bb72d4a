package netstack

import "unsafe"

// Buffers of system calls may lie on the caller's stack, which moves when it
// grows, and nothing corrects pointers to it in the heap. The TCP/IP stack puts
// its readers and writers there. So a buffer on a stack is replaced by one on
// the heap before it gets that far; the others are used as they are.

// onTheStack reports whether p is to be replaced.
func onTheStack(p []byte) bool {
	// SAFETY: the address is only compared.
	return len(p) > 0 && onStack(unsafe.Pointer(unsafe.SliceData(p)))
}

// sameStart reports whether two buffers begin at the same address.
func sameStart(a, b []byte) bool {
	// SAFETY: the addresses are only compared.
	return unsafe.SliceData(a) == unsafe.SliceData(b)
}
