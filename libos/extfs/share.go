package extfs

import (
	"slices"
	"sync"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/volume/ext4"
)

// A shown is what is in memory of a file, for mappings. It is in FS.shown as long
// as there are any.
type shown struct {
	mu    sync.Mutex // whoever holds it may wait for the device
	areas []*area
}

// An area is a part of a file in memory. The bytes are the program's as well.
type area struct {
	off     int64
	mem     []byte
	users   int
	writers int // of users
}

func (a *area) end() int64 { return a.off + int64(len(a.mem)) }

// part returns the memory of what a has of the bytes from low to high.
func (a *area) part(low, high int64) []byte {
	low, high = max(low, a.off), min(high, a.end())
	if low >= high {
		return nil
	}
	return a.mem[low-a.off : high-a.off]
}

// lock keeps the file from being mapped until unlock, so that nothing is written
// that a mapping does not learn. If it is mapped, it returns what is in memory,
// which nobody else changes or uses meanwhile.
func (f file) lock() *shown {
	f.fs.maps.RLock()
	s := f.fs.shown[f.in]
	if s != nil {
		s.mu.Lock()
	}
	return s
}

func (f file) unlock(s *shown) {
	if s != nil {
		s.mu.Unlock()
	}
	f.fs.maps.RUnlock()
}

// A mapping is one use of an area. It implements libos.SharedMemory.
type mapping struct {
	f     file
	a     *area
	mem   []byte
	write bool
}

// Share implements libos.Sharer.
func (f rwFile) Share(off, size int64, write bool) (libos.SharedMemory, libos.Errno) {
	if err := f.in.Open(); err != nil { // it stays without a name
		return nil, errnoOf(err)
	}
	f.fs.maps.Lock()
	defer f.fs.maps.Unlock()
	a, errno := f.area(off, size)
	if errno != 0 {
		f.in.Close()
		return nil, errno
	}
	a.users++
	if write {
		a.writers++
	}
	return &mapping{f: f.file, a: a, mem: a.part(off, off+size), write: write}, 0
}

// area returns the area that the bytes are in, made if there is none. FS.maps is
// held.
func (f file) area(off, size int64) (*area, libos.Errno) {
	s := f.fs.shown[f.in]
	if s == nil {
		s = new(shown)
	}
	for _, a := range s.areas {
		if a.off <= off && off+size <= a.end() {
			return a, 0
		}
		if a.part(off, off+size) != nil {
			return nil, libos.ENOMEM // it cannot move to where the rest would follow it
		}
	}
	a := &area{off: off, mem: libos.AllocPages(size)}
	if a.mem == nil {
		return nil, libos.ENOMEM
	}
	if _, errno := f.read(a.mem, off); errno != 0 {
		libos.FreePages(a.mem)
		return nil, errno
	}
	s.areas = append(s.areas, a)
	f.fs.keep(f, s)
	return a, 0
}

// keep takes s into use, or out of it if there is nothing in memory any more.
// FS.maps is held.
func (fs *FS) keep(f file, s *shown) {
	if fs.shown == nil {
		fs.shown = map[*ext4.Inode]*shown{}
	}
	if len(s.areas) > 0 {
		fs.shown[f.in] = s
	} else {
		delete(fs.shown, f.in)
	}
	fs.mapped.Store(int32(len(fs.shown)))
}

// Bytes implements libos.SharedMemory.
func (m *mapping) Bytes() []byte { return m.mem }

// Sync implements libos.SharedMemory.
func (m *mapping) Sync() libos.Errno { return m.f.Sync() }

// Close implements libos.SharedMemory. If what was written does not fit on the
// volume it is lost, as on Linux.
func (m *mapping) Close() {
	m.f.release(m)
	m.f.in.Close()
}

// release ends a use of an area; the last one takes it out of memory.
func (f file) release(m *mapping) {
	f.fs.maps.Lock()
	defer f.fs.maps.Unlock()
	a := m.a
	if m.write {
		_ = f.saveArea(a)
		a.writers--
	}
	if a.users--; a.users > 0 {
		return
	}
	s := f.fs.shown[f.in]
	s.areas = slices.DeleteFunc(s.areas, func(b *area) bool { return a == b })
	f.fs.keep(f, s)
	libos.FreePages(a.mem)
}

// saveAll gives all files what was written to their mappings.
func (fs *FS) saveAll() (first libos.Errno) {
	if fs.mapped.Load() == 0 {
		return 0
	}
	fs.maps.RLock()
	list := make([]file, 0, len(fs.shown))
	for in := range fs.shown {
		list = append(list, file{node{fs, in}})
	}
	fs.maps.RUnlock()
	for _, f := range list {
		if errno := f.save(); errno != 0 && first == 0 {
			first = errno
		}
	}
	return first
}

// save gives the file what was written to its mappings.
func (f file) save() (first libos.Errno) {
	if f.fs.mapped.Load() == 0 {
		return 0
	}
	s := f.lock()
	defer f.unlock(s)
	if s == nil {
		return 0
	}
	for _, a := range s.areas {
		if a.writers == 0 {
			continue
		}
		if errno := f.saveArea(a); errno != 0 && first == 0 {
			first = errno
		}
	}
	return first
}

// Mappings are compared with their files in pieces of this many bytes, and what
// differs is written in pages.
const (
	savePiece = 64 << 10
	savePage  = 4 << 10
)

// saveArea gives the file what was written to an area. What is behind the end of
// the file is no part of it.
func (f file) saveArea(a *area) libos.Errno {
	mem := a.part(a.off, f.in.Attr().Size)
	old := make([]byte, min(len(mem), savePiece))
	for at := 0; at < len(mem); at += savePiece {
		now := mem[at:min(len(mem), at+savePiece)]
		n, errno := f.read(old[:len(now)], a.off+int64(at))
		if errno != 0 {
			return errno
		}
		clear(old[n:])
		if errno := f.saveChanges(old, now, a.off+int64(at)); errno != 0 {
			return errno
		}
	}
	return 0
}

// saveChanges writes the pages of now that differ from old, as many in a row as
// there are.
func (f file) saveChanges(old, now []byte, off int64) libos.Errno {
	for at := 0; at < len(now); {
		end := at
		for end < len(now) {
			next := min(end+savePage, len(now))
			if slices.Equal(old[end:next], now[end:next]) {
				break
			}
			end = next
		}
		if errno := f.writeAll(now[at:end], off+int64(at)); errno != 0 {
			return errno
		}
		at = end + savePage
	}
	return 0
}

// writeAll writes to the file itself.
func (f file) writeAll(p []byte, off int64) libos.Errno {
	for len(p) > 0 {
		n, err := f.in.WriteAt(p, off)
		if err != nil {
			return errnoOf(err)
		}
		p, off = p[n:], off+int64(n)
	}
	return 0
}

// readShown reads a file of which parts may be in memory.
func (f file) readShown(p []byte, off int64) (int, libos.Errno) {
	s := f.lock()
	defer f.unlock(s)
	if s == nil {
		return f.read(p, off)
	}
	p = p[:min(int64(len(p)), max(f.in.Attr().Size-off, 0))]
	n := 0
	for n < len(p) {
		at := off + int64(n)
		mem, next := s.at(at, off+int64(len(p)))
		if len(mem) > 0 {
			n += copy(p[n:], mem)
			continue
		}
		k, errno := f.read(p[n:next-off], at)
		if errno != 0 && n == 0 {
			return 0, errno
		}
		if n += k; errno != 0 || k == 0 {
			break
		}
	}
	return n, 0
}

// at returns the memory that has the byte at low, up to the one at high; if there
// is none, where the next area begins, or high.
func (s *shown) at(low, high int64) (mem []byte, next int64) {
	next = high
	for _, a := range s.areas {
		if a.off <= low && low < a.end() {
			return a.part(low, high), low
		}
		if a.off > low {
			next = min(next, a.off)
		}
	}
	return nil, next
}

// put makes areas show what was written.
func (s *shown) put(p []byte, off int64) {
	for _, a := range s.areas {
		if low := max(off, a.off); low < off+int64(len(p)) {
			copy(a.part(low, off+int64(len(p))), p[low-off:])
		}
	}
}

// zero makes areas show zeros where a file became shorter or longer.
func (s *shown) zero(low, high int64) {
	for _, a := range s.areas {
		clear(a.part(low, high))
	}
}
