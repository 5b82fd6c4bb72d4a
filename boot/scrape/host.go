//go:build !tailoros

package scrape

import (
	"os"
	"syscall"
	"time"

	"github.com/tailor-os/tailor/metrics"
)

// variable has the address in a plain process, whose children do not inherit it.
const variable = "TAILOR_METRICS"

func init() {
	metrics.Register(func(w *metrics.Writer) {
		w.Gauge("tailor_info", "How the program runs: the target that it was built for.").Add(1, "target", "unix")
	})
	if address := os.Getenv(variable); address != "" {
		_ = os.Unsetenv(variable) // whose name is a good one
		start(address)
	}
}

// cpuTime returns for how long the program has run.
func cpuTime() time.Duration {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use) // which does not fail
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
