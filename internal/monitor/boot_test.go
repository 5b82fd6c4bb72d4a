package monitor

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/ring0"
)

// translate walks page tables as the processor does. ok is false where nothing
// is mapped.
func translate(mem []byte, root, va uint64) (pa, flags uint64, ok bool) {
	table := root
	flags = ring0.PTEWrite | ring0.PTEUser
	nx := uint64(0)
	for level := 3; level >= 0; level-- {
		e := binary.LittleEndian.Uint64(mem[table+va>>(12+9*level)&511*8:])
		if e&ring0.PTEPresent == 0 {
			return 0, 0, false
		}
		flags &= e
		nx |= e & ring0.PTENX
		frame := e &^ (ring0.PTENX | 0xfff)
		if level == 0 || level == 1 && e&ring0.PTELarge != 0 {
			mask := uint64(1)<<(12+9*level) - 1
			return frame | va&mask, flags&(ring0.PTEWrite|ring0.PTEUser) | nx, true
		}
		table = frame
	}
	return 0, 0, false
}

var testImage = &image.Image{
	Segments: []image.Segment{
		{Vaddr: abi.ImageBase, Memsz: 0x9e1d1, Prot: image.ProtRead | image.ProtExec},
		{Vaddr: 0x1af000, Memsz: 0xd8288, Prot: image.ProtRead},
		{Vaddr: 0x288000, Memsz: 0x40240, Prot: image.ProtRead | image.ProtWrite},
	},
	End: 0x2c9000,
}

// Every page of the address space has the rights of the contract, and no page
// is both writable and executable or reachable twice.
func TestAddressSpace(t *testing.T) {
	for _, size := range []uint64{8 << 20, 34 << 20, 64 << 20} {
		mem := make([]byte, size)
		pages := tablePages(size, testImage.End+2*guest.HugePage)
		end := size - pages*abi.PageSize
		tables := newPageTable(mem, end, pages)
		if err := mapGuest(tables, testImage, end); err != nil {
			t.Fatal(err)
		}
		const (
			none = iota
			system
			systemX
			r
			rw
			rx
		)
		want := func(va uint64) int {
			switch {
			case va < abi.DoorbellAddr:
				return none
			case va < abi.ClockAddr:
				return rw
			case va < abi.ControlAddr:
				return r
			case va < abi.BootAddr:
				return rw
			case va < abi.BootEnd:
				return r
			case va >= ring0.StubAddr && va < ring0.TrapStackLow:
				return systemX
			case va < ring0.TrapStackHigh:
				return system
			case va < abi.StackLow:
				return none
			case va < abi.StackHigh:
				return rw
			case va < abi.RingEnd:
				return rw
			case va < abi.ImageBase:
				return none
			case va < 0x1af000:
				return rx
			case va < 0x288000:
				return r
			case va < end:
				return rw
			}
			return none
		}
		for va := uint64(0); va < size+guest.HugePage; va += abi.PageSize {
			pa, flags, ok := translate(mem, end, va)
			got := none
			switch {
			case !ok:
			case flags&ring0.PTEUser == 0 && flags&ring0.PTENX == 0:
				got = systemX
			case flags&ring0.PTEUser == 0:
				got = system
			case flags&ring0.PTEWrite != 0 && flags&ring0.PTENX != 0:
				got = rw
			case flags&ring0.PTEWrite == 0 && flags&ring0.PTENX != 0:
				got = r
			case flags&ring0.PTEWrite == 0:
				got = rx
			}
			w := want(va)
			// Text ends within its last page.
			if va >= pageEnd(abi.ImageBase+0x9e1d1) && va < 0x1af000 || va >= pageEnd(0x1af000+0xd8288) && va < 0x288000 {
				w = none
			}
			if got != w || ok && pa != va {
				t.Fatalf("memory %#x: page %#x is mapped to %#x with kind %d, want %d", size, va, pa, got, w)
			}
			if ok && flags&ring0.PTEWrite != 0 && flags&ring0.PTENX == 0 {
				t.Fatalf("page %#x is writable and executable", va)
			}
		}
		if tables.n > tables.max {
			t.Errorf("%d of %d pages of tables", tables.n, tables.max)
		}
	}
}

func pageEnd(v uint64) uint64 { return (v + abi.PageSize - 1) &^ (abi.PageSize - 1) }

func TestMapTwice(t *testing.T) {
	mem := make([]byte, 1<<20)
	tables := newPageTable(mem, 0x80000, 16)
	if err := tables.mapRange(0x1000, 0x3000, ring0.MapRW); err != nil {
		t.Fatal(err)
	}
	if err := tables.mapRange(0x2000, 0x4000, ring0.MapR); err == nil {
		t.Error("a page was mapped twice")
	}
	few := newPageTable(mem, 0x80000, 2)
	if err := few.mapRange(0x40000000, 0x40001000, ring0.MapRW); err == nil {
		t.Error("more tables than there is room for")
	}
}

func TestMemoryTooSmall(t *testing.T) {
	m, err := guest.NewMemory(4<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	big := *testImage
	big.End = 4 << 20
	big.Segments = nil
	if _, _, err := load(m, &guest.Config{Image: &big, Memory: 4 << 20}, nil); err == nil || !strings.Contains(err.Error(), "too few") {
		t.Error(err)
	}
}
