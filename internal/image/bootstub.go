package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"slices"

	"github.com/tailor-os/tailor/abi"
)

// virtioTarget is the target whose images begin with a boot stub.
const virtioTarget = "virtio"

// The note by which hypervisors find the 32-bit entry of the x86/HVM direct boot
// ABI (Xen's public/elfnote.h).
const (
	xenOwner      = "Xen"
	xenPhys32     = 18 // XEN_ELFNOTE_PHYS32_ENTRY
	noteAlignment = 4
)

// ParseRaw checks what Go's linker made, before it has a note.
func ParseRaw(file []byte) (*Image, error) {
	return parse(bytes.NewReader(file), uint64(len(file)), func(*reader, elf.Header64, []elf.Prog64) (Note, error) {
		return Note{Arch: machines[elf.EM_X86_64]}, nil
	})
}

// AddBootStub returns an image of the virtio target: file, an executable that
// Go's linker made, with note n, and with stub, to be loaded at
// abi.BootStubAddr, where loaders begin: at the address linux if they follow
// Linux's 64-bit boot protocol, at pvh if they follow PVH.
func AddBootStub(file []byte, n Note, stub []byte, linux, pvh uint64) ([]byte, error) {
	f, err := newReader(bytes.NewReader(file), uint64(len(file)))
	if err != nil {
		return nil, err
	}
	e := editor{reader: f, out: bytes.Clone(file)}
	if e.hdr, err = f.header(); err != nil {
		return nil, err
	}
	if e.progs, err = f.progs(e.hdr); err != nil {
		return nil, err
	}
	if err := e.checkSections(); err != nil {
		return nil, err
	}
	if _, err := e.growProgs(); err != nil {
		return nil, err
	}
	if err := e.addEntryNote(pvh); err != nil {
		return nil, err
	}
	e.addStub(stub)
	e.hdr.Entry = linux
	if err := e.writeHeaders(); err != nil {
		return nil, err
	}
	n.Target, n.Files = virtioTarget, nil
	img, err := addNote(e.out, n)
	return append(img, endOfNotes...), err
}

// endOfNotes stands behind the last note: QEMU 7.2, which looks for the entry's,
// does not count the notes it passes and runs over the end of a segment, until it
// meets the header of a note that would be larger than the segment.
const endOfNotes = "\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"

// addStub appends the stub and puts its program header, which growProgs has added,
// before those of the other segments: they are ascending.
func (e *editor) addStub(stub []byte) {
	e.out = append(e.out, make([]byte, pageUp(uint64(len(e.out)))-uint64(len(e.out)))...)
	p := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Off: uint64(len(e.out)),
		Vaddr: abi.BootStubAddr, Paddr: abi.BootStubAddr, Filesz: uint64(len(stub)),
		Memsz: abi.BootStubEnd - abi.BootStubAddr, Align: abi.PageSize,
	}
	e.out = append(e.out, stub...)
	first := 0
	for elf.ProgType(e.progs[first].Type) != elf.PT_LOAD {
		first++
	}
	copy(e.progs[first+1:], e.progs[first:])
	e.progs[first] = p
}

// addEntryNote appends the note that names the 32-bit entry, in the place of the
// linker's notes: its build ID, behind which QEMU would read on in the text.
func (e *editor) addEntryNote(entry uint64) error {
	le := binary.LittleEndian
	note := le.AppendUint32(nil, uint32(len(xenOwner)+1))
	note = le.AppendUint32(note, 8)
	note = le.AppendUint32(note, xenPhys32)
	note = append(note, xenOwner+"\x00"...)
	note = le.AppendUint64(note, entry)
	i := slices.IndexFunc(e.progs, func(p elf.Prog64) bool { return elf.ProgType(p.Type) == elf.PT_NOTE })
	if i < 0 {
		return fail(Malformed, hintRebuild, "has no note of the linker's")
	}
	e.out = pad4(e.out)
	e.progs[i] = elf.Prog64{
		Type: uint32(elf.PT_NOTE), Flags: uint32(elf.PF_R), Off: uint64(len(e.out)),
		Filesz: uint64(len(note)), Memsz: uint64(len(note)), Align: noteAlignment,
	}
	e.out = append(e.out, note...)
	return nil
}
