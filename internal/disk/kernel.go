package disk

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/tailor-os/tailor/internal/disk/loader"
	"github.com/tailor-os/tailor/internal/hint"
)

// A kernel is an image's memory: its segments in one piece, from the lowest
// address on.
type kernel struct {
	load, entry uint32
	memory      uint32 // bytes, with what is zero behind data
	data        []byte // whole blocks
}

func (k *kernel) program() loader.Program {
	return loader.Program{Load: k.load, Bytes: uint32(len(k.data)), Memory: k.memory, Entry: k.entry, Sums: loader.Sums(k.data)}
}

// memoryEnd bounds the addresses of a program: below are memory on every
// machine that has enough, above may be devices.
const memoryEnd = 3 << 30

// lowest is where memory begins that is the program's alone.
const lowest = 1 << 20

// readKernel reads an image of the target virtio.
func readKernel(image []byte) (*kernel, error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, fmt.Errorf("read the image: %w", err)
	}
	defer f.Close()
	k := &kernel{}
	if k.entry, err = pvhEntry(f); err != nil {
		return nil, err
	}
	low, dataEnd, end, err := extentOf(f, uint64(len(image)))
	if err != nil {
		return nil, err
	}
	if uint64(k.entry) < low || uint64(k.entry) >= dataEnd {
		return nil, fmt.Errorf("the image's entry %#x is not in its segments", k.entry)
	}
	k.data = make([]byte, (dataEnd-low+block-1)/block*block)
	k.load, k.memory = uint32(low), uint32(max(end-low, uint64(len(k.data)))+3)&^3
	for _, p := range f.Progs {
		if loaded(p) {
			copy(k.data[p.Paddr-low:], image[p.Off:p.Off+p.Filesz])
		}
	}
	return k, nil
}

// loaded reports whether a segment has memory: nothing else of one without is looked
// at.
func loaded(p *elf.Prog) bool { return p.Type == elf.PT_LOAD && p.Memsz > 0 }

// extentOf returns the addresses where an image's segments begin and where their
// bytes and they themselves end. It checks that all are in the file and none too
// far from the others.
func extentOf(f *elf.File, size uint64) (low, dataEnd, end uint64, err error) {
	low = memoryEnd
	for i, p := range f.Progs {
		if !loaded(p) {
			continue
		}
		switch {
		case p.Filesz > size || p.Off > size-p.Filesz:
			return 0, 0, 0, fmt.Errorf("the image's segment %d is not in the file", i)
		case p.Memsz < p.Filesz || p.Paddr < lowest || p.Paddr > memoryEnd || p.Memsz > memoryEnd-p.Paddr:
			return 0, 0, 0, fmt.Errorf("the image's segment %d is at %#x, %d bytes: not between 1 MiB and 3 GiB", i, p.Paddr, p.Memsz)
		}
		low, dataEnd, end = min(low, p.Paddr), max(dataEnd, p.Paddr+p.Filesz), max(end, p.Paddr+p.Memsz)
	}
	if end == 0 || dataEnd <= low || low%4 != 0 {
		return 0, 0, 0, fmt.Errorf("the image has no segments to load")
	}
	if dataEnd-low > maxData || dataEnd-low > 2*size+16*mib {
		return 0, 0, 0, fmt.Errorf("the image has %d bytes to load, too many for a disk", dataEnd-low)
	}
	return low, dataEnd, end, nil
}

// xenPhys32Entry is the type of the note with the 32-bit entry: Xen's
// include/public/elfnote.h.
const xenPhys32Entry = 18

// pvhEntry returns the address at which an image is entered.
func pvhEntry(f *elf.File) (uint32, error) {
	if f.Class != elf.ELFCLASS64 || f.Data != elf.ELFDATA2LSB || f.Machine != elf.EM_X86_64 {
		return 0, fmt.Errorf("the image is not one for amd64")
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > mib {
			continue
		}
		notes := make([]byte, p.Filesz)
		if _, err := p.ReadAt(notes, 0); err != nil {
			return 0, fmt.Errorf("read the image's notes: %w", err)
		}
		if entry, ok := findNote(notes); ok {
			return entry, nil
		}
	}
	return 0, hint.Errorf("build it with: tailor build -t virtio", "the image has no entry for a boot loader (Xen's note PHYS32_ENTRY)")
}

// findNote looks for Xen's note among notes: 4-byte aligned, owner and
// descriptor after three lengths.
func findNote(b []byte) (uint32, bool) {
	const head = 12
	for len(b) >= head {
		name, desc := uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
		kind := binary.LittleEndian.Uint32(b[8:])
		nameEnd := head + (name+3)&^3
		end := nameEnd + (desc+3)&^3
		if nameEnd+desc > uint64(len(b)) {
			return 0, false
		}
		if string(b[head:head+name]) == "Xen\x00" && kind == xenPhys32Entry && desc >= 4 {
			return binary.LittleEndian.Uint32(b[nameEnd:]), true
		}
		b = b[min(end, uint64(len(b))):]
	}
	return 0, false
}
