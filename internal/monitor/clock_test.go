package monitor

import (
	"math/bits"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/xtest"
)

// guestTime computes time as the guest does.
func guestTime(t *testing.T, p *abi.Clock, vcpu int) (mono, host int64) {
	t.Helper()
	tsc, now, err := counter(vcpu).Now()
	if err != nil {
		t.Fatal(err)
	}
	hi, lo := bits.Mul64(tsc-p.TSCBase, p.Mult)
	return p.MonoBase + int64(hi<<32|lo>>32), now
}

func TestClock(t *testing.T) {
	xtest.NeedKVM(t)
	kvm, err := openKVM()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(kvm)
	vm, err := ioctl(kvm, "KVM_CREATE_VM", kvmCreateVM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(vm)
	cpu, err := newVCPU(kvm, vm)
	if err != nil {
		t.Fatal(err)
	}
	defer cpu.close()
	var page abi.Clock
	c, err := newGuestClock(&page, cpu.fd)
	if err != nil {
		t.Fatal(err)
	}
	c.Refresh()
	begin, host := guestTime(t, &page, cpu.fd)
	time.Sleep(50 * time.Millisecond)
	end, later := guestTime(t, &page, cpu.fd)
	if off := time.Duration((end - begin) - (later - host)); off.Abs() > time.Millisecond {
		t.Errorf("the guest's clock is off by %v", off)
	}
	if off := time.Since(time.Unix(0, end+page.WallOffset)); off.Abs() > 50*time.Millisecond {
		t.Errorf("wall time is off by %v", off)
	}
}
