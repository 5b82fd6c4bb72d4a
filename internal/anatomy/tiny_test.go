package anatomy

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"
)

// Where the parts of tiny are, by address; its file has them 0x100000 lower.
const (
	tinyText = 0x101000
	tinyRO   = 0x102000
	tinyRW   = 0x103000
	tinyTab  = tinyRO + 256 // behind the types
)

// tiny is the smallest program that has everything this package reads, of Go
// 1.26: two functions that share a table, one named type, one pointer to it.
func tiny() []byte {
	b := make([]byte, 0x3400)
	put := func(addr uint64, words ...uint64) {
		for i, w := range words {
			binary.LittleEndian.PutUint64(b[addr-0x100000+8*uint64(i):], w)
		}
	}
	elfHeader(b)
	tinyTypes(b[0x2000:])
	tab, parts := tinyTable()
	copy(b[tinyTab-0x100000:], tab)
	end := tinyTab + uint64(len(tab))
	put(tinyRW, tinyTab, tinyTab+parts[0])
	put(tinyRW+mdFind, tinyTab+parts[6])
	put(tinyRW+mdText, tinyText)
	// types, etypes, rodata, gofunc, epclntab, textsectmap, typelinks, itablinks
	put(tinyRW+mdAfterGC, tinyRO, tinyTab, tinyRO, tinyTab+parts[5], end, 0, 0, 0, tinyRW+0x300, 1, 1, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[0x3300:], 96) // the one typelink: the pointer
	return b
}

func elfHeader(b []byte) {
	var h bytes.Buffer
	ident := [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1}
	progs := []elf.Prog64{
		{Flags: uint32(elf.PF_R | elf.PF_X), Off: 0x1000, Vaddr: tinyText, Filesz: 0x1000},
		{Flags: uint32(elf.PF_R), Off: 0x2000, Vaddr: tinyRO, Filesz: 0x1000},
		{Flags: uint32(elf.PF_R | elf.PF_W), Off: 0x3000, Vaddr: tinyRW, Filesz: 0x400},
	}
	_ = binary.Write(&h, binary.LittleEndian, elf.Header64{
		Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Entry: tinyText,
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: uint16(len(progs)), Shentsize: 64,
	})
	for _, p := range progs {
		p.Type, p.Memsz, p.Align = uint32(elf.PT_LOAD), p.Filesz, 0x1000
		_ = binary.Write(&h, binary.LittleEndian, p)
	}
	copy(b, h.Bytes())
}

// tinyTypes writes type a/b.T, an int with one method, at 8 and *T at 96; names
// from 160 on.
func tinyTypes(b []byte) {
	le := binary.LittleEndian
	head := func(at int, kind, flags byte, name uint32) {
		b[at+20], b[at+21], b[at+22], b[at+23] = flags, 8, 8, kind
		le.PutUint32(b[at+40:], name)
	}
	head(8, 2, flagUncommon, 160)
	le.PutUint32(b[56:], 170) // uncommon: package path,
	le.PutUint16(b[60:], 1)   // one method,
	le.PutUint32(b[64:], 16)  // directly behind
	le.PutUint32(b[72:], 180) // the method's name
	head(96, kindPointer, 0, 160)
	le.PutUint64(b[96+48:], tinyRO+8)
	copy(b[160:], "\x01\x04*b.T")
	copy(b[170:], "\x00\x03a/b")
	copy(b[180:], "\x01\x01M")
}

// tinyTable makes the table of functions, and says where its parts begin: names,
// cus, files, pcs, funcs, funcdata, find.
func tinyTable() (tab []byte, parts [7]uint64) {
	le := binary.LittleEndian
	lines := "\x0c\x10\x02\x10\x00" // line 5 for 16 bytes, then 6
	funcs := le.AppendUint32(nil, 0)
	for _, v := range []uint32{20, 0x20, 20 + recordSize + 4, 0x40} {
		funcs = le.AppendUint32(funcs, v)
	}
	for i, name := range []uint32{0, 10} {
		rec := make([]byte, recordSize+4)
		le.PutUint32(rec, uint32(i)*0x20)
		le.PutUint32(rec[4:], name)
		le.PutUint32(rec[20:], 1)         // pcfile
		le.PutUint32(rec[24:], 4)         // pcln
		le.PutUint32(rec[32:], uint32(i)) // cu
		le.PutUint32(rec[36:], 5)         // line
		rec[43] = 1
		le.PutUint32(rec[recordSize:], uint32(i)*4) // funcdata
		funcs = append(funcs, rec...)
	}
	tab = make([]byte, headerSize)
	for i, part := range []string{
		"main.main\x00runtime.main\x00", "\x00\x00\x00\x00\x0a\x00\x00\x00", "m/main.go\x00runtime/proc.s\x00",
		"\x00\x02\x20\x00" + lines, string(funcs), "datadata", "find",
	} {
		parts[i] = uint64(len(tab))
		tab = append(tab, part...)
	}
	le.PutUint32(tab, tableMagic)
	tab[6], tab[7] = 1, 8
	le.PutUint64(tab[8:], 2)
	for i, off := range parts[:5] {
		le.PutUint64(tab[32+8*i:], off)
	}
	return tab, parts
}

// Descriptors whose lists would lead back to those before are no endless list.
func TestTypesInACircle(t *testing.T) {
	const first = 48
	b := make([]byte, 256)
	b[23] = 2 // an int at 0,
	b[first+23] = kindStruct
	binary.LittleEndian.PutUint64(b[first+56:], ^uint64(0)-24) // and fields that end just below 1<<64
	binary.LittleEndian.PutUint64(b[first+64:], 1)
	l := &ledger{size: 256}
	l.types(memory{{data: b}}, typeTables{start: first - 8, end: 256, list: first, listEnd: 1 << 40})
	if got, want := l.sum()[Owner{Part: Types}], uint64(80); got != want {
		t.Errorf("%d bytes of types, want %d", got, want)
	}
}

// Names are taken off the budget, whoever reads them.
func TestNamesCost(t *testing.T) {
	b := append([]byte{0, 60}, make([]byte, 60)...)
	w := &typeWalk{m: memory{{data: b}}, budget: 100}
	d := &descriptor{uncommon: make([]byte, uncommonSize)}
	binary.LittleEndian.PutUint32(d.uncommon, 1)
	w.t.start = ^uint64(0) // the name is at 0
	for i, want := range []bool{true, true, false} {
		if got := w.packageOf(d) != ""; got != want {
			t.Errorf("package %d: read: %v, want %v", i, got, want)
		}
	}
}

func TestTinyProgram(t *testing.T) {
	data := tiny()
	p := dissected(data)
	if p == nil {
		t.Fatal("it is refused")
	}
	if len(p.Functions) != 2 {
		t.Fatalf("%d functions", len(p.Functions))
	}
	f, g := p.Functions[0], p.Functions[1]
	if f.Name != "main.main" || f.Package != "main" || f.File != "m/main.go" || f.Line != 5 || f.Addr != tinyText || f.Size != 32 || f.Assembly {
		t.Errorf("the first function is %+v", f)
	}
	if g.Name != "runtime.main" || g.Package != "runtime" || g.File != "runtime/proc.s" || !g.Assembly {
		t.Errorf("the second function is %+v", g)
	}
	var lines []int
	p.Lines(&f, func(file string, line int) {
		if file != "m/main.go" {
			t.Errorf("a line in %q", file)
		}
		lines = append(lines, line)
	})
	if len(lines) != 2 || lines[0] != 5 || lines[1] != 6 {
		t.Errorf("lines %v", lines)
	}
	for o, want := range map[Owner]uint64{
		{Code, "main", "m/main.go"}: 32,
		// record, entry, name, data
		{Tables, "main", "m/main.go"}: recordSize + 4 + 8 + 10 + 4,
		// two descriptors, what a named type adds, a method, three names: that of the
		// package's path is not counted with the type
		{Types, "a/b", ""}: 48 + 56 + 16 + 16 + 6 + 3,
	} {
		if got := p.Sizes[o]; got != want {
			t.Errorf("%v has %d bytes, want %d", o, got, want)
		}
	}
	checkDissected(t, data)
}
