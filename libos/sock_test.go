package libos

import (
	"bytes"
	"io"
	"testing"
	"time"
	"unsafe"
)

// echoNetwork makes sockets that record what they are asked.
type echoNetwork struct{ last *echoSocket }

type echoSocket struct {
	*unixSocket
	addr, to, oob, option []byte
	sent                  [][]byte
	reply                 []byte
	flags                 int
}

func (n *echoNetwork) Socket(domain, typ, protocol int) (Socket, Errno) {
	if domain == 99 {
		return nil, EAFNOSUPPORT
	}
	x, _ := newSocketPair(sockStream)
	n.last = &echoSocket{unixSocket: x, addr: []byte{byte(domain), 0, byte(typ), byte(protocol)}}
	return n.last, 0
}

func (s *echoSocket) Bind(addr []byte) Errno     { s.addr = bytes.Clone(addr); return 0 }
func (s *echoSocket) LocalAddr() ([]byte, Errno) { return s.addr, 0 }
func (s *echoSocket) Listen(backlog int) Errno   { s.flags = backlog; return 0 }
func (s *echoSocket) Shutdown(how int) Errno     { s.flags = how; return 0 }
func (s *echoSocket) Accept() (Socket, []byte, Errno) {
	x, _ := newSocketPair(sockStream)
	return x, []byte("peeraddress"), 0
}
func (s *echoSocket) SetOption(level, name int, v []byte) Errno {
	s.option = bytes.Clone(v)
	return 0
}
func (s *echoSocket) GetOption(level, name int, v []byte) (int, Errno) {
	return copy(v, s.option), 0
}

func (s *echoSocket) Send(parts [][]byte, oob, to []byte, flags int) (int, Errno) {
	s.sent, s.flags = nil, flags
	s.oob, s.to = bytes.Clone(oob), bytes.Clone(to)
	n := 0
	for _, p := range parts {
		s.sent = append(s.sent, bytes.Clone(p))
		n += len(p)
	}
	return n, 0
}

func (s *echoSocket) Recv(parts [][]byte, oob []byte, flags int) (Received, Errno) {
	if s.reply == nil {
		return Received{}, EAGAIN
	}
	n := 0
	for _, p := range parts {
		n += copy(p, s.reply[n:])
	}
	s.reply = nil
	return Received{N: n, OOBN: copy(oob, "oob"), Flags: 0x20, From: []byte("sender")}, 0
}

func TestNoNetwork(t *testing.T) {
	reset(t)
	_, errno := sys(nr_socket, 2, 1, 0)
	want(t, errno, EAFNOSUPPORT)
	_, errno = sys(nr_bind, 1, ptr(&[16]byte{}), 16)
	want(t, errno, ENOTSOCK)
	_, errno = sys(nr_bind, 50, ptr(&[16]byte{}), 16)
	want(t, errno, EBADF)
}

func TestSocketCalls(t *testing.T) {
	reset(t)
	net := &echoNetwork{}
	RegisterNetwork(net)
	_, errno := sys(nr_socket, 99, 1, 0)
	want(t, errno, EAFNOSUPPORT)
	fd := must2(t)(sys(nr_socket, 2, 1|sockNonbl|sockCloexec, 6))
	s := net.last
	if !bytes.Equal(s.addr, []byte{2, 0, 1, 6}) || !s.nonblock.Load() {
		t.Errorf("socket: %v %v", s.addr, s.nonblock.Load())
	}
	if f, _ := sys(nr_fcntl, fd, fGETFL, 0); f != oRDWR|oNONBLOCK {
		t.Errorf("F_GETFL: %#x", f)
	}
	addr := [8]byte{2, 0, 0, 80}
	_, errno = sys(nr_bind, fd, ptr(&addr), 8)
	if errno != 0 || !bytes.Equal(s.addr, addr[:]) {
		t.Errorf("bind: %d %v", errno, s.addr)
	}
	for _, n := range []uintptr{129, ^uintptr(0), 1 << 31} {
		_, errno = sys(nr_bind, fd, ptr(&addr), n)
		want(t, errno, EINVAL)
	}
	_, errno = sys(nr_connect, fd, 0, 8)
	want(t, errno, EFAULT)
	room, out := int32(3), [8]byte{9, 9, 9, 9, 9, 9, 9, 9}
	_, errno = sys(nr_getsockname, fd, ptr(&out), ptr(&room))
	if errno != 0 || room != 8 || out != [8]byte{2, 0, 0, 9, 9, 9, 9, 9} {
		t.Errorf("getsockname: %d %d %v", errno, room, out)
	}
	room = -1
	_, errno = sys(nr_getsockname, fd, ptr(&out), ptr(&room))
	want(t, errno, EINVAL)
	sys(nr_listen, fd, 77)
	if s.flags != 77 {
		t.Errorf("listen: %d", s.flags)
	}
	_, errno = sys(nr_shutdown, fd, 3)
	want(t, errno, EINVAL)
	one := int32(1)
	sys(nr_setsockopt, fd, 1, 2, ptr(&one), 4)
	var got [2]int32
	room = 8
	_, errno = sys(nr_getsockopt, fd, 1, 2, ptr(&got), ptr(&room))
	if errno != 0 || room != 4 || got[0] != 1 {
		t.Errorf("options: %d %d %v", errno, room, got)
	}
	_, errno = sys(nr_setsockopt, fd, 1, 2, ptr(&one), ^uintptr(0))
	want(t, errno, EINVAL)
	_, errno = sys(nr_sendto, 1, ptr(&out), 8, 0, 0, 0)
	want(t, errno, ENOTSOCK)
}

func TestAccept(t *testing.T) {
	reset(t)
	net := &echoNetwork{}
	RegisterNetwork(net)
	fd := must2(t)(sys(nr_socket, 2, 1, 0))
	room, addr := int32(4), [16]byte{}
	conn, errno := sys(nr_accept4, fd, ptr(&addr), ptr(&room), sockNonbl)
	if errno != 0 || string(addr[:5]) != "peer\x00" || room != 11 {
		t.Errorf("accept4: %d %q %d", errno, addr, room)
	}
	if f, _ := sys(nr_fcntl, conn, fGETFL, 0); f&oNONBLOCK == 0 {
		t.Error("accept4 lost SOCK_NONBLOCK")
	}
	if _, err := fdFile(conn).Read(make([]byte, 1)); err != EAGAIN {
		t.Errorf("the connection blocks: %v", err)
	}
	_, errno = sys(nr_accept, fd, 0, 0)
	want(t, errno, 0)
	_, errno = sys(nr_accept, fd, ptr(&addr), 0)
	want(t, errno, EFAULT)
	_, errno = sys(nr_accept4, fd, 0, 0, 1)
	want(t, errno, EINVAL)
}

// testHeader is a struct msghdr with typed pointers, as package syscall has it.
type testHeader struct {
	name    *byte
	nameLen uint32
	iov     *testIovec
	iovLen  uint64
	control *byte
	ctlLen  uint64
	flags   int32
}

type testIovec struct {
	p *byte
	n uint64
}

func TestMessages(t *testing.T) {
	reset(t)
	net := &echoNetwork{}
	RegisterNetwork(net)
	fd := must2(t)(sys(nr_socket, 2, 2, 0))
	s := net.last
	for _, count := range []int{0, 1, 3, stackParts, stackParts + 1, maxIOV} {
		data := bytes.Repeat([]byte("abc"), max(count, 1))
		iov := make([]testIovec, count+1)
		for i := range count {
			iov[i] = testIovec{&data[3*i], 3}
		}
		name, control := [4]byte{1, 2, 3, 4}, [5]byte{5}
		h := testHeader{&name[0], 4, &iov[0], uint64(count), &control[0], 5, 0}
		n, errno := sys(nr_sendmsg, fd, ptr(&h), 0x4000)
		if int(n) != 3*count || errno != 0 || !bytes.Equal(bytes.Join(s.sent, nil), data[:3*count]) ||
			!bytes.Equal(s.to, name[:]) || !bytes.Equal(s.oob, control[:]) || s.flags != 0x4000 {
			t.Errorf("%d parts: %d, %d, sent %d, to %v, oob %v", count, n, errno, len(s.sent), s.to, s.oob)
		}
		s.reply = bytes.Repeat([]byte("xyz"), max(count, 1))[:max(3*count, 1)-1]
		clear(data)
		n, errno = sys(nr_recvmsg, fd, ptr(&h), 0)
		if errno != 0 || int(n) != max(3*count-1, 0) || h.nameLen != 6 || h.ctlLen != 3 || h.flags != 0x20 {
			t.Errorf("%d parts received: %d, %d, %+v", count, n, errno, h)
		}
		if !bytes.Equal(data[:n], bytes.Repeat([]byte("xyz"), count+1)[:n]) {
			t.Errorf("%d parts: received %q", count, data[:n])
		}
	}
	h := testHeader{iovLen: maxIOV + 1}
	_, errno := sys(nr_sendmsg, fd, ptr(&h), 0)
	want(t, errno, EMSGSIZE)
	h = testHeader{iovLen: 1}
	_, errno = sys(nr_sendmsg, fd, ptr(&h), 0)
	want(t, errno, EFAULT)
	h = testHeader{ctlLen: 1 << 40}
	_, errno = sys(nr_sendmsg, fd, ptr(&h), 0)
	want(t, errno, ENOBUFS)
}

func TestManyMessages(t *testing.T) {
	reset(t)
	net := &echoNetwork{}
	RegisterNetwork(net)
	fd := must2(t)(sys(nr_socket, 2, 2, 0))
	type entry struct {
		h testHeader
		n uint32
	}
	buf := [4]byte{1, 2, 3, 4}
	iov := testIovec{&buf[0], 4}
	list := [3]entry{}
	for i := range list {
		list[i].h.iov, list[i].h.iovLen = &iov, 1
	}
	n, errno := sys(nr_sendmmsg, fd, ptr(&list), 3, 0)
	if n != 3 || errno != 0 || list[2].n != 4 {
		t.Errorf("sendmmsg: %d, %d, %d", n, errno, list[2].n)
	}
	net.last.reply = []byte("ab")
	n, errno = sys(nr_recvmmsg, fd, ptr(&list), 3, 0, 0)
	if n != 1 || errno != 0 || list[0].n != 2 || string(buf[:2]) != "ab" {
		t.Errorf("recvmmsg: %d, %d, %d", n, errno, list[0].n)
	}
	_, errno = sys(nr_recvmmsg, fd, ptr(&list), 3, 0, 0)
	want(t, errno, EAGAIN)
}

func TestSocketPair(t *testing.T) {
	reset(t)
	RegisterNetwork(&echoNetwork{})
	var pair [2]int32
	_, errno := sys(nr_socketpair, afUnix, sockStream, 0, ptr(&pair))
	want(t, errno, 0)
	a, b := fdFile(pair[0]), fdFile(pair[1])
	a.Write([]byte("ping"))
	b.Write([]byte("pong"))
	buf := make([]byte, 8)
	n, _ := b.Read(buf)
	if string(buf[:n]) != "ping" {
		t.Errorf("%q", buf[:n])
	}
	list := [1]pollFD{{fd: int32(a), events: ReadyIn | ReadyOut}}
	sys(nr_poll, ptr(&list), 1, 0)
	if list[0].revents != ReadyIn|ReadyOut {
		t.Errorf("poll: %#x", list[0].revents)
	}
	sys(nr_shutdown, uintptr(b), 1)
	n, _ = a.Read(buf)
	if _, err := a.Read(buf); string(buf[:n]) != "pong" || err != io.EOF {
		t.Errorf("after shutdown: %q %v", buf[:n], err)
	}
	if _, err := b.Write(buf); err != EPIPE {
		t.Errorf("write after shutdown: %v", err)
	}
	go func() { time.Sleep(time.Millisecond); a.close(t) }()
	if _, err := b.Read(buf); err != io.EOF {
		t.Errorf("peer gone: %v", err)
	}
	var v, room int32 = 0, 4
	_, errno = sys(nr_getsockopt, uintptr(b), solSocket, soType, ptr(&v), ptr(&room))
	if v != sockStream || errno != 0 {
		t.Errorf("SO_TYPE: %d, %d", v, errno)
	}
}

func TestLayouts(t *testing.T) {
	for name, sizes := range map[string][2]uintptr{
		"stat": {unsafe.Sizeof(stat{}), 144}, "statx": {unsafe.Sizeof(statx{}), 256},
		"statfs": {unsafe.Sizeof(statfs{}), 120}, "msghdr": {unsafe.Sizeof(msghdr{}), 56},
		"mmsghdr": {unsafe.Sizeof(mmsghdr{}), 64}, "pollfd": {unsafe.Sizeof(pollFD{}), 8},
		"epoll_event": {unsafe.Sizeof(epollEvent{}), 12}, "rusage": {unsafe.Sizeof(rusage{}), 144},
		"sysinfo": {unsafe.Sizeof(sysInfo{}), 112}, "utsname": {unsafe.Sizeof(utsName{}), 390},
		"flock": {unsafe.Sizeof(flock64{}), 32}, "iovec": {unsafe.Sizeof(iovec{}), 16},
		"timespec": {unsafe.Sizeof(Time{}), 16}, "rlimit": {unsafe.Sizeof(rlimit{}), 16},
	} {
		if sizes[0] != sizes[1] {
			t.Errorf("struct %s has %d bytes, Linux %d", name, sizes[0], sizes[1])
		}
	}
}
