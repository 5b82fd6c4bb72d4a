package libos

import "sync"

// sendBuffers holds buffers of maxBounce bytes: what is sent is read into one.
var sendBuffers = sync.Pool{New: func() any { return new([maxBounce]byte) }}

// sysSendfile checks what do_sendfile does (fs/read_write.c), in its order.
func sysSendfile(a args) (uintptr, Errno) {
	var off int64
	if a.i[2] != 0 {
		var errno Errno
		if off, errno = load[int64](a.p[2]); errno != 0 {
			return 0, errno
		}
	}
	in, errno := fds.get(a.fd(1))
	if errno != 0 {
		return 0, errno
	}
	defer in.put()
	f, seeks := in.file.(SeekFile)
	switch {
	case !in.readable():
		return 0, EBADF
	case a.i[2] != 0 && !seeks:
		return 0, ESPIPE
	case a.i[2] != 0 && off < 0:
		return 0, EINVAL
	}
	out, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer out.put()
	_, dir := in.file.(*dirFile)
	switch {
	case !out.writable():
		return 0, EBADF
	case out.flags.Load()&oAPPEND != 0:
		return 0, EINVAL
	case a.i[3] == 0:
		return 0, 0
	case !seeks || dir:
		return 0, EINVAL
	}
	if a.i[2] == 0 {
		return sendHere(out.file, f, a.i[3])
	}
	n, errno := sendPart(out.file, f, off, a.i[3])
	if n > 0 {
		errno = put(a.p[2], off+int64(n))
	}
	return n, errno
}

// sendHere sends from the position of f and moves it on by what was sent.
func sendHere(out File, f SeekFile, count uintptr) (uintptr, Errno) {
	off, errno := f.SeekTo(0, 1)
	if errno != 0 {
		return 0, errno
	}
	n, errno := sendPart(out, f, off, count)
	if n > 0 {
		f.SeekTo(off+int64(n), 0)
	}
	return n, errno
}

// sendPart copies up to count bytes of f from off on to out, as far as out takes
// them. An error is told only if nothing was sent.
func sendPart(out File, f SeekFile, off int64, count uintptr) (sent uintptr, errno Errno) {
	buf := sendBuffers.Get().(*[maxBounce]byte)
	defer sendBuffers.Put(buf)
	count = min(count, maxIO)
	for sent < count && errno == 0 {
		var n, written int
		n, errno = f.ReadAt(buf[:min(count-sent, maxBounce)], off+int64(sent))
		if n == 0 {
			break
		}
		written, errno = out.Write(buf[:n])
		sent += uintptr(written)
		if written < n {
			break
		}
	}
	if sent > 0 {
		errno = 0
	}
	return sent, errno
}
