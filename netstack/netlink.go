package netstack

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/tailor-os/tailor/libos"
)

// Netlink (RFC 3549) as far as package net needs it: dumps of NETLINK_ROUTE.
// Requests are answered at once into a queue of datagrams; nothing is ever
// announced, since nothing changes after the start.
const (
	netlinkRoute = 0

	nlmsgError     = 2
	nlmsgDone      = 3
	nlmsgHeader    = 16
	nlmFlagRequest = 0x1
	nlmFlagMulti   = 0x2
	nlmFlagAck     = 0x4
	nlmFlagDump    = 0x300

	rtmNewLink  = 16
	rtmGetLink  = 18
	rtmNewAddr  = 20
	rtmGetAddr  = 22
	rtmNewRoute = 24
	rtmGetRoute = 26

	sizeSockaddrNL = 12
	// maxNetlinkDatagram is what a reader with a page as its buffer takes.
	maxNetlinkDatagram = 4096
	// maxNetlinkQueue bounds the datagrams that wait to be read.
	maxNetlinkQueue = 64
)

// A netlinkSocket is an AF_NETLINK socket.
type netlinkSocket struct {
	st  *Stack
	typ int

	nonblock atomic.Bool

	mu     sync.Mutex
	cond   sync.Cond
	port   uint32
	queue  [][]byte
	closed bool
	notify func(uint32)
}

// netlinkSocket makes one. Protocols other than NETLINK_ROUTE do not exist.
func (s *Stack) netlinkSocket(typ, protocol int) (libos.Socket, libos.Errno) {
	if typ != sockRaw && typ != sockDgram {
		return nil, libos.ESOCKTNOSUPPORT
	}
	if protocol != netlinkRoute {
		return nil, libos.EPROTONOSUPPORT
	}
	n := &netlinkSocket{st: s, typ: typ}
	n.cond.L = &n.mu
	return n, 0
}

// Bind implements [libos.Socket]; groups are accepted and stay silent.
func (n *netlinkSocket) Bind(sa []byte) libos.Errno {
	if len(sa) < sizeSockaddrNL {
		return libos.EINVAL
	}
	if family, _ := sockaddrFamily(sa); family != afNetlink {
		return libos.EINVAL
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.port = binary.NativeEndian.Uint32(sa[4:])
	n.bind()
	return 0
}

// bind gives the socket a port number if it has none.
func (n *netlinkSocket) bind() {
	if n.port == 0 {
		n.port = n.st.portIDs.Add(1)
	}
}

// Connect implements [libos.Socket]: the peer is always the kernel, port 0.
func (n *netlinkSocket) Connect(sa []byte) libos.Errno {
	if len(sa) < sizeSockaddrNL {
		return libos.EINVAL
	}
	if binary.NativeEndian.Uint32(sa[4:]) != 0 {
		return libos.ECONNREFUSED
	}
	return 0
}

// LocalAddr implements [libos.Socket].
func (n *netlinkSocket) LocalAddr() ([]byte, libos.Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return netlinkAddr(n.port), 0
}

// RemoteAddr implements [libos.Socket].
func (n *netlinkSocket) RemoteAddr() ([]byte, libos.Errno) { return netlinkAddr(0), 0 }

func netlinkAddr(port uint32) []byte {
	sa := make([]byte, sizeSockaddrNL)
	binary.NativeEndian.PutUint16(sa, afNetlink)
	binary.NativeEndian.PutUint32(sa[4:], port)
	return sa
}

// Send implements [libos.Socket]: it answers the requests in the message.
func (n *netlinkSocket) Send(parts [][]byte, oob, to []byte, flags int) (int, libos.Errno) {
	var msg []byte
	for _, p := range parts {
		msg = append(msg, p...)
	}
	n.mu.Lock()
	n.bind()
	e := n.request(msg)
	f := n.notify
	n.cond.Broadcast()
	n.mu.Unlock()
	if e != 0 {
		return 0, e
	}
	if f != nil {
		f(libos.ReadyIn | libos.ReadyOut)
	}
	return len(msg), 0
}

// request answers each message in b.
func (n *netlinkSocket) request(b []byte) libos.Errno {
	for len(b) >= nlmsgHeader {
		size := binary.NativeEndian.Uint32(b)
		if size < nlmsgHeader || uint64(size) > uint64(len(b)) {
			return 0 // Linux ignores what is not a message
		}
		if len(n.queue) >= maxNetlinkQueue {
			return libos.ENOBUFS
		}
		n.answer(b[:size])
		b = b[min(align4(int(size)), len(b)):]
	}
	return 0
}

// answer queues the reply to one request.
func (n *netlinkSocket) answer(req []byte) {
	typ := binary.NativeEndian.Uint16(req[4:])
	flags := binary.NativeEndian.Uint16(req[6:])
	if flags&nlmFlagRequest == 0 {
		return
	}
	w := netlinkWriter{seq: binary.NativeEndian.Uint32(req[8:]), port: n.port}
	family := 0
	if len(req) > nlmsgHeader {
		family = int(req[nlmsgHeader])
	}
	dump := flags&nlmFlagDump == nlmFlagDump
	switch {
	case typ == rtmGetLink && dump:
		n.st.dumpLinks(&w)
	case typ == rtmGetAddr && dump:
		n.st.await()
		n.st.dumpAddrs(&w, family)
	case typ == rtmGetRoute && dump:
		n.st.dumpRoutes(&w, family)
	default:
		w.fail(libos.EOPNOTSUPP, req)
		n.queue = append(n.queue, w.datagrams()...)
		return
	}
	w.begin(nlmsgDone, nlmFlagMulti)
	w.put32(0)
	w.end()
	n.queue = append(n.queue, w.datagrams()...)
}

// Recv implements [libos.Socket].
func (n *netlinkSocket) Recv(parts [][]byte, oob []byte, flags int) (libos.Received, libos.Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.queue) == 0 {
		if n.closed || n.nonblock.Load() || flags&msgDontwait != 0 {
			return libos.Received{}, libos.EAGAIN
		}
		n.cond.Wait()
	}
	msg := n.queue[0]
	if flags&msgPeek == 0 {
		n.queue = n.queue[1:]
	}
	c := 0
	for _, p := range parts {
		c += copy(p, msg[c:])
	}
	r := libos.Received{N: c, From: netlinkAddr(0)}
	if c < len(msg) {
		r.Flags |= msgTrunc
		if flags&msgTrunc != 0 {
			r.N = len(msg)
		}
	}
	return r, 0
}

// Read implements [libos.File].
func (n *netlinkSocket) Read(p []byte) (int, libos.Errno) {
	r, e := n.Recv([][]byte{p}, nil, 0)
	return r.N, e
}

// Write implements [libos.File].
func (n *netlinkSocket) Write(p []byte) (int, libos.Errno) { return n.Send([][]byte{p}, nil, nil, 0) }

// Close implements [libos.File].
func (n *netlinkSocket) Close() libos.Errno {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed, n.queue, n.notify = true, nil, nil
	n.cond.Broadcast()
	return 0
}

// SetNonblock implements [libos.Poller].
func (n *netlinkSocket) SetNonblock(v bool) { n.nonblock.Store(v) }

// Ready implements [libos.Poller].
func (n *netlinkSocket) Ready() uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) > 0 {
		return libos.ReadyIn | libos.ReadyOut
	}
	return libos.ReadyOut
}

// SetNotify implements [libos.Poller].
func (n *netlinkSocket) SetNotify(f func(uint32)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notify = f
}

// Listen implements [libos.Socket].
func (*netlinkSocket) Listen(int) libos.Errno { return libos.EOPNOTSUPP }

// Accept implements [libos.Socket].
func (*netlinkSocket) Accept() (libos.Socket, []byte, libos.Errno) { return nil, nil, libos.EOPNOTSUPP }

// Shutdown implements [libos.Socket].
func (*netlinkSocket) Shutdown(int) libos.Errno { return libos.EOPNOTSUPP }

// GetOption implements [libos.Socket].
func (n *netlinkSocket) GetOption(level, name int, value []byte) (int, libos.Errno) {
	if level != solSocket {
		return 0, libos.ENOPROTOOPT
	}
	switch name {
	case soType:
		return putInt(value, n.typ), 0
	case soDomain:
		return putInt(value, afNetlink), 0
	case soProtocol, soError, soAcceptconn:
		return putInt(value, 0), 0
	case soRcvbuf, soSndbuf:
		return putInt(value, datagramDefault), 0
	}
	return 0, libos.ENOPROTOOPT
}

// SetOption implements [libos.Socket]: options change nothing here, and their
// users (buffer sizes, SOL_NETLINK flags) can live with that.
func (*netlinkSocket) SetOption(level, name int, value []byte) libos.Errno { return 0 }
