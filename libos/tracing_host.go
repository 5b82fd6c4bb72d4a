//go:build !tailoros

package libos

const tracing = false
