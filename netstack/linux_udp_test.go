package netstack

import (
	"time"

	"github.com/tailor-os/tailor/libos"
)

// udpScripts cover datagrams and options.
var udpScripts = map[string]func(*script){
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
