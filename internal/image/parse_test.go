package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/abi"
)

// small is a tiny image for tests that break one thing each: three segments
// of a page and the note.
type small struct {
	hdr   elf.Header64
	progs []elf.Prog64
	note  []byte
	file  []byte // what write puts the headers and the note into
}

func newSmall() *small {
	n := testNote()
	note, err := n.encode()
	if err != nil {
		panic(err)
	}
	const page = abi.PageSize
	load := func(i uint64, flags elf.ProgFlag, memsz uint64) elf.Prog64 {
		return elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(flags), Off: i * page,
			Vaddr: abi.ImageBase + i*page, Filesz: page, Memsz: memsz, Align: page}
	}
	s := &small{note: note, file: make([]byte, 3*page)}
	copy(s.hdr.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	s.hdr.Type = uint16(elf.ET_EXEC)
	s.hdr.Machine = uint16(elf.EM_X86_64)
	s.hdr.Phoff, s.hdr.Phentsize = ehSize, phSize
	s.hdr.Entry = abi.ImageBase + 0x800
	s.progs = []elf.Prog64{
		load(0, elf.PF_R|elf.PF_X, page), load(1, elf.PF_R, page), load(2, elf.PF_R|elf.PF_W, 5*page+1),
		progNote(3*page, uint64(len(note))),
	}
	return s
}

// bytes returns the file.
func (s *small) bytes() []byte {
	s.hdr.Phnum = uint16(len(s.progs))
	b := bytes.Clone(s.file)
	binary.Encode(b, binary.LittleEndian, &s.hdr)
	binary.Encode(b[ehSize:], binary.LittleEndian, s.progs)
	return append(append(b, s.note...), endOfNotes...)
}

func TestParseSmall(t *testing.T) {
	m, err := Parse(newSmall().bytes())
	if err != nil {
		t.Fatal(err)
	}
	if want := uint64(abi.ImageBase + 8*abi.PageSize); m.End != want || len(m.Segments) != 3 {
		t.Errorf("end %#x, %d segments, want %#x, 3", m.End, len(m.Segments), want)
	}
	if !reflect.DeepEqual(m.Note, testNote()) {
		t.Errorf("note = %+v", m.Note)
	}
	if m.File() != nil || m.Close() != nil {
		t.Error("an image from memory has a file")
	}
}

// TestCutAnywhere: there is no end of an image without which it is taken for whole.
func TestCutAnywhere(t *testing.T) {
	whole := newSmall().bytes()
	for n := range whole {
		if m, err := Parse(whole[:n]); m != nil || err == nil {
			t.Fatalf("cut at byte %d of %d: Parse = %v, %v", n, len(whole), m != nil, err)
		}
	}
}

func TestParseForeignFiles(t *testing.T) {
	tests := []struct {
		name, file string
		kind       Kind
		text       string
	}{
		{"empty", "", Empty, "is empty; make an image with: tailor build"},
		{"script", "#!/bin/sh\nexit 0\n", NotELF, "it is a script"},
		{"gzip", "\x1f\x8b\x08", NotELF, "it is compressed by gzip"},
		{"Windows", "MZ\x90\x00", NotELF, "it is a Windows program"},
		{"Go", "package main\n", NotELF, "it is Go source"},
		{"random", "\xde\xad\xbe\xef\x00\x01", NotELF, "it begins with de ad be ef"},
		{"one byte", "x", NotELF, "it begins with 78"},
		{"magic cut", "\x7fE", Truncated, "is truncated at byte 2: the file header ends at byte 64"},
		{"magic only", "\x7fELF", Truncated, "is truncated at byte 4: the file header ends at byte 64"},
	}
	for _, tt := range tests {
		check(t, tt.name, []byte(tt.file), tt.kind, tt.text)
	}
}

// check parses file and compares the error.
func check(t *testing.T, name string, file []byte, kind Kind, text string) {
	t.Helper()
	m, err := Parse(file)
	if m != nil || !errors.Is(err, kind) || !strings.Contains(full(err), text) {
		t.Errorf("%s: Parse = %v, %v\nwant %v: %s", name, m != nil, err, kind, text)
	}
}

func TestParseErrors(t *testing.T) {
	const page = abi.PageSize
	huge := uint64(math.MaxUint64)
	tests := []struct {
		name   string
		change func(*small)
		kind   Kind
		text   string
	}{
		{"ELF-32", func(s *small) { s.hdr.Ident[elf.EI_CLASS] = 1 }, WrongArch, "not a 64-bit little-endian"},
		{"big-endian", func(s *small) { s.hdr.Ident[elf.EI_DATA] = 2 }, WrongArch, "not a 64-bit little-endian"},
		{"other machine", func(s *small) { s.hdr.Machine = uint16(elf.EM_AARCH64) }, WrongArch, "EM_AARCH64"},
		{"other program", func(s *small) { s.hdr.Machine = uint16(elf.EM_AARCH64); s.progs = s.progs[:3] }, WrongArch, "for another processor"},
		{"object file", func(s *small) { s.hdr.Type = uint16(elf.ET_REL) }, NotELF, "cannot be started (ET_REL)"},
		{"PIE", func(s *small) { s.hdr.Type = uint16(elf.ET_DYN) }, Malformed, "type ET_DYN"},

		{"headers in header", func(s *small) { s.hdr.Phoff = 8 }, Malformed, "program headers at byte 8"},
		{"headers past end", func(s *small) { s.hdr.Phoff = 1 << 40 }, Truncated, "the program header table ends at"},
		{"headers overflow", func(s *small) { s.hdr.Phoff = huge - 8 }, Truncated, "the program header table"},
		{"header size", func(s *small) { s.hdr.Phentsize = 57 }, Malformed, "program headers of 57 bytes"},
		{"no headers", func(s *small) { s.progs = nil }, Malformed, "0 program headers"},
		{"65 headers", func(s *small) { s.progs = append(make([]elf.Prog64, 61), s.progs...) }, Malformed, "65 program headers"},

		{"no note", func(s *small) { s.progs = s.progs[:3] }, NoNote, "ordinary Linux program"},
		{"note of another", func(s *small) { s.note[12] = 'S' }, NoNote, "ordinary Linux program"},
		{"note type", func(s *small) { s.note[8] = 9 }, NoNote, "ordinary Linux program"},
		{"note too big", func(s *small) { s.note[4]++; s.note[5]++ }, NoNote, ""},
		{"note cut", func(s *small) { s.note = s.note[:40] }, Truncated, "program header 3 (PT_NOTE) ends at"},
		{"newer format", func(s *small) { s.desc()[headFormat] = 3; copy(s.desc()[headTool:], "v7.0.0") }, NewerFormat,
			`was made by tailor "v7.0.0" in image format 3; this tailor reads formats up to 2; update tailor`},
		{"format 0", func(s *small) { s.desc()[headFormat] = 0 }, BadNote, "format 0"},
		{"JSON length", func(s *small) { s.desc()[headJSONLen]++ }, BadNote, "its head says"},
		{"JSON", func(s *small) { s.desc()[headLen] = '[' }, BadNote, "bad note"},
		{"text", func(s *small) { s.desc()[headTool] = 0x1b }, BadNote, `tailor version "\x1b0.1.0" is not printable`},
		{"arch in note", func(s *small) { s.swap(`"amd64"`, `"arm65"`) }, BadNote, "arch arm65 in an executable for amd64"},

		{"no segment", func(s *small) { s.progs = s.progs[3:] }, Malformed, "no segment to load"},
		{"17 segments", many, Malformed, "more than 16 segments"},
		{"interpreter", func(s *small) { s.progs[1].Type = uint32(elf.PT_INTERP) }, Malformed, "dynamic linker"},
		{"file past end", func(s *small) { s.progs[2].Filesz = 1 << 30 }, Truncated, "program header 2 (PT_LOAD)"},
		{"file overflow", func(s *small) { s.progs[2].Off = huge &^ (page - 1) }, Truncated, "program header 2"},
		{"empty segment", func(s *small) { s.progs[1].Filesz, s.progs[1].Memsz = 0, 0 }, Malformed, "it is empty"},
		{"less memory", func(s *small) { s.progs[1].Memsz-- }, Malformed, "4096 bytes in the file, only 4095 in memory"},
		{"odd address", func(s *small) { s.progs[1].Vaddr += 8 }, Malformed, "not on a page boundary"},
		{"odd offset", func(s *small) { s.progs[1].Off -= 8 }, Malformed, "not on a page boundary"},
		{"over 4 GiB", func(s *small) { s.progs[2].Memsz = AddrLimit }, Malformed, "ends after 0x100000000"},
		{"memory overflow", func(s *small) { s.progs[2].Memsz = huge - s.progs[2].Vaddr + 2 }, Malformed, "ends after"},
		{"below base", func(s *small) { s.progs[0].Vaddr = abi.ControlAddr }, Malformed, "0x12000 lies below the image's base, 0x110000"},
		{"page shared", func(s *small) { s.progs[0].Memsz++ }, Malformed, "0x111000 lies before 0x112000"},
		{"out of order", func(s *small) { s.progs[0], s.progs[1] = s.progs[1], s.progs[0] }, Malformed, "lies before"},
		{"unreadable", func(s *small) { s.progs[1].Flags = uint32(elf.PF_X) }, Malformed, "it cannot be read (--x)"},
		{"W and X", func(s *small) { s.progs[2].Flags |= uint32(elf.PF_X) }, Malformed, "both writable and executable (rwx)"},
		{"entry in data", func(s *small) { s.hdr.Entry += 2 * page }, Malformed, "starts at 0x112800"},
		{"entry after code", func(s *small) { s.hdr.Entry = abi.ImageBase + page }, Malformed, "starts at"},
		{"entry 0", func(s *small) { s.hdr.Entry = 0 }, Malformed, "starts at 0x0"},
	}
	for _, tt := range tests {
		s := newSmall()
		tt.change(s)
		check(t, tt.name, s.bytes(), tt.kind, tt.text)
	}
}

// desc returns the descriptor inside the note.
func (s *small) desc() []byte { return s.note[12+8:] }

// swap replaces a text inside the note by one of the same length.
func (s *small) swap(from, to string) {
	s.note = bytes.Replace(s.note, []byte(from), []byte(to), 1)
}

// many gives s 17 segments.
func many(s *small) {
	last := s.progs[2]
	last.Memsz = abi.PageSize
	for i := range uint64(14) {
		last.Vaddr = abi.ImageBase + (2+i)*abi.PageSize
		s.progs = append(s.progs, last)
	}
	s.progs = append(s.progs[:2], s.progs[3:]...)
	s.progs = append(s.progs, last)
	s.progs[len(s.progs)-1].Vaddr += abi.PageSize
}

// TestEveryPrefix cuts an image at each byte: no cut is taken for a whole one.
func TestEveryPrefix(t *testing.T) {
	file := newSmall().bytes()
	for n := range file {
		m, err := Parse(file[:n])
		if m != nil || err == nil {
			t.Fatalf("%d of %d bytes: taken for a whole image", n, len(file))
		}
		if n > 0 && !errors.Is(err, Truncated) {
			t.Fatalf("%d of %d bytes: %v, want %v", n, len(file), err, Truncated)
		}
	}
}

// TestUnknownFields reads a note of a later tailor in the same format.
func TestUnknownFields(t *testing.T) {
	s := newSmall()
	s.swap(`"min_memory"`, `"modules___"`)
	m, err := Parse(s.bytes())
	if err != nil {
		t.Fatal(err)
	}
	if m.Note.MinMemory != 0 || m.Note.Go != "go1.26.8" {
		t.Errorf("note = %+v", m.Note)
	}
}

// TestOrdinaryPrograms: what is lying around on the machine is told apart.
func TestOrdinaryPrograms(t *testing.T) {
	check(t, "linked by Go", linked(t), NoNote, "ordinary Linux program")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if m, err := Open(self); m != nil || !errors.Is(err, NoNote) {
		t.Errorf("the test itself: %v, want %v", err, NoNote)
	}
}

// FuzzParse checks what every user of an Image relies on.
func FuzzParse(f *testing.F) {
	// Short inputs: the fuzzer mutates and shrinks bytes one by one.
	f.Add([]byte{})
	f.Add([]byte(elf.ELFMAG))
	s := newSmall()
	s.file = s.file[:512]
	for i := range s.progs[:3] {
		s.progs[i].Off, s.progs[i].Filesz = 0, 512
	}
	s.hdr.Entry = abi.ImageBase + 8
	s.progs[3].Off = 512
	f.Add(s.bytes())
	s.progs = s.progs[:3] // AddNote finds room
	f.Add(s.bytes())
	s.progs[2].Memsz = math.MaxUint64 - 8
	f.Add(s.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if (m == nil) == (err == nil) {
			t.Fatalf("image %v and error %v", m != nil, err)
		}
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Kind == "" || e.Detail == "") {
			t.Fatalf("untyped error %#v", err)
		}
		if m != nil {
			checkInvariants(t, m, b)
		}
		checkAddNote(t, b)
	})
}

func checkInvariants(t *testing.T, m *Image, b []byte) {
	next, executable := uint64(abi.ImageBase), false
	for i, s := range m.Segments {
		if s.Vaddr < next || s.Vaddr%abi.PageSize != 0 || s.End() > AddrLimit || s.End() <= s.Vaddr {
			t.Fatalf("segment %+v does not begin at a page from %#x on or does not fit", s, next)
		}
		if s.Prot&ProtWrite != 0 && s.Prot&ProtExec != 0 {
			t.Fatalf("segment %+v is W and X", s)
		}
		if s.Filesz > s.Memsz || s.Offset > uint64(len(b)) || s.Filesz > uint64(len(b))-s.Offset {
			t.Fatalf("segment %+v is not in the file of %d bytes", s, len(b))
		}
		if s.Prot&ProtExec != 0 && m.Entry >= s.Vaddr && m.Entry < s.Vaddr+s.Filesz {
			executable = true
		}
		if s.Memsz < 1<<20 {
			if err := m.LoadSegment(i, make([]byte, s.Memsz)); err != nil {
				t.Fatal(err)
			}
		}
		next = s.End()
	}
	if !executable || m.End != next {
		t.Fatalf("entry %#x or end %#x is wrong", m.Entry, m.End)
	}
}

// checkAddNote: whatever AddNote accepts, it returns a whole image with the
// note that was asked for, and doing it twice changes nothing.
func checkAddNote(t *testing.T, b []byte) {
	once, err := AddNote(b, testNote())
	if err != nil {
		return
	}
	m, err := Parse(once)
	if err != nil || !reflect.DeepEqual(m.Note, testNote()) {
		t.Fatalf("AddNote made an image with %v", err)
	}
	checkInvariants(t, m, once)
	if twice, err := AddNote(once, testNote()); err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("AddNote is not idempotent (%v)", err)
	}
}

// FuzzNote: what is decoded encodes to the same note.
func FuzzNote(f *testing.F) {
	n := testNote()
	b, err := n.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[20:])
	f.Fuzz(func(t *testing.T, desc []byte) {
		n, err := decodeNote(desc)
		if err != nil {
			return
		}
		b, err := n.encode()
		if err != nil {
			t.Fatalf("decoded %+v does not encode: %v", n, err)
		}
		again, err := decodeNote(findNote(b, 4, noteOwner, noteType))
		if err != nil {
			t.Fatalf("does not decode again: %v", err)
		}
		x, _ := json.Marshal(n)
		y, _ := json.Marshal(again)
		if !bytes.Equal(x, y) || n.Tailor != again.Tailor {
			t.Fatalf("%s became %s", x, y)
		}
	})
}
