package monitor

import (
	"math/bits"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
)

// A guestClock keeps the guest's clock page. The guest's monotonic time begins
// at zero when the clock is made and runs with the host's.
type guestClock struct {
	page    *abi.Clock
	start   int64  // host CLOCK_MONOTONIC at guest time zero, nanoseconds
	updated int64  // and at the last update of the page
	nominal uint64 // Clock.Mult as the frequency says
	vcpu    int
}

func hostNow(clock int32) int64 {
	var ts unix.Timespec
	unix.ClockGettime(clock, &ts)
	return ts.Nano()
}

// readTSC returns the guest's time stamp counter and the host's monotonic time
// at the same moment, as nearly as a few tries can tell.
func readTSC(vcpu int) (tsc uint64, now int64, err error) {
	best := int64(1 << 62)
	for range 3 {
		msr := kvmMSRs{N: 1, Index: msrTSC}
		before := hostNow(unix.CLOCK_MONOTONIC)
		// SAFETY: the request takes a struct kvm_msrs.
		err := ioctlPtr(vcpu, "KVM_GET_MSRS", kvmGetMSRs, unsafe.Pointer(&msr))
		after := hostNow(unix.CLOCK_MONOTONIC)
		if err != nil {
			return 0, 0, err
		}
		if after-before < best {
			best, tsc, now = after-before, msr.Data, before+(after-before)/2
		}
	}
	return tsc, now, nil
}

func newGuestClock(page *abi.Clock, vcpu int) (*guestClock, error) {
	khz, err := ioctl(vcpu, "KVM_GET_TSC_KHZ", kvmGetTSCKHz, 0)
	if err != nil {
		return nil, err
	}
	tsc, now, err := readTSC(vcpu)
	if err != nil {
		return nil, err
	}
	c := &guestClock{page: page, start: now - 1, updated: now, vcpu: vcpu}
	c.nominal = (1e6 << 32) / uint64(khz)
	page.TSCBase = tsc
	page.MonoBase = 1 // nanotime zero means "not set" to the runtime
	page.WallOffset = hostNow(unix.CLOCK_REALTIME) - hostNow(unix.CLOCK_MONOTONIC) + c.start
	page.Mult = c.nominal
	return c, nil
}

// refreshEvery is how often the page is brought up to date at the most.
const refreshEvery = int64(time.Second)

// refresh follows the host's clocks, which are disciplined where the time stamp
// counter is not. Monotonic time continues where it is and then runs up to 500
// parts per million faster or slower, as adjtime does; wall time is the host's.
// It is called while the vCPU is parked.
func (c *guestClock) refresh() {
	p := c.page
	now := hostNow(unix.CLOCK_MONOTONIC)
	if now-c.updated < refreshEvery {
		return
	}
	tsc, now, err := readTSC(c.vcpu)
	if err != nil || tsc < p.TSCBase {
		return
	}
	hi, lo := bits.Mul64(tsc-p.TSCBase, p.Mult)
	guest := p.MonoBase + int64(hi<<32|lo>>32)
	const limit = 500 // parts per million
	ppm := min(max((now-c.start-guest)*1e6/refreshEvery, -limit), limit)
	seq := atomic.AddUint32(&p.Seq, 1)
	p.TSCBase = tsc
	p.MonoBase = guest
	p.Mult = c.nominal + uint64(int64(c.nominal)/1e6*ppm)
	p.WallOffset = hostNow(unix.CLOCK_REALTIME) - guest
	atomic.StoreUint32(&p.Seq, seq+1)
	c.updated = now
}

// until returns how long it is until a guest deadline; negative if it passed.
func (c *guestClock) until(deadline uint64) time.Duration {
	return time.Duration(int64(deadline) - (hostNow(unix.CLOCK_MONOTONIC) - c.start))
}
