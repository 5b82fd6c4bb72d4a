package monitor

import (
	"bytes"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
)

// hugePage is the size in bytes of the large pages that guest memory is mapped
// with on both sides.
const hugePage = 2 << 20

// A guestMemory is the guest's flat memory. Guest-physical address a is byte a
// of mem, except below abi.ClockAddr, where nothing is behind the addresses.
type guestMemory struct {
	mem []byte
	all []byte // mem with the slack that aligns it
	fd  int    // of the memfd, -1 for anonymous memory

	files []byte // the image's files, nil if there are none
}

// newGuestMemory makes size bytes of zeroed guest memory, mapped at a 2 MiB
// boundary so that host and guest can both use large pages. It is a memfd
// unless the host gives large pages to anonymous memory only.
func newGuestMemory(size uint64) (*guestMemory, error) {
	m := &guestMemory{fd: -1}
	flags := unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	if sharedHugePages() {
		fd, err := unix.MemfdCreate("tailor-guest", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("guest memory: memfd_create: %w", err)
		}
		m.fd, flags = fd, unix.MAP_SHARED
		if err := unix.Ftruncate(fd, int64(size)); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("guest memory of %d MiB: %w", size>>20, err)
		}
	}
	if err := m.mapAligned(size, flags); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// sharedHugePages reports whether a memfd gets large pages where it asks for
// them (Documentation/admin-guide/mm/transhuge.rst).
func sharedHugePages() bool {
	text, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
	if err != nil {
		return true
	}
	return !bytes.Contains(text, []byte("[never]")) && !bytes.Contains(text, []byte("[deny]"))
}

func (m *guestMemory) mapAligned(size uint64, flags int) error {
	all, err := unix.Mmap(-1, 0, int(size+hugePage), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("guest memory of %d MiB: %w", size>>20, err)
	}
	// SAFETY: the address of a mapping that this function just made.
	base := uintptr(unsafe.Pointer(&all[0]))
	start := (hugePage - base%hugePage) % hugePage
	p, err := unix.MmapPtr(m.fd, 0, unsafe.Pointer(&all[start]), uintptr(size),
		unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err != nil {
		unix.Munmap(all)
		return fmt.Errorf("guest memory of %d MiB: %w", size>>20, err)
	}
	m.all = all
	m.mem = unsafe.Slice((*byte)(p), size)
	// Advice only: without large pages the guest is slower, not wrong.
	unix.Madvise(m.mem, unix.MADV_HUGEPAGE)
	return nil
}

// filesAddr is the guest-physical address of the image's files: the first large
// page above memory.
func (m *guestMemory) filesAddr() uint64 {
	return (uint64(len(m.mem)) + hugePage - 1) &^ (hugePage - 1)
}

func (m *guestMemory) close() {
	if m.files != nil {
		unix.Munmap(m.files)
	}
	if m.all != nil {
		unix.Munmap(m.all)
		m.all, m.mem = nil, nil
	}
	if m.fd >= 0 {
		unix.Close(m.fd)
	}
}

// slots are the memory regions to give to KVM: all but the addresses that have
// nothing behind them, split where large pages can begin; and the files, which
// the guest cannot write even with page tables of its own.
func (m *guestMemory) slots() []kvmMemoryRegion {
	// SAFETY: the address of a mapping that stays until KVM has let go of it.
	base := uint64(uintptr(unsafe.Pointer(&m.mem[0])))
	slots := []kvmMemoryRegion{
		{Slot: 0, GuestPhysAddr: abi.ClockAddr, MemorySize: hugePage - abi.ClockAddr, UserspaceAddr: base + abi.ClockAddr},
		{Slot: 1, GuestPhysAddr: hugePage, MemorySize: uint64(len(m.mem)) - hugePage, UserspaceAddr: base + hugePage},
	}
	if m.files != nil {
		// SAFETY: as above.
		at := uint64(uintptr(unsafe.Pointer(&m.files[0])))
		slots = append(slots, kvmMemoryRegion{
			Slot: 2, Flags: kvmMemReadonly, GuestPhysAddr: m.filesAddr(), MemorySize: uint64(len(m.files)), UserspaceAddr: at,
		})
	}
	return slots
}

// at returns a pointer to a T in guest memory at an address of the monitor's
// own choosing.
func at[T any](m *guestMemory, gpa uint64) *T {
	var zero T
	b := m.mem[gpa : gpa+uint64(unsafe.Sizeof(zero))]
	// SAFETY: the bytes are within the mapping, and the layout's addresses are
	// page aligned.
	return (*T)(unsafe.Pointer(&b[0]))
}
