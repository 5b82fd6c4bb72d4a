package libos

import "unsafe"

// A shared mapping of a file is the file's own memory: whole chunks that lie
// side by side, and stay where they are for as long as the mapping lives. So a
// write through either is seen through the other, without a page table.

// A shared is the part of a file that a mapping shows.
type shared struct {
	f    *memFile
	off  int64
	size int64
}

// chunks returns the first chunk of s and the one behind its last.
func (s shared) chunks() (first, end int64) {
	return s.off >> chunkShift, (s.off + s.size + chunkSize - 1) >> chunkShift
}

// open returns the memory of s, and keeps it in place until close. It is ENOMEM
// when a part of s is mapped already, and cannot be moved to where the rest
// would follow it.
func (s shared) open() (unsafe.Pointer, Errno) {
	s.f.fs.mu.Lock()
	defer s.f.fs.mu.Unlock()
	p, errno := s.place()
	if errno == 0 {
		s.pin()
		s.f.opens++
	}
	return p, errno
}

// close lets the memory of s move, or be freed, again.
func (s shared) close() {
	s.f.fs.mu.Lock()
	defer s.f.fs.mu.Unlock()
	s.unpin()
	s.trim()
	s.f.opens--
	s.f.release()
}

// resize makes the part of the file that is open as s longer or shorter, which
// moves it.
func (s shared) resize(size int64) (unsafe.Pointer, Errno) {
	s.f.fs.mu.Lock()
	defer s.f.fs.mu.Unlock()
	s.unpin()
	to := shared{s.f, s.off, size}
	p, errno := to.place()
	if errno != 0 {
		s.pin()
		return nil, errno
	}
	to.pin()
	return p, 0
}

// pin and unpin count the mappings of each chunk. fs.mu is held.
func (s shared) pin() {
	if s.f.pins == nil {
		s.f.pins = make(map[int64]int)
	}
	for i, end := s.chunks(); i < end; i++ {
		s.f.pins[i]++
	}
}

func (s shared) unpin() {
	for i, end := s.chunks(); i < end; i++ {
		if s.f.pins[i]--; s.f.pins[i] == 0 {
			delete(s.f.pins, i)
		}
	}
}

// trim makes chunks that are free again end where the file does: what was
// written to a mapping behind that is no part of it.
func (s shared) trim() {
	for i, end := s.chunks(); i < end; i++ {
		if s.f.pins[i] == 0 {
			s.f.cut(i, int(min(max(s.f.attr.Size-i<<chunkShift, 0), chunkSize)))
		}
	}
}

// place brings the chunks of s side by side and returns where s begins. fs.mu is
// held.
func (s shared) place() (unsafe.Pointer, Errno) {
	first, end := s.chunks()
	p := s.f.adjoining(first, end)
	if p == nil {
		for i := first; i < end; i++ {
			if s.f.pins[i] > 0 {
				return nil, ENOMEM
			}
		}
		var errno Errno
		if p, errno = s.f.gather(first, end); errno != 0 {
			return nil, errno
		}
	}
	// SAFETY: off lies within the chunks.
	return unsafe.Add(p, s.off-first<<chunkShift), 0
}

// adjoining returns the memory of the chunks if they are whole and follow each
// other from a page's start on. Each is kept alive by f.
func (f *memFile) adjoining(first, end int64) unsafe.Pointer {
	var start, next uintptr
	for i := first; i < end; i++ {
		c := f.chunk(i)
		// SAFETY: the address is compared only.
		at := uintptr(unsafe.Pointer(unsafe.SliceData(c)))
		if len(c) != chunkSize || next != 0 && at != next {
			return nil
		}
		if start == 0 {
			start = at
		}
		next = at + chunkSize
	}
	if start&(pageSize-1) != 0 {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(f.chunk(first)))
}

// gather moves the chunks to new memory.
func (f *memFile) gather(first, end int64) (unsafe.Pointer, Errno) {
	size := (end - first) << chunkShift
	held := int64(0)
	for i := first; i < end; i++ {
		held += int64(cap(f.chunk(i)))
	}
	if !f.fs.held.allows(size - held) {
		return nil, ENOMEM
	}
	p := allocPages(uintptr(size))
	if p == nil {
		return nil, ENOMEM
	}
	// SAFETY: allocPages gave size bytes.
	mem := unsafe.Slice((*byte)(p), size)
	if _, errno := f.readAt(mem, first<<chunkShift); errno != 0 {
		return nil, errno
	}
	for i := first; i < end; i++ {
		o := (i - first) << chunkShift
		f.setChunk(i, mem[o:o+chunkSize:o+chunkSize])
	}
	return p, 0
}

// mapShared maps a part of a file itself.
func mapShared(s shared) (uintptr, Errno) {
	p, errno := s.open()
	if errno != 0 {
		return 0, errno
	}
	mapped.mu.Lock()
	defer mapped.mu.Unlock()
	owner := &regionOwner{parts: 1, file: s}
	owner.close = func() { owner.file.close() }
	mapped.list = append(mapped.list, region{addr: uintptr(p), size: uintptr(s.size), mem: p, shared: owner})
	return uintptr(p), 0
}

// remapMayMove is MREMAP_MAYMOVE of mremap(2), the one flag offered.
const remapMayMove = 1

func sysMremap(a args) (uintptr, Errno) {
	addr, old, size := a.i[0], roundPage(a.i[1]), roundPage(a.i[2])
	if addr&(pageSize-1) != 0 || a.i[2] == 0 || size < a.i[2] || a.i[3]&^remapMayMove != 0 {
		return 0, EINVAL
	}
	r, ok := mapped.at(addr, old)
	switch {
	case !ok:
		return 0, EFAULT
	case size <= old:
		for _, close := range mapped.remove(addr+size, old-size) {
			close()
		}
		return addr, 0
	case a.i[3]&remapMayMove == 0 || r.size != old || r.shared.parts != 1:
		return 0, ENOMEM
	case r.shared.file.f != nil:
		return mapped.resize(r, size)
	case r.shared.memory != nil:
		return 0, ENOMEM
	}
	return regrow(r, size)
}

// at returns the region that begins at addr and has at least size bytes.
func (m *mappings) at(addr, size uintptr) (region, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.list {
		if r.addr == addr && r.size >= size {
			return r, true
		}
	}
	return region{}, false
}

// resize makes a mapping of a file itself longer.
func (m *mappings) resize(old region, size uintptr) (uintptr, Errno) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := old.shared.file
	p, errno := s.resize(int64(size))
	if errno != 0 {
		return 0, errno
	}
	old.shared.file.size = int64(size)
	for i := range m.list {
		if r := &m.list[i]; r.shared == old.shared {
			r.addr, r.size, r.mem = uintptr(p), size, p
		}
	}
	return uintptr(p), 0
}

// regrow makes a longer copy of a region.
func regrow(r region, size uintptr) (uintptr, Errno) {
	var fill func(b []byte)
	if !r.shared.anonymous {
		fill = func([]byte) {} // MADV_DONTNEED does not zero a file's
	}
	addr, errno := mapRegion(size, fill, nil)
	if errno != 0 {
		return 0, errno
	}
	to, _ := mapped.at(addr, size)
	// SAFETY: both regions have r.size bytes at least.
	copy(unsafe.Slice((*byte)(to.mem), r.size), unsafe.Slice((*byte)(r.mem), r.size))
	for _, close := range mapped.remove(r.addr, r.size) {
		close()
	}
	return addr, 0
}
