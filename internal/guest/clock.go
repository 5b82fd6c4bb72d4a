package guest

import (
	"errors"
	"math/bits"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
)

// A Clock keeps the guest's clock page. The guest's monotonic time begins
// at zero when the clock is made and runs with the host's.
type Clock struct {
	page    *abi.Clock
	start   int64  // host CLOCK_MONOTONIC at guest time zero, nanoseconds
	updated int64  // and at the last update of the page
	nominal uint64 // Clock.Mult as the frequency says
	read    Counter

	firstTSC uint64 // measured from here, 0 if the frequency was given
	first    int64
}

func hostNow(clock int32) int64 {
	var ts unix.Timespec
	unix.ClockGettime(clock, &ts)
	return ts.Nano()
}

// A Counter reads the guest's time stamp counter.
type Counter func() (uint64, error)

// Now returns the counter and the host's monotonic time in nanoseconds at the
// same moment, as nearly as a few tries can tell.
func (read Counter) Now() (tsc uint64, now int64, err error) {
	best := int64(1 << 62)
	for range 3 {
		before := hostNow(unix.CLOCK_MONOTONIC)
		count, err := read()
		after := hostNow(unix.CLOCK_MONOTONIC)
		if err != nil {
			return 0, 0, err
		}
		if after-before < best {
			best, tsc, now = after-before, count, before+(after-before)/2
		}
	}
	return tsc, now, nil
}

// NewClock starts the clock on the page. mult is Clock.Mult as the counter's
// frequency says.
func NewClock(page *abi.Clock, read Counter, mult uint64) (*Clock, error) {
	tsc, now, err := read.Now()
	if err != nil {
		return nil, err
	}
	c := &Clock{page: page, start: now - 1, updated: now, read: read, nominal: mult}
	page.TSCBase = tsc
	page.MonoBase = 1 // nanotime zero means "not set" to the runtime
	page.WallOffset = hostNow(unix.CLOCK_REALTIME) - hostNow(unix.CLOCK_MONOTONIC) + c.start
	page.Mult = c.nominal
	return c, nil
}

// NewMeasuredClock starts the clock on the page with a counter whose frequency
// nobody says. It was tsc when the host's monotonic time was at, and is measured
// from then on, the more exactly the longer that is.
func NewMeasuredClock(page *abi.Clock, read Counter, tsc uint64, at int64) (*Clock, error) {
	c := &Clock{read: read, firstTSC: tsc, first: at}
	now, when, err := read.Now()
	if err != nil {
		return nil, err
	}
	if now <= tsc || when <= at {
		return nil, errors.New("the time stamp counter stands still")
	}
	m, err := NewClock(page, read, c.measure(now, when))
	if err != nil {
		return nil, err
	}
	m.firstTSC, m.first = tsc, at
	return m, nil
}

// measure returns Clock.Mult as it has been since the first look.
func (c *Clock) measure(tsc uint64, now int64) uint64 {
	ns := uint64(now - c.first)
	quotient, _ := bits.Div64(ns>>32, ns<<32, tsc-c.firstTSC)
	return quotient
}

// refreshEvery is how often the page is brought up to date at the most.
const refreshEvery = int64(time.Second)

// Refresh follows the host's clocks, which are disciplined where the time stamp
// counter is not. Monotonic time continues where it is and then runs up to 500
// parts per million faster or slower, as adjtime does; wall time is the host's.
// The guest may run meanwhile: then it waits for an even Seq.
func (c *Clock) Refresh() {
	p := c.page
	now := hostNow(unix.CLOCK_MONOTONIC)
	if now-c.updated < refreshEvery {
		return
	}
	// What the guest reads after tsc must be by the new values: it would see time
	// go back if the old ones were ahead.
	seq := atomic.AddUint32(&p.Seq, 1)
	defer func() { atomic.StoreUint32(&p.Seq, seq+1) }()
	tsc, now, err := c.read.Now()
	if err != nil || tsc < p.TSCBase {
		return
	}
	hi, lo := bits.Mul64(tsc-p.TSCBase, p.Mult)
	guest := p.MonoBase + int64(hi<<32|lo>>32)
	const limit = 500 // parts per million
	ppm := min(max((now-c.start-guest)*1e6/refreshEvery, -limit), limit)
	if c.firstTSC != 0 {
		c.nominal = c.measure(tsc, now)
	}
	p.TSCBase = tsc
	p.MonoBase = guest
	p.Mult = c.nominal + uint64(int64(c.nominal)/1e6*ppm)
	p.WallOffset = hostNow(unix.CLOCK_REALTIME) - guest
	c.updated = now
}

// Until returns how long it is until a guest deadline; negative if it passed.
func (c *Clock) Until(deadline uint64) time.Duration {
	return time.Duration(int64(deadline) - (hostNow(unix.CLOCK_MONOTONIC) - c.start))
}
