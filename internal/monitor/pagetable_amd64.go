package monitor

import (
	"encoding/binary"
	"fmt"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/ring0"
)

// A pageTable builds four-level page tables at the end of guest memory. Page i
// of the tables is at mem[base+i*4096].
type pageTable struct {
	mem  []byte
	base uint64
	n    uint64 // pages in use
	max  uint64
}

// tablePages is the number of 4 KiB pages that mapping size bytes of memory,
// with fine bytes of it in 4 KiB pages, takes at the most.
func tablePages(size, fine uint64) uint64 {
	const gib = 1 << 30
	return 1 + 1 + (size+gib-1)/gib + 1 + fine/guest.HugePage + 3
}

func newPageTable(mem []byte, base, pages uint64) *pageTable {
	t := &pageTable{mem: mem, base: base, max: pages}
	t.n = 1 // the root
	return t
}

// entry returns the bytes of the entry for va at a level (0: 4 KiB), making
// the tables above it.
func (t *pageTable) entry(va uint64, level int) ([]byte, error) {
	table := t.base
	for l := 3; ; l-- {
		off := table + va>>(12+9*l)&511*8
		e := t.mem[off : off+8]
		if l == level {
			return e, nil
		}
		v := binary.LittleEndian.Uint64(e)
		if v == 0 {
			if t.n == t.max {
				return nil, fmt.Errorf("page tables: more than %d pages", t.max)
			}
			v = t.base + t.n*abi.PageSize | ring0.PTETable
			t.n++
			binary.LittleEndian.PutUint64(e, v)
		}
		table = v &^ (abi.PageSize - 1)
	}
}

// mapRange maps [va, end) to the same physical addresses with the given
// rights, in 2 MiB pages where they fit. Both ends are multiples of 4 KiB.
func (t *pageTable) mapRange(va, end, rights uint64) error {
	for va < end {
		level, size, large := 0, uint64(abi.PageSize), uint64(0)
		if va%guest.HugePage == 0 && end-va >= guest.HugePage {
			level, size, large = 1, guest.HugePage, ring0.PTELarge
		}
		e, err := t.entry(va, level)
		if err != nil {
			return err
		}
		if old := binary.LittleEndian.Uint64(e); old != 0 {
			return fmt.Errorf("page tables: %#x is mapped twice", va)
		}
		binary.LittleEndian.PutUint64(e, va|rights|large)
		va += size
	}
	return nil
}
