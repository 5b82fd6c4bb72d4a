package netstack

import (
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/tailor-os/tailor/libos"
)

// A hostSocket is a socket of the kernel this test runs on, behind the same
// interface: what ours is compared with. It is always non-blocking.
type hostSocket struct {
	libos.Socket // panics on what is not there
	fd           int
}

func hostErrno(e syscall.Errno) libos.Errno { return libos.Errno(e) }

func hostNew(domain, typ, proto int) (libos.Socket, libos.Errno) {
	fd, err := syscall.Socket(domain, typ|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, hostErrno(err.(syscall.Errno))
	}
	return &hostSocket{fd: fd}, 0
}

func ptr(b []byte) uintptr {
	if len(b) == 0 {
		return 0
	}
	return uintptr(unsafe.Pointer(&b[0]))
}

func (h *hostSocket) call(nr uintptr, a ...uintptr) (int, libos.Errno) {
	var p [6]uintptr
	p[0] = uintptr(h.fd)
	copy(p[1:], a)
	r, _, e := syscall.Syscall6(nr, p[0], p[1], p[2], p[3], p[4], p[5])
	if e != 0 {
		return 0, hostErrno(e)
	}
	return int(r), 0
}

func (h *hostSocket) Bind(sa []byte) libos.Errno {
	_, e := h.call(syscall.SYS_BIND, ptr(sa), uintptr(len(sa)))
	return e
}

func (h *hostSocket) Connect(sa []byte) libos.Errno {
	_, e := h.call(syscall.SYS_CONNECT, ptr(sa), uintptr(len(sa)))
	return e
}

func (h *hostSocket) Listen(n int) libos.Errno {
	_, e := h.call(syscall.SYS_LISTEN, uintptr(n))
	return e
}

func (h *hostSocket) Shutdown(how int) libos.Errno {
	_, e := h.call(syscall.SYS_SHUTDOWN, uintptr(how))
	return e
}

func (h *hostSocket) name(nr uintptr) ([]byte, libos.Errno) {
	sa := make([]byte, 128)
	n := uint32(len(sa))
	_, e := h.call(nr, ptr(sa), uintptr(unsafe.Pointer(&n)))
	return sa[:min(int(n), len(sa))], e
}

func (h *hostSocket) LocalAddr() ([]byte, libos.Errno)  { return h.name(syscall.SYS_GETSOCKNAME) }
func (h *hostSocket) RemoteAddr() ([]byte, libos.Errno) { return h.name(syscall.SYS_GETPEERNAME) }

func (h *hostSocket) Accept() (libos.Socket, []byte, libos.Errno) {
	sa := make([]byte, 128)
	n := uint32(len(sa))
	fd, e := h.call(syscall.SYS_ACCEPT4, ptr(sa), uintptr(unsafe.Pointer(&n)), syscall.SOCK_NONBLOCK)
	if e != 0 {
		return nil, nil, e
	}
	return &hostSocket{fd: fd}, sa[:n], 0
}

func (h *hostSocket) Read(p []byte) (int, libos.Errno) {
	return h.call(syscall.SYS_READ, ptr(p), uintptr(len(p)))
}

func (h *hostSocket) Write(p []byte) (int, libos.Errno) {
	return h.call(syscall.SYS_WRITE, ptr(p), uintptr(len(p)))
}

func (h *hostSocket) msghdr(parts [][]byte, oob, name []byte) *syscall.Msghdr {
	var m syscall.Msghdr
	iov := make([]syscall.Iovec, len(parts))
	for i, p := range parts {
		if len(p) > 0 {
			iov[i].Base = &p[0]
		}
		iov[i].Len = uint64(len(p))
	}
	if len(iov) > 0 {
		m.Iov, m.Iovlen = &iov[0], uint64(len(iov))
	}
	if len(oob) > 0 {
		m.Control, m.Controllen = &oob[0], uint64(len(oob))
	}
	if len(name) > 0 {
		m.Name, m.Namelen = &name[0], uint32(len(name))
	}
	return &m
}

func (h *hostSocket) Send(parts [][]byte, oob, to []byte, flags int) (int, libos.Errno) {
	m := h.msghdr(parts, oob, to)
	return h.call(syscall.SYS_SENDMSG, uintptr(unsafe.Pointer(m)), uintptr(flags|syscall.MSG_NOSIGNAL))
}

func (h *hostSocket) Recv(parts [][]byte, oob []byte, flags int) (libos.Received, libos.Errno) {
	name := make([]byte, 128)
	m := h.msghdr(parts, oob, name)
	n, e := h.call(syscall.SYS_RECVMSG, uintptr(unsafe.Pointer(m)), uintptr(flags))
	r := libos.Received{N: n, OOBN: int(m.Controllen), Flags: int(m.Flags)}
	if e == 0 && m.Namelen > 0 {
		r.From = name[:m.Namelen]
	}
	return r, e
}

func (h *hostSocket) GetOption(level, opt int, v []byte) (int, libos.Errno) {
	n := uint32(len(v))
	_, e := h.call(syscall.SYS_GETSOCKOPT, uintptr(level), uintptr(opt), ptr(v), uintptr(unsafe.Pointer(&n)))
	return int(n), e
}

func (h *hostSocket) SetOption(level, opt int, v []byte) libos.Errno {
	_, e := h.call(syscall.SYS_SETSOCKOPT, uintptr(level), uintptr(opt), ptr(v), uintptr(len(v)))
	return e
}

func (h *hostSocket) Ready() uint32 {
	p := struct {
		fd      int32
		ev, rev int16
	}{int32(h.fd), 0x1d, 0}
	syscall.Syscall(syscall.SYS_POLL, uintptr(unsafe.Pointer(&p)), 1, 0)
	return uint32(p.rev)
}

func (h *hostSocket) SetNonblock(bool)         {}
func (h *hostSocket) SetNotify(f func(uint32)) {}
func (h *hostSocket) Close() libos.Errno       { return hostErrno(errnoOf(syscall.Close(h.fd))) }

func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	return err.(syscall.Errno)
}

// waitReady waits until one of the bits is there.
func waitReady(t testing.TB, s libos.Socket, bits uint32) uint32 {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if r := s.Ready(); r&bits != 0 {
			return r
		}
	}
	t.Fatalf("socket never became ready for %#x, has %#x", bits, s.Ready())
	return 0
}
