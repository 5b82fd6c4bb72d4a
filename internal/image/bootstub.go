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

// A BootStub is what makes an image one of the virtio target.
type BootStub struct {
	Code       []byte // to be loaded at abi.BootStubAddr
	Linux, PVH uint64 // where loaders enter it, by Linux's 64-bit protocol and by PVH
	Files      []byte // of the image, whole pages, to be loaded behind it; nil for none
}

// AddBootStub returns an image of the virtio target: file, an executable that
// Go's linker made, with note n and a boot stub.
func AddBootStub(file []byte, n Note, stub BootStub) ([]byte, error) {
	e, err := newEditor(file)
	if err != nil {
		return nil, err
	}
	if _, err := e.growProgs(); err != nil {
		return nil, err
	}
	if err := e.addEntryNote(stub.PVH); err != nil {
		return nil, err
	}
	e.addStub(stub.Code)
	e.hdr.Entry = stub.Linux
	if len(stub.Files) > 0 {
		if err := e.addFiles(stub.Files); err != nil {
			return nil, err
		}
	}
	if err := e.writeHeaders(); err != nil {
		return nil, err
	}
	n.Target, n.Files = virtioTarget, nil
	return addNote(e.out, n)
}

// addStub appends the stub and puts its program header, which growProgs has added,
// before those of the other segments: they are ascending.
func (e *editor) addStub(stub []byte) {
	e.out = padPage(e.out)
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

// addFiles appends the files and a program header for them: the last segment's
// successor.
func (e *editor) addFiles(files []byte) error {
	if err := e.writeHeaders(); err != nil {
		return err
	}
	// growProgs looks at the file as it was.
	var err error
	if e.reader, err = newReader(bytes.NewReader(e.out), uint64(len(e.out))); err != nil {
		return err
	}
	i, err := e.growProgs()
	if err != nil {
		return err
	}
	end := uint64(0)
	for _, p := range e.progs {
		if elf.ProgType(p.Type) == elf.PT_LOAD {
			end = pageUp(p.Vaddr + p.Memsz)
		}
	}
	n := uint64(len(files))
	e.out = padPage(e.out)
	e.progs[i] = elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Off: uint64(len(e.out)),
		Vaddr: end, Paddr: end, Filesz: n, Memsz: n, Align: abi.PageSize,
	}
	e.out = append(e.out, files...)
	return nil
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
