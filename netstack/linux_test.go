package netstack

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/libos"
)

// This file runs the same scripts on our sockets and on those of the kernel
// below, and compares what they answer, call by call.

// A script is one run of a scenario; its transcript is what is compared.
type script struct {
	testing.TB
	socket func(domain, typ, proto int) (libos.Socket, libos.Errno)
	lines  []string
	ours   bool
}

func (x *script) logf(format string, a ...any) {
	x.lines = append(x.lines, fmt.Sprintf(format, a...))
}

// open makes a non-blocking socket that is closed at the end.
func (x *script) open(domain, typ, proto int) libos.Socket {
	x.Helper()
	s, e := x.socket(domain, typ, proto)
	if e != 0 {
		x.Fatalf("socket(%d, %d, %d): errno %d", domain, typ, proto, e)
	}
	s.SetNonblock(true)
	x.Cleanup(func() { s.Close() })
	return s
}

// port returns the local port.
func port(t testing.TB, s libos.Socket) uint16 {
	t.Helper()
	sa, e := s.LocalAddr()
	if e != 0 {
		t.Fatalf("getsockname: errno %d", e)
	}
	return binary.BigEndian.Uint16(sa[2:])
}

func at(ip string, port uint16) []byte {
	ap := netip.AddrPortFrom(netip.MustParseAddr(ip), port)
	return sockaddr(familyOf(ap), ap)
}

// at6 encodes for an AF_INET6 socket, mapped if need be.
func at6(ip string, port uint16) []byte {
	return sockaddr(afInet6, netip.AddrPortFrom(netip.MustParseAddr(ip), port))
}

// addr logs an address with its port only told from zero.
func (x *script) addr(what string, sa []byte, e libos.Errno) {
	if e != 0 {
		x.logf("%s: errno %d", what, e)
		return
	}
	ap := addrPort(sa)
	x.logf("%s: %d bytes, %v, port %v", what, len(sa), ap.Addr(), ap.Port() != 0)
}

// listener returns a listening TCP socket.
func (x *script) listener(ip string) libos.Socket {
	x.Helper()
	s := x.open(familyOf(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)), sockStream, 0)
	if e := s.Bind(at(ip, 0)); e != 0 {
		x.Fatalf("bind: errno %d", e)
	}
	if e := s.Listen(8); e != 0 {
		x.Fatalf("listen: errno %d", e)
	}
	return s
}

// connected returns both ends of a TCP connection.
func (x *script) connected() (client, server libos.Socket) {
	x.Helper()
	l := x.listener("127.0.0.1")
	client = x.open(afInet, sockStream, 0)
	if e := client.Connect(at("127.0.0.1", port(x, l))); e != libos.EINPROGRESS && e != 0 {
		x.Fatalf("connect: errno %d", e)
	}
	waitReady(x, client, libos.ReadyOut)
	waitReady(x, l, libos.ReadyIn)
	server, _, e := l.Accept()
	if e != 0 {
		x.Fatalf("accept: errno %d", e)
	}
	server.SetNonblock(true)
	x.Cleanup(func() { server.Close() })
	l.Close()
	return client, server
}

func (x *script) get(s libos.Socket, level, name int) {
	v := make([]byte, 4)
	n, e := s.GetOption(level, name, v)
	if e != 0 {
		n = 0
	}
	x.logf("get %d/%d: %v errno %d", level, name, v[:n], e)
}

func (x *script) set(s libos.Socket, level, name, v int) {
	e := s.SetOption(level, name, binary.NativeEndian.AppendUint32(nil, uint32(v)))
	x.logf("set %d/%d to %d: errno %d", level, name, v, e)
	x.get(s, level, name)
}

func (x *script) read(what string, s libos.Socket) {
	b := make([]byte, 64)
	n, e := s.Read(b)
	x.logf("%s reads %q errno %d", what, b[:max(n, 0)], e)
}

func (x *script) write(what string, s libos.Socket, msg string) {
	n, e := s.Write([]byte(msg))
	x.logf("%s writes %d errno %d", what, n, e)
}

// deadPort returns a port of 127.0.0.1 that nobody listens on.
func (x *script) deadPort(typ int) uint16 {
	s := x.open(afInet, typ, 0)
	s.Bind(at("127.0.0.1", 0))
	p := port(x, s)
	s.Close()
	return p
}

var scripts = map[string]func(*script){
	"socket": func(x *script) {
		for _, c := range [][3]int{
			{afInet, sockStream, 0}, {afInet, sockStream, protoTCP}, {afInet, sockStream, protoUDP},
			{afInet, sockDgram, 0}, {afInet, sockDgram, protoTCP}, {afInet6, sockStream, 0},
			{afInet6, sockDgram, protoICMP}, {afInet, 7, 0}, {afInet, sockStream, 999},
			{afInet, sockStream, 262}, {99, sockStream, 0}, {afNetlink, sockRaw, 0},
		} {
			s, e := x.socket(c[0], c[1], c[2])
			if c == [3]int{afInet, sockStream, 262} && !x.ours {
				e = libos.EPROTONOSUPPORT // MPTCP, which the kernel may have
			}
			if c == [3]int{afInet, sockStream, 999} && !x.ours {
				e = libos.EPROTONOSUPPORT // EINVAL: its bound is below that number
			}
			x.logf("socket(%v): errno %d", c, e)
			if s != nil {
				s.Close()
			}
		}
	},
	"refused": func(x *script) {
		s := x.open(afInet, sockStream, 0)
		x.logf("connect: errno %d", s.Connect(at("127.0.0.1", x.deadPort(sockStream))))
		x.logf("ready %#x", waitReady(x, s, libos.ReadyErr))
		_, e := s.RemoteAddr()
		x.logf("getpeername: errno %d", e)
		x.get(s, solSocket, soError)
		x.get(s, solSocket, soError)
		x.read("client", s)
	},
	"refused, read first": func(x *script) {
		s := x.open(afInet, sockStream, 0)
		x.logf("connect: errno %d", s.Connect(at("127.0.0.1", x.deadPort(sockStream))))
		waitReady(x, s, libos.ReadyErr)
		x.read("client", s)
		x.read("client", s)
		x.get(s, solSocket, soError)
	},
	"connect": func(x *script) {
		l := x.listener("127.0.0.1")
		s := x.open(afInet, sockStream, 0)
		to := at("127.0.0.1", port(x, l))
		x.logf("connect: errno %d", s.Connect(to))
		waitReady(x, s, libos.ReadyOut)
		x.get(s, solSocket, soError)
		x.logf("connect again: errno %d", s.Connect(to))
		x.logf("connect again: errno %d", s.Connect(to))
		la, e := s.LocalAddr()
		x.addr("getsockname", la, e)
		ra, e := s.RemoteAddr()
		x.addr("getpeername", ra, e)
		x.logf("ready %#x", s.Ready())
		waitReady(x, l, libos.ReadyIn)
		c, from, e := l.Accept()
		x.addr("accept", from, e)
		x.logf("bind: errno %d, listen: errno %d", s.Bind(at("127.0.0.1", 0)), s.Listen(1))
		_, _, e = l.Accept()
		x.logf("accept again: errno %d", e)
		_, _, e = s.Accept()
		x.logf("accept of a connection: errno %d", e)
		x.get(l, solSocket, soAcceptconn)
		x.get(c, solSocket, soAcceptconn)
		c.Close()
	},
	"connect, short address": func(x *script) {
		s := x.open(afInet, sockStream, 0)
		x.logf("errno %d", s.Connect(at("127.0.0.1", 1)[:10]))
		x.logf("errno %d", s.Connect([]byte{2}))
		x.logf("errno %d", s.Connect(at6("::1", 1)))
	},
	"unconnected": func(x *script) {
		s := x.open(afInet, sockStream, 0)
		x.logf("ready %#x", s.Ready())
		x.read("it", s)
		_, e := s.Send([][]byte{[]byte("x")}, nil, nil, 0)
		x.logf("send: errno %d", e)
		_, e = s.RemoteAddr()
		x.logf("getpeername: errno %d", e)
		la, e := s.LocalAddr()
		x.addr("getsockname", la, e)
		x.logf("shutdown: errno %d", s.Shutdown(2))
		x.logf("shutdown 7: errno %d", s.Shutdown(7))
		_, _, e = s.Accept()
		x.logf("accept: errno %d", e)
	},
	"bind": func(x *script) {
		a, b := x.open(afInet, sockStream, 0), x.open(afInet, sockStream, 0)
		x.logf("errno %d", a.Bind(at("127.0.0.1", 0)))
		p := port(x, a)
		x.logf("again: errno %d", a.Bind(at("127.0.0.1", 0)))
		x.logf("in use: errno %d", b.Bind(at("127.0.0.1", p)))
		x.logf("not ours: errno %d", b.Bind(at("192.0.2.1", 0)))
		x.logf("short: errno %d", b.Bind(at("127.0.0.1", p)[:8]))
		x.logf("family: errno %d", b.Bind(at6("::1", 0)))
		x.logf("other address, same port: errno %d", b.Bind(at("127.0.0.2", p)))
		la, e := b.LocalAddr()
		x.addr("getsockname", la, e)
	},
	"bind, reuse": func(x *script) {
		a, b := x.open(afInet, sockStream, 0), x.open(afInet, sockStream, 0)
		x.set(a, solSocket, soReuseaddr, 1)
		x.set(b, solSocket, soReuseaddr, 1)
		x.logf("errno %d", a.Bind(at("127.0.0.1", 0)))
		x.logf("errno %d", b.Bind(at("127.0.0.1", port(x, a))))
		x.logf("listen: errno %d", a.Listen(1))
		x.logf("listen: errno %d", b.Listen(1))
		c := x.open(afInet, sockStream, 0)
		x.set(c, solSocket, soReuseaddr, 1)
		x.logf("bind to a listener's: errno %d", c.Bind(at("127.0.0.1", port(x, a))))
	},
	"bind, reuseport": func(x *script) {
		a, b := x.open(afInet, sockStream, 0), x.open(afInet, sockStream, 0)
		x.set(a, solSocket, soReuseport, 1)
		x.set(b, solSocket, soReuseport, 1)
		x.logf("errno %d", a.Bind(at("127.0.0.1", 0)))
		x.logf("errno %d", b.Bind(at("127.0.0.1", port(x, a))))
		x.logf("listen: errno %d, %d", a.Listen(1), b.Listen(1))
	},
	"dual stack": func(x *script) {
		a := x.open(afInet6, sockStream, 0)
		x.set(a, solIPv6, ipv6V6only, 0)
		x.logf("bind any: errno %d", a.Bind(at6("::", 0)))
		la, e := a.LocalAddr()
		x.addr("getsockname", la, e)
		b := x.open(afInet, sockStream, 0)
		x.logf("v4 any, same port: errno %d", b.Bind(at("0.0.0.0", port(x, a))))
		a.Listen(1)
		c := x.open(afInet, sockStream, 0)
		x.logf("connect: errno %d", c.Connect(at("127.0.0.1", port(x, a))))
		waitReady(x, a, libos.ReadyIn)
		s, from, e := a.Accept()
		x.addr("accept", from, e)
		la, e = s.LocalAddr()
		x.addr("getsockname", la, e)
		x.logf("v6only now: errno %d", a.SetOption(solIPv6, ipv6V6only, []byte{1, 0, 0, 0}))
		s.Close()
		m := x.open(afInet6, sockStream, 0)
		x.set(m, solIPv6, ipv6V6only, 0)
		x.logf("bind mapped: errno %d", m.Bind(at6("::ffff:127.0.0.1", 0)))
		la, e = m.LocalAddr()
		x.addr("getsockname", la, e)
	},
	"v6only": func(x *script) {
		a := x.open(afInet6, sockStream, 0)
		x.set(a, solIPv6, ipv6V6only, 1)
		x.logf("bind any: errno %d", a.Bind(at6("::", 0)))
		b := x.open(afInet, sockStream, 0)
		x.logf("v4 any, same port: errno %d", b.Bind(at("0.0.0.0", port(x, a))))
		m := x.open(afInet6, sockStream, 0)
		x.set(m, solIPv6, ipv6V6only, 1)
		x.logf("bind mapped: errno %d", m.Bind(at6("::ffff:127.0.0.1", 0)))
		x.logf("connect mapped: errno %d", m.Connect(at6("::ffff:127.0.0.1", 9)))
	},
	"half close": func(x *script) {
		c, s := x.connected()
		x.write("client", c, "hello")
		x.logf("shutdown: errno %d", c.Shutdown(1))
		waitReady(x, s, libos.ReadyIn)
		time.Sleep(20 * time.Millisecond)
		x.read("server", s)
		x.read("server", s)
		x.logf("ready %#x", s.Ready())
		x.write("client", c, "more")
		x.write("server", s, "answer")
		waitReady(x, c, libos.ReadyIn)
		x.read("client", c)
		x.logf("shutdown: errno %d", s.Shutdown(1))
		waitReady(x, c, libos.ReadyHup)
		x.read("client", c)
		x.logf("ready %#x, %#x", c.Ready(), s.Ready())
	},
	"shutdown read": func(x *script) {
		c, _ := x.connected()
		x.logf("shutdown: errno %d", c.Shutdown(0))
		x.read("client", c)
		x.logf("ready %#x", c.Ready())
	},
	"reset": func(x *script) {
		c, s := x.connected()
		s.SetOption(solSocket, soLinger, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		s.Close()
		x.logf("ready %#x", waitReady(x, c, libos.ReadyErr))
		x.read("client", c)
		x.read("client", c)
		_, e := c.Send([][]byte{[]byte("x")}, nil, nil, 0)
		x.logf("send: errno %d", e)
		x.get(c, solSocket, soError)
	},
	"reset, SO_ERROR first": func(x *script) {
		c, s := x.connected()
		s.SetOption(solSocket, soLinger, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		s.Close()
		waitReady(x, c, libos.ReadyErr)
		x.get(c, solSocket, soError)
		x.get(c, solSocket, soError)
		x.read("client", c)
	},
	"write to closed": func(x *script) {
		c, s := x.connected()
		s.Close()
		waitReady(x, c, libos.ReadyIn)
		x.read("client", c)
		_, e := c.Send([][]byte{[]byte("x")}, nil, nil, 0)
		x.logf("send: errno %d", e)
		waitReady(x, c, libos.ReadyHup)
		time.Sleep(20 * time.Millisecond)
		_, e = c.Send([][]byte{[]byte("x")}, nil, nil, 0)
		x.logf("send: errno %d", e)
	},
	"close with unread data resets": func(x *script) {
		c, s := x.connected()
		x.write("client", c, "unread")
		waitReady(x, s, libos.ReadyIn)
		s.Close()
		waitReady(x, c, libos.ReadyErr)
		x.read("client", c)
	},
	"peek and scatter": func(x *script) {
		c, s := x.connected()
		x.write("client", c, "abcdefgh")
		waitReady(x, s, libos.ReadyIn)
		a, b := make([]byte, 3), make([]byte, 3)
		for _, flags := range []int{msgPeek, 0, 0, 0} {
			r, e := s.Recv([][]byte{a, b}, nil, flags)
			x.logf("%d %q %q %v errno %d flags %#x", r.N, a, b, r.From, e, r.Flags)
		}
		n, e := s.Send([][]byte{[]byte("1"), nil, []byte("23")}, nil, nil, 0)
		x.logf("send %d errno %d", n, e)
		waitReady(x, c, libos.ReadyIn)
		x.read("client", c)
	},
	"udp": func(x *script) {
		a, b := x.open(afInet, sockDgram, 0), x.open(afInet, sockDgram, 0)
		x.logf("ready %#x", a.Ready())
		_, e := a.Send([][]byte{[]byte("x")}, nil, nil, 0)
		x.logf("no destination: errno %d", e)
		x.logf("bind: errno %d", b.Bind(at("127.0.0.1", 0)))
		to := at("127.0.0.1", port(x, b))
		for _, msg := range []string{"hello", "", "truncated", "peeked"} {
			n, e := a.Send([][]byte{[]byte(msg)}, nil, to, 0)
			x.logf("send %d errno %d", n, e)
		}
		waitReady(x, b, libos.ReadyIn)
		for i, flags := range []int{0, 0, msgTrunc, msgPeek, 0, 0} {
			buf := make([]byte, 5)
			r, e := b.Recv([][]byte{buf}, nil, flags)
			x.logf("%d: %d %q flags %#x errno %d", i, r.N, buf, r.Flags, e)
			if e == 0 {
				x.addr("from", r.From, 0)
			}
		}
		n, e := a.Send([][]byte{make([]byte, 65508)}, nil, to, 0)
		x.logf("too long: %d errno %d", n, e)
		n, e = a.Send([][]byte{make([]byte, 65507)}, nil, to, 0)
		x.logf("just right: %d errno %d", n, e)
		x.logf("listen: errno %d", a.Listen(1))
		_, _, e = a.Accept()
		x.logf("accept: errno %d", e)
		x.logf("shutdown: errno %d", a.Shutdown(1))
	},
	"udp, connected": func(x *script) {
		a, b := x.open(afInet, sockDgram, 0), x.open(afInet, sockDgram, 0)
		b.Bind(at("127.0.0.1", 0))
		x.logf("connect: errno %d", a.Connect(at("127.0.0.1", port(x, b))))
		ra, e := a.RemoteAddr()
		x.addr("getpeername", ra, e)
		la, e := a.LocalAddr()
		x.addr("getsockname", la, e)
		x.write("a", a, "one")
		waitReady(x, b, libos.ReadyIn)
		x.read("b", b)
		b.Close()
		x.write("a", a, "two")
		waitReady(x, a, libos.ReadyErr)
		x.read("a", a)
		x.read("a", a)
		x.write("a", a, "three")
		waitReady(x, a, libos.ReadyErr)
		x.get(a, solSocket, soError)
		x.get(a, solSocket, soError)
		x.logf("disconnect: errno %d", a.Connect(make([]byte, 16)))
		ra, e = a.RemoteAddr()
		x.addr("getpeername", ra, e)
		_, e = a.Send([][]byte{[]byte("x")}, nil, nil, 0)
		x.logf("send: errno %d", e)
	},
	"udp, shutdown": func(x *script) {
		a, b := x.open(afInet, sockDgram, 0), x.open(afInet, sockDgram, 0)
		b.Bind(at("127.0.0.1", 0))
		a.Connect(at("127.0.0.1", port(x, b)))
		x.logf("shutdown: errno %d", a.Shutdown(0))
		x.read("a", a)
		x.logf("shutdown: errno %d", a.Shutdown(1))
		_, e := a.Send([][]byte{[]byte("x")}, nil, nil, 0)
		x.logf("send: errno %d", e)
	},
	"udp, in use": func(x *script) {
		a, b := x.open(afInet, sockDgram, 0), x.open(afInet, sockDgram, 0)
		x.logf("bind: errno %d", a.Bind(at("127.0.0.1", 0)))
		x.logf("bind: errno %d", b.Bind(at("127.0.0.1", port(x, a))))
		c, d := x.open(afInet, sockDgram, 0), x.open(afInet, sockDgram, 0)
		x.set(c, solSocket, soReuseaddr, 1)
		x.set(d, solSocket, soReuseaddr, 1)
		x.logf("bind: errno %d", c.Bind(at("127.0.0.1", 0)))
		x.logf("bind: errno %d", d.Bind(at("127.0.0.1", port(x, c))))
	},
	"udp, dual stack": func(x *script) {
		a := x.open(afInet6, sockDgram, 0)
		x.set(a, solIPv6, ipv6V6only, 0)
		x.logf("bind: errno %d", a.Bind(at6("::", 0)))
		b := x.open(afInet, sockDgram, 0)
		b.Bind(at("127.0.0.1", 0))
		n, e := b.Send([][]byte{[]byte("v4")}, nil, at("127.0.0.1", port(x, a)), 0)
		x.logf("send %d errno %d", n, e)
		waitReady(x, a, libos.ReadyIn)
		buf := make([]byte, 8)
		r, e := a.Recv([][]byte{buf}, nil, 0)
		x.addr("from", r.From, e)
		n, e = a.Send([][]byte{[]byte("back")}, nil, r.From, 0)
		x.logf("send %d errno %d", n, e)
		waitReady(x, b, libos.ReadyIn)
		x.read("b", b)
	},
	"udp, ancillary": func(x *script) {
		a, b := x.open(afInet, sockDgram, 0), x.open(afInet, sockDgram, 0)
		a.Bind(at("127.0.0.1", 0))
		x.set(a, solIP, ipPktinfo, 1)
		x.set(a, solIP, ipRecvttl, 1)
		x.set(b, solIP, ipTTL, 7)
		b.Send([][]byte{[]byte("x")}, nil, at("127.0.0.1", port(x, a)), 0)
		waitReady(x, a, libos.ReadyIn)
		x.control(a, 256)
		b.Send([][]byte{[]byte("y")}, nil, at("127.0.0.1", port(x, a)), 0)
		waitReady(x, a, libos.ReadyIn)
		x.control(a, 20)
	},
	"udp6, ancillary": func(x *script) {
		a, b := x.open(afInet6, sockDgram, 0), x.open(afInet6, sockDgram, 0)
		a.Bind(at6("::1", 0))
		x.set(a, solIPv6, ipv6Recvpktinfo, 1)
		x.set(a, solIPv6, ipv6Recvhoplimit, 1)
		x.set(b, solIPv6, ipv6UnicastHops, 9)
		b.Send([][]byte{[]byte("x")}, nil, at6("::1", port(x, a)), 0)
		waitReady(x, a, libos.ReadyIn)
		x.control(a, 256)
	},
	"options": func(x *script) {
		s := x.open(afInet, sockStream, 0)
		for _, o := range [][3]int{
			{solTCP, tcpNodelay, 1}, {solTCP, tcpKeepidle, 30}, {solTCP, tcpKeepidle, 0}, {solTCP, tcpKeepidle, 40000},
			{solTCP, tcpKeepintvl, 5}, {solTCP, tcpKeepcnt, 3}, {solTCP, tcpKeepcnt, 200}, {solTCP, tcpUserTimeout, 1500},
			{solTCP, tcpUserTimeout, -1}, {solTCP, tcpCork, 1}, {solTCP, tcpCork, 0}, {solTCP, tcpDeferAccept, 0}, {solTCP, 99, 1},
			{solSocket, soKeepalive, 1}, {solSocket, soReuseaddr, 1}, {solSocket, soBroadcast, 1}, {solSocket, soOobinline, 1},
			{solIP, ipTTL, 33}, {solIP, ipTTL, 0}, {solIP, ipTTL, 256}, {solIP, ipTTL, -1}, {solIP, ipMTUDiscover, 0},
			{solIP, ipMTUDiscover, 2}, {solIP, ipTOS, 0x10}, {solIPv6, ipv6V6only, 1}, {999, 1, 1},
		} {
			x.set(s, o[0], o[1], o[2])
		}
		for _, name := range []int{soType, soDomain, soProtocol, soError, soAcceptconn} {
			x.get(s, solSocket, name)
		}
		x.logf("short: errno %d", s.SetOption(solSocket, soKeepalive, []byte{1}))
		u := x.open(afInet, sockDgram, 0)
		x.set(u, solTCP, tcpNodelay, 1)
		x.set(u, solIP, ipMulticastTTL, 5)
		x.set(u, solIP, ipMulticastLoop, 0)
		x.get(u, solSocket, soRcvbuf)
		x.get(u, solSocket, soProtocol)
	},
	"fill the buffers": func(x *script) {
		c, s := x.connected()
		c.SetOption(solSocket, soSndbuf, []byte{0, 0x40, 0, 0})
		chunk := make([]byte, 4096)
		for full := 0; full < 3; time.Sleep(10 * time.Millisecond) {
			e := libos.Errno(0)
			for n := 0; e == 0; n++ {
				if _, e = c.Write(chunk); e == 0 {
					full = 0
				}
			}
			if full++; full == 3 {
				x.logf("full: errno %d", e)
			}
		}
		x.logf("ready %#x", c.Ready())
		for e := libos.Errno(0); e == 0; _, e = s.Read(chunk) {
			time.Sleep(100 * time.Microsecond)
		}
		x.logf("ready %#x", waitReady(x, c, libos.ReadyOut))
	},
	"listener closes": func(x *script) {
		l := x.listener("127.0.0.1")
		c := x.open(afInet, sockStream, 0)
		c.Connect(at("127.0.0.1", port(x, l)))
		waitReady(x, l, libos.ReadyIn)
		l.Close()
		waitReady(x, c, libos.ReadyErr)
		x.read("client", c)
	},
	"listener shuts down": func(x *script) {
		l := x.listener("127.0.0.1")
		x.logf("shutdown: errno %d", l.Shutdown(0))
		_, _, e := l.Accept()
		x.logf("accept: errno %d", e)
	},
	"listener, wrong calls": func(x *script) {
		l := x.listener("127.0.0.1")
		x.read("listener", l)
		_, e := l.Send([][]byte{[]byte("x")}, nil, nil, 0)
		x.logf("send: errno %d", e)
		x.logf("connect: errno %d", l.Connect(at("127.0.0.1", 1)))
		x.logf("listen again: errno %d", l.Listen(3))
		_, e = l.RemoteAddr()
		x.logf("getpeername: errno %d", e)
		x.logf("ready %#x", l.Ready())
	},
	"inherited": func(x *script) {
		l := x.listener("127.0.0.1")
		x.set(l, solTCP, tcpNodelay, 1)
		x.set(l, solSocket, soKeepalive, 1)
		x.set(l, solTCP, tcpKeepidle, 77)
		c := x.open(afInet, sockStream, 0)
		c.Connect(at("127.0.0.1", port(x, l)))
		waitReady(x, l, libos.ReadyIn)
		s, _, _ := l.Accept()
		x.get(s, solTCP, tcpNodelay)
		x.get(s, solSocket, soKeepalive)
		x.get(s, solTCP, tcpKeepidle)
		s.Close()
	},
	"odd destinations": func(x *script) {
		s, u := x.open(afInet, sockStream, 0), x.open(afInet, sockDgram, 0)
		x.logf("port 0: errno %d", s.Connect(at("127.0.0.1", 0)))
		_, e := u.Send([][]byte{[]byte("x")}, nil, at("127.0.0.1", 0), 0)
		x.logf("datagram to port 0: errno %d", e)
		_, e = u.Send([][]byte{[]byte("x")}, nil, at6("::1", 9), 0)
		x.logf("v6 from v4: errno %d", e)
		_, e = u.Send([][]byte{[]byte("x")}, nil, []byte{2}, 0)
		x.logf("short: errno %d", e)
		_, e = u.Send([][]byte{[]byte("x")}, nil, at("127.255.255.255", 9), 0)
		x.logf("broadcast: errno %d", e)
		u6 := x.open(afInet6, sockDgram, 0)
		x.set(u6, solIPv6, ipv6V6only, 1)
		_, e = u6.Send([][]byte{[]byte("x")}, nil, at6("::ffff:127.0.0.1", 9), 0)
		x.logf("mapped with v6only: errno %d", e)
		_, e = u6.Send([][]byte{[]byte("x")}, nil, at("127.0.0.1", 9), 0)
		x.logf("v4 with v6only: errno %d", e)
		a := x.open(afInet, sockStream, 0)
		x.logf("any: errno %d", a.Connect(at("0.0.0.0", x.deadPort(sockStream))))
		waitReady(x, a, libos.ReadyErr)
		x.get(a, solSocket, soError)
		c := x.open(afInet6, sockStream, 0)
		x.logf("v4 on v6 stream: errno %d", c.Connect(at("127.0.0.1", 9)))
		d := x.open(afInet6, sockDgram, 0)
		x.logf("v4 on v6 datagram: errno %d", d.Connect(at("127.0.0.1", 9)))
	},
	"short option buffers": func(x *script) {
		s := x.open(afInet, sockStream, 0)
		for _, n := range []int{0, 1, 2, 4, 8} {
			v := make([]byte, n)
			k, e := s.GetOption(solSocket, soType, v)
			x.logf("%d: %d %v errno %d", n, k, v, e)
			k, e = s.GetOption(solTCP, tcpNodelay, v)
			x.logf("%d: %d %v errno %d", n, k, v, e)
			x.logf("set: errno %d, %d", s.SetOption(solTCP, tcpNodelay, v), s.SetOption(solIP, ipTTL, append(v, 5)))
		}
	},
	"options of IPv6": func(x *script) {
		s := x.open(afInet6, sockStream, 0)
		u := x.open(afInet6, sockDgram, 0)
		for _, o := range [][3]int{
			{solIPv6, ipv6UnicastHops, 5}, {solIPv6, ipv6UnicastHops, -1}, {solIPv6, ipv6UnicastHops, 256},
			{solIPv6, ipv6Tclass, 0x20}, {solIPv6, ipv6Tclass, 300}, {solIPv6, ipv6MTUDiscover, 2},
			{solIPv6, 250, 1}, {solIP, ipTTL, 9}, {solTCP, tcpNodelay, 1},
		} {
			x.set(s, o[0], o[1], o[2])
			x.set(u, o[0], o[1], o[2])
		}
		for _, o := range [][3]int{
			{solIPv6, ipv6MulticastHops, 4}, {solIPv6, ipv6MulticastLoop, 0}, {solIPv6, ipv6Recvpktinfo, 1},
			{solIPv6, ipv6Recvtclass, 1}, {solIPv6, ipv6Recverr, 1},
		} {
			x.set(u, o[0], o[1], o[2])
		}
	},
	"ancillary to send": func(x *script) {
		a, b := x.open(afInet, sockDgram, 0), x.open(afInet, sockDgram, 0)
		a.Bind(at("127.0.0.1", 0))
		x.set(a, solIP, ipRecvttl, 1)
		to := at("127.0.0.1", port(x, a))
		for _, oob := range [][]byte{
			cmsg(solIP, ipTTL, []byte{3, 0, 0, 0}), cmsg(solIP, ipTTL, []byte{0, 1, 0, 0}),
			cmsg(solIP, ipPktinfo, make([]byte, 12)), cmsg(solIP, ipPktinfo, make([]byte, 4)),
			cmsg(solIP, ipPktinfo, []byte{0, 0, 0, 0, 192, 0, 2, 1, 0, 0, 0, 0}), cmsg(solIP, 99, nil), cmsg(77, 1, nil),
			{255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1}, {1, 2, 3},
		} {
			n, e := b.Send([][]byte{[]byte("x")}, oob, to, 0)
			x.logf("%v: %d errno %d", oob, n, e)
			if e == 0 {
				waitReady(x, a, libos.ReadyIn)
				x.control(a, 256)
			}
		}
	},
	"linger and timeouts": func(x *script) {
		s := x.open(afInet, sockStream, 0)
		v := make([]byte, 16)
		n, e := s.GetOption(solSocket, soLinger, v)
		x.logf("%v errno %d", v[:n], e)
		x.logf("errno %d", s.SetOption(solSocket, soLinger, []byte{1, 0, 0, 0, 9, 0, 0, 0}))
		n, e = s.GetOption(solSocket, soLinger, v)
		x.logf("%v errno %d", v[:n], e)
		x.logf("errno %d", s.SetOption(solSocket, soLinger, []byte{1, 0, 0, 0}))
		s.SetOption(solSocket, soLinger, make([]byte, 8))
		tv := make([]byte, 16)
		tv[0], tv[8] = 3, 8
		x.logf("errno %d", s.SetOption(solSocket, soRcvtimeo, tv))
		n, e = s.GetOption(solSocket, soRcvtimeo, v)
		x.logf("%d errno %d, %v", n, e, v[0])
		x.logf("bind to device: errno %d", s.SetOption(solSocket, soBindtodevice, []byte("nosuch0\x00")))
		x.logf("congestion: errno %d", s.SetOption(solTCP, tcpCongestion, []byte("nosuch")))
		x.logf("membership: errno %d", s.SetOption(solIP, ipAddMembership, make([]byte, 4)))
	},
}

// control receives a message and logs its control messages.
func (x *script) control(s libos.Socket, room int) {
	oob := make([]byte, room)
	r, e := s.Recv([][]byte{make([]byte, 8)}, oob, 0)
	x.logf("%d bytes errno %d, flags %#x, %d of ancillary data", r.N, e, r.Flags, r.OOBN)
	var msgs []string
	for b := oob[:r.OOBN]; len(b) >= cmsgHeader; {
		n := min(int(binary.NativeEndian.Uint64(b)), len(b))
		msgs = append(msgs, fmt.Sprintf("%d/%d %v", getInt32(b[8:]), getInt32(b[12:]), b[cmsgHeader:n]))
		b = b[min((n+7)&^7, len(b)):]
	}
	if room >= 100 { // in full; the order is nobody's promise
		x.logf("%v", sorted(msgs))
	}
}

// cmsg builds one control message.
func cmsg(level, typ int, data []byte) []byte {
	b := make([]byte, 64)
	w := cmsgWriter{buf: b}
	w.add(level, typ, data)
	return b[:w.n]
}

func sorted(s []string) []string {
	for i := range s {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
	return s
}

// compare runs a script on both and returns how their answers differ.
func compare(t *testing.T, run func(*script)) (diff []string) {
	ours := &script{TB: t, socket: newStack(t).Socket, ours: true}
	host := &script{TB: t, socket: hostNew}
	run(host)
	run(ours)
	line := func(x *script, i int) string {
		if i < len(x.lines) {
			return x.lines[i]
		}
		return "(nothing)"
	}
	for i := range max(len(host.lines), len(ours.lines)) {
		if want, got := line(host, i), line(ours, i); want != got {
			diff = append(diff, fmt.Sprintf("call %d:\n Linux: %s\n ours:  %s", i, want, got))
		}
	}
	return diff
}

// TestLikeLinux runs each script up to three times: ports and timing of the
// kernel are shared with whatever else this machine does.
func TestLikeLinux(t *testing.T) {
	for name, run := range scripts {
		t.Run(name, func(t *testing.T) {
			var diff []string
			for range 3 {
				if diff = compare(t, run); diff == nil {
					return
				}
			}
			t.Error(strings.Join(diff, "\n"))
		})
	}
}
