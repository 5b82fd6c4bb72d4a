// Package virtq is the device side of split virtqueues with EVENT_IDX (virtio
// 1.2 sections 2.7 and 2.7.10): what a monitor's devices use to take buffers
// from a guest and to give them back.
//
// The guest is hostile. Whatever it writes into a ring is read exactly once,
// checked, and then only the local copy is used, since it may change the ring
// at any time; every address is turned into memory by [Memory.Slice] and in no
// other way; every loop is bounded by the queue's size. What is wrong ends as
// an [Error] that names queue, entry and value, and the queue stays refused.
package virtq

import (
	"errors"
	"fmt"
	"slices"
)

// A GPA is a guest-physical address: untrusted, and no pointer.
type GPA uint64

// Access says what a device is going to do to guest memory.
type Access bool

// The kinds of access.
const (
	Read  Access = false
	Write Access = true
)

// A Range is a piece of guest-physical memory, Start included, End not, that
// devices may read and, if Writable, write. What the guest itself cannot reach
// or write (page tables, trap stubs, its text) must not be given to devices
// either: a descriptor would be the way around its page tables.
type Range struct {
	Start, End GPA
	Writable   bool
}

// Memory is a guest's memory as its devices may use it. Once complete, it is
// immutable and may be used by several goroutines at once.
type Memory struct {
	ram    []byte
	ranges []backed // sorted, not overlapping, neighbours merged
}

// backed is a range with what is behind it.
type backed struct {
	Range
	mem  []byte
	base GPA // of mem's first byte
}

// ErrMemory is wrapped by the errors of [Memory.Slice].
var ErrMemory = errors.New("not within the guest memory that devices may use")

// NewMemory gives devices access to ranges of ram, whose first byte is
// guest-physical address 0. It fails for ranges that are empty, overlap or
// leave ram. ram must stay mapped as long as the Memory is used.
func NewMemory(ram []byte, ranges ...Range) (*Memory, error) {
	m := &Memory{ram: ram}
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b Range) int {
		if a.Start < b.Start {
			return -1
		}
		return 1
	})
	end := GPA(0)
	for _, r := range sorted {
		if r.Start >= r.End || r.Start < end || r.End > GPA(len(ram)) {
			return nil, fmt.Errorf("virtq: range %#x-%#x is empty, overlaps, or leaves the %#x bytes of guest memory",
				uint64(r.Start), uint64(r.End), len(ram))
		}
		end = r.End
		m.append(backed{r, ram, 0})
	}
	return m, nil
}

// AddReadOnly lets devices also read mem, which is not part of the guest's flat
// memory but lies above it, at start. It is called before m is used. mem must
// stay mapped as long as m is used.
func (m *Memory) AddReadOnly(start GPA, mem []byte) error {
	end := start + GPA(len(mem))
	if n := len(m.ranges); end <= start || n > 0 && start < m.ranges[n-1].End {
		return fmt.Errorf("virtq: memory at %#x-%#x is empty or does not lie above the rest", uint64(start), uint64(end))
	}
	m.ranges = append(m.ranges, backed{Range{Start: start, End: end}, mem, start})
	return nil
}

// append adds a range behind the others, to the last one if it continues that.
func (m *Memory) append(r backed) {
	if n := len(m.ranges); n > 0 && m.ranges[n-1].End == r.Start && m.ranges[n-1].Writable == r.Writable {
		m.ranges[n-1].End = r.End
		return
	}
	m.ranges = append(m.ranges, r)
}

// Slice returns n bytes of guest memory at gpa: the one way from a guest
// address to memory. The guest may write to them at any time. It fails with an
// error that wraps [ErrMemory] unless all of them lie in one range (neighbours
// with the same access are one) that permits the access; n must not be 0.
func (m *Memory) Slice(gpa GPA, n uint64, a Access) ([]byte, error) {
	// The heap is one of the last ranges and the usual one: search backwards.
	for i := len(m.ranges) - 1; i >= 0; i-- {
		r := &m.ranges[i]
		if gpa < r.Start || gpa >= r.End {
			continue
		}
		if n == 0 || n > uint64(r.End-gpa) || a == Write && !r.Writable {
			break
		}
		// Three indexes: nothing can be appended into guest memory.
		at := uint64(gpa - r.base)
		return r.mem[at : at+n : at+n], nil
	}
	return nil, &MemoryError{gpa, n, a}
}

// A MemoryError is an access that [Memory.Slice] refused.
type MemoryError struct {
	GPA    GPA
	Len    uint64
	Access Access
}

func (e *MemoryError) Error() string {
	verb := "read"
	if e.Access == Write {
		verb = "write"
	}
	return fmt.Sprintf("%s of %d bytes at guest address %#x: %v", verb, e.Len, uint64(e.GPA), ErrMemory)
}

// Unwrap returns [ErrMemory].
func (e *MemoryError) Unwrap() error { return ErrMemory }
