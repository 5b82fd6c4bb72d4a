package guest

import (
	"bytes"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// HugePage is the size in bytes of the large pages that guest memory is mapped
// with on both sides.
const HugePage = 2 << 20

// A Memory is the guest's flat memory. Guest-physical address a is byte a of
// Mem, except below abi.ClockAddr, where nothing is behind the addresses.
type Memory struct {
	Mem []byte
	all []byte // Mem with the slack that aligns it
	FD  int    // of the memfd, -1 for anonymous memory

	Files []byte // the image's files, nil if there are none; Close unmaps them
}

// NewMemory makes size bytes of zeroed guest memory, mapped at a 2 MiB boundary
// so that host and guest can both use large pages. It is a memfd if another
// process shares it, or unless the host gives large pages to anonymous memory
// only.
func NewMemory(size uint64, shared bool) (*Memory, error) {
	m := &Memory{FD: -1}
	flags := unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	if shared || sharedHugePages() {
		fd, err := unix.MemfdCreate("tailor-guest", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("guest memory: memfd_create: %w", err)
		}
		m.FD, flags = fd, unix.MAP_SHARED
		if err := unix.Ftruncate(fd, int64(size)); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("guest memory of %d MiB: %w", size>>20, err)
		}
	}
	if err := m.mapAligned(size, flags); err != nil {
		m.Close()
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

func (m *Memory) mapAligned(size uint64, flags int) error {
	all, err := unix.Mmap(-1, 0, int(size+HugePage), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("guest memory of %d MiB: %w", size>>20, err)
	}
	// SAFETY: the address of a mapping that this function just made.
	base := uintptr(unsafe.Pointer(&all[0]))
	start := (HugePage - base%HugePage) % HugePage
	p, err := unix.MmapPtr(m.FD, 0, unsafe.Pointer(&all[start]), uintptr(size),
		unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err != nil {
		unix.Munmap(all)
		return fmt.Errorf("guest memory of %d MiB: %w", size>>20, err)
	}
	m.all = all
	m.Mem = unsafe.Slice((*byte)(p), size)
	// Advice only: without large pages the guest is slower, not wrong.
	unix.Madvise(m.Mem, unix.MADV_HUGEPAGE)
	return nil
}

// MapFile maps n bytes of a file, read-only, in the place of memory at addr. All
// but fd are multiples of the page size.
func (m *Memory) MapFile(addr, n uint64, fd int, offset int64) error {
	b := m.Mem[addr : addr+n]
	// SAFETY: the bytes are within the mapping, whose pages these replace.
	_, err := unix.MmapPtr(fd, offset, unsafe.Pointer(&b[0]), uintptr(n), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_FIXED)
	return err
}

// FilesAddr is the guest-physical address of the image's files: the first large
// page above memory.
func (m *Memory) FilesAddr() uint64 {
	return (uint64(len(m.Mem)) + HugePage - 1) &^ (HugePage - 1)
}

// Close unmaps everything.
func (m *Memory) Close() {
	if m.Files != nil {
		unix.Munmap(m.Files)
	}
	if m.all != nil {
		unix.Munmap(m.all)
		m.all, m.Mem = nil, nil
	}
	if m.FD >= 0 {
		unix.Close(m.FD)
	}
}

// At returns a pointer to a T in guest memory at an address of the starter's
// own choosing.
func At[T any](m *Memory, gpa uint64) *T {
	var zero T
	b := m.Mem[gpa : gpa+uint64(unsafe.Sizeof(zero))]
	// SAFETY: the bytes are within the mapping, and the layout's addresses are
	// page aligned.
	return (*T)(unsafe.Pointer(&b[0]))
}
