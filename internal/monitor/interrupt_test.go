package monitor

import (
	"testing"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
)

// The kernel's structures have the sizes that the requests' numbers say.
func TestInterruptLayouts(t *testing.T) {
	if n := unsafe.Sizeof(kvmVCPUEvents{}); n != 64 {
		t.Errorf("kvm_vcpu_events has %d bytes", n)
	}
	if n := unsafe.Sizeof(sigevent{}); n != 64 {
		t.Errorf("sigevent has %d bytes", n)
	}
	if n := unsafe.Sizeof(abi.Control{}); n > abi.PageSize {
		t.Errorf("abi.Control has %d bytes", n)
	}
}

func TestInterruptible(t *testing.T) {
	masked := [2]abi.Range{{Low: 0x500000, High: 0x508001}, {Low: 0x600000, High: 0x601001}}
	for _, tt := range []struct {
		name           string
		rip, rsp, busy uint64
		want           bool
	}{
		{"on a goroutine's stack", 0x120000, 0x700000, 0, true},
		{"in the trap stubs", abi.SystemAddr + 0x2010, 0x23ff0, 0, false},
		{"with an exception not taken yet", 0x120000, 0x700000, 0x508000, false},
		{"at the top of the signal stack", 0x120000, 0x508000, 0, false},
		{"on the signal stack", 0x120000, 0x500000, 0, false},
		{"beside it", 0x120000, 0x508001, 0, true},
		{"on the second stack", 0x120000, 0x600ff0, 0, false},
	} {
		if got := interruptible(tt.rip, tt.rsp, tt.busy, masked); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// Registers go out and back unchanged, but for flags that ring 3 must not set.
func TestFrameRegs(t *testing.T) {
	r := kvmRegs{
		RAX: 1, RBX: 2, RCX: 3, RDX: 4, RSI: 5, RDI: 6, RSP: 7, RBP: 8,
		R8: 9, R9: 10, R10: 11, R11: 12, R12: 13, R13: 14, R14: 15, R15: 16,
		RIP: 17, RFlags: rflagsFixed | rflagsIF | 1<<10 | 1,
	}
	if got := frameRegs(trapFrame(&r)); got != r {
		t.Errorf("%+v came back as %+v", r, got)
	}
	const trapFlag, iopl, virtual8086 = 1 << 8, 3 << 12, 1 << 17
	if f := frameRegs(abi.TrapFrame{RFlags: ^uint64(0)}).RFlags; f&(trapFlag|iopl|virtual8086) != 0 || f&rflagsIF == 0 {
		t.Errorf("flags %#x", f)
	}
	if f := frameRegs(abi.TrapFrame{}).RFlags; f != rflagsFixed|rflagsIF {
		t.Errorf("flags %#x", f)
	}
}
