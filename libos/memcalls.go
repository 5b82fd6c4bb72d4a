package libos

import (
	"sync"
	"unsafe"
)

// Bits of mmap (include/uapi/asm-generic/mman-common.h).
const (
	protRead  = 1
	protWrite = 2
	protExec  = 4

	mapTheFile   = 1 // MAP_SHARED
	mapPrivate   = 2
	mapValidate  = 3 // MAP_SHARED_VALIDATE
	mapTypes     = 0xf
	mapFixed     = 0x10
	mapAnonymous = 0x20
	mapFixedNR   = 0x100000 // MAP_FIXED_NOREPLACE
)

// A region is memory that mmap gave.
type region struct {
	addr, size uintptr
	mem        unsafe.Pointer // keeps it alive when it is of the Go heap
	shared     *regionOwner
}

// A regionOwner is shared by the parts that munmap left of one mapping.
type regionOwner struct {
	parts     int
	anonymous bool         // no file was copied into it
	file      shared       // the part of a file that it is, if it is one
	inPlace   bool         // it is a file's own memory, read-only
	memory    SharedMemory // of a file, if it is that
	close     func()       // called when no part is left, may be nil
}

// mappings are the regions in use, in no order.
type mappings struct {
	mu   sync.Mutex
	list []region
}

var mapped mappings

// maxHeapMap is the greatest mapping, in bytes, that is taken of the Go heap.
const maxHeapMap = 1 << 32

// allocPages returns n zeroed bytes aligned to a page, nil if memory is short.
func allocPages(n uintptr) unsafe.Pointer {
	if Hooks.Alloc != nil {
		return Hooks.Alloc(n)
	}
	if n > maxHeapMap {
		return nil
	}
	if total, free := Hooks.Memory(); total > 0 && uint64(n) > free {
		return nil
	}
	buf := make([]byte, n+pageSize)
	base := unsafe.Pointer(unsafe.SliceData(buf))
	// SAFETY: at most pageSize-1 is added, and n bytes follow. A pointer into
	// the buffer keeps the whole of it alive.
	return unsafe.Add(base, -uintptr(base)&(pageSize-1))
}

func freePages(r *region, addr, size uintptr) {
	if Hooks.Free != nil && r.mem != nil && r.shared.file.f == nil && !r.shared.inPlace && r.shared.memory == nil {
		// SAFETY: addr lies in the region that begins at r.addr.
		Hooks.Free(unsafe.Add(r.mem, addr-r.addr), size)
	}
}

func roundPage(n uintptr) uintptr { return (n + pageSize - 1) &^ (pageSize - 1) }

func sysMmap(a args) (uintptr, Errno) {
	prot, flags := a.i[2], a.i[3]
	size := roundPage(a.i[1])
	switch {
	case a.i[1] == 0 || a.i[5]&(pageSize-1) != 0:
		return 0, EINVAL
	case size < a.i[1]:
		return 0, ENOMEM
	case flags&mapTypes != mapTheFile && flags&mapTypes != mapPrivate && flags&mapTypes != mapValidate:
		return 0, EINVAL
	case prot&protExec != 0:
		return 0, EACCES // no memory is both written and executed
	case flags&(mapFixed|mapFixedNR) != 0:
		return 0, ENOMEM // places are not the program's to choose
	case flags&mapAnonymous != 0:
		return mapRegion(size, nil, nil)
	}
	return mapFile(&a, size)
}

// mapRegion makes a region filled by fill.
func mapRegion(size uintptr, fill func(b []byte), close func()) (uintptr, Errno) {
	p := allocPages(size)
	if p == nil {
		if close != nil {
			close()
		}
		return 0, ENOMEM
	}
	if fill != nil {
		// SAFETY: allocPages gave size bytes.
		fill(unsafe.Slice((*byte)(p), size))
	}
	mapped.mu.Lock()
	defer mapped.mu.Unlock()
	owner := &regionOwner{parts: 1, anonymous: fill == nil, close: close}
	mapped.list = append(mapped.list, region{addr: uintptr(p), size: size, mem: p, shared: owner})
	return uintptr(p), 0
}

// mapFile maps a file: shared the file itself, if it is one in memory, else a
// copy. That is all MAP_PRIVATE asks for; of other files a shared mapping is
// given only where nobody can see the difference: read-only, of one that cannot
// be written to.
func mapFile(a *args, size uintptr) (uintptr, Errno) {
	d, errno := fds.get(a.fd(4))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	f, ok := d.file.(SeekFile)
	if !ok || d.at.node == nil {
		return 0, ENODEV
	}
	if !d.readable() {
		return 0, EACCES
	}
	if t, errno := d.at.node.Attr(); errno != 0 || t.Mode&ModeFmt != ModeReg {
		return 0, ENODEV
	}
	off := int64(a.i[5])
	if off < 0 || off > maxInt64-int64(size) {
		return 0, EOVERFLOW
	}
	if a.i[3]&mapTypes != mapPrivate {
		if a.i[2]&protWrite != 0 && !d.writable() {
			return 0, EACCES
		}
		if f, ok := d.at.node.(*memFile); ok {
			return mapShared(shared{f, off, int64(size)})
		}
		if s, ok := d.at.node.(Sharer); ok {
			return mapMemory(s, off, size, a.i[2]&protWrite != 0)
		}
		if _, writable := d.at.node.(AttrSetter); writable || a.i[2]&protWrite != 0 {
			return 0, ENODEV
		}
	}
	if m, ok := f.(Mappable); ok && a.i[2]&protWrite == 0 {
		if p := m.Pages(off, size); p != nil {
			return mapInPlace(p, size), 0
		}
	}
	return mapRegion(size, func(b []byte) { readFull(f, b, off) }, nil)
}

// mapInPlace makes a region of memory that stays where it is.
func mapInPlace(p unsafe.Pointer, size uintptr) uintptr {
	mapped.mu.Lock()
	defer mapped.mu.Unlock()
	owner := &regionOwner{parts: 1, inPlace: true}
	mapped.list = append(mapped.list, region{addr: uintptr(p), size: size, mem: p, shared: owner})
	return uintptr(p)
}

// readFull reads from off until b is full or the file ends.
func readFull(f SeekFile, b []byte, off int64) {
	for len(b) > 0 {
		n, errno := f.ReadAt(b, off)
		if n == 0 || errno != 0 {
			return
		}
		b, off = b[n:], off+int64(n)
	}
}

func sysMunmap(a args) (uintptr, Errno) {
	addr, size := a.i[0], roundPage(a.i[1])
	if addr&(pageSize-1) != 0 || a.i[1] == 0 || size < a.i[1] || addr+size < addr {
		return 0, EINVAL
	}
	for _, close := range mapped.remove(addr, size) {
		close()
	}
	return 0, 0
}

// remove takes the pages from addr on out of all regions, and returns what is
// to be called for those that are gone.
func (m *mappings) remove(addr, size uintptr) (gone []func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keep []region
	for _, r := range m.list {
		low, high := max(addr, r.addr), min(addr+size, r.addr+r.size)
		if low >= high {
			keep = append(keep, r)
			continue
		}
		freePages(&r, low, high-low)
		r.shared.parts--
		for _, part := range [2]region{r.slice(r.addr, low), r.slice(high, r.addr+r.size)} {
			if part.size > 0 {
				r.shared.parts++
				keep = append(keep, part)
			}
		}
		if r.shared.parts == 0 && r.shared.close != nil {
			gone = append(gone, r.shared.close)
		}
	}
	m.list = keep
	return gone
}

// slice returns the part of r from low to high.
func (r region) slice(low, high uintptr) region {
	if low < high {
		// SAFETY: low lies within the region.
		r.mem = unsafe.Add(r.mem, low-r.addr)
	}
	r.addr, r.size = low, high-low
	return r
}

// covers reports whether every page from addr on is mapped.
func (m *mappings) covers(addr, size uintptr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for size > 0 {
		n := uintptr(0)
		for i := range m.list {
			if r := &m.list[i]; addr >= r.addr && addr < r.addr+r.size {
				n = r.addr + r.size - addr
			}
		}
		if n == 0 {
			return false
		}
		addr, size = addr+min(n, size), size-min(n, size)
	}
	return true
}

// sysMprotect changes nothing: the guest cannot change page tables. Taking
// rights away is a promise not kept, so -v tells of it; giving the right to
// execute is refused.
func sysMprotect(a args) (uintptr, Errno) {
	if a.i[0]&(pageSize-1) != 0 {
		return 0, EINVAL
	}
	if a.i[2]&protExec != 0 {
		return 0, EACCES
	}
	if a.i[2]&protWrite == 0 {
		reportUnsupported(nr_mprotect)
		return 0, 0
	}
	if mapped.readOnly(a.i[0], roundPage(a.i[1])) {
		return 0, EACCES
	}
	return 0, 0
}

// readOnly reports whether a page from addr on can never be written.
func (m *mappings) readOnly(addr, size uintptr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.list {
		if r := &m.list[i]; r.shared.inPlace && addr < r.addr+r.size && r.addr < addr+size {
			return true
		}
	}
	return false
}

// adviseDontneed is MADV_DONTNEED, after which anonymous memory reads as zeros.
const adviseDontneed = 4

func sysMadvise(a args) (uintptr, Errno) {
	size := roundPage(a.i[1])
	if a.i[0]&(pageSize-1) != 0 || size < a.i[1] {
		return 0, EINVAL
	}
	if !mapped.covers(a.i[0], size) {
		return 0, ENOMEM
	}
	if a.i[2] == adviseDontneed {
		mapped.zero(a.i[0], size)
	}
	return 0, 0
}

// zero clears the mapped pages from addr on, but those that hold files.
func (m *mappings) zero(addr, size uintptr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.list {
		r := &m.list[i]
		low, high := max(addr, r.addr), min(addr+size, r.addr+r.size)
		if low < high && r.shared.anonymous {
			// SAFETY: the range lies within the region.
			clear(unsafe.Slice((*byte)(unsafe.Add(r.mem, low-r.addr)), high-low))
		}
	}
}

// msSync is MS_SYNC of msync(2): it waits until what was written is durable.
const msSync = 4

func sysMsync(a args) (uintptr, Errno) {
	if a.i[0]&(pageSize-1) != 0 || a.i[2]&^7 != 0 {
		return 0, EINVAL
	}
	if !mapped.covers(a.i[0], roundPage(a.i[1])) {
		return 0, ENOMEM
	}
	if a.i[2]&msSync == 0 {
		return 0, 0
	}
	return 0, mapped.sync(a.i[0], roundPage(a.i[1]))
}

// sysMincore tells that every page is there.
func sysMincore(a args) (uintptr, Errno) {
	size := roundPage(a.i[1])
	if a.i[0]&(pageSize-1) != 0 {
		return 0, EINVAL
	}
	if size < a.i[1] || !mapped.covers(a.i[0], size) {
		return 0, ENOMEM
	}
	vec, errno := buffer(a.p[2], size/pageSize)
	for i := range vec {
		vec[i] = 1
	}
	return 0, errno
}
