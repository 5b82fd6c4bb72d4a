package libos

import "unsafe"

// Values of include/linux/net.h and socket.h.
const (
	afUnix        = 1
	sockStream    = 1
	sockDgram     = 2
	sockRaw       = 3
	sockSeqpacket = 5
	sockTypes     = 0xf
	sockNonbl     = oNONBLOCK
	sockCloexec   = oCLOEXEC

	// maxSockaddr is the size of struct sockaddr_storage.
	maxSockaddr = 128
	// maxControl bounds ancillary data, in bytes (net.core.optmem_max).
	maxControl = 128 << 10
	maxOption  = 64 << 10
)

// socketOf returns the socket at fd with a reference to its description.
func socketOf(fd int) (*desc, Socket, Errno) {
	d, errno := fds.get(fd)
	if errno != 0 {
		return nil, nil, errno
	}
	s, ok := d.file.(Socket)
	if !ok {
		errno = ENOTSOCK
		if d.flags.Load()&oPATH != 0 {
			errno = EBADF
		}
		d.put()
		return nil, nil, errno
	}
	return d, s, 0
}

// noNetwork answers all socket calls of a program without a network.
func noNetwork(a args) (uintptr, Errno) {
	if _, errno := fds.cloexec(a.fd(0), -1); errno != 0 {
		return 0, errno
	}
	return 0, ENOTSOCK
}

// noSocket answers socket and socketpair of a program without a network.
func noSocket(args) (uintptr, Errno) { return 0, EAFNOSUPPORT }

// addSocket gives s a descriptor.
func addSocket(s Socket, flags uint32) (uintptr, Errno) {
	fd, errno := fds.add(newDesc(s, oRDWR|flags&sockNonbl), 0, flags&sockCloexec != 0)
	return uintptr(fd), errno
}

func sysSocket(a args) (uintptr, Errno) {
	typ := uint32(a.i[1])
	if typ&^(sockTypes|sockNonbl|sockCloexec) != 0 {
		return 0, EINVAL
	}
	s, errno := socketFor(a.int(0), int(typ&sockTypes), a.int(2))
	if errno != 0 {
		return 0, errno
	}
	return addSocket(s, typ)
}

// socketFor makes a socket: one of AF_UNIX here, others in the network.
func socketFor(domain, typ, protocol int) (Socket, Errno) {
	if domain == afUnix {
		s, errno := unixSocketOf(typ, protocol)
		if errno != 0 {
			return nil, errno
		}
		return s, 0
	}
	if network == nil {
		return nil, EAFNOSUPPORT
	}
	return network.Socket(domain, typ, protocol)
}

func sysSocketpair(a args) (uintptr, Errno) {
	typ := uint32(a.i[1])
	switch {
	case typ&^(sockTypes|sockNonbl|sockCloexec) != 0:
		return 0, EINVAL
	case a.int(0) != afUnix:
		return 0, EOPNOTSUPP
	case a.p[3] == nil:
		return 0, EFAULT
	}
	s, errno := unixSocketOf(int(typ&sockTypes), a.int(2))
	if errno != 0 {
		return 0, errno
	}
	x, y := newSocketPair(s.typ)
	flags := oRDWR | typ&sockNonbl
	pair, errno := addPair(newDesc(x, flags), newDesc(y, flags), typ&sockCloexec != 0)
	if errno != 0 {
		return 0, errno
	}
	return 0, put(a.p[3], pair)
}

// sockaddr returns the address in two arguments.
func sockaddr(p unsafe.Pointer, n uintptr) ([]byte, Errno) {
	if int32(n) < 0 || uint32(n) > maxSockaddr {
		return nil, EINVAL
	}
	return buffer(p, uintptr(uint32(n)))
}

// lengthAt reads the length that an address or option has room for.
func lengthAt(p unsafe.Pointer) (int, Errno) {
	n, errno := load[int32](p)
	if errno == 0 && n < 0 {
		errno = EINVAL
	}
	return int(n), errno
}

// putAddr stores an address, cut to the room there is, and its full length.
func putAddr(p, length unsafe.Pointer, addr []byte) Errno {
	room, errno := lengthAt(length)
	if errno != 0 {
		return errno
	}
	buf, errno := buffer(p, uintptr(min(room, len(addr))))
	if errno != 0 {
		return errno
	}
	copy(buf, addr)
	return put(length, int32(len(addr)))
}

func sysBind(a args) (uintptr, Errno) { return withAddr(&a, Socket.Bind) }

func sysConnect(a args) (uintptr, Errno) { return withAddr(&a, Socket.Connect) }

func withAddr(a *args, do func(Socket, []byte) Errno) (uintptr, Errno) {
	d, s, errno := socketOf(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	addr, errno := sockaddr(a.p[1], a.i[2])
	if errno != 0 {
		return 0, errno
	}
	var copied [maxSockaddr]byte // the call may park; copies are cheap
	return 0, do(s, append(copied[:0], addr...))
}

func sysListen(a args) (uintptr, Errno) {
	d, s, errno := socketOf(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	return 0, s.Listen(a.int(1))
}

func sysAccept(a args) (uintptr, Errno) { return accept(&a, 0) }

func sysAccept4(a args) (uintptr, Errno) { return accept(&a, uint32(a.i[3])) }

func accept(a *args, flags uint32) (uintptr, Errno) {
	if flags&^(sockNonbl|sockCloexec) != 0 {
		return 0, EINVAL
	}
	d, s, errno := socketOf(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	conn, addr, errno := s.Accept()
	if errno != 0 {
		return 0, errno
	}
	if a.i[1] != 0 {
		if errno := putAddr(a.p[1], a.p[2], addr); errno != 0 {
			conn.Close()
			return 0, errno
		}
	}
	return addSocket(conn, flags)
}

func sysGetsockname(a args) (uintptr, Errno) { return getName(&a, Socket.LocalAddr) }

func sysGetpeername(a args) (uintptr, Errno) { return getName(&a, Socket.RemoteAddr) }

func getName(a *args, get func(Socket) ([]byte, Errno)) (uintptr, Errno) {
	d, s, errno := socketOf(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	addr, errno := get(s)
	if errno != 0 {
		return 0, errno
	}
	return 0, putAddr(a.p[1], a.p[2], addr)
}

func sysShutdown(a args) (uintptr, Errno) {
	d, s, errno := socketOf(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	if a.int(1) < 0 || a.int(1) > 2 {
		return 0, EINVAL
	}
	return 0, s.Shutdown(a.int(1))
}

func sysSetsockopt(a args) (uintptr, Errno) {
	d, s, errno := socketOf(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	if n := a.int(4); n < 0 || n > maxOption {
		return 0, EINVAL
	}
	value, errno := a.bytes(3, 4)
	if errno != 0 {
		return 0, errno
	}
	return 0, s.SetOption(a.int(1), a.int(2), value)
}

func sysGetsockopt(a args) (uintptr, Errno) {
	d, s, errno := socketOf(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	n, errno := lengthAt(a.p[4])
	if errno != 0 {
		return 0, errno
	}
	value, errno := buffer(a.p[3], uintptr(min(n, maxOption)))
	if errno != 0 {
		return 0, errno
	}
	n, errno = s.GetOption(a.int(1), a.int(2), value)
	if errno != 0 {
		return 0, errno
	}
	return 0, put(a.p[4], int32(n))
}
