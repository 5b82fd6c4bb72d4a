package monitor

import (
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/guest"
)

// slots are the memory regions to give to KVM: all but the addresses that have
// nothing behind them, split where large pages can begin; and the files, which
// the guest cannot write even with page tables of its own.
func slots(m *guest.Memory) []kvmMemoryRegion {
	// SAFETY: the address of a mapping that stays until KVM has let go of it.
	base := uint64(uintptr(unsafe.Pointer(&m.Mem[0])))
	slots := []kvmMemoryRegion{
		{Slot: 0, GuestPhysAddr: abi.ClockAddr, MemorySize: guest.HugePage - abi.ClockAddr, UserspaceAddr: base + abi.ClockAddr},
		{Slot: 1, GuestPhysAddr: guest.HugePage, MemorySize: uint64(len(m.Mem)) - guest.HugePage, UserspaceAddr: base + guest.HugePage},
	}
	if m.Files != nil {
		// SAFETY: as above.
		at := uint64(uintptr(unsafe.Pointer(&m.Files[0])))
		slots = append(slots, kvmMemoryRegion{
			Slot: 2, Flags: kvmMemReadonly, GuestPhysAddr: m.FilesAddr(), MemorySize: uint64(len(m.Files)), UserspaceAddr: at,
		})
	}
	return slots
}
