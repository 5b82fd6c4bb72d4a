//go:build !tailoros || tailorunix

package scrape

import (
	"syscall"
	"time"

	"github.com/tailor-os/tailor/metrics"
)

func init() {
	metrics.Register(func(w *metrics.Writer) {
		w.Gauge("tailor_info", "How the program runs: the target that it was built for.").Add(1, "target", "unix")
	})
}

// cpuTime returns for how long the program has run.
func cpuTime() time.Duration {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use) // which does not fail
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
