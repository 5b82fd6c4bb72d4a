package virtq

import (
	"errors"
	"testing"
)

func TestMemorySlice(t *testing.T) {
	ram := newRAM()
	m, err := NewMemory(ram, append(ranges, Range{holeAt + 0x1000, holeAt + 0x2000, true}, Range{holeAt + 0x2000, holeAt + 0x3000, true})...)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		gpa  GPA
		n    uint64
		a    Access
		ok   bool
	}{
		{"heap", heapAt, 16, Write, true},
		{"whole heap", heapAt, memSize - heapAt, Write, true},
		{"last byte", memSize - 1, 1, Write, true},
		{"one too many", heapAt, memSize - heapAt + 1, Read, false},
		{"at the end", memSize, 1, Read, false},
		{"beyond", memSize + 1, 1, Read, false},
		{"far beyond", 1<<64 - 1, 1, Read, false},
		{"length wraps", heapAt, 1<<64 - 1, Read, false},
		{"length wraps to one", heapAt, 1<<64 - heapAt + 1, Read, false},
		{"zero", heapAt, 0, Read, false},
		{"page 0", 0, 1, Read, false},
		{"hole", holeAt, 1, Read, false},
		{"into the hole", holeAt - 1, 2, Read, false},
		{"read-only read", roAt, heapAt - roAt, Read, true},
		{"read-only write", roAt, 1, Write, false},
		{"neighbours of other access", roAt, heapAt - roAt + 1, Read, false},
		{"neighbours of same access", holeAt + 0x1fff, 2, Write, true},
	} {
		b, err := m.Slice(tt.gpa, tt.n, tt.a)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if err == nil && (&b[0] != &ram[tt.gpa] || uint64(len(b)) != tt.n || uint64(cap(b)) != tt.n) {
			t.Errorf("%s: wrong slice, length %d, capacity %d", tt.name, len(b), cap(b))
		}
		if var2 := (*MemoryError)(nil); err != nil && (!errors.Is(err, ErrMemory) || !errors.As(err, &var2) || b != nil) {
			t.Errorf("%s: %v, %d bytes", tt.name, err, len(b))
		}
	}
}

func TestMemoryAddReadOnly(t *testing.T) {
	const at = memSize + 0x10000
	m, err := NewMemory(newRAM(), ranges...)
	if err != nil {
		t.Fatal(err)
	}
	own := make([]byte, 0x2000)
	for _, start := range []GPA{0, memSize - 1, 1<<64 - 1, 1<<64 - 0x2000} {
		if m.AddReadOnly(start, own) == nil {
			t.Errorf("added at %#x", uint64(start))
		}
	}
	if m.AddReadOnly(at, nil) == nil {
		t.Error("added no memory")
	}
	if err := m.AddReadOnly(at, own); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		gpa GPA
		n   uint64
		a   Access
		ok  bool
	}{
		{at, 0x2000, Read, true},
		{at + 0x1fff, 1, Read, true},
		{at + 1, 0x2000, Read, false},
		{at - 1, 1, Read, false},
		{at, 1, Write, false},
		{heapAt, 16, Write, true},
		{memSize - 1, 2, Read, false},
	} {
		b, err := m.Slice(tt.gpa, tt.n, tt.a)
		if (err == nil) != tt.ok {
			t.Errorf("%d bytes at %#x: %v", tt.n, uint64(tt.gpa), err)
		}
		if tt.gpa >= at && err == nil && (&b[0] != &own[tt.gpa-at] || uint64(cap(b)) != tt.n) {
			t.Errorf("%d bytes at %#x: wrong memory", tt.n, uint64(tt.gpa))
		}
	}
}

func TestMemoryRanges(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    []Range
	}{
		{"empty", []Range{{5, 5, true}}},
		{"backwards", []Range{{5, 4, true}}},
		{"leaves ram", []Range{{0, memSize + 1, true}}},
		{"overlap", []Range{{0, 10, true}, {9, 20, false}}},
		{"twice", []Range{{0, 10, true}, {0, 10, true}}},
	} {
		if _, err := NewMemory(newRAM(), tt.r...); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
}
