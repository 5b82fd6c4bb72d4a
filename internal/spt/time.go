package spt

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/guest"
)

// readTSC returns the time stamp counter, which all processes share.
func readTSC() uint64

func counter() (uint64, error) { return readTSC(), nil }

// born is the counter and the time when this process started. The counter's
// frequency is measured from then on, against the kernel's own disciplined clock:
// that needs no rights and no belief in what a hypervisor's CPUID says. It gets the
// more exact the longer that is; Clock.Refresh does the rest.
var born = func() (b struct {
	tsc uint64
	at  int64
}) {
	b.tsc, b.at, _ = guest.Counter(counter).Now()
	return b
}()

func newClock(page *abi.Clock) (*guest.Clock, error) {
	return guest.NewMeasuredClock(page, counter, born.tsc, born.at)
}

// A runTimer tells how long a child has run.
type runTimer struct {
	clock int32
	kick  func() // called each time

	mu   sync.Mutex
	stop chan struct{} // of the ticker, nil if there is none
}

// watch makes it that of a process (clock_getcpuclockid).
func (t *runTimer) watch(pid int) {
	const scheduler = 2
	t.clock = int32(^pid<<3 | scheduler)
}

// Now is how long the child has run.
func (t *runTimer) Now() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(t.clock, &ts)
	return time.Duration(ts.Nano())
}

// Set has kick called every d. Another process's time cannot be
// waited for, so that an idle guest is looked at too.
func (t *runTimer) Set(d time.Duration) error {
	t.close()
	if d <= 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	stop := make(chan struct{})
	t.stop = stop
	go func() {
		ticker := time.NewTicker(d)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				t.kick()
			}
		}
	}()
	return nil
}

func (t *runTimer) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop != nil {
		close(t.stop)
		t.stop = nil
	}
}
