// Package anatomy reads what a linked Go program is made of: its functions, with
// their packages, files, lines and sizes, and what each byte of its file is.
//
// Everything comes from the bytes: the headers of the executable and the tables
// that Go's runtime itself needs to unwind stacks (package runtime, symtab.go and
// cmd/link/internal/ld/pcln.go), which no stripping removes. The note of an image
// is only reported beside them.
//
// A program comes from anywhere, so nothing in it is believed: what is out of
// bounds is an error, or bytes that belong to nobody.
package anatomy

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
)

// A Function is one that is linked. Functions that were inlined everywhere are
// none; their lines are among those of their callers.
type Function struct {
	Name    string // as the linker has it: "net/http.(*Server).Serve"
	Package string // import path; "main" for package main
	File    string // as the compiler recorded it, "" if unknown: "net/http/server.go"
	Line    int    // of its func keyword
	Addr    uint64
	Size    uint64 // bytes, up to the next function
	// Assembly is set if its file is assembly.
	Assembly bool

	rec record
}

// A Program is what was read from a file. It may be used by one goroutine at a
// time.
type Program struct {
	Path string
	Size uint64 // of the file, bytes

	// Note is what an image says of itself, nil for what is none; NoteProblem
	// says why there is none.
	Note        *image.Note
	NoteProblem string

	// Build is what Go's linker recorded, nil if it is not there.
	Build *debug.BuildInfo

	Functions []Function // ascending by address
	Sizes     Sizes

	tab *table
}

// errNoFunctions is for executables that are none of Go's, or whose tables are
// not as this package knows them.
var errNoFunctions = errors.New("no table of functions as Go's linker makes it (gopclntab)")

// Open reads the program in the file at path: an image, or a plain program of Go.
// The error says what is wrong with the file
// and what to do.
func Open(path string) (*Program, error) {
	p := &Program{Path: path}
	if err := p.readNote(); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	p.Size = uint64(info.Size())
	exe, err := elf.NewFile(f)
	if err != nil {
		return nil, hint.Errorf(remedy, "%s is damaged: %w", path, err)
	}
	if p.Build, err = buildinfo.Read(f); err != nil {
		p.Build = nil
	}
	if err := p.dissect(exe); err != nil {
		return nil, hint.Errorf(remedy, "%s: %w", path, err)
	}
	return p, nil
}

const remedy = "give an image that tailor build made (an ELF image, no disk), or another program of Go's"

// readNote reads the note, and returns an error for files that are no
// executables, or not whole ones.
func (p *Program) readNote() error {
	img, err := image.Open(p.Path)
	if err == nil {
		defer img.Close()
		p.Note = &img.Note
		return nil
	}
	if errors.Is(err, image.NoNote) {
		p.NoteProblem = "has none"
		return nil
	}
	for _, kind := range []image.Kind{image.BadNote, image.NewerFormat, image.Malformed} {
		var e *image.Error
		if errors.Is(err, kind) && errors.As(err, &e) {
			p.NoteProblem = e.Detail
			return nil
		}
	}
	if errors.Is(err, image.NotELF) && IsDisk(p.Path) {
		return hint.Errorf("give the ELF image that it was made of: tailor build -t virtio makes it without --format", "%s is a disk, of which the inside is not looked at", p.Path)
	}
	return err
}

// dissect reads the tables, and says of every byte of the file what it is.
func (p *Program) dissect(exe *elf.File) error {
	if exe.Class != elf.ELFCLASS64 || exe.Machine != elf.EM_X86_64 {
		return fmt.Errorf("an executable for %v, of which this tailor cannot read the tables", exe.Machine)
	}
	mem, err := load(exe, p.Size)
	if err != nil {
		return err
	}
	tab, err := findTable(mem, exe)
	if err != nil {
		return err
	}
	if p.Functions, err = tab.functions(); err != nil {
		return fmt.Errorf("the table of functions is damaged: %w", err)
	}
	p.tab = tab
	l := &ledger{size: p.Size}
	l.regions(exe, mem, tab, p.Note)
	l.functions(p.Functions, mem)
	l.known(p.Functions, mem)
	l.types(mem, tab.types)
	l.tables(p.Functions, tab)
	p.Sizes = l.sum()
	return nil
}
