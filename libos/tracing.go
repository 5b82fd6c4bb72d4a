//go:build tailoros

package libos

// tracing says that system calls can be traced. The port writes true here for an
// image that is built with --trace syscalls.
const tracing = false
