package libos

import "unsafe"

// A Sharer is a Node of a regular file that can show parts of itself as memory,
// for shared mappings. Files in memory do without.
type Sharer interface {
	// Share returns the memory of size bytes at off, both whole pages, for a
	// mapping that writes to it or only reads. Behind the file's end it is zero.
	// Until it is closed, reading and writing the file sees the same bytes.
	// ENOMEM where memory is short, or a part of it is shared already in another
	// place than the rest would need.
	Share(off, size int64, write bool) (SharedMemory, Errno)
}

// SharedMemory is a part of a file that a mapping shows.
type SharedMemory interface {
	// Bytes is the memory, which begins with a page.
	Bytes() []byte
	// Sync makes the part durable.
	Sync() Errno
	// Close ends the use. What was written becomes the file's.
	Close()
}

// AllocPages returns n zeroed bytes, whole pages, aligned to a page; nil if
// memory is short. FreePages takes them back.
func AllocPages(n int64) []byte {
	p := allocPages(uintptr(n))
	if p == nil {
		return nil
	}
	// SAFETY: allocPages gave n bytes.
	return unsafe.Slice((*byte)(p), n)
}

// FreePages gives memory back that AllocPages gave.
func FreePages(b []byte) {
	if Hooks.Free != nil && len(b) > 0 {
		// SAFETY: only the address is used, of memory that is given back.
		Hooks.Free(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
	}
}

// mapMemory maps memory of a file that is not one in memory.
func mapMemory(s Sharer, off int64, size uintptr, write bool) (uintptr, Errno) {
	m, errno := s.Share(off, int64(size), write)
	if errno != 0 {
		return 0, errno
	}
	// SAFETY: the memory is the file's, of size bytes, until m is closed, which
	// the region's end does.
	p := unsafe.Pointer(unsafe.SliceData(m.Bytes()))
	mapped.mu.Lock()
	defer mapped.mu.Unlock()
	owner := &regionOwner{parts: 1, memory: m, inPlace: !write, close: m.Close}
	mapped.list = append(mapped.list, region{addr: uintptr(p), size: size, mem: p, shared: owner})
	return uintptr(p), 0
}

// sync makes the mapped files in a range durable.
func (m *mappings) sync(addr, size uintptr) (first Errno) {
	m.mu.Lock()
	var list []SharedMemory
	for i := range m.list {
		if r := &m.list[i]; r.shared.memory != nil && addr < r.addr+r.size && r.addr < addr+size {
			list = append(list, r.shared.memory)
		}
	}
	m.mu.Unlock()
	for _, s := range list {
		if errno := s.Sync(); errno != 0 && first == 0 {
			first = errno
		}
	}
	return first
}
