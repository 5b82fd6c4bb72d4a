//go:build !tailoros

package libos

func init() {
	install(baseCalls)
	UseAll()
}

// usePoll arms the runtime's netpoll, which is in images only.
func usePoll() {}
