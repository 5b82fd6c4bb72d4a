package monitor

import (
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/guest"
)

// counter reads a vCPU's time stamp counter.
func counter(vcpu int) guest.Counter {
	return func() (uint64, error) {
		msr := kvmMSRs{N: 1, Index: msrTSC}
		// SAFETY: the request takes a struct kvm_msrs.
		err := ioctlPtr(vcpu, "KVM_GET_MSRS", kvmGetMSRs, unsafe.Pointer(&msr))
		return msr.Data, err
	}
}

func newGuestClock(page *abi.Clock, vcpu int) (*guest.Clock, error) {
	khz, err := ioctl(vcpu, "KVM_GET_TSC_KHZ", kvmGetTSCKHz, 0)
	if err != nil {
		return nil, err
	}
	return guest.NewClock(page, counter(vcpu), (1e6<<32)/uint64(khz))
}
