package compare

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"

	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/hint"
)

// A SectionChange is one of a section of the file: its sizes, 0 where it is not, and
// how many bytes differ of those that both have.
type SectionChange struct {
	Name   string `json:"name"`
	A      uint64 `json:"a"`
	B      uint64 `json:"b"`
	Differ uint64 `json:"differ"`
	// Functions are those whose code differs, at the most maxNamed, if all functions of
	// both have the same places.
	Functions []string `json:"functions,omitempty"`
}

const maxNamed = 20

// maxSections bounds the work for a file that says it has many. Go's linker makes some
// 30.
const maxSections = 100

// An executable is one of the two files, open.
type executable struct {
	*elf.File
	file    *os.File
	program *anatomy.Program
}

func openBinary(p *anatomy.Program) (*executable, error) {
	f, err := os.Open(p.Path)
	if err != nil {
		return nil, err
	}
	exe, err := elf.NewFile(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", p.Path, err)
	}
	return &executable{exe, f, p}, nil
}

// bytes says which sections differ, and where the first difference is.
func (r *Report) bytes(a, b *anatomy.Program) error {
	one, err := openBinary(a)
	if err != nil {
		return err
	}
	defer one.file.Close()
	two, err := openBinary(b)
	if err != nil {
		return err
	}
	defer two.file.Close()
	r.Where = one.where(*r.First)
	if len(one.Sections) > maxSections || len(two.Sections) > maxSections {
		r.Unknown = append(r.Unknown, "which sections differ: there are more than Go's linker makes")
		return nil
	}
	for _, s := range one.Sections {
		if c, err := one.section(two, s.Name); err != nil {
			return err
		} else if c != nil {
			r.Sections = append(r.Sections, *c)
		}
	}
	for _, s := range two.Sections {
		if one.Section(s.Name) == nil {
			r.Sections = append(r.Sections, SectionChange{Name: s.Name, B: s.Size})
		}
	}
	return nil
}

// section compares one of a's sections; nil if it is the same in b.
func (a *executable) section(b *executable, name string) (*SectionChange, error) {
	s, t := a.Section(name), b.Section(name)
	c := &SectionChange{Name: name, A: s.Size}
	if t == nil {
		return c, nil
	}
	c.B = t.Size
	if s.Type != elf.SHT_NOBITS && t.Type != elf.SHT_NOBITS && s.Type != elf.SHT_NULL {
		x, err := a.contents(s)
		if err != nil {
			return nil, err
		}
		y, err := b.contents(t)
		if err != nil {
			return nil, err
		}
		for i := range min(len(x), len(y)) {
			if x[i] != y[i] {
				c.Differ++
			}
		}
		if s.Flags&elf.SHF_EXECINSTR != 0 && s.Addr == t.Addr {
			c.Functions = differingCode(a.program.Functions, b.program.Functions, x, y, s.Addr)
		}
	}
	if c.A == c.B && c.Differ == 0 {
		return nil, nil
	}
	return c, nil
}

// contents returns a section as it is in the file: one that says that it is compressed
// may be a thousand times larger.
func (b *executable) contents(s *elf.Section) ([]byte, error) {
	data, err := io.ReadAll(io.NewSectionReader(b.file, int64(s.Offset), int64(s.FileSize)))
	if err == nil && uint64(len(data)) != s.FileSize {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, hint.Errorf("copy it again, or build it again", "%s is damaged: section %s: %w", b.program.Path, clean(s.Name), err)
	}
	return data, nil
}

// differingCode names the functions whose code differs in x and y, which are what is
// at addr; nil unless all of them have the same places.
func differingCode(a, b []anatomy.Function, x, y []byte, addr uint64) (names []string) {
	if !slices.EqualFunc(a, b, func(f, g anatomy.Function) bool { return f.Name == g.Name && f.Addr == g.Addr && f.Size == g.Size }) {
		return nil
	}
	for _, f := range a {
		from, to := f.Addr-addr, f.Addr-addr+f.Size
		if f.Addr < addr || to > uint64(len(x)) || to > uint64(len(y)) || to < from {
			continue
		}
		if !bytes.Equal(x[from:to], y[from:to]) {
			if names = append(names, f.Name); len(names) == maxNamed {
				return names
			}
		}
	}
	return names
}

// where names what is at an offset of the file.
func (b *executable) where(off int64) string {
	at := uint64(off)
	if n := b.program.Note; n != nil && n.Files != nil && at >= n.Files.Offset && at-n.Files.Offset < n.Files.Size {
		return "the files it carries"
	}
	for _, s := range b.Sections {
		if s.Type == elf.SHT_NOBITS || s.Type == elf.SHT_NULL || at < s.Offset || at-s.Offset >= s.FileSize {
			continue
		}
		if f := b.function(s.Addr + at - s.Offset); f != "" && s.Flags&elf.SHF_EXECINSTR != 0 {
			return f
		}
		return "section " + s.Name
	}
	for _, p := range b.Progs {
		if at >= p.Off && at-p.Off < p.Filesz {
			switch {
			case p.Type == elf.PT_NOTE:
				return "a note"
			case p.Type == elf.PT_LOAD && at >= 4096: // else it is in the headers
				if f := b.function(p.Vaddr + at - p.Off); f != "" {
					return f
				}
				return fmt.Sprintf("the segment at %#x", p.Vaddr)
			}
		}
	}
	if at < 4096 {
		return "the headers"
	}
	return "between its parts, or behind them"
}

// function names the function at an address, "" for none.
func (b *executable) function(addr uint64) string {
	list := b.program.Functions
	i := sort.Search(len(list), func(i int) bool { return list[i].Addr+list[i].Size > addr })
	if i == len(list) || list[i].Addr > addr {
		return ""
	}
	return list[i].Name
}
