package netstack

import (
	"time"

	"github.com/tailor-os/tailor/libos"
)

// tcpScripts cover streams.
var tcpScripts = map[string]func(*script){
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
}
