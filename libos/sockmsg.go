package libos

import "unsafe"

// stackParts is how many parts of a message are passed on as they are; the
// parts of a longer vector are copied into one.
const stackParts = 8

// A message is what is sent or received, in the caller's memory.
type message struct {
	vec   vector
	parts [stackParts][]byte
	n     int    // parts in use
	copy  []byte // what stands for the vector when it is longer
}

// load prepares the parts of v.
func (m *message) load(v vector, send bool) Errno {
	m.vec = v
	size, errno := v.size()
	if errno != 0 {
		return errno
	}
	if v.n <= stackParts {
		for i := range v.n {
			m.parts[i], _ = v.part(i)
		}
		m.n = v.n
		return 0
	}
	m.copy = make([]byte, min(size, maxGather))
	if send {
		m.copy = m.copy[:v.gather(m.copy)]
	}
	m.parts[0], m.n = m.copy, 1
	return 0
}

// maxGather is the number of bytes of a long vector that are sent or received
// at once; no datagram is longer.
const maxGather = 256 << 10

// one makes a message of one buffer.
func (m *message) one(b []byte) { m.parts[0], m.n = b, 1 }

// slices returns the parts for a call of Socket. They are hidden from escape
// analysis, so that they stay on this goroutine's stack: in the heap, the
// pointers into the caller's stack would not follow when it moves.
func (m *message) slices() [][]byte {
	// SAFETY: a Socket does not keep the parts, and m outlives the call.
	p := (*[stackParts][]byte)(noescape(unsafe.Pointer(&m.parts)))
	return p[:m.n]
}

// received copies what was received into a long vector.
func (m *message) received(n int) {
	if m.copy != nil {
		m.vec.scatter(m.copy[:min(n, len(m.copy))])
	}
}

// socketVector is readv and writev on a socket.
func socketVector(s Socket, v vector, write bool) (int, Errno) {
	var m message
	if errno := m.load(v, write); errno != 0 {
		return 0, errno
	}
	if write {
		return s.Send(m.slices(), nil, nil, 0)
	}
	r, errno := s.Recv(m.slices(), nil, 0)
	m.received(r.N)
	return r.N, errno
}

func sysSendto(a args) (uintptr, Errno) {
	d, s, errno := socketOf(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	buf, errno := a.bytes(1, 2)
	if errno != 0 {
		return 0, errno
	}
	var to []byte
	if a.i[4] != 0 {
		if to, errno = sockaddr(a.p[4], a.i[5]); errno != 0 {
			return 0, errno
		}
	}
	var m message
	m.one(buf)
	n, errno := s.Send(m.slices(), nil, to, a.int(3))
	return uintptr(n), errno
}

func sysRecvfrom(a args) (uintptr, Errno) {
	d, s, errno := socketOf(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	buf, errno := a.bytes(1, 2)
	if errno != 0 {
		return 0, errno
	}
	var m message
	m.one(buf)
	r, errno := s.Recv(m.slices(), nil, a.int(3))
	if errno != 0 {
		return 0, errno
	}
	if a.i[4] != 0 {
		if errno := putAddr(a.p[4], a.p[5], r.From); errno != 0 {
			return 0, errno
		}
	}
	return uintptr(r.N), 0
}

// msghdr is struct msghdr (struct user_msghdr of the kernel).
type msghdr struct {
	name       unsafe.Pointer
	nameLen    int32
	_          uint32
	iov        unsafe.Pointer
	iovLen     uintptr
	control    unsafe.Pointer
	controlLen uintptr
	flags      int32
	_          uint32
}

// mmsghdr is struct mmsghdr.
type mmsghdr struct {
	hdr msghdr
	n   uint32
	_   uint32
}

// A header is a msghdr of the caller, whose memory it reads and writes.
type header struct{ p *msghdr }

// headerAt returns the msghdr at p.
func headerAt(p unsafe.Pointer) (header, Errno) {
	if p == nil {
		return header{}, EFAULT
	}
	// SAFETY: the caller gives a msghdr at p.
	return header{(*msghdr)(p)}, 0
}

// load prepares m for the vector of h.
func (h header) load(m *message, send bool) Errno {
	if h.p.iovLen > maxIOV {
		return EMSGSIZE
	}
	// SAFETY: headerAt's.
	v, errno := newVector(field(unsafe.Pointer(&h.p.iov)), h.p.iovLen)
	if errno != 0 {
		return errno
	}
	return m.load(v, send)
}

// control returns the buffer for ancillary data.
func (h header) control() ([]byte, Errno) {
	if h.p.controlLen > maxControl {
		return nil, ENOBUFS
	}
	// SAFETY: headerAt's.
	return buffer(field(unsafe.Pointer(&h.p.control)), h.p.controlLen)
}

// name returns the address, nil for none.
func (h header) name() ([]byte, Errno) {
	// SAFETY: headerAt's.
	p := field(unsafe.Pointer(&h.p.name))
	if p == nil {
		return nil, 0
	}
	return sockaddr(p, uintptr(h.p.nameLen))
}

func (h header) send(s Socket, flags int) (int, Errno) {
	var m message
	if errno := h.load(&m, true); errno != 0 {
		return 0, errno
	}
	oob, errno := h.control()
	if errno != 0 {
		return 0, errno
	}
	to, errno := h.name()
	if errno != 0 {
		return 0, errno
	}
	return s.Send(m.slices(), oob, to, flags)
}

func (h header) recv(s Socket, flags int) (int, Errno) {
	var m message
	if errno := h.load(&m, false); errno != 0 {
		return 0, errno
	}
	oob, errno := h.control()
	if errno != 0 {
		return 0, errno
	}
	if h.p.nameLen < 0 {
		return 0, EINVAL
	}
	r, errno := s.Recv(m.slices(), oob, flags)
	if errno != 0 {
		return 0, errno
	}
	m.received(r.N)
	// SAFETY: headerAt's.
	if name := field(unsafe.Pointer(&h.p.name)); name != nil {
		b, _ := buffer(name, uintptr(min(int(h.p.nameLen), len(r.From))))
		copy(b, r.From)
		h.p.nameLen = int32(len(r.From))
	}
	h.p.controlLen = uintptr(r.OOBN)
	h.p.flags = int32(r.Flags)
	return r.N, 0
}

func sysSendmsg(a args) (uintptr, Errno) { return oneMessage(&a, header.send) }

func sysRecvmsg(a args) (uintptr, Errno) { return oneMessage(&a, header.recv) }

func oneMessage(a *args, do func(header, Socket, int) (int, Errno)) (uintptr, Errno) {
	d, s, errno := socketOf(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	h, errno := headerAt(a.p[1])
	if errno != 0 {
		return 0, errno
	}
	n, errno := do(h, s, a.int(2))
	return uintptr(n), errno
}

// msgWaitForOne is MSG_WAITFORONE, msgDontWait MSG_DONTWAIT.
const (
	msgDontWait   = 0x40
	msgWaitForOne = 0x10000
)

func sysSendmmsg(a args) (uintptr, Errno) { return manyMessages(&a, header.send) }

// sysRecvmmsg waits for the first message only, timeout or not: what Linux does
// with the timeout is a known bug (recvmmsg(2)), so none is kept here.
func sysRecvmmsg(a args) (uintptr, Errno) {
	if a.i[4] != 0 {
		if _, errno := timeoutArg(&a, 4); errno != 0 {
			return 0, errno
		}
		a.i[3] |= msgWaitForOne
	}
	return manyMessages(&a, header.recv)
}

func manyMessages(a *args, do func(header, Socket, int) (int, Errno)) (uintptr, Errno) {
	d, s, errno := socketOf(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	count := min(int(uint32(a.i[2])), maxIOV)
	if count > 0 && a.p[1] == nil {
		return 0, EFAULT
	}
	flags := a.int(3) &^ msgWaitForOne
	for i := range count {
		// SAFETY: the caller gives count entries.
		e := (*mmsghdr)(unsafe.Add(a.p[1], uintptr(i)*unsafe.Sizeof(mmsghdr{})))
		n, errno := do(header{&e.hdr}, s, flags)
		if errno != 0 && i == 0 {
			return 0, errno
		}
		if errno != 0 {
			return uintptr(i), 0
		}
		e.n = uint32(n)
		if a.i[3]&msgWaitForOne != 0 {
			flags |= msgDontWait
		}
	}
	return uintptr(count), 0
}
