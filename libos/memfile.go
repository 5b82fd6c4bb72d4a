package libos

import "sync"

// File contents are kept in chunks of 1<<chunkShift bytes. A chunk may be
// shorter than that; what is missing reads as zeros.
const (
	chunkShift = 16
	chunkSize  = 1 << chunkShift
	minChunk   = 512
)

// A memFile is a regular file. fs.mu guards all of it.
type memFile struct {
	memNode
	first []byte           // chunk 0: most files have no other
	rest  map[int64][]byte // the chunks behind it
	below lowerFile        // what a chunk that is not here may be read from
	opens int              // open files and mappings
	pins  map[int64]int    // mappings of a chunk, which must stay where it is
}

// Open implements Node.
func (f *memFile) Open(flags uint32) (File, Errno) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if errno := f.below.open(); errno != 0 {
		return nil, errno
	}
	f.opens++
	return &memOpen{f: f, append: flags&oAPPEND != 0}, 0
}

// SetAttr implements AttrSetter.
func (f *memFile) SetAttr(which uint32, a *Attr) Errno {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if which&SetSize != 0 {
		f.truncate(a.Size)
		f.touch()
	}
	f.set(which, a)
	return 0
}

// release frees the contents when no name and no open file is left.
func (f *memFile) release() {
	if f.opens == 0 {
		f.below.close()
	}
	if f.attr.Nlink == 0 && f.opens == 0 {
		size := f.attr.Size
		f.truncate(0)
		f.attr.Size = size // what O_PATH opened can still be asked
	}
}

// chunk returns chunk i, nil for a hole.
func (f *memFile) chunk(i int64) []byte {
	if i == 0 {
		return f.first
	}
	return f.rest[i]
}

// setChunk stores c, whose capacity counts as used; nil makes a hole.
func (f *memFile) setChunk(i int64, c []byte) {
	delta := int64(cap(c) - cap(f.chunk(i)))
	f.fs.held.used.Add(delta)
	f.attr.Blocks += delta / 512
	switch {
	case i == 0:
		f.first = c
	case c == nil:
		delete(f.rest, i)
	default:
		if f.rest == nil {
			f.rest = make(map[int64][]byte)
		}
		f.rest[i] = c
	}
}

// readAt reads at off; 0 is the end.
func (f *memFile) readAt(p []byte, off int64) (int, Errno) {
	if off >= f.attr.Size {
		return 0, 0
	}
	p = p[:min(int64(len(p)), f.attr.Size-off)]
	for n := 0; n < len(p); {
		at := off + int64(n)
		o := int(at & (chunkSize - 1))
		part := p[n:min(len(p), n+chunkSize-o)]
		k := 0
		c := f.chunk(at >> chunkShift)
		if c == nil && at < f.below.size {
			var errno Errno
			if k, errno = f.below.readAt(part, at); errno != 0 {
				return n, errno
			}
		} else if o < len(c) {
			k = copy(part, c[o:])
		}
		clear(part[k:])
		n += len(part)
	}
	return len(p), 0
}

// writeAt writes at off; off+len(p) does not overflow. It stops early when
// memory is used up.
func (f *memFile) writeAt(p []byte, off int64) (int, Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	n, errno := 0, Errno(0)
	for n < len(p) {
		at := off + int64(n)
		o := int(at & (chunkSize - 1))
		part := p[n:min(len(p), n+chunkSize-o)]
		if errno = f.copyUp(at>>chunkShift, o, o+len(part)); errno != 0 {
			break
		}
		c, ok := f.extend(at>>chunkShift, o, o+len(part))
		if !ok {
			errno = ENOSPC
			break
		}
		copy(c[o:], part)
		n += len(part)
	}
	if n == 0 {
		return 0, errno
	}
	f.attr.Size = max(f.attr.Size, off+int64(n))
	f.touch()
	return n, 0
}

// extend returns chunk i made at least end bytes long, of which those from
// start on will be overwritten.
func (f *memFile) extend(i int64, start, end int) ([]byte, bool) {
	c := f.chunk(i)
	if end <= len(c) {
		return c, true
	}
	old := len(c)
	if end > cap(c) {
		size := minChunk
		for size < end {
			size *= 2
		}
		if !f.fs.held.allows(int64(size - cap(c))) {
			return nil, false
		}
		grown := make([]byte, end, size)
		copy(grown, c)
		f.setChunk(i, grown)
		return grown, true
	}
	c = c[:end]
	if old < start {
		clear(c[old:start]) // it may hold what was cut off before
	}
	f.setChunk(i, c)
	return c, true
}

// truncate sets the size. What is cut off is freed.
func (f *memFile) truncate(size int64) {
	if size < f.attr.Size {
		last, o := size>>chunkShift, int(size&(chunkSize-1))
		for i := range f.rest {
			if i > last {
				f.cut(i, 0)
			}
		}
		f.cut(last, o)
		f.attr.Blocks -= f.below.cut(size)
	}
	f.attr.Size = size
}

// cut shortens chunk i to n bytes. One that is mapped is made zero instead.
func (f *memFile) cut(i int64, n int) {
	c := f.chunk(i)
	switch {
	case len(c) <= n:
	case f.pins[i] > 0:
		clear(c[n:])
	case n == 0:
		f.setChunk(i, nil)
	case cap(c) > 4*n && cap(c) > minChunk:
		size := minChunk
		for size < n {
			size *= 2
		}
		f.setChunk(i, append(make([]byte, 0, size), c[:n]...))
	default:
		f.setChunk(i, c[:n])
	}
}

// A memOpen is an open regular file.
type memOpen struct {
	f      *memFile
	mu     sync.Mutex // orders the users of pos, as Linux does
	pos    int64
	append bool // guarded by f.fs.mu
}

func (o *memOpen) Read(p []byte) (int, Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, errno := o.ReadAt(p, o.pos)
	o.pos += int64(n)
	return n, errno
}

// ReadAt implements SeekFile.
func (o *memOpen) ReadAt(p []byte, off int64) (int, Errno) {
	if off > maxInt64-int64(len(p)) {
		return 0, EINVAL
	}
	o.f.fs.mu.Lock()
	if below, n := o.f.untouched(off, len(p)); n > 0 {
		o.f.fs.mu.Unlock() // what waits does not make others wait
		return below.readAt(p[:n], off)
	}
	defer o.f.fs.mu.Unlock()
	return o.f.readAt(p, off)
}

func (o *memOpen) Write(p []byte) (int, Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, end, errno := o.write(p, o.pos)
	if n > 0 {
		o.pos = end
	}
	return n, errno
}

// WriteAt implements SeekFile.
func (o *memOpen) WriteAt(p []byte, off int64) (int, Errno) {
	n, _, errno := o.write(p, off)
	return n, errno
}

// write writes at off, or the end with O_APPEND, and returns where it ended.
func (o *memOpen) write(p []byte, off int64) (int, int64, Errno) {
	o.f.fs.mu.Lock()
	defer o.f.fs.mu.Unlock()
	if off > maxInt64-int64(len(p)) {
		return 0, off, EINVAL
	}
	if o.append {
		off = o.f.attr.Size
	}
	if off > maxInt64-int64(len(p)) {
		return 0, off, EFBIG
	}
	n, errno := o.f.writeAt(p, off)
	return n, off + int64(n), errno
}

// SeekTo implements SeekFile. Holes count as data, which lseek(2) allows.
func (o *memOpen) SeekTo(off int64, whence int) (int64, Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.f.fs.mu.Lock()
	size := o.f.attr.Size
	o.f.fs.mu.Unlock()
	pos, errno := seekTo(off, whence, o.pos, size)
	if errno == 0 {
		o.pos = pos
	}
	return pos, errno
}

// seekTo computes a new position (generic_file_llseek in fs/read_write.c).
func seekTo(off int64, whence int, pos, size int64) (int64, Errno) {
	base := int64(0)
	switch whence {
	case 0:
	case 1:
		base = pos
	case 2:
		base = size
	case 3, 4: // SEEK_DATA, SEEK_HOLE
		if off < 0 || off >= size {
			return 0, ENXIO
		}
		if whence == 4 {
			return size, 0
		}
	default:
		return 0, EINVAL
	}
	if off > maxInt64-base || base+off < 0 {
		return 0, EINVAL
	}
	return base + off, 0
}

func (o *memOpen) Close() Errno {
	o.f.fs.mu.Lock()
	defer o.f.fs.mu.Unlock()
	o.f.opens--
	o.f.release()
	return 0
}

// SetAppend implements Appender.
func (o *memOpen) SetAppend(on bool) {
	o.f.fs.mu.Lock()
	defer o.f.fs.mu.Unlock()
	o.append = on
}

func (o *memOpen) unread() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.f.fs.mu.Lock()
	defer o.f.fs.mu.Unlock()
	return int(max(o.f.attr.Size-o.pos, 0))
}
