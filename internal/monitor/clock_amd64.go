package monitor

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
)

// A guestClock keeps the guest's clock page. The guest's monotonic time begins
// at zero when the clock is made and runs with the host's.
type guestClock struct {
	page  *abi.Clock
	start int64 // host CLOCK_MONOTONIC at guest time zero, nanoseconds
	vcpu  int
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
	c := &guestClock{page: page, start: now - 1, vcpu: vcpu}
	page.TSCBase = tsc
	page.MonoBase = 1 // nanotime zero means "not set" to the runtime
	page.WallOffset = hostNow(unix.CLOCK_REALTIME) - hostNow(unix.CLOCK_MONOTONIC) + c.start
	page.Mult = (1e6 << 32) / uint64(khz)
	return c, nil
}

// until returns how long it is until a guest deadline; negative if it passed.
func (c *guestClock) until(deadline uint64) time.Duration {
	return time.Duration(int64(deadline) - (hostNow(unix.CLOCK_MONOTONIC) - c.start))
}
