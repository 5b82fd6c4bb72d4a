//go:build tailoros

package runtime

import "unsafe"

// This file stands in the place of the runtime's mem_linux.go; mem_sbrk.go,
// which upstream keeps for Plan 9 and WebAssembly, does the rest.

const (
	_EACCES = 13
	_EINVAL = 22
)

// SAFETY: an address below the end of the memory that the starter mapped, and
// above what has been given out, is memory that nobody has.

// sbrk extends the break by n bytes, rounded up to pages, within the flat
// memory that the starter mapped. It returns nil when there is no more.
func sbrk(n uintptr) unsafe.Pointer {
	n = memRound(n)
	end := uintptr(tailorBootInfo().MemEnd)
	if bloc > end || n > end-bloc {
		tailorControl().OutOfMemory = uint64(n)
		return nil
	}
	p := bloc
	bloc += n
	blocMax = max(blocMax, bloc)
	if !tailorMemoryIsZero {
		memclrNoHeapPointers(unsafe.Pointer(p), n) // SAFETY: see above
	}
	return unsafe.Pointer(p)
}

// tailorMemoryLimit is GOMEMLIMIT's default: nine tenths of what is left of
// the guest's memory beside the image, so that the collector works harder
// before the heap meets the end of memory.
func tailorMemoryLimit() int64 {
	info := tailorBootInfo()
	return int64(info.MemEnd-info.ImageEnd) / 10 * 9
}

// tailorRunway is how many bytes the heap may grow between two collections at
// the least: a part of what the memory limit leaves over. test is set for a
// pacer under test, which is upstream's.
func tailorRunway(test bool) uint64 {
	if test {
		return 0
	}
	info := tailorBootInfo()
	return (info.MemEnd - info.ImageEnd) / 40
}

// tailorMaxCredit is how many bytes a goroutine may allocate at the most before
// it helps the collector again.
const tailorMaxCredit = 256 << 10

// tailorMaxStack is the limit of one goroutine's stack: a stack doubles by
// copying, so that the old one, of half the size, must fit beside the new.
func tailorMaxStack() uintptr {
	info := tailorBootInfo()
	return min(1000000000, uintptr(info.MemEnd-info.ImageEnd)/4)
}

// tailorSummaries is the number of entries of one level of the page
// allocator's radix tree that this machine's memory needs, in whole blocks.
func tailorSummaries(shift uint) int {
	n := int(tailorBootInfo().MemEnd>>shift) + 1
	if shift == levelShift[0] {
		return max(n, 1<<summaryL0Bits)
	}
	return int(alignUp(uintptr(n), 1<<summaryLevelBits))
}

// tailorChunks is the number of page-allocator chunks in this machine's
// memory, in whole pages of the scavenger's index.
func tailorChunks() uintptr {
	n := uintptr(tailorBootInfo().MemEnd)/pallocChunkBytes + 1
	return alignUp(n, physPageSize/unsafe.Sizeof(atomicScavChunkData{}))
}
