package libos

import "unsafe"

// fcntl commands (include/uapi/asm-generic/fcntl.h, include/uapi/linux/fcntl.h).
const (
	fDUPFD        = 0
	fGETFD        = 1
	fSETFD        = 2
	fGETFL        = 3
	fSETFL        = 4
	fGETLK        = 5
	fSETLK        = 6
	fSETLKW       = 7
	fOFDGETLK     = 36
	fOFDSETLK     = 37
	fOFDSETLKW    = 38
	fDUPFDCLOEXEC = 1030
	fSETPIPESZ    = 1031
	fGETPIPESZ    = 1032

	fdCLOEXEC = 1
	fRDLCK    = 0
	fWRLCK    = 1
	fUNLCK    = 2
)

// fcntlMask returns which arguments of fcntl are pointers.
//
//go:nosplit
func fcntlMask(cmd uintptr) uint8 {
	switch cmd {
	case fGETLK, fSETLK, fSETLKW, fOFDGETLK, fOFDSETLK, fOFDSETLKW:
		return ptr2
	}
	return 0
}

func sysFcntl(a args) (uintptr, Errno) {
	d, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	cmd := a.int(1)
	if d.flags.Load()&oPATH != 0 {
		switch cmd {
		case fDUPFD, fDUPFDCLOEXEC, fGETFD, fSETFD, fGETFL:
		default:
			return 0, EBADF
		}
	}
	switch cmd {
	case fDUPFD, fDUPFDCLOEXEC:
		return dupFrom(d, a.int(2), cmd == fDUPFDCLOEXEC)
	case fGETFD:
		on, errno := fds.cloexec(a.fd(0), -1)
		return onBit(on, fdCLOEXEC), errno
	case fSETFD:
		_, errno := fds.cloexec(a.fd(0), int(a.i[2]&fdCLOEXEC))
		return 0, errno
	case fGETFL:
		return uintptr(d.flags.Load()), 0
	case fSETFL:
		d.setFlags(uint32(a.i[2]))
		return 0, 0
	case fGETLK, fSETLK, fSETLKW, fOFDGETLK, fOFDSETLK, fOFDSETLKW:
		return recordLock(d, cmd, a.p[2])
	case fGETPIPESZ, fSETPIPESZ:
		if p, ok := d.file.(interface{ capacity() int }); ok {
			return uintptr(p.capacity()), 0
		}
		return 0, EBADF
	}
	return 0, EINVAL
}

// onBit returns bit if on.
func onBit(on bool, bit uintptr) uintptr {
	if on {
		return bit
	}
	return 0
}

func dupFrom(d *desc, from int, cloexec bool) (uintptr, Errno) {
	if from < 0 || from >= fds.limit {
		return 0, EINVAL
	}
	d.refs.Add(1)
	fd, errno := fds.add(d, from, cloexec)
	return uintptr(fd), errno
}

// flock64 is struct flock.
type flock64 struct {
	typ, whence uint16
	_           uint32
	_, _        int64 // start, length
	_           int32 // process
	_           uint32
}

// recordLock answers the locks of fcntl. Those of a process never conflict
// within it, and there is no other process; those of a description (OFD) would,
// and are refused rather than granted twice.
func recordLock(d *desc, cmd int, p unsafe.Pointer) (uintptr, Errno) {
	l, errno := load[flock64](p)
	switch {
	case errno != 0:
		return 0, errno
	case l.typ > fUNLCK || l.whence > 2:
		return 0, EINVAL
	case cmd >= fOFDGETLK:
		return 0, EINVAL
	case cmd == fGETLK:
		l.typ = fUNLCK
		return 0, put(p, l)
	case l.typ == fRDLCK && !d.readable(), l.typ == fWRLCK && !d.writable():
		return 0, EBADF
	}
	return 0, 0
}

func sysDup(a args) (uintptr, Errno) {
	d, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	fd, errno := fds.add(d, 0, false)
	return uintptr(fd), errno
}

func sysDup2(a args) (uintptr, Errno) {
	if a.fd(0) == a.fd(1) {
		_, errno := fds.cloexec(a.fd(0), -1)
		return a.i[0], errno
	}
	return dupTo(a.fd(0), a.fd(1), false)
}

func sysDup3(a args) (uintptr, Errno) {
	if a.i[2]&^oCLOEXEC != 0 || a.fd(0) == a.fd(1) {
		return 0, EINVAL
	}
	return dupTo(a.fd(0), a.fd(1), a.i[2] != 0)
}

func dupTo(from, to int, cloexec bool) (uintptr, Errno) {
	if to < 0 || to >= fds.limit {
		return 0, EBADF
	}
	d, errno := fds.get(from)
	if errno != 0 {
		return 0, errno
	}
	if old := fds.replace(to, d, cloexec); old != nil {
		old.forget(to)
		old.put()
	}
	return uintptr(to), 0
}

func sysClose(a args) (uintptr, Errno) {
	return 0, fds.closeFD(a.fd(0))
}

// closeRangeCloexec is CLOSE_RANGE_CLOEXEC of close_range(2).
const closeRangeCloexec = 4

func sysCloseRange(a args) (uintptr, Errno) {
	first, last := uint32(a.i[0]), uint32(a.i[1])
	if first > last || a.i[2]&^6 != 0 {
		return 0, EINVAL
	}
	fds.mu.Lock()
	last = min(last, uint32(len(fds.slots)))
	fds.mu.Unlock()
	for fd := int(first); fd <= int(last); fd++ {
		if a.i[2]&closeRangeCloexec != 0 {
			fds.cloexec(fd, 1)
		} else {
			fds.closeFD(fd)
		}
	}
	return 0, 0
}

// ioctl requests (include/uapi/asm-generic/ioctls.h).
const (
	ioTCGETS     = 0x5401
	ioTIOCGWINSZ = 0x5413
	ioFIONREAD   = 0x541b
	ioTIOCOUTQ   = 0x5411
	ioFIONBIO    = 0x5421
	ioFIONCLEX   = 0x5450
	ioFIOCLEX    = 0x5451
)

// ioctlMask returns which arguments of ioctl are pointers.
//
//go:nosplit
func ioctlMask(cmd uintptr) uint8 {
	switch cmd {
	case ioTCGETS, ioTIOCGWINSZ, ioFIONREAD, ioTIOCOUTQ, ioFIONBIO:
		return ptr2
	}
	if blockArgument(uint32(cmd)) > 0 {
		return ptr2
	}
	return 0
}

// A sizer is a file that knows how many bytes can be read (FIONREAD), -1 if it is
// of a kind that has none.
type sizer interface{ unread() int }

func sysIoctl(a args) (uintptr, Errno) {
	d, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	if d.flags.Load()&oPATH != 0 {
		return 0, EBADF
	}
	switch uint32(a.i[1]) {
	case ioFIOCLEX, ioFIONCLEX:
		_, errno := fds.cloexec(a.fd(0), int(a.i[1]&1))
		return 0, errno
	case ioFIONBIO:
		on, errno := load[int32](a.p[2])
		if errno == 0 {
			f := d.flags.Load() &^ oNONBLOCK
			d.setFlags(f | uint32(onBit(on != 0, oNONBLOCK)))
		}
		return 0, errno
	case ioFIONREAD:
		if s, ok := d.file.(sizer); ok {
			n := s.unread()
			if n < 0 {
				return 0, EINVAL
			}
			return 0, put(a.p[2], int32(min(n, 1<<31-1)))
		}
	case ioTIOCOUTQ:
		if s, ok := d.file.(*unixSocket); ok {
			return 0, put(a.p[2], int32(s.unsent()))
		}
	}
	return 0, blockControl(d, uint32(a.i[1]), a.p[2])
}
