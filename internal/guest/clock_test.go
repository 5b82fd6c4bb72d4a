package guest

import (
	"errors"
	"math/bits"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
)

// guestTime computes time as the guest does.
func guestTime(t *testing.T, p *abi.Clock, read Counter) (mono, host int64) {
	t.Helper()
	tsc, now, err := read.Now()
	if err != nil {
		t.Fatal(err)
	}
	hi, lo := bits.Mul64(tsc-p.TSCBase, p.Mult)
	return p.MonoBase + int64(hi<<32|lo>>32), now
}

func TestClock(t *testing.T) {
	// A counter of 3 GHz.
	read := Counter(func() (uint64, error) { return uint64(hostNow(unix.CLOCK_MONOTONIC)) * 3, nil })
	var page abi.Clock
	c, err := NewClock(&page, read, 1<<32/3)
	if err != nil {
		t.Fatal(err)
	}
	// The frequency is off by 300 parts per million, as a calibration may be.
	page.Mult += page.Mult / 1e6 * 300
	last := int64(0)
	for i := range 20 {
		time.Sleep(20 * time.Millisecond)
		before, _ := guestTime(t, &page, read)
		c.updated = 0 // do not wait for the next second
		c.Refresh()
		after, host := guestTime(t, &page, read)
		if before < last || after < before || after-before > int64(10*time.Millisecond) {
			t.Fatalf("round %d: time went from %d over %d to %d", i, last, before, after)
		}
		last = after
		if off := time.Duration(after - (host - c.start)); off.Abs() > time.Millisecond {
			t.Errorf("round %d: the guest's clock is off by %v", i, off)
		}
		wall := time.Unix(0, after+page.WallOffset)
		if off := time.Since(wall); off.Abs() > 50*time.Millisecond {
			t.Errorf("round %d: wall time is off by %v", i, off)
		}
		if page.Seq%2 != 0 {
			t.Error("the sequence is odd after an update")
		}
	}
}

// The guest does not compute with values that are about to be replaced: time would
// go back if they were ahead.
func TestClockWaits(t *testing.T) {
	var page abi.Clock
	var fail error
	var seq uint32 // when the counter was read
	read := Counter(func() (uint64, error) {
		seq = page.Seq
		return uint64(hostNow(unix.CLOCK_MONOTONIC)), fail
	})
	c, err := NewClock(&page, read, 1<<32)
	if err != nil {
		t.Fatal(err)
	}
	for _, fail = range []error{nil, errors.New("no counter")} {
		before := page
		c.updated = 0
		c.Refresh()
		if seq%2 == 0 {
			t.Errorf("%v: the counter was read while the sequence was even", fail)
		}
		if page.Seq != before.Seq+2 {
			t.Errorf("%v: the sequence went from %d to %d", fail, before.Seq, page.Seq)
		}
	}
}
