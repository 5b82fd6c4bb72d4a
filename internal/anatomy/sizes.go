package anatomy

import (
	"cmp"
	"debug/elf"
	"maps"
	"slices"

	"github.com/tailor-os/tailor/internal/image"
)

// A Part says what bytes of a file are.
type Part string

// The parts of a program's file.
const (
	Code      Part = "code"            // machine code of functions
	Tables    Part = "function tables" // names, lines, stack maps and the like of functions
	Types     Part = "type data"       // descriptors of types and methods
	Constants Part = "constants"       // read-only data: strings, tables, type data that belongs to nobody
	Variables Part = "variables"       // initialized variables
	Headers   Part = "headers"         // of the file, its notes and sections
	Files     Part = "files"           // put into the image by --file
	Symbols   Part = "symbols"         // for debuggers; stripped from images
	Padding   Part = "padding"         // between parts
)

// Parts lists all parts, in the order in which they are shown.
var Parts = []Part{Code, Tables, Types, Constants, Variables, Headers, Files, Symbols, Padding}

// An Owner is whose bytes are.
type Owner struct {
	Part    Part
	Package string // "" if they are of several packages, or it cannot be told
	File    string // of the functions, as in [Function]; "" as above
}

// Sizes are the bytes of a file by owner. They add up to its size.
type Sizes map[Owner]uint64

// Total returns the sum of all.
func (s Sizes) Total() (n uint64) {
	for v := range maps.Values(s) {
		n += v
	}
	return n
}

// Parts returns the bytes of each part.
func (s Sizes) Parts() map[Part]uint64 {
	parts := map[Part]uint64{}
	for o, n := range s {
		parts[o.Part] += n
	}
	return parts
}

// A claim says whose the bytes from off to end of the file are.
type claim struct {
	off, end uint64
	owner    Owner
	level    int // a higher one wins over a lower one that it lies in
}

// A ledger divides a file.
type ledger struct {
	size   uint64
	claims []claim
}

// claim notes an owner. What does not lie in the file is left out.
func (l *ledger) claim(level int, off, end uint64, o Owner) {
	if off < end && end <= l.size {
		l.claims = append(l.claims, claim{off, end, o, level})
	}
}

// sum returns the bytes of each owner. Each byte counts once, for the first claim
// of the highest level; those that nobody claims are padding.
func (l *ledger) sum() Sizes {
	slices.SortStableFunc(l.claims, func(a, b claim) int {
		return cmp.Or(-cmp.Compare(a.level, b.level), cmp.Compare(a.off, b.off))
	})
	sizes := Sizes{}
	free := []claim{{0, l.size, Owner{}, 0}}
	for len(l.claims) > 0 {
		n := 1
		for n < len(l.claims) && l.claims[n].level == l.claims[0].level {
			n++
		}
		free = settle(free, l.claims[:n], sizes)
		l.claims = l.claims[n:]
	}
	for _, f := range free {
		sizes[Owner{Part: Padding}] += f.end - f.off
	}
	return sizes
}

// settle gives what is free to the claims of one level, ascending by offset, and
// returns what is left.
func settle(free, claims []claim, sizes Sizes) (left []claim) {
	claims = disjoint(claims)
	for _, f := range free {
		at := f.off
		for len(claims) > 0 && claims[0].off < f.end {
			c := claims[0]
			if from, to := max(c.off, at), min(c.end, f.end); from < to {
				if from > at {
					left = append(left, claim{off: at, end: from})
				}
				sizes[c.owner] += to - from
				at = to
			}
			if c.end > f.end {
				break // it reaches into the next gap
			}
			claims = claims[1:]
		}
		if at < f.end {
			left = append(left, claim{off: at, end: f.end})
		}
	}
	return left
}

// disjoint clips claims, ascending by offset, where they overlap.
func disjoint(claims []claim) (list []claim) {
	last := uint64(0)
	for _, c := range claims {
		if c.off = max(c.off, last); c.off < c.end {
			list = append(list, c)
			last = c.end
		}
	}
	return list
}

// The levels of claims: what is known of single things wins over what is known of
// where they lie.
const (
	levelSegment = iota
	levelSection
	levelTable
	levelType
	levelThing
)

// regions claims what the headers speak of.
func (l *ledger) regions(exe *elf.File, m memory, t *table, note *image.Note) {
	for _, s := range m {
		part := Constants
		switch {
		case s.flags&elf.PF_X != 0:
			part = Padding
		case s.flags&elf.PF_W != 0:
			part = Variables
		}
		l.claim(levelSegment, s.off, s.off+uint64(len(s.data)), Owner{Part: part})
	}
	l.claim(levelSection, 0, 64+56*uint64(len(exe.Progs)), Owner{Part: Headers})
	l.sections(exe)
	for _, p := range exe.Progs {
		if p.Type == elf.PT_NOTE {
			l.claim(levelTable, p.Off, p.Off+p.Filesz, Owner{Part: Headers})
		}
	}
	if off, ok := m.offset(t.addr, t.addr+uint64(len(t.data))); ok {
		l.claim(levelTable, off, off+uint64(len(t.data)), Owner{Part: Tables})
	}
	if note != nil && note.Files != nil {
		l.claim(levelTable, note.Files.Offset, note.Files.Offset+note.Files.Size, Owner{Part: Files})
	}
}

// sections claims those that are not loaded, and the table of sections.
func (l *ledger) sections(exe *elf.File) {
	for _, s := range exe.Sections {
		switch {
		case s.Type == elf.SHT_NOBITS || s.Type == elf.SHT_NULL:
		case s.Name == ".shstrtab" || s.Type == elf.SHT_NOTE:
			l.claim(levelSection, s.Offset, s.Offset+s.FileSize, Owner{Part: Headers})
		case s.Flags&elf.SHF_ALLOC == 0:
			l.claim(levelSection, s.Offset, s.Offset+s.FileSize, Owner{Part: Symbols})
		case s.Name == ".itablink" || s.Name == ".typelink":
			l.claim(levelSection, s.Offset, s.Offset+s.FileSize, Owner{Part: Types})
		case s.Flags&elf.SHF_EXECINSTR != 0:
			l.claim(levelSection, s.Offset, s.Offset+s.FileSize, Owner{Part: Padding})
		}
	}
}

// functions claims the code.
func (l *ledger) functions(list []Function, m memory) {
	for i := range list {
		f := &list[i]
		if off, ok := m.offset(f.Addr, f.Addr+f.Size); ok {
			l.claim(levelThing, off, off+f.Size, f.owner(Code))
		}
	}
}

// tables claims what the table of functions has for each: its record, its name,
// and the tables and data to which it points, which reach to where the next begin.
// What functions of several packages share is nobody's.
func (l *ledger) tables(list []Function, t *table) {
	base, ok := l.tableOffset()
	if !ok {
		return
	}
	pcs, data := shares{}, shares{}
	for i := range list {
		f := &list[i]
		for _, off := range f.rec.pctabs {
			pcs.add(off, f)
		}
		for _, off := range f.rec.funcdatas {
			data.add(off, f)
		}
	}
	for i := range list {
		r := &list[i].rec
		l.claim(levelThing, base+r.off, base+r.end, list[i].owner(Tables))
		entry := base + t.funcs + 8*uint64(i)
		l.claim(levelThing, entry, entry+8, list[i].owner(Tables))
		name := base + t.names + uint64(r.name)
		l.claim(levelThing, name, name+uint64(len(list[i].Name))+1, list[i].owner(Tables))
	}
	pcs.claim(l, base+t.pcs, base+t.funcs)
	data.claim(l, base+t.funcdata, base+t.find)
}

// tableOffset returns where in the file the table of functions is: its claim is
// the only one of tables so far.
func (l *ledger) tableOffset() (uint64, bool) {
	for _, c := range l.claims {
		if c.owner.Part == Tables && c.level == levelTable {
			return c.off, true
		}
	}
	return 0, false
}

// owner is who has a part of f.
func (f *Function) owner(part Part) Owner { return Owner{part, f.Package, f.File} }

// shares are things of the table by their offset, and the owner of each.
type shares map[uint32]Owner

func (s shares) add(off uint32, f *Function) {
	o := f.owner(Tables)
	if old, there := s[off]; there {
		o = common(old, o)
	}
	s[off] = o
}

// common is the owner of what two share.
func common(a, b Owner) Owner {
	switch {
	case a.Package != b.Package:
		return Owner{Part: a.Part}
	case a.File != b.File:
		return Owner{Part: a.Part, Package: a.Package}
	}
	return a
}

// claim claims the things between start and end of the file.
func (s shares) claim(l *ledger, start, end uint64) {
	order := slices.Sorted(maps.Keys(s))
	for i, off := range order {
		to := end
		if i+1 < len(order) {
			to = min(end, start+uint64(order[i+1]))
		}
		l.claim(levelThing, start+uint64(off), to, s[off])
	}
}
