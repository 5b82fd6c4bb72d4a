package monitor

import (
	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/ring0"
)

// load puts the image into guest memory and lays out everything that it finds
// there: page tables, descriptor tables, boot information and the first stack.
// It returns the stack pointer to enter with and the page tables' root, which is
// where the guest's memory ends.
func load(m *guest.Memory, cfg *guest.Config, devices []abi.Device) (sp, cr3 uint64, err error) {
	img := cfg.Image
	size := uint64(len(m.Mem))
	imageEnd := img.End
	pages := tablePages(m.FilesAddr()+uint64(len(m.Files)), imageEnd+3*guest.HugePage)
	memEnd := size - pages*abi.PageSize
	if imageEnd+(1<<20) > memEnd || memEnd > size {
		return 0, 0, &guest.MemoryError{Have: cfg.Memory, Need: imageEnd + pages*abi.PageSize + 1<<20}
	}
	for i, s := range img.Segments {
		if err := img.LoadSegment(i, m.Mem[s.Vaddr:s.Vaddr+s.Memsz]); err != nil {
			return 0, 0, err
		}
	}
	ring0.WriteMonitorTables(m.Mem)
	copy(m.Mem[ring0.StubAddr:ring0.TrapStackLow], ring0.MonitorStubs())
	tables := newPageTable(m.Mem, memEnd, pages)
	if err := mapGuest(tables, img, memEnd); err != nil {
		return 0, 0, err
	}
	files := m.FilesAddr()
	if err := tables.mapRange(files, files+uint64(len(m.Files)), ring0.MapR); err != nil {
		return 0, 0, err
	}
	if err := guest.WriteBootInfo(m, cfg, devices, memEnd, imageEnd, 0); err != nil {
		return 0, 0, err
	}
	sp, err = guest.WriteStack(m.Mem, cfg)
	return sp, memEnd, err
}

// mapGuest builds the address space that package abi describes.
func mapGuest(t *pageTable, img *image.Image, memEnd uint64) error {
	type mapping struct{ va, end, rights uint64 }
	maps := []mapping{
		{abi.DoorbellAddr, abi.ClockAddr, ring0.MapRW},
		{abi.ClockAddr, abi.ControlAddr, ring0.MapR},
		{abi.ControlAddr, abi.BootAddr, ring0.MapRW},
		{abi.BootAddr, abi.BootEnd, ring0.MapR},
		{ring0.GDTAddr, ring0.StubAddr, ring0.MapSystemRO},
		{ring0.StubAddr, ring0.TrapStackLow, ring0.MapSystemRX},
		{ring0.TrapStackLow, ring0.TrapStackHigh, ring0.MapSystemRW},
		{abi.StackLow, abi.StackHigh, ring0.MapRW},
		{abi.RingAddr, abi.RingEnd, ring0.MapRW},
	}
	for _, s := range img.Segments {
		rights := uint64(ring0.MapR)
		switch {
		case s.Prot&image.ProtExec != 0:
			rights = ring0.MapRX
		case s.Prot&image.ProtWrite != 0:
			rights = ring0.MapRW
		}
		maps = append(maps, mapping{s.Vaddr, s.End(), rights})
	}
	maps = append(maps, mapping{img.End, memEnd, ring0.MapRW})
	for _, m := range maps {
		if err := t.mapRange(m.va, m.end, m.rights); err != nil {
			return err
		}
	}
	return nil
}
