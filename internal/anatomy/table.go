package anatomy

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"path"
	"strings"
)

// A table is Go's table of functions, the layout of Go 1.20 and later: a header
// (runtime.pcHeader), then the parts whose offsets are in it. Go 1.26 has put the
// table for finding functions and the data of functions behind them.
//
// It may be used by one goroutine.
type table struct {
	addr uint64 // of the header
	data []byte // from the header to the end

	nfunc uint64
	text  uint64 // address that entries count from
	// Where parts begin in data; each ends where the next does.
	names, cus, files, pcs, funcs uint64
	funcdata, find                uint64 // len(data) if they are elsewhere

	gofunc    []byte // what the data of functions is counted from (go:func.*)
	types     typeTables
	fileNames map[uint32]string // by offset in files
	spent     int               // see spend
	goroot    string            // what to take off the names of Go's own files
}

const (
	tableMagic  = 0xfffffff1
	headerSize  = 8 + 8*8
	recordSize  = 44 // bytes of runtime._func, before its two lists
	noFuncdata  = 1<<32 - 1
	maxFuncSize = 1 << 30
)

// findTable finds the table of functions and runtime.firstmoduledata, which
// points to it.
func findTable(m memory, exe *elf.File) (*table, error) {
	for _, addr := range tableAddrs(m, exe) {
		for i := range m {
			if s := &m[i]; s.flags&elf.PF_W != 0 {
				if t := tableFrom(m, s, addr); t != nil {
					return t, nil
				}
			}
		}
	}
	return nil, errNoFunctions
}

// tableAddrs returns where the table may be: where its section is or, without
// sections, wherever its magic number is.
func tableAddrs(m memory, exe *elf.File) (addrs []uint64) {
	if s := exe.Section(".gopclntab"); s != nil {
		addrs = append(addrs, s.Addr)
	}
	magic := []byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8}
	for _, s := range m {
		for off := 0; len(addrs) < 64; {
			n := bytes.Index(s.data[off:], magic)
			if n < 0 {
				break
			}
			if addr := s.addr + uint64(off+n); addr%8 == 0 {
				addrs = append(addrs, addr)
			}
			off += n + len(magic)
		}
	}
	return addrs
}

// tableFrom returns the table at addr if s has a runtime.moduledata that points
// to it, else nil.
func tableFrom(m memory, s *segment, addr uint64) *table {
	head := m.bytes(addr, addr+headerSize)
	if head == nil || u32(head, 0) != tableMagic || head[6] != 1 || head[7] != 8 {
		return nil
	}
	want := binary.LittleEndian.AppendUint64(nil, addr)
	want = binary.LittleEndian.AppendUint64(want, addr+u64(head, 32))
	for off := 0; ; {
		n := bytes.Index(s.data[off:], want)
		if n < 0 {
			return nil
		}
		if t := newTable(m, addr, head, s.data[off+n:]); t != nil {
			return t
		}
		off += n + len(want)
	}
}

// Offsets in runtime.moduledata. Those behind gcbss differ between releases:
// gofunc and epclntab follow each other there.
const (
	mdText     = 176
	mdFind     = 152
	mdAfterGC  = 296
	mdGofunc   = 320 // until Go 1.25, in which it is elsewhere
	mdSearched = 10  // words from there on among which gofunc is
)

// newTable returns the table whose header is head if what md says fits, else nil.
func newTable(m memory, addr uint64, head, md []byte) *table {
	s := m.at(addr, addr+headerSize)
	t := &table{
		addr: addr, data: s.data[addr-s.addr:], nfunc: u64(head, 8), text: u64(md, mdText),
		names: u64(head, 32), cus: u64(head, 40), files: u64(head, 48), pcs: u64(head, 56), funcs: u64(head, 64),
	}
	find := u64(md, mdFind) - addr
	t.funcdata, t.find = uint64(len(t.data)), uint64(len(t.data))
	for i := range uint64(mdSearched) {
		at := mdAfterGC + 8*i
		start, end := u64(md, at)-addr, u64(md, at+8)-addr
		if start > t.funcs && start <= find && find <= end && end <= uint64(len(t.data)) {
			t.data, t.funcdata, t.find = t.data[:end], start, find
			t.types, t.gofunc = newTypeTables(m, md, i), t.data[start:]
			break
		}
	}
	if t.gofunc == nil {
		gofunc := u64(md, mdGofunc)
		if s := m.at(gofunc, gofunc); s != nil && s.flags&elf.PF_W == 0 {
			t.gofunc = s.data[gofunc-s.addr:]
		}
	}
	return t.checked()
}

// checked returns t if its parts are in order and within it, else nil.
func (t *table) checked() *table {
	last := uint64(headerSize)
	for _, off := range []uint64{t.names, t.cus, t.files, t.pcs, t.funcs, t.funcdata, t.find, uint64(len(t.data))} {
		if off < last {
			return nil
		}
		last = off
	}
	if t.nfunc == 0 || t.nfunc > (t.funcdata-t.funcs)/(8+recordSize) {
		return nil
	}
	return t
}

// A record is a runtime._func: where in the table things of a function are.
type record struct {
	off, end           uint64 // in table.data
	name, pcfile, pcln uint32
	cu                 uint32
	pctabs, funcdatas  []uint32 // offsets into pcs, and from funcdata on
	startLine          uint32
	// Where inlined calls are: the table of their numbers by program counter, in
	// pcs, 0 for none; their tree, from gofunc on, noFuncdata for none.
	inlined, inlineTree uint32
}

// functions reads all functions.
func (t *table) functions() ([]Function, error) {
	list := make([]Function, 0, t.nfunc)
	funcs, names := t.data[t.funcs:t.funcdata], t.data[t.names:t.cus]
	t.goroot = t.findGoroot()
	last, room := t.funcs, 4*len(names) // so that a file cannot ask for more than it has
	for i := range t.nfunc {
		entry, next := u32(funcs, 8*i), u32(funcs, 8*i+8)
		if next < entry || next-entry > maxFuncSize {
			return nil, fmt.Errorf("function %d of %d ends before it begins", i, t.nfunc)
		}
		rec, ok := t.record(uint64(u32(funcs, 8*i+4)))
		if !ok || rec.off < last {
			return nil, fmt.Errorf("function %d of %d lies outside of it, or in another", i, t.nfunc)
		}
		last = rec.end
		name, ok := text(names, uint64(rec.name))
		if room -= len(name); !ok || room < 0 {
			return nil, fmt.Errorf("function %d of %d has no name, or too long a one", i, t.nfunc)
		}
		f := Function{Name: name, Line: int(int32(rec.startLine)), Addr: t.text + uint64(entry), Size: uint64(next - entry), rec: rec}
		f.File = t.firstFile(&f)
		f.Assembly = strings.HasSuffix(f.File, ".s")
		f.Package = packageOf(name, f.File)
		list = append(list, f)
	}
	return list, nil
}

// findGoroot returns what the names of Go's own files begin with in a program that
// was built without -trimpath, up to the last slash.
func (t *table) findGoroot() string {
	const known = "/src/runtime/proc.go\x00"
	files := t.data[t.files:t.pcs]
	at := bytes.Index(files, []byte(known))
	if at < 0 {
		return ""
	}
	start := bytes.LastIndexByte(files[:at], 0) + 1
	return string(files[start:at]) + "/src/"
}

// record reads the runtime._func at off from the start of funcs.
func (t *table) record(off uint64) (r record, ok bool) {
	b := t.data[t.funcs:t.funcdata]
	if off > uint64(len(b)) || uint64(len(b))-off < recordSize {
		return r, false
	}
	b = b[off:]
	r = record{off: t.funcs + off, name: u32(b, 4), pcfile: u32(b, 20), pcln: u32(b, 24), cu: u32(b, 32), startLine: u32(b, 36)}
	npc, nfd := uint64(u32(b, 28)), uint64(b[43])
	size := recordSize + 4*npc + 4*nfd
	if npc > 64 || size > uint64(len(b)) {
		return r, false
	}
	r.end = r.off + size
	r.pctabs, r.inlineTree = []uint32{u32(b, 16), r.pcfile, r.pcln}, noFuncdata
	for i := range npc {
		v := u32(b, recordSize+4*i)
		r.pctabs = append(r.pctabs, v)
		if i == pcdataInlined {
			r.inlined = v
		}
	}
	for i := range nfd {
		v := u32(b, recordSize+4*npc+4*i)
		if v != noFuncdata {
			r.funcdatas = append(r.funcdatas, v)
		}
		if i == funcdataInlined {
			r.inlineTree = v
		}
	}
	return r, true
}

// file returns the name of file n of a compilation unit, "" if there is none.
func (t *table) file(cu uint32, n int32) string {
	if n < 0 {
		return ""
	}
	off := u32(t.data[t.cus:t.files], 4*(uint64(cu)+uint64(n)))
	name, there := t.fileNames[off]
	if !there {
		if t.fileNames == nil {
			t.fileNames = map[uint32]string{}
		}
		name, _ = text(t.data[t.files:t.pcs], uint64(off))
		name = strings.TrimPrefix(name, t.goroot)
		t.fileNames[off] = name
	}
	return name
}

// firstFile is the file of a function's first instruction.
func (t *table) firstFile(f *Function) string {
	w := t.walk(f.rec.pcfile)
	if !w.next() {
		return ""
	}
	return t.file(f.rec.cu, w.value)
}

// A walker steps through a table of values by program counter: pairs of a
// difference of the value (zigzag) and one of the counter, as varints.
type walker struct {
	b     []byte
	value int32
	pc    uint64 // from the function's start, where value ends
}

func (t *table) walk(off uint32) *walker {
	b := t.data[t.pcs:t.funcs]
	if off == 0 || uint64(off) >= uint64(len(b)) {
		return &walker{}
	}
	return &walker{b: b[off:], value: -1}
}

// next takes the next step, and reports whether there was one.
func (w *walker) next() bool {
	v, n := binary.Uvarint(w.b)
	if n <= 0 || v == 0 && w.pc != 0 {
		return false
	}
	pc, m := binary.Uvarint(w.b[n:])
	if m <= 0 || pc == 0 {
		return false
	}
	w.b = w.b[n+m:]
	w.value += int32(v>>1) ^ -int32(v&1)
	w.pc += pc
	return true
}

// Lines yields the lines of source that f was compiled from, those inlined into
// it too. A line comes as often as the code comes back to it.
func (p *Program) Lines(f *Function, yield func(file string, line int)) {
	files, lines := p.tab.walk(f.rec.pcfile), p.tab.walk(f.rec.pcln)
	name, from := "", uint64(0)
	for lines.next() && from < f.Size {
		for files.pc <= from && files.next() {
			name = p.tab.file(f.rec.cu, files.value)
		}
		for {
			yield(name, int(lines.value))
			if files.pc >= lines.pc || !files.next() {
				break
			}
			name = p.tab.file(f.rec.cu, files.value)
		}
		from = lines.pc
	}
}

// packageOf returns the import path of the package of a function: what is before
// the first dot behind the last slash, but for type arguments; of functions that
// the compiler made for a type, that of the type; of those without a package in
// their name (assembly), the folder of their file.
func packageOf(name, file string) string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "type:.eq."), "type:.hash.")
	name, _, _ = strings.Cut(name, "[")
	if strings.ContainsAny(name, ": {") || strings.HasPrefix(name, "go.shape.") {
		return folder(file)
	}
	slash := strings.LastIndexByte(name, '/') + 1
	dot := strings.IndexByte(name[slash:], '.')
	if dot < 0 {
		return folder(file)
	}
	return unescape(name[:slash+dot])
}

// folder is the package of an assembly file, "" for none.
func folder(file string) string {
	if !strings.HasSuffix(file, ".s") && !strings.HasSuffix(file, ".go") {
		return ""
	}
	return path.Dir(file)
}

// unescape undoes how the linker writes dots of a path's last element.
func unescape(s string) string { return strings.ReplaceAll(s, "%2e", ".") }
