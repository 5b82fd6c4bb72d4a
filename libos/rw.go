package libos

import "unsafe"

// A SeekFile is a File with a position that can be set and that can be read
// and written elsewhere. Offsets are in bytes and not negative.
type SeekFile interface {
	File
	// ReadAt and WriteAt leave the position alone; 0 read is the end. With
	// O_APPEND, WriteAt appends, as on Linux.
	ReadAt(p []byte, off int64) (int, Errno)
	WriteAt(p []byte, off int64) (int, Errno)
	// SeekTo sets the position relative to the start, it, or the end (0, 1, 2)
	// and returns it.
	SeekTo(off int64, whence int) (int64, Errno)
}

// A Mappable is a SeekFile whose contents lie in memory that is read-only and
// never changes.
type Mappable interface {
	SeekFile
	// Pages returns the memory of the n bytes at off, which is aligned to a
	// page, or nil if it is not there as whole pages. What lies behind the end
	// of the file, up to the end of its last page, is zero.
	Pages(off int64, n uintptr) unsafe.Pointer
}

func sysRead(a args) (uintptr, Errno) {
	d, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	n, errno := d.read(&a)
	d.put()
	return uintptr(n), errno
}

func (d *desc) read(a *args) (int, Errno) {
	if !d.readable() {
		return 0, EBADF
	}
	buf, errno := a.bytes(1, 2)
	if errno != 0 {
		return 0, errno
	}
	return d.file.Read(buf)
}

func sysWrite(a args) (uintptr, Errno) {
	d, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	n, errno := d.write(&a)
	d.put()
	return uintptr(n), errno
}

func (d *desc) write(a *args) (int, Errno) {
	if !d.writable() {
		return 0, EBADF
	}
	buf, errno := a.bytes(1, 2)
	if errno != 0 {
		return 0, errno
	}
	return d.file.Write(buf)
}

// seekFile returns the description of fd and its file, which must be seekable.
func seekFile(fd int) (*desc, SeekFile, Errno) {
	d, errno := fds.get(fd)
	if errno != 0 {
		return nil, nil, errno
	}
	f, ok := d.file.(SeekFile)
	if !ok {
		errno = ESPIPE
		if d.flags.Load()&oPATH != 0 {
			errno = EBADF
		}
		d.put()
		return nil, nil, errno
	}
	return d, f, 0
}

func sysPread(a args) (uintptr, Errno)  { return readWriteAt(&a, false) }
func sysPwrite(a args) (uintptr, Errno) { return readWriteAt(&a, true) }

func readWriteAt(a *args, write bool) (uintptr, Errno) {
	off := int64(a.i[3])
	if off < 0 {
		return 0, EINVAL
	}
	d, f, errno := seekFile(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	if !d.allows(write) {
		return 0, EBADF
	}
	if a.i[2] > uintptr(maxInt64-off) {
		return 0, EINVAL
	}
	buf, errno := a.bytes(1, 2)
	if errno != 0 {
		return 0, errno
	}
	n, errno := seekPart(f, buf, off, write)
	return uintptr(n), errno
}

func sysLseek(a args) (uintptr, Errno) {
	d, f, errno := seekFile(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	off, errno := f.SeekTo(int64(a.i[1]), a.int(2))
	return uintptr(off), errno
}

// iovec is struct iovec.
type iovec struct {
	_ unsafe.Pointer
	n uintptr
}

// vector is a caller's array of parts. Its pointer may lead into the stack.
type vector struct {
	p unsafe.Pointer
	n int
}

// vec returns the array at argument 1 of the length in argument 2.
func (a *args) vec() (vector, Errno) { return newVector(a.p[1], a.i[2]) }

func newVector(p unsafe.Pointer, n uintptr) (vector, Errno) {
	if n > maxIOV {
		return vector{}, EINVAL
	}
	if n > 0 && p == nil {
		return vector{}, EFAULT
	}
	return vector{p, int(n)}, 0
}

// part returns part i.
func (v vector) part(i int) ([]byte, Errno) {
	// SAFETY: the caller gives v.n parts at v.p, and i is below v.n. The
	// pointer is the first field.
	e := unsafe.Add(v.p, uintptr(i)*unsafe.Sizeof(iovec{}))
	n := *(*uintptr)(unsafe.Add(e, unsafe.Offsetof(iovec{}.n)))
	return buffer(field(e), n)
}

// size returns the sum of the lengths, having checked every part.
func (v vector) size() (int, Errno) {
	total := 0
	for i := range v.n {
		b, errno := v.part(i)
		if errno != 0 {
			return 0, errno
		}
		total += len(b)
	}
	return min(total, maxIO), 0
}

// gather copies the parts into b and returns how many bytes there were.
func (v vector) gather(b []byte) int {
	n := 0
	for i := 0; i < v.n && n < len(b); i++ {
		part, _ := v.part(i)
		n += copy(b[n:], part)
	}
	return n
}

// scatter copies b into the parts.
func (v vector) scatter(b []byte) {
	for i := 0; i < v.n && len(b) > 0; i++ {
		part, _ := v.part(i)
		b = b[copy(part, b):]
	}
}

// maxBounce is the number of bytes that are copied at once for a file that
// takes only one buffer. A transfer may always be shorter than asked for.
const maxBounce = 64 << 10

// ioVector carries out readv and its kin. off -1 stands for the file's own
// position.
func ioVector(fd int, v vector, off int64, write bool) (int, Errno) {
	d, errno := fds.get(fd)
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	if !d.allows(write) {
		return 0, EBADF
	}
	size, errno := v.size()
	if errno != 0 || size == 0 {
		return 0, errno // vfs_readv does not ask the file, either
	}
	if off > maxInt64-int64(size) {
		return 0, EINVAL
	}
	switch f := d.file.(type) {
	case SeekFile:
		return seekVector(f, v, off, write)
	case Socket:
		return socketVector(f, v, write)
	}
	if off >= 0 {
		return 0, ESPIPE
	}
	if v.n == 1 {
		b, _ := v.part(0)
		if write {
			return d.file.Write(b)
		}
		return d.file.Read(b)
	}
	return bounce(d.file, v, size, write)
}

// bounce transfers v through one buffer, so that what belongs to one write
// stays together.
func bounce(f File, v vector, size int, write bool) (int, Errno) {
	b := make([]byte, min(size, maxBounce))
	if write {
		return f.Write(b[:v.gather(b)])
	}
	n, errno := f.Read(b)
	v.scatter(b[:n])
	return n, errno
}

// seekVector transfers part after part, until one is cut short.
func seekVector(f SeekFile, v vector, off int64, write bool) (int, Errno) {
	total := 0
	for i := range v.n {
		b, _ := v.part(i)
		n, errno := seekPart(f, b, off, write)
		if errno != 0 && total == 0 {
			return 0, errno
		}
		total += n
		if off >= 0 {
			off += int64(n)
		}
		if errno != 0 || n < len(b) {
			break
		}
	}
	return total, 0
}

func seekPart(f SeekFile, b []byte, off int64, write bool) (int, Errno) {
	switch {
	case write && off < 0:
		return f.Write(b)
	case write:
		return f.WriteAt(b, off)
	case off < 0:
		return f.Read(b)
	}
	return f.ReadAt(b, off)
}

func sysReadv(a args) (uintptr, Errno)  { return vectorCall(&a, -1, false) }
func sysWritev(a args) (uintptr, Errno) { return vectorCall(&a, -1, true) }

func sysPreadv(a args) (uintptr, Errno)  { return vectorAt(&a, false) }
func sysPwritev(a args) (uintptr, Errno) { return vectorAt(&a, true) }

func sysPreadv2(a args) (uintptr, Errno)  { return vectorAt2(&a, false) }
func sysPwritev2(a args) (uintptr, Errno) { return vectorAt2(&a, true) }

func vectorCall(a *args, off int64, write bool) (uintptr, Errno) {
	v, errno := a.vec()
	if errno != 0 {
		return 0, errno
	}
	n, errno := ioVector(a.fd(0), v, off, write)
	return uintptr(n), errno
}

func vectorAt(a *args, write bool) (uintptr, Errno) {
	if int64(a.i[3]) < 0 {
		return 0, EINVAL
	}
	return vectorCall(a, int64(a.i[3]), write)
}

// vectorAt2 has flags, of which none is offered, and takes offset -1 for the
// file's own position.
func vectorAt2(a *args, write bool) (uintptr, Errno) {
	if a.i[5] != 0 {
		return 0, EOPNOTSUPP
	}
	if int64(a.i[3]) == -1 {
		return vectorCall(a, -1, write)
	}
	return vectorAt(a, write)
}
