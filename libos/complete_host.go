//go:build !tailoros

package libos

func init() { UseAll() }

// usePoll arms the runtime's netpoll, which is in images only.
func usePoll() {}
