package netstack

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/tailor-os/tailor/libos"
)

// This file is a small package net over [libos.Socket], for tests: it uses the
// sockets as Go's own does, non-blocking and with edge-triggered readiness.

// sysErr turns an errno into an error that knows its Timeout and Is.
func sysErr(e libos.Errno) error {
	if e == 0 {
		return nil
	}
	return syscall.Errno(e)
}

// sockaddr encodes an address for a socket of the given family.
func sockaddr(family int, ap netip.AddrPort) []byte {
	if family == afInet {
		sa := make([]byte, sizeInet4)
		binary.NativeEndian.PutUint16(sa, afInet)
		binary.BigEndian.PutUint16(sa[2:], ap.Port())
		a := ap.Addr().Unmap().As4()
		copy(sa[4:], a[:])
		return sa
	}
	sa := make([]byte, sizeInet6)
	binary.NativeEndian.PutUint16(sa, afInet6)
	binary.BigEndian.PutUint16(sa[2:], ap.Port())
	a := ap.Addr().As16()
	copy(sa[8:], a[:])
	return sa
}

// addrPort decodes one.
func addrPort(sa []byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(sa[2:])
	if len(sa) == sizeInet4 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(sa[4:8])), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(sa[8:24])).Unmap(), port)
}

func familyOf(ap netip.AddrPort) int {
	if ap.Addr().Is4() {
		return afInet
	}
	return afInet6
}

// A poller waits for readiness edges like the runtime's netpoll: an edge that
// came since the last failed attempt is not lost.
type poller struct {
	mu    sync.Mutex
	cond  sync.Cond
	edges uint64
}

func newPoller(s libos.Poller) *poller {
	p := &poller{}
	p.cond.L = &p.mu
	s.SetNonblock(true)
	s.SetNotify(func(uint32) { p.poke() })
	return p
}

func (p *poller) poke() {
	p.mu.Lock()
	p.edges++
	p.cond.Broadcast()
	p.mu.Unlock()
}

// do calls try until it does not answer EAGAIN or expired says so.
func (p *poller) do(expired func() error, try func() libos.Errno) error {
	for {
		p.mu.Lock()
		seen := p.edges
		p.mu.Unlock()
		if err := expired(); err != nil {
			return err
		}
		if e := try(); e != libos.EAGAIN {
			return sysErr(e)
		}
		p.mu.Lock()
		for p.edges == seen {
			p.cond.Wait()
		}
		p.mu.Unlock()
	}
}

// A deadline is a point in time that pokes a poller.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
}

func (d *deadline) set(t time.Time, p *poller) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.at = t
	if !t.IsZero() {
		d.timer = time.AfterFunc(max(0, time.Until(t)), p.poke)
	}
	go p.poke()
}

func (d *deadline) expired() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.at.IsZero() && !time.Now().Before(d.at) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// A testConn is a net.Conn and net.PacketConn.
type testConn struct {
	s        libos.Socket
	p        *poller
	rd, wr   deadline
	rdMu     sync.Mutex
	wrMu     sync.Mutex
	packet   bool
	closeMu  sync.Mutex
	isClosed bool
}

func newTestConn(s libos.Socket, packet bool) *testConn {
	return &testConn{s: s, p: newPoller(s), packet: packet}
}

func (c *testConn) closed() error {
	c.closeMu.Lock()
	defer c.closeMu.Unlock()
	if c.isClosed {
		return net.ErrClosed
	}
	return nil
}

func (c *testConn) readable() error {
	if err := c.closed(); err != nil {
		return err
	}
	return c.rd.expired()
}

func (c *testConn) writable() error {
	if err := c.closed(); err != nil {
		return err
	}
	return c.wr.expired()
}

func (c *testConn) op(name string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: name, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func (c *testConn) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, c.op("read", c.readable())
	}
	c.rdMu.Lock()
	defer c.rdMu.Unlock()
	err = c.p.do(c.readable, func() (e libos.Errno) {
		n, e = c.s.Read(b)
		return e
	})
	if err == nil && n == 0 && !c.packet {
		err = io.EOF
	}
	return n, c.op("read", err)
}

func (c *testConn) Write(b []byte) (int, error) {
	c.wrMu.Lock()
	defer c.wrMu.Unlock()
	done := 0
	for {
		err := c.p.do(c.writable, func() libos.Errno {
			n, e := c.s.Write(b[done:])
			done += n
			return e
		})
		if err != nil || done == len(b) {
			return done, c.op("write", err)
		}
	}
}

func (c *testConn) ReadFrom(b []byte) (n int, from net.Addr, err error) {
	var r libos.Received
	err = c.p.do(c.readable, func() (e libos.Errno) {
		r, e = c.s.Recv([][]byte{b}, nil, 0)
		return e
	})
	if r.From != nil {
		from = net.UDPAddrFromAddrPort(addrPort(r.From))
	}
	return r.N, from, c.op("read", err)
}

func (c *testConn) WriteTo(b []byte, to net.Addr) (n int, err error) {
	la, _ := c.s.LocalAddr()
	family := int(binary.NativeEndian.Uint16(la))
	sa := sockaddr(family, to.(*net.UDPAddr).AddrPort())
	err = c.p.do(c.writable, func() (e libos.Errno) {
		n, e = c.s.Send([][]byte{b}, nil, sa, 0)
		return e
	})
	return n, c.op("write", err)
}

func (c *testConn) CloseWrite() error { return sysErr(c.s.Shutdown(1)) }

func (c *testConn) Close() error {
	c.closeMu.Lock()
	was := c.isClosed
	c.isClosed = true
	c.closeMu.Unlock()
	if was {
		return c.op("close", net.ErrClosed)
	}
	c.p.poke()
	return sysErr(c.s.Close())
}

func (c *testConn) addr(sa []byte, e libos.Errno) net.Addr {
	if e != 0 {
		return nil
	}
	if c.packet {
		return net.UDPAddrFromAddrPort(addrPort(sa))
	}
	return net.TCPAddrFromAddrPort(addrPort(sa))
}

func (c *testConn) LocalAddr() net.Addr  { return c.addr(c.s.LocalAddr()) }
func (c *testConn) RemoteAddr() net.Addr { return c.addr(c.s.RemoteAddr()) }

func (c *testConn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *testConn) SetReadDeadline(t time.Time) error {
	c.rd.set(t, c.p)
	return c.op("set", c.closed())
}

func (c *testConn) SetWriteDeadline(t time.Time) error {
	c.wr.set(t, c.p)
	return c.op("set", c.closed())
}

// A testListener is a net.Listener.
type testListener struct{ *testConn }

func (l *testListener) Accept() (net.Conn, error) {
	var c libos.Socket
	err := l.p.do(l.closed, func() (e libos.Errno) {
		c, _, e = l.s.Accept()
		return e
	})
	if err != nil {
		return nil, l.op("accept", err)
	}
	c.SetOption(solTCP, tcpNodelay, []byte{1, 0, 0, 0})
	return newTestConn(c, false), nil
}

func (l *testListener) Addr() net.Addr { return l.LocalAddr() }

// listen, dial and listenPacket are those of package net.
func (s *Stack) listen(at string) (*testListener, error) {
	ap := netip.MustParseAddrPort(at)
	k, e := s.Socket(familyOf(ap), sockStream, 0)
	if e != 0 {
		return nil, sysErr(e)
	}
	k.SetOption(solSocket, soReuseaddr, []byte{1, 0, 0, 0})
	if e := k.Bind(sockaddr(familyOf(ap), ap)); e != 0 {
		return nil, sysErr(e)
	}
	if e := k.Listen(4096); e != 0 {
		return nil, sysErr(e)
	}
	return &testListener{newTestConn(k, false)}, nil
}

func (s *Stack) dial(to string) (*testConn, error) {
	ap := netip.MustParseAddrPort(to)
	k, e := s.Socket(familyOf(ap), sockStream, 0)
	if e != 0 {
		return nil, sysErr(e)
	}
	c := newTestConn(k, false)
	if err := c.connect(sockaddr(familyOf(ap), ap)); err != nil {
		c.Close()
		return nil, err
	}
	k.SetOption(solTCP, tcpNodelay, []byte{1, 0, 0, 0})
	return c, nil
}

// connect is netFD.connect of package net.
func (c *testConn) connect(sa []byte) error {
	switch e := c.s.Connect(sa); e {
	case libos.EINPROGRESS, libos.EALREADY:
	case 0, libos.EISCONN:
		return nil
	default:
		return sysErr(e)
	}
	return c.p.do(c.writable, func() libos.Errno {
		if c.s.Ready()&(libos.ReadyOut|libos.ReadyErr|libos.ReadyHup) == 0 {
			return libos.EAGAIN
		}
		var v [4]byte
		if _, e := c.s.GetOption(solSocket, soError, v[:]); e != 0 {
			return e
		}
		if e := libos.Errno(binary.NativeEndian.Uint32(v[:])); e != 0 {
			return e
		}
		if _, e := c.s.RemoteAddr(); e != 0 {
			return libos.EAGAIN
		}
		return 0
	})
}

func (s *Stack) listenPacket(at string) (*testConn, error) {
	ap := netip.MustParseAddrPort(at)
	k, e := s.Socket(familyOf(ap), sockDgram, 0)
	if e != 0 {
		return nil, sysErr(e)
	}
	if e := k.Bind(sockaddr(familyOf(ap), ap)); e != 0 {
		return nil, sysErr(e)
	}
	return newTestConn(k, true), nil
}
