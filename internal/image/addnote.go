package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"slices"
)

// AddNote returns file, an executable that Go's linker made, with note n: the
// note's bytes at the end and a program header that points to them. A note of
// Tailor's that is there already is replaced. n.Format is not read, and n.Files
// is for [Write] to set. The same input gives the same bytes, and what is
// returned passes [Parse].
func AddNote(file []byte, n Note) ([]byte, error) {
	n.Files = nil
	return addNote(file, n)
}

// Write writes an image with files: what [AddNote] makes of file and n, then,
// on a page of its own, the size bytes that files writes, which are a multiple
// of abi.PageSize. The same input gives the same bytes.
func Write(w io.Writer, file []byte, n Note, size uint64, files func(io.Writer) error) error {
	n.Files = &Files{Offset: pageUp(uint64(len(file))), Size: size}
	var out []byte
	for {
		var err error
		if out, err = addNote(file, n); err != nil {
			return err
		}
		// The note tells the place of what follows it.
		if end := pageUp(uint64(len(out))); end > n.Files.Offset {
			n.Files.Offset = end
			continue
		}
		break
	}
	out = append(out, make([]byte, n.Files.Offset-uint64(len(out)))...)
	if _, err := w.Write(out); err != nil {
		return err
	}
	return files(w)
}

func addNote(file []byte, n Note) ([]byte, error) {
	note, err := n.encode()
	if err != nil {
		return nil, err
	}
	e, err := newEditor(file)
	if err != nil {
		return nil, err
	}
	if err := e.put(note); err != nil {
		return nil, err
	}
	size := uint64(len(e.out))
	if n.Files != nil {
		size = max(size, n.Files.Offset+n.Files.Size) // they come after it
	}
	if _, err := parse(bytes.NewReader(e.out), size, (*reader).note); err != nil {
		return nil, err
	}
	return e.out, nil
}

// An editor changes the headers of an executable in memory.
type editor struct {
	*reader // the file as it was
	hdr     elf.Header64
	progs   []elf.Prog64
	out     []byte // the file as it becomes
}

func newEditor(file []byte) (*editor, error) {
	f, err := newReader(bytes.NewReader(file), uint64(len(file)))
	if err != nil {
		return nil, err
	}
	e := &editor{reader: f, out: bytes.Clone(file)}
	if e.hdr, err = f.header(); err != nil {
		return nil, err
	}
	if e.progs, err = f.progs(e.hdr); err != nil {
		return nil, err
	}
	if err := e.checkSections(); err != nil {
		return nil, err
	}
	return e, nil
}

// checkSections makes sure that the section header table, which is no part of
// an image but moves with it, is in the file.
func (e *editor) checkSections() error {
	if e.hdr.Shnum == 0 {
		e.hdr.Shoff = 0
		return nil
	}
	if e.hdr.Shentsize != shSize {
		return fail(Malformed, hintRebuild, "has section headers of %d bytes, must be %d", e.hdr.Shentsize, shSize)
	}
	end := e.hdr.Shoff + uint64(e.hdr.Shnum)*shSize
	if end < e.hdr.Shoff || end > e.size {
		return truncated(e.size, end, "the section header table")
	}
	return nil
}

// put appends note and makes a program header point to it.
func (e *editor) put(note []byte) error {
	i, err := e.findProg()
	if err != nil {
		return err
	}
	if i >= 0 {
		e.cut(e.progs[i])
	} else {
		if i, err = e.growProgs(); err != nil {
			return err
		}
	}
	e.out = pad4(e.out)
	e.progs[i] = progNote(uint64(len(e.out)), uint64(len(note)))
	e.out = append(e.out, note...)
	e.out = append(e.out, endOfNotes...)
	return e.writeHeaders()
}

// endOfNotes stands behind the note, which is the last: QEMU 7.2, which looks for
// that of an entry, does not count the notes it passes and runs over the end of a
// segment, until it meets the header of a note that would be larger than the
// segment.
const endOfNotes = "\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"

// cut removes the old note that p points to if it is the end of the file.
func (e *editor) cut(p elf.Prog64) {
	headers := max(e.hdr.Phoff+uint64(e.hdr.Phnum)*phSize, e.hdr.Shoff+uint64(e.hdr.Shnum)*shSize)
	end := p.Off + p.Filesz
	if p.Off >= headers && (end == e.size || string(e.out[end:]) == endOfNotes) {
		e.out = e.out[:p.Off]
	}
}

// findProg returns the index of the program header of Tailor's note, or -1.
func (e *editor) findProg() (int, error) {
	for i := range e.progs {
		desc, err := e.noteDesc(&e.progs[i])
		if err != nil {
			return 0, err
		}
		if desc != nil {
			return i, nil
		}
	}
	return -1, nil
}

// growProgs makes room for one more program header, whose index it returns.
// Go's linker writes the section header table right behind the program header
// table, then zeros up to the first section: the sections' table moves up.
func (e *editor) growProgs() (int, error) {
	end := e.hdr.Phoff + uint64(e.hdr.Phnum)*phSize
	moved := uint64(e.hdr.Shnum) * shSize
	if e.hdr.Shoff != end {
		moved = 0
	}
	limit, err := e.firstContent(end)
	if err != nil {
		return 0, err
	}
	gap := end + moved
	if gap+phSize > limit || len(bytes.Trim(e.out[gap:gap+phSize], "\x00")) > 0 {
		return 0, fail(NoRoom, "link it with Go's own linker, without -ldflags=-linkmode=external",
			"has no room for another program header at byte %d", gap)
	}
	if moved > 0 {
		copy(e.out[end+phSize:], e.out[end:gap])
		e.hdr.Shoff += phSize
	}
	e.hdr.Phnum++
	for i := range e.progs {
		if elf.ProgType(e.progs[i].Type) == elf.PT_PHDR {
			e.progs[i].Filesz += phSize
			e.progs[i].Memsz += phSize
		}
	}
	e.progs = append(e.progs, elf.Prog64{})
	return len(e.progs) - 1, nil
}

// firstContent returns where the first bytes after the headers lie that a
// section or a segment speaks of; what is before it, from the end of the
// program headers on, may be written to.
func (e *editor) firstContent(progEnd uint64) (uint64, error) {
	limit := e.size
	lower := func(off, size uint64) {
		if size > 0 && off+size > progEnd && off >= e.hdr.Phoff {
			limit = min(limit, max(off, progEnd))
		}
	}
	for _, p := range e.progs {
		if elf.ProgType(p.Type) != elf.PT_PHDR {
			lower(p.Off, p.Filesz)
		}
	}
	if e.hdr.Shnum == 0 {
		return limit, nil
	}
	b, err := e.read(e.hdr.Shoff, uint64(e.hdr.Shnum)*shSize, "the section header table")
	if err != nil {
		return 0, err
	}
	if e.hdr.Shoff != progEnd {
		lower(e.hdr.Shoff, uint64(len(b)))
	}
	for s := range slices.Chunk(b, shSize) {
		var sec elf.Section64
		if err := decode(s, &sec); err != nil {
			return 0, err
		}
		if elf.SectionType(sec.Type) != elf.SHT_NOBITS {
			lower(sec.Off, sec.Size)
		}
	}
	return limit, nil
}

// writeHeaders puts the file header and the program headers in place.
func (e *editor) writeHeaders() error {
	if _, err := binary.Encode(e.out, binary.LittleEndian, &e.hdr); err != nil {
		return fail(NoRoom, hintRebuild, "cannot take its file header: %v", err)
	}
	if _, err := binary.Encode(e.out[e.hdr.Phoff:], binary.LittleEndian, e.progs); err != nil {
		return fail(NoRoom, hintRebuild, "cannot take its program headers: %v", err)
	}
	return nil
}
