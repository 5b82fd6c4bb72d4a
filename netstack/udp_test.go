package netstack

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
)

// TestDatagrams sends datagrams of many sizes, fragmented ones as well, and
// compares what arrives.
func TestDatagrams(t *testing.T) {
	for _, tc := range []struct {
		name, a, b string
		o          netdevtest.Options
	}{
		{"4", host1, host2, netdevtest.Options{}},
		{"6", host1v6, "fd09::2", netdevtest.Options{}},
		{"no offload", host1, host2, netdevtest.Options{Features: withoutOffload}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s1, s2, _ := newPair(t, tc.o)
			a, err := s1.listenPacket(net.JoinHostPort(tc.a, "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			b, err := s2.listenPacket(net.JoinHostPort(tc.b, "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			buf := make([]byte, 70000)
			for _, n := range []int{0, 1, 2, 500, 1400, 1472, 1473, 3000, 9000, 40000, 65000} {
				msg := bytes.Repeat([]byte{byte(n), byte(n >> 8), 7}, n/3+1)[:n]
				if _, err := b.WriteTo(msg, a.LocalAddr()); err != nil {
					t.Fatalf("sending %d bytes: %v", n, err)
				}
				a.SetReadDeadline(time.Now().Add(5 * time.Second))
				got, from, err := a.ReadFrom(buf)
				if err != nil || !bytes.Equal(buf[:got], msg) || from.String() != b.LocalAddr().String() {
					t.Fatalf("received %d bytes of %d from %v, %v", got, n, from, err)
				}
			}
		})
	}
}

// TestDatagramFlood sends faster than the ring drains: the sender is slowed
// down or loses packets, but never gets stuck (a sent datagram must not count
// against its socket for ever).
func TestDatagramFlood(t *testing.T) {
	s1, s2, _ := newPair(t, netdevtest.Options{QueueSize: 32})
	a, err := s1.listenPacket(host1 + ":7")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := s2.listenPacket(host2 + ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	small := binary.NativeEndian.AppendUint32(nil, 4096)
	b.s.SetOption(solSocket, soSndbuf, small)
	b.SetWriteDeadline(time.Now().Add(20 * time.Second))
	for i := range 5000 {
		if _, err := b.WriteTo(make([]byte, 1200), a.LocalAddr()); err != nil {
			t.Fatalf("datagram %d: %v", i, err)
		}
	}
}

func TestPortUnreachable(t *testing.T) {
	_, s2, _ := newPair(t, netdevtest.Options{})
	b, err := s2.listenPacket(host2 + ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if e := b.s.Connect(at(host1, 9)); e != 0 {
		t.Fatal(e)
	}
	b.Write([]byte("x"))
	b.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := b.Read(make([]byte, 9)); err == nil || !isErrno(err, libos.ECONNREFUSED) {
		t.Errorf("read: %v, want ECONNREFUSED", err)
	}
}

func isErrno(err error, e libos.Errno) bool {
	op, ok := err.(*net.OpError)
	return ok && op.Err == sysErr(e)
}

// TestUnreachable covers what a stack without network, route or neighbour says.
func TestUnreachable(t *testing.T) {
	alone := newStack(t)
	k, _ := alone.Socket(afInet, sockStream, 0)
	k.SetNonblock(true)
	if e := k.Connect(at("192.0.2.1", 80)); e != libos.ENETUNREACH {
		t.Errorf("no network: errno %d, want ENETUNREACH", e)
	}
	u, _ := alone.Socket(afInet6, sockDgram, 0)
	if _, e := u.Send([][]byte{[]byte("x")}, nil, at("2001:db8::1", 80), 0); e != libos.ENETUNREACH {
		t.Errorf("no IPv6 network: errno %d, want ENETUNREACH", e)
	}
	_, s2, _ := newPair(t, netdevtest.Options{})
	start := time.Now()
	if _, err := s2.dial("10.9.0.77:80"); err != sysErr(libos.EHOSTUNREACH) {
		t.Errorf("no neighbour: %v, want EHOSTUNREACH", err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("no neighbour: took %v", d)
	}
	b, _ := s2.Socket(afInet, sockDgram, 0)
	if _, e := b.Send([][]byte{[]byte("x")}, nil, at("10.9.0.255", 80), 0); e != libos.EACCES {
		t.Errorf("broadcast: errno %d, want EACCES", e)
	}
	b.SetOption(solSocket, soBroadcast, []byte{1, 0, 0, 0})
	if _, e := b.Send([][]byte{[]byte("x")}, nil, at("10.9.0.255", 80), 0); e != 0 {
		t.Errorf("broadcast allowed: errno %d", e)
	}
}

// ping sends an echo request on a "ping socket" (icmp(7)) and waits for its
// answer.
func ping(t *testing.T, s *Stack, to string) {
	t.Helper()
	ap := netip.AddrPortFrom(netip.MustParseAddr(to), 0)
	family, proto, request, reply := afInet, protoICMP, byte(8), byte(0)
	if ap.Addr().Is6() {
		family, proto, request, reply = afInet6, protoICMPv6, 128, 129
	}
	k, e := s.Socket(family, sockDgram, proto)
	if e != 0 {
		t.Fatalf("socket: errno %d", e)
	}
	c := newTestConn(k, true)
	defer c.Close()
	msg := append([]byte{request, 0, 0, 0, 0, 0, 0, 1}, "payload"...)
	if _, e := k.Send([][]byte{msg}, nil, sockaddr(family, ap), 0); e != 0 {
		t.Fatalf("send: errno %d", e)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 100)
	n, from, err := c.ReadFrom(buf)
	if err != nil || n != len(msg) || buf[0] != reply || string(buf[8:n]) != "payload" {
		t.Errorf("%s: answer of %v: %x, %v", to, from, buf[:n], err)
	}
}

// TestPing leaves out the stack's own IPv4 address on eth0, which is answered
// with an edit of internal/port (TestOwn in test/e2e).
func TestPing(t *testing.T) {
	_, s2, _ := newPair(t, netdevtest.Options{})
	for _, to := range []string{host1, host1v6, "127.0.0.1", "::1", "fd09::2"} {
		ping(t, s2, to)
	}
}

// TestRaw sends a ping through a raw socket and finds the answer on it, IP
// header included (raw(7)).
func TestRaw(t *testing.T) {
	s := newStack(t)
	k, e := s.Socket(afInet, sockRaw, protoICMP)
	if e != 0 {
		t.Fatalf("socket: errno %d", e)
	}
	c := newTestConn(k, true)
	defer c.Close()
	msg := []byte{8, 0, 0xf7, 0xfd, 0, 1, 0, 1}
	if _, e := k.Send([][]byte{msg}, nil, at("127.0.0.1", 0), 0); e != 0 {
		t.Fatalf("send: errno %d", e)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	for buf := make([]byte, 100); ; {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 28 && buf[0] == 0x45 && buf[9] == protoICMP && buf[20] == 0 {
			return
		}
	}
}

func TestMulticast(t *testing.T) {
	s1, s2, _ := newPair(t, netdevtest.Options{})
	a, err := s1.listenPacket("0.0.0.0:5353")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	mreqn := append([]byte{224, 0, 0, 251, 0, 0, 0, 0}, byte(ethernetNIC), 0, 0, 0)
	if e := a.s.SetOption(solIP, ipAddMembership, mreqn); e != 0 {
		t.Fatalf("join: errno %d", e)
	}
	if e := a.s.SetOption(solIP, ipAddMembership, mreqn); e != libos.EADDRINUSE {
		t.Errorf("join again: errno %d", e)
	}
	if got, want := string(s1.igmp()), "2\teth0 : 2      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\t\t\t\tFB0000E0     1 "; !strings.Contains(got, want) {
		t.Errorf("igmp has no %q:\n%s", want, got)
	}
	b, err := s2.listenPacket(host2 + ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.s.SetOption(solIP, ipMulticastIf, []byte{10, 9, 0, 2})
	if _, err := b.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("224.0.0.251:5353"))); err != nil {
		t.Fatal(err)
	}
	a.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 9)
	if n, _, err := a.ReadFrom(buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("received %q, %v", buf[:n], err)
	}
	if e := a.s.SetOption(solIP, ipDropMembership, mreqn); e != 0 {
		t.Errorf("leave: errno %d", e)
	}
	if e := a.s.SetOption(solIP, ipDropMembership, mreqn); e != libos.EADDRNOTAVAIL {
		t.Errorf("leave again: errno %d", e)
	}
	if got := string(s1.igmp()); strings.Contains(got, "FB0000E0") {
		t.Errorf("igmp still has the group:\n%s", got)
	}
}

func TestMulticast6(t *testing.T) {
	s1, s2, _ := newPair(t, netdevtest.Options{})
	a, err := s1.listenPacket("[::]:5353")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	group := netip.MustParseAddr("ff02::fb").As16()
	mreq := append(group[:], byte(ethernetNIC), 0, 0, 0)
	if e := a.s.SetOption(solIPv6, ipv6AddMembership, mreq); e != 0 {
		t.Fatalf("join: errno %d", e)
	}
	for _, want := range []string{
		"1\tlo\tFF020000000000000000000000000001     1 ",
		"2\teth0\tFF0200000000000000000000000000FB     1 ",
		"2\teth0\tFF0200000000000000000001FF",
	} {
		if got := string(s1.igmp6()); !strings.Contains(got, want) {
			t.Errorf("igmp6 has no %q:\n%s", want, got)
		}
	}
	b, err := s2.listenPacket("[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if e := b.s.SetOption(solIPv6, ipv6MulticastIf, []byte{byte(ethernetNIC), 0, 0, 0}); e != 0 {
		t.Fatalf("IPV6_MULTICAST_IF: errno %d", e)
	}
	to := at6("ff02::fb", 5353)
	to[24] = byte(ethernetNIC)
	if _, e := b.s.Send([][]byte{[]byte("hello")}, nil, to, 0); e != 0 {
		t.Fatalf("send: errno %d", e)
	}
	a.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 9)
	if n, _, err := a.ReadFrom(buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("received %q, %v", buf[:n], err)
	}
}
