package anatomy

import (
	"encoding/binary"
	"strings"
)

// Type descriptors (internal/abi, type.go): a head, what the kind adds, what named
// types add, then lists, and names elsewhere. They are found from the tables that
// moduledata has, and from each other.

// Kinds of types whose descriptors have more than a head.
const (
	kindArray     = 17
	kindChan      = 18
	kindFunc      = 19
	kindInterface = 20
	kindMap       = 21
	kindPointer   = 22
	kindSlice     = 23
	kindStruct    = 25
	kindLast      = 26

	typeHead     = 48
	uncommonSize = 16
	maxTypes     = 1 << 20
	maxList      = 1 << 16 // fields, methods or parameters of one type
	maxName      = 1 << 16 // bytes
)

// kindSizes are the bytes of a descriptor up to its lists, where they are more
// than typeHead.
var kindSizes = map[byte]uint64{
	kindArray: 72, kindChan: 64, kindFunc: 56, kindInterface: 80, kindMap: 112, kindPointer: 56, kindSlice: 56, kindStruct: 80,
}

// elements are how many addresses of types follow the head.
var elements = map[byte]uint64{kindArray: 2, kindChan: 1, kindMap: 3, kindPointer: 1, kindSlice: 1}

// typeTables says where types are, from moduledata.
type typeTables struct {
	start, end uint64 // of all that offsets count in
	list       uint64 // of descriptors side by side (Go 1.27), 0 for none
	listEnd    uint64
	links      []byte // offsets of descriptors, int32 each (Go 1.26)
	itabs      []byte // their addresses (Go 1.26)
	itabArea   uint64 // itabs side by side (Go 1.27)
	itabEnd    uint64
}

// newTypeTables reads the part of moduledata behind gcbss. gofunc is which word of
// it has that; releases differ.
func newTypeTables(m memory, md []byte, gofunc uint64) typeTables {
	word := func(i uint64) uint64 { return u64(md, mdAfterGC+8*i) }
	switch gofunc {
	case 3: // Go 1.26: types, etypes, rodata, gofunc, epclntab, textsectmap, typelinks, itablinks
		return typeTables{
			start: word(0), end: word(1),
			links: slice(m, word(8), word(9), 4), itabs: slice(m, word(11), word(12), 8),
		}
	case 6: // Go 1.27: types, typedesclen, etypes, itaboffset, itabsize, rodata, gofunc
		return typeTables{
			start: word(0), end: word(2), list: word(0) + 8, listEnd: word(0) + word(1),
			itabArea: word(0) + word(3), itabEnd: word(0) + word(3) + word(4),
		}
	}
	return typeTables{}
}

// slice returns the n elements of a slice at addr, nil if they are not there.
func slice(m memory, addr, n, size uint64) []byte {
	if n > maxTypes {
		return nil
	}
	return m.bytes(addr, addr+n*size)
}

// A typeWalk visits types, each once.
type typeWalk struct {
	m     memory
	t     typeTables
	l     *ledger
	seen  map[uint64]bool
	queue []uint64
	names map[uint64]Owner
	sizes map[uint64]uint64 // of names
	// budget is how many bytes may still be looked at: a hostile file may have
	// many types with the same long lists.
	budget int64
}

// types claims the descriptors of types, their names, and itabs.
func (l *ledger) types(m memory, t typeTables) {
	if t.start == 0 || m.bytes(t.start, t.end) == nil {
		return
	}
	w := &typeWalk{m: m, t: t, l: l, seen: map[uint64]bool{}, names: map[uint64]Owner{}, sizes: map[uint64]uint64{}, budget: 256 + 16*int64(t.end-t.start)}
	for off := uint64(0); off < uint64(len(t.links)); off += 4 {
		w.push(t.start + uint64(u32(t.links, off)))
	}
	for off := uint64(0); off < uint64(len(t.itabs)) && w.budget > 0; off += 8 {
		w.itab(u64(t.itabs, off))
	}
	for at := t.itabArea; at < t.itabEnd && w.budget > 0; {
		size := w.itab(at)
		if size == 0 {
			break
		}
		at += size
	}
	w.drain()
	for at := t.list; at < t.listEnd; {
		w.push(at)
		w.drain()
		size := w.size(at)
		if size == 0 || size > t.listEnd-at {
			break
		}
		at += (size + 7) &^ 7
	}
	for addr, o := range w.names {
		w.claim(addr, w.sizes[addr], o)
	}
}

func (w *typeWalk) push(addr uint64) {
	if addr >= w.t.start && addr < w.t.end && addr%8 == 0 && !w.seen[addr] && len(w.seen) < maxTypes {
		w.seen[addr] = true
		w.queue = append(w.queue, addr)
	}
}

func (w *typeWalk) drain() {
	for len(w.queue) > 0 && w.budget > 0 {
		addr := w.queue[len(w.queue)-1]
		w.queue = w.queue[:len(w.queue)-1]
		w.visit(addr)
	}
}

// claim claims size bytes at addr, if they are among those of types.
func (w *typeWalk) claim(addr, size uint64, o Owner) {
	if addr < w.t.start || addr+size > w.t.end {
		return
	}
	if off, ok := w.m.offset(addr, addr+size); ok {
		w.l.claim(levelType, off, off+size, o)
	}
}

// A descriptor is one type's, as far as it has been read.
type descriptor struct {
	addr     uint64
	kind     byte
	flags    byte
	base     uint64 // bytes before what named types add
	head     []byte // base bytes
	uncommon []byte // nil for none
}

const flagUncommon = 1

// read reads the descriptor at addr, nil if there is none.
func (w *typeWalk) read(addr uint64) *descriptor {
	head := w.m.bytes(addr, addr+typeHead)
	if head == nil {
		return nil
	}
	d := &descriptor{addr: addr, kind: head[23] & 31, flags: head[20], base: typeHead}
	if d.kind == 0 || d.kind > kindLast {
		return nil
	}
	if size, ok := kindSizes[d.kind]; ok {
		d.base = size
	}
	if d.head = w.m.bytes(addr, addr+d.base); d.head == nil {
		return nil
	}
	if d.flags&flagUncommon != 0 {
		d.uncommon = w.m.bytes(addr+d.base, addr+d.base+uncommonSize)
	}
	return d
}

// A span is a list that belongs to a descriptor.
type span struct{ addr, count, size uint64 }

// lists returns the lists of a descriptor: parameters, methods of an interface or
// fields, and the methods of a named type.
func (d *descriptor) lists() (own, methods span) {
	behind := d.addr + d.base + uint64(len(d.uncommon))
	switch d.kind {
	case kindFunc:
		in, out := uint64(binary.LittleEndian.Uint16(d.head[48:])), uint64(binary.LittleEndian.Uint16(d.head[50:])&0x7fff)
		own = span{behind, in + out, 8}
	case kindInterface:
		own = span{u64(d.head, 56), u64(d.head, 64), 8}
	case kindStruct:
		own = span{u64(d.head, 56), u64(d.head, 64), 24}
	}
	if d.uncommon != nil {
		methods = span{d.addr + d.base + uint64(u32(d.uncommon, 8)), uint64(binary.LittleEndian.Uint16(d.uncommon[4:])), 16}
	}
	own.count, methods.count = min(own.count, maxList), min(methods.count, maxList)
	return own, methods
}

// size is how many bytes the descriptor at addr has with its lists, 0 if there is
// none. A list that is not among types does not count.
func (w *typeWalk) size(addr uint64) uint64 {
	d := w.read(addr)
	if d == nil {
		return 0
	}
	end := addr + d.base + uint64(len(d.uncommon))
	own, methods := d.lists()
	for _, s := range []span{own, methods} {
		if n := s.count * s.size; n > 0 && s.addr >= addr && s.addr <= w.t.end && n <= w.t.end-s.addr {
			end = max(end, s.addr+n)
		}
	}
	return end - addr
}

// visit claims what the type at addr has, and goes on to those that it names.
func (w *typeWalk) visit(addr uint64) {
	d := w.read(addr)
	if d == nil {
		return
	}
	o := Owner{Part: Types, Package: w.packageOf(d)}
	w.claim(addr, d.base+uint64(len(d.uncommon)), o)
	w.name(w.t.start+uint64(u32(d.head, 40)), o)
	w.offset(u32(d.head, 44))
	for i := range elements[d.kind] {
		w.push(u64(d.head, typeHead+8*i))
	}
	own, methods := d.lists()
	if w.budget -= int64(d.base + own.count*own.size + methods.count*methods.size); w.budget < 0 {
		return
	}
	w.claim(own.addr, own.count*own.size, o)
	w.claim(methods.addr, methods.count*methods.size, o)
	for i := range own.count {
		w.entry(d.kind, w.m.bytes(own.addr+i*own.size, own.addr+(i+1)*own.size), o)
	}
	for i := range methods.count {
		b := w.m.bytes(methods.addr+16*i, methods.addr+16*i+16)
		w.name(w.t.start+uint64(u32(b, 0)), o)
		w.offset(u32(b, 4))
	}
}

// entry reads an element of a type's own list.
func (w *typeWalk) entry(kind byte, b []byte, o Owner) {
	switch kind {
	case kindFunc:
		w.push(u64(b, 0))
	case kindInterface:
		w.name(w.t.start+uint64(u32(b, 0)), o)
		w.offset(u32(b, 4))
	case kindStruct:
		w.name(u64(b, 0), o)
		w.push(u64(b, 8))
	}
}

func (w *typeWalk) offset(off uint32) {
	if off != 0 && int32(off) > 0 {
		w.push(w.t.start + uint64(off))
	}
}

// packageOf returns the import path of a named type, or of that which it points
// to, "" for types that are of no package.
func (w *typeWalk) packageOf(d *descriptor) string {
	for range 8 {
		if d.uncommon != nil {
			if off := u32(d.uncommon, 0); off != 0 {
				return importPath(w.nameAt(w.t.start + uint64(off)))
			}
		}
		if d.kind != kindPointer && d.kind != kindSlice && d.kind != kindArray {
			break
		}
		if d = w.read(u64(d.head, typeHead)); d == nil {
			break
		}
	}
	return ""
}

// importPath returns the path in a name, "" for what is of no package: unsafe.Pointer
// and the shapes of generic functions.
func importPath(name string, _ uint64) string {
	if name == "unsafe" || name == "go.shape" {
		return ""
	}
	return unescape(name)
}

// name notes that o uses the name at addr.
func (w *typeWalk) name(addr uint64, o Owner) {
	if addr <= w.t.start || addr >= w.t.end {
		return
	}
	if old, there := w.names[addr]; there {
		w.names[addr] = common(old, o)
		return
	}
	if _, size := w.nameAt(addr); size > 0 && w.budget > 0 {
		w.names[addr], w.sizes[addr] = o, size
	}
}

// nameAt reads the name at addr (internal/abi.Name), and how many bytes it has: a
// byte of flags, the length as a varint, the text, a tag and its length, and the
// offset of a package's path. It is taken off the budget, and there is none without
// one.
func (w *typeWalk) nameAt(addr uint64) (name string, size uint64) {
	const flagTag, flagPath = 2, 4
	s := w.m.at(addr, addr+1)
	if s == nil || w.budget <= 0 {
		return "", 0
	}
	b := s.data[addr-s.addr:]
	at := uint64(1)
	var text []byte
	for i := 0; i == 0 || i == 1 && b[0]&flagTag != 0; i++ {
		n, k := binary.Uvarint(b[min(at, uint64(len(b))):])
		if k <= 0 || n > maxName || at+uint64(k)+n > uint64(len(b)) {
			return "", 0
		}
		at += uint64(k)
		if i == 0 {
			text = b[at : at+n]
		}
		at += n
	}
	if b[0]&flagPath != 0 {
		at += 4
	}
	w.budget -= int64(at)
	return strings.ToValidUTF8(string(text), "?"), at
}

// itab claims the table of methods at addr: interface, type, hash and a function
// for each method. It returns its size, 0 if there is none.
func (w *typeWalk) itab(addr uint64) uint64 {
	b := w.m.bytes(addr, addr+24)
	if b == nil {
		return 0
	}
	inter, typ := w.read(u64(b, 0)), w.read(u64(b, 8))
	if inter == nil || typ == nil || inter.kind != kindInterface {
		return 0
	}
	w.push(inter.addr)
	w.push(typ.addr)
	own, _ := inter.lists()
	size := 24 + 8*max(own.count, 1)
	w.claim(addr, size, Owner{Part: Types, Package: w.packageOf(typ)})
	return size
}
