//go:build !tailoros

package netstack

import "unsafe"

// pretendStack makes tests take the way of buffers on the stack.
var pretendStack bool

// onStack is only of use in a guest: elsewhere callers are Go code whose
// buffers the compiler puts on the heap, because this package keeps them there.
func onStack(unsafe.Pointer) bool { return pretendStack }
