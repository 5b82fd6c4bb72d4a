package monitor

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/ring0"
)

// MinMemory is the smallest guest memory in bytes that anything boots with.
const MinMemory = 4 << 20

// load puts the image into guest memory and lays out everything that it finds
// there: page tables, descriptor tables, boot information and the first stack.
// It returns the stack pointer to enter with and the page tables' root, which is
// where the guest's memory ends.
func load(m *guestMemory, cfg *Config, devices []abi.Device) (sp, cr3 uint64, err error) {
	img := cfg.Image
	size := uint64(len(m.mem))
	imageEnd := img.End
	pages := tablePages(m.filesAddr()+uint64(len(m.files)), imageEnd+3*hugePage)
	memEnd := size - pages*abi.PageSize
	if imageEnd+(1<<20) > memEnd || memEnd > size {
		return 0, 0, &memoryError{cfg.Memory, imageEnd + pages*abi.PageSize + 1<<20}
	}
	for i, s := range img.Segments {
		if err := img.LoadSegment(i, m.mem[s.Vaddr:s.Vaddr+s.Memsz]); err != nil {
			return 0, 0, err
		}
	}
	ring0.WriteMonitorTables(m.mem)
	copy(m.mem[ring0.StubAddr:ring0.TrapStackLow], ring0.MonitorStubs())
	tables := newPageTable(m.mem, memEnd, pages)
	if err := mapGuest(tables, img, memEnd); err != nil {
		return 0, 0, err
	}
	files := m.filesAddr()
	if err := tables.mapRange(files, files+uint64(len(m.files)), ring0.MapR); err != nil {
		return 0, 0, err
	}
	if err := writeBootInfo(m, cfg, devices, memEnd, imageEnd); err != nil {
		return 0, 0, err
	}
	sp, err = writeStack(m.mem, cfg)
	return sp, memEnd, err
}

type memoryError struct{ have, need uint64 }

func (e *memoryError) Error() string {
	return fmt.Sprintf("%d MiB of memory are too few for this image", e.have>>20)
}

func (e *memoryError) Hint() string {
	return fmt.Sprintf("give it more, for example -m %dM", (e.need+4<<20)>>20&^1)
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

// writeBootInfo writes abi.BootInfo, the device table and the parameters.
func writeBootInfo(m *guestMemory, cfg *Config, devices []abi.Device, memEnd, imageEnd uint64) error {
	table := uint64(abi.BootAddr) + uint64(unsafe.Sizeof(abi.BootInfo{}))
	table = (table + 63) &^ 63
	params := table + uint64(len(devices))*uint64(unsafe.Sizeof(abi.Device{}))
	words := cfg.Params + shareParams(cfg.Shares)
	if params+uint64(len(words)) > abi.BootEnd {
		return fmt.Errorf("boot parameters of %d bytes do not fit (at most %d)", len(words), abi.BootEnd-params)
	}
	info := at[abi.BootInfo](m, abi.BootAddr)
	*info = abi.BootInfo{
		Magic:      abi.BootMagic,
		Version:    abi.Version,
		NumDevices: uint32(len(devices)),
		MemEnd:     memEnd,
		ImageEnd:   imageEnd,
		Devices:    table,
		Params:     params,
		ParamsLen:  uint64(len(words)),
		Flags:      abi.BootInterrupts,
	}
	if len(m.files) > 0 {
		info.Files, info.FilesLen = m.filesAddr(), uint64(len(m.files))
	}
	if cfg.Verbose {
		info.Flags |= abi.BootVerbose
	}
	if _, err := rand.Read(info.Seed[:]); err != nil {
		return err
	}
	for i := range devices {
		*at[abi.Device](m, table+uint64(i)*uint64(unsafe.Sizeof(abi.Device{}))) = devices[i]
	}
	copy(m.mem[params:], words)
	return nil
}

// Auxiliary vector types, linux/auxvec.h.
const (
	auxNull   = 0
	auxPagesz = 6
	auxRandom = 25
)

// writeStack writes the stack a new Linux program starts with (System V ABI,
// AMD64 supplement, section 3.4.1) below abi.StackHigh and returns its pointer.
func writeStack(mem []byte, cfg *Config) (uint64, error) {
	top := uint64(abi.StackHigh)
	put := func(b []byte) uint64 {
		top -= uint64(len(b))
		copy(mem[top:], b)
		return top
	}
	total := 0
	for _, s := range append(append([]string{}, cfg.Args...), cfg.Env...) {
		total += len(s) + 1 + 8
	}
	if total > abi.MaxArgBytes {
		return 0, fmt.Errorf("arguments and environment of %d bytes do not fit (at most %d)", total, abi.MaxArgBytes)
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return 0, err
	}
	words := []uint64{uint64(len(cfg.Args))}
	for _, list := range [][]string{cfg.Args, cfg.Env} {
		for _, s := range list {
			words = append(words, put(append([]byte(s), 0)))
		}
		words = append(words, 0)
	}
	top &^= 15
	words = append(words, auxRandom, put(random[:]), auxPagesz, abi.PageSize, auxNull, 0)
	sp := (top - uint64(len(words))*8) &^ 15
	for i, w := range words {
		binary.LittleEndian.PutUint64(mem[sp+uint64(i)*8:], w)
	}
	if sp < abi.StackLow+64<<10 {
		return 0, errors.New("arguments and environment leave no stack")
	}
	return sp, nil
}
