//go:build tailoros

package netstack

import "unsafe"

// onStack reports whether p leads into the calling goroutine's stack.
//
//go:linkname onStack runtime.tailor_onStack
func onStack(p unsafe.Pointer) bool
