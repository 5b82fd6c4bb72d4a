package libos

import (
	"sync/atomic"
	"unsafe"
)

// A pairSocket is one end of socketpair(AF_UNIX, SOCK_STREAM): two pipes.
type pairSocket struct {
	in, out  *pipe
	nonblock atomic.Bool
}

// newSocketPair returns two connected sockets.
func newSocketPair() (x, y *pairSocket) {
	p, q := newPipe(), newPipe()
	return &pairSocket{in: p, out: q}, &pairSocket{in: q, out: p}
}

func (s *pairSocket) Read(p []byte) (int, Errno)  { return s.in.read(p, s.nonblock.Load()) }
func (s *pairSocket) Write(p []byte) (int, Errno) { return s.out.write(p, s.nonblock.Load()) }
func (s *pairSocket) SetNonblock(on bool)         { s.nonblock.Store(on) }
func (s *pairSocket) unread() int                 { return (&pipeEnd{p: s.in}).unread() }

func (s *pairSocket) Close() Errno {
	s.in.closeReader()
	s.out.closeWriter()
	return 0
}

// Ready implements Poller. As on Linux, a socket hangs up when both directions
// are shut; a peer that is gone makes it readable.
func (s *pairSocket) Ready() uint32 {
	r, w := s.in.readReady(), s.out.writeReady()
	ready := r&ReadyIn | w&ReadyOut
	if r&ReadyHup != 0 {
		ready |= ReadyIn
		if w&ReadyErr != 0 {
			ready |= ReadyHup
		}
	}
	return ready
}

func (s *pairSocket) SetNotify(fn func(ready uint32)) {
	s.in.reader.SetNotify(fn)
	s.out.writer.SetNotify(fn)
}

func (s *pairSocket) Bind([]byte) Errno                  { return EOPNOTSUPP }
func (s *pairSocket) Listen(int) Errno                   { return EINVAL }
func (s *pairSocket) Accept() (Socket, []byte, Errno)    { return nil, nil, EINVAL }
func (s *pairSocket) Connect([]byte) Errno               { return EISCONN }
func (s *pairSocket) LocalAddr() ([]byte, Errno)         { return []byte{afUnix, 0}, 0 }
func (s *pairSocket) RemoteAddr() ([]byte, Errno)        { return []byte{afUnix, 0}, 0 }
func (s *pairSocket) SetOption(_, _ int, _ []byte) Errno { return 0 }

func (s *pairSocket) Shutdown(how int) Errno {
	if how != 1 {
		s.in.closeReader()
		s.in.closeWriter()
	}
	if how != 0 {
		s.out.closeWriter()
	}
	return 0
}

// Send implements Socket. Descriptors cannot be passed: there is no process to
// pass them to.
func (s *pairSocket) Send(parts [][]byte, oob, to []byte, flags int) (int, Errno) {
	if len(oob) > 0 {
		return 0, EOPNOTSUPP
	}
	if len(to) > 0 {
		return 0, EISCONN
	}
	nonblock := s.nonblock.Load() || flags&msgDontWait != 0
	total := 0
	for _, p := range parts {
		n, errno := s.out.write(p, nonblock)
		total += n
		if errno != 0 && total == 0 {
			return 0, errno
		}
		if n < len(p) {
			break
		}
	}
	return total, 0
}

// Recv implements Socket.
func (s *pairSocket) Recv(parts [][]byte, _ []byte, flags int) (r Received, errno Errno) {
	const known = msgDontWait | 0x40000000 // MSG_CMSG_CLOEXEC
	if flags&^known != 0 {
		return r, EOPNOTSUPP
	}
	nonblock := s.nonblock.Load() || flags&msgDontWait != 0
	for _, p := range parts {
		n, errno := s.in.read(p, nonblock || r.N > 0)
		r.N += n
		if errno != 0 && r.N == 0 {
			return r, errno
		}
		if n < len(p) {
			break
		}
	}
	return r, 0
}

// Options of SOL_SOCKET that a pair knows.
const (
	solSocket  = 1
	soType     = 3
	soError    = 4
	soDomain   = 39
	soProtocol = 38
)

// GetOption implements Socket.
func (s *pairSocket) GetOption(level, name int, value []byte) (int, Errno) {
	if level != solSocket {
		return 0, EOPNOTSUPP
	}
	v := int32(0)
	switch name {
	case soType:
		v = sockStream
	case soDomain:
		v = afUnix
	case soError, soProtocol:
	default:
		return 0, ENOPROTOOPT
	}
	// SAFETY: v is 4 bytes.
	return copy(value, (*[4]byte)(unsafe.Pointer(&v))[:]), 0
}
