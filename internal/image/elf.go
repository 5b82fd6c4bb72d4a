package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/tailor-os/tailor/abi"
)

const (
	ehSize = 64 // bytes of an ELF-64 file header
	phSize = 56 // bytes of a program header
	shSize = 64 // bytes of a section header
)

// machines are the processors by ELF machine, as GOARCH.
var machines = map[elf.Machine]string{elf.EM_X86_64: "amd64"}

// A reader reads pieces of a file of a known size. It keeps the file's first
// page, where Go's linker puts all headers.
type reader struct {
	r    io.ReaderAt
	size uint64
	head []byte
}

func newReader(r io.ReaderAt, size uint64) (*reader, error) {
	f := &reader{r: r, size: size}
	head, err := f.read(0, min(size, abi.PageSize), "the first page")
	f.head = head
	return f, err
}

// read returns n bytes at off. The caller bounds n.
func (f *reader) read(off, n uint64, what string) ([]byte, error) {
	end := off + n
	if end < off || end > f.size {
		return nil, truncated(f.size, end, "%s", what)
	}
	if end <= uint64(len(f.head)) {
		return f.head[off:end:end], nil
	}
	b := make([]byte, n)
	if got, err := f.r.ReadAt(b, int64(off)); uint64(got) < n {
		if err == io.EOF {
			return nil, truncated(off+uint64(got), end, "%s", what)
		}
		e := fail(Unreadable, "", "cannot be read at byte %d: %v", off, err)
		e.Cause = err
		return nil, e
	}
	return b, nil
}

// A noteReader finds out what an executable says of itself.
type noteReader func(*reader, elf.Header64, []elf.Prog64) (Note, error)

// parse checks the file from the outside in: that it is a whole executable,
// that its note is one this package can read, then the rules of the format.
func parse(r io.ReaderAt, size uint64, readNote noteReader) (*Image, error) {
	f, err := newReader(r, size)
	if err != nil {
		return nil, err
	}
	hdr, err := f.header()
	if err != nil {
		return nil, err
	}
	progs, err := f.progs(hdr)
	if err != nil {
		return nil, err
	}
	m := &Image{r: r, Entry: hdr.Entry}
	if m.Note, err = readNote(f, hdr, progs); err != nil {
		return nil, err
	}
	if err := checkHeader(hdr, m.Note); err != nil {
		return nil, err
	}
	if files := m.Note.Files; files != nil {
		if err := files.check(size); err != nil {
			return nil, err
		}
	}
	base := uint64(abi.ImageBase)
	if m.Note.Target == virtioTarget {
		base = abi.BootStubAddr
	}
	if m.Segments, err = segments(progs, base); err != nil {
		return nil, err
	}
	if err := m.checkEntry(); err != nil {
		return nil, err
	}
	m.End = m.Segments[len(m.Segments)-1].End()
	return m, nil
}

// header returns the file header of an ELF-64 little-endian file.
func (f *reader) header() (elf.Header64, error) {
	var h elf.Header64
	if f.size == 0 {
		return h, fail(Empty, hintBuild, "is empty")
	}
	if n := min(len(f.head), len(elf.ELFMAG)); string(f.head[:n]) != elf.ELFMAG[:n] {
		return h, fail(NotELF, hintBuild, "is not a Tailor image: %s", fileKind(f.head))
	}
	b, err := f.read(0, ehSize, "the file header")
	if err != nil {
		return h, err
	}
	if c, d := elf.Class(b[elf.EI_CLASS]), elf.Data(b[elf.EI_DATA]); c != elf.ELFCLASS64 || d != elf.ELFDATA2LSB {
		return h, fail(WrongArch, "rebuild it on or for a 64-bit machine", "is not a 64-bit little-endian executable (%v, %v)", c, d)
	}
	if err := decode(b, &h); err != nil {
		return h, err
	}
	if t := elf.Type(h.Type); t != elf.ET_EXEC && t != elf.ET_DYN {
		return h, fail(NotELF, hintBuild, "is not a Tailor image: it is an ELF file that cannot be started (%v)", t)
	}
	return h, nil
}

// fileKind says what a file that is no ELF file seems to be.
func fileKind(head []byte) string {
	known := []struct{ magic, kind string }{
		{"#!", "it is a script"},
		{"\x1f\x8b", "it is compressed by gzip"},
		{"\x28\xb5\x2f\xfd", "it is compressed by zstd"},
		{"PK\x03\x04", "it is a zip archive"},
		{"!<arch>\n", "it is an archive of object files"},
		{"MZ", "it is a Windows program"},
		{"\xcf\xfa\xed\xfe", "it is a macOS program"},
		{"QFI\xfb", "it is a qcow2 disk"},
		{"package ", "it is Go source"},
	}
	for _, k := range known {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return k.kind
		}
	}
	return fmt.Sprintf("it begins with % x, an executable with 7f 45 4c 46", head[:min(4, len(head))])
}

// progs returns all program headers, each one's bytes inside the file.
func (f *reader) progs(h elf.Header64) ([]elf.Prog64, error) {
	if h.Phnum == 0 || h.Phnum > maxProgs || h.Phentsize != phSize {
		return nil, fail(Malformed, hintRebuild, "has %d program headers of %d bytes, must have 1 to %d of %d",
			h.Phnum, h.Phentsize, maxProgs, phSize)
	}
	if h.Phoff < ehSize {
		return nil, fail(Malformed, hintRebuild, "has program headers at byte %d, inside the file header", h.Phoff)
	}
	b, err := f.read(h.Phoff, uint64(h.Phnum)*phSize, "the program header table")
	if err != nil {
		return nil, err
	}
	progs := make([]elf.Prog64, h.Phnum)
	for i := range progs {
		p := &progs[i]
		if err := decode(b[i*phSize:], p); err != nil {
			return nil, err
		}
		if end := p.Off + p.Filesz; end < p.Off || end > f.size {
			return nil, truncated(f.size, end, "the segment of program header %d (%v)", i, elf.ProgType(p.Type))
		}
	}
	return progs, nil
}

// note finds and reads Tailor's note.
func (f *reader) note(h elf.Header64, progs []elf.Prog64) (Note, error) {
	for i := range progs {
		desc, err := f.noteDesc(&progs[i])
		if err != nil {
			return Note{}, err
		}
		if desc == nil {
			continue
		}
		// It was written behind the note: a file that lacks it was cut short.
		if _, err := f.read(progs[i].Off+progs[i].Filesz, uint64(len(endOfNotes)), "the end of the notes"); err != nil {
			return Note{}, err
		}
		return decodeNote(desc)
	}
	if m := elf.Machine(h.Machine); machines[m] == "" {
		return Note{}, fail(WrongArch, hintBuild, "is a program for another processor (%v), and not a Tailor image", m)
	}
	return Note{}, fail(NoNote, "start it directly, or "+hintBuild,
		"is an ordinary Linux program, not a Tailor image (it has no note of tailor's)")
}

// noteDesc returns the descriptor of Tailor's note if p holds it, else nil.
func (f *reader) noteDesc(p *elf.Prog64) ([]byte, error) {
	if elf.ProgType(p.Type) != elf.PT_NOTE || p.Filesz > MaxNote {
		return nil, nil
	}
	b, err := f.read(p.Off, p.Filesz, "a note")
	if err != nil {
		return nil, err
	}
	return findNote(b, p.Align, noteOwner, noteType), nil
}

func checkHeader(h elf.Header64, n Note) error {
	arch, ok := machines[elf.Machine(h.Machine)]
	if !ok {
		return fail(WrongArch, "rebuild it for this machine with: tailor build",
			"was built for %s (%v); this tailor starts amd64 images", n.Arch, elf.Machine(h.Machine))
	}
	if arch != n.Arch {
		return badNote("arch %s in an executable for %s", n.Arch, arch)
	}
	if t := elf.Type(h.Type); t != elf.ET_EXEC {
		return fail(Malformed, hintRebuild, "is an ELF file of type %v, must be ET_EXEC (linked to a fixed address)", t)
	}
	return nil
}

// segments returns the loadable segments if every rule of the format holds. free
// is the first address that a segment may use.
func segments(progs []elf.Prog64, free uint64) ([]Segment, error) {
	var segs []Segment
	for i := range progs {
		p := &progs[i]
		switch elf.ProgType(p.Type) {
		case elf.PT_LOAD:
		case elf.PT_INTERP, elf.PT_DYNAMIC, elf.PT_TLS:
			return nil, fail(Malformed, "rebuild it with CGO_ENABLED=0 and: tailor build",
				"needs a dynamic linker or C run time (program header %d is %v)", i, elf.ProgType(p.Type))
		default:
			continue
		}
		if len(segs) == MaxSegments {
			return nil, fail(Malformed, hintRebuild, "has more than %d segments", MaxSegments)
		}
		s, err := segment(p, free)
		if err != nil {
			return nil, fail(Malformed, hintRebuild, "has a bad segment (program header %d): %v", i, err)
		}
		free = s.End()
		segs = append(segs, s)
	}
	if len(segs) == 0 {
		return nil, fail(Malformed, hintRebuild, "has no segment to load")
	}
	return segs, nil
}

// segment checks p by itself and against free, the end of the one before it.
func segment(p *elf.Prog64, free uint64) (Segment, error) {
	s := Segment{Vaddr: p.Vaddr, Memsz: p.Memsz, Offset: p.Off, Filesz: p.Filesz, Prot: prot(p.Flags)}
	end := p.Vaddr + p.Memsz
	switch {
	case p.Memsz == 0:
		return s, fmt.Errorf("it is empty")
	case p.Filesz > p.Memsz:
		return s, fmt.Errorf("%d bytes in the file, only %d in memory", p.Filesz, p.Memsz)
	case p.Vaddr%abi.PageSize != 0 || p.Off%abi.PageSize != 0:
		return s, fmt.Errorf("address %#x at byte %#x of the file is not on a page boundary", p.Vaddr, p.Off)
	case end < p.Vaddr || end > AddrLimit:
		return s, fmt.Errorf("address %#x with %#x bytes ends after %#x", p.Vaddr, p.Memsz, uint64(AddrLimit))
	case p.Vaddr < abi.ImageBase && p.Vaddr != free:
		return s, fmt.Errorf("address %#x lies below the image's base, %#x", p.Vaddr, uint64(abi.ImageBase))
	case p.Vaddr < free:
		return s, fmt.Errorf("address %#x lies before %#x, where the pages of the one before it end", p.Vaddr, free)
	case s.Prot&ProtRead == 0:
		return s, fmt.Errorf("it cannot be read (%v)", s.Prot)
	case s.Prot&ProtWrite != 0 && s.Prot&ProtExec != 0:
		return s, fmt.Errorf("it is both writable and executable (%v)", s.Prot)
	}
	return s, nil
}

func prot(flags uint32) (p Prot) {
	for _, m := range []struct {
		flag elf.ProgFlag
		prot Prot
	}{{elf.PF_R, ProtRead}, {elf.PF_W, ProtWrite}, {elf.PF_X, ProtExec}} {
		if elf.ProgFlag(flags)&m.flag != 0 {
			p |= m.prot
		}
	}
	return p
}

// checkEntry makes sure that the guest starts in code that the file holds.
func (m *Image) checkEntry() error {
	for _, s := range m.Segments {
		if s.Prot&ProtExec != 0 && m.Entry >= s.Vaddr && m.Entry-s.Vaddr < s.Filesz {
			return nil
		}
	}
	return fail(Malformed, hintRebuild, "starts at %#x, which is not in an executable segment", m.Entry)
}

// decode reads one of package elf's structs from the start of b.
func decode(b []byte, v any) error {
	if _, err := binary.Decode(b, binary.LittleEndian, v); err != nil {
		return fail(Malformed, hintRebuild, "has a short header: %v", err)
	}
	return nil
}
