// Nettestguest runs golang.org/x/net/nettest against the network it finds
// itself on, as a main program: in a virtual machine there is no test binary.
//
//	nettestguest [-relay ADDRESS] [-test.v] [-test.run PATTERN]
//
// With -relay, connections to ADDRESS come back as connections to port 9000.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

var relay = flag.String("relay", "", "what sends connections back to port 9000")

func main() {
	match := func(pattern, name string) (bool, error) { return regexp.MatchString(pattern, name) }
	testing.Main(match, []testing.InternalTest{
		{Name: "Pipe", F: func(t *testing.T) { nettest.TestConn(t, pipe) }},
		{Name: "TCP4", F: func(t *testing.T) { nettest.TestConn(t, listenAndDial("tcp4", "127.0.0.1:0")) }},
		{Name: "TCP6", F: func(t *testing.T) { nettest.TestConn(t, listenAndDial("tcp6", "[::1]:0")) }},
		{Name: "TCPOwnAddress", F: testOwnAddress},
		{Name: "Relay", F: testRelay},
		{Name: "Unix", F: testUnix},
		{Name: "UDP4", F: func(t *testing.T) { testPackets(t, "udp4", "127.0.0.1:0") }},
		{Name: "UDP6", F: func(t *testing.T) { testPackets(t, "udp6", "[::1]:0") }},
		{Name: "Support", F: testSupport},
	}, nil, nil)
}

func pipe() (net.Conn, net.Conn, func(), error) {
	a, b := net.Pipe()
	return a, b, func() { a.Close(); b.Close() }, nil
}

func listenAndDial(network, addr string) nettest.MakePipe {
	return func() (net.Conn, net.Conn, func(), error) {
		l, err := net.Listen(network, addr)
		if err != nil {
			return nil, nil, nil, err
		}
		defer l.Close()
		return join(l, network, l.Addr().String())
	}
}

// join dials what ends at l.
func join(l net.Listener, network, addr string) (net.Conn, net.Conn, func(), error) {
	type result struct {
		net.Conn
		error
	}
	accepted := make(chan result, 1)
	go func() {
		c, err := l.Accept()
		accepted <- result{c, err}
	}()
	c1, err := net.DialTimeout(network, addr, 10*time.Second)
	if err != nil {
		return nil, nil, nil, err
	}
	select {
	case r := <-accepted:
		if r.error != nil {
			c1.Close()
			return nil, nil, nil, r.error
		}
		return c1, r.Conn, func() { c1.Close(); r.Conn.Close() }, nil
	case <-time.After(10 * time.Second):
		c1.Close()
		return nil, nil, nil, errors.New("nothing to accept within 10 s")
	}
}

// testOwnAddress connects to the addresses of eth0 from inside.
func testOwnAddress(t *testing.T) {
	eth, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Skip(err)
	}
	addrs, err := eth.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLinkLocalUnicast() {
			t.Run(ip.IP.String(), func(t *testing.T) {
				nettest.TestConn(t, listenAndDial("tcp", net.JoinHostPort(ip.IP.String(), "0")))
			})
		}
	}
}

func testRelay(t *testing.T) {
	if *relay == "" {
		t.Skip("no -relay")
	}
	l, err := net.Listen("tcp", ":9000")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) { return join(l, "tcp", *relay) })
}

// testUnix tests Unix sockets, or that there are none and Go is told so.
func testUnix(t *testing.T) {
	path := fmt.Sprintf("%s/nettest.%d", os.TempDir(), os.Getpid())
	defer os.Remove(path)
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	nettest.TestConn(t, listenAndDial("unix", path))
}

// testSupport compares what nettest finds out with what it must be.
func testSupport(t *testing.T) {
	if !nettest.SupportsIPv4() || !nettest.SupportsIPv6() {
		t.Errorf("IPv4 %v, IPv6 %v", nettest.SupportsIPv4(), nettest.SupportsIPv6())
	}
	for _, network := range []string{"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6"} {
		if !nettest.TestableNetwork(network) {
			t.Errorf("nettest takes %s for not supported", network)
		}
	}
	lo, err := nettest.LoopbackInterface()
	if err != nil || lo.Name != "lo" {
		t.Errorf("loopback interface %v, %v", lo, err)
	}
}

// testPackets is to packet connections what nettest.TestConn is to streams.
func testPackets(t *testing.T, network, addr string) {
	for name, f := range map[string]func(*testing.T, net.PacketConn, net.PacketConn){
		"Boundaries": packetBoundaries,
		"Truncation": packetTruncation,
		"Deadlines":  packetDeadlines,
		"Close":      packetClose,
		"Concurrent": packetConcurrent,
	} {
		t.Run(name, func(t *testing.T) {
			var conns [2]net.PacketConn
			for i := range conns {
				c, err := net.ListenPacket(network, addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				conns[i] = c
			}
			f(t, conns[0], conns[1])
		})
	}
}

func send(t *testing.T, from, to net.PacketConn, b []byte) {
	t.Helper()
	if n, err := from.WriteTo(b, to.LocalAddr()); n != len(b) || err != nil {
		t.Errorf("WriteTo of %d bytes: %d, %v", len(b), n, err)
	}
}

func packetBoundaries(t *testing.T, a, b net.PacketConn) {
	b.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 1<<16)
	for _, n := range []int{0, 1, 2, 1472, 1473, 9000, 65507} {
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(i * n)
		}
		send(t, a, b, want)
		got, from, err := b.ReadFrom(buf)
		if err != nil || string(buf[:got]) != string(want) || from.String() != a.LocalAddr().String() {
			t.Fatalf("sent %d bytes, got %d from %v, %v", n, got, from, err)
		}
	}
	// One after the other, not one with the other.
	send(t, a, b, []byte("one"))
	send(t, a, b, []byte("two"))
	for _, want := range []string{"one", "two"} {
		if n, _, err := b.ReadFrom(buf); err != nil || string(buf[:n]) != want {
			t.Errorf("got %q, %v, want %q", buf[:n], err, want)
		}
	}
}

func packetTruncation(t *testing.T, a, b net.PacketConn) {
	b.SetReadDeadline(time.Now().Add(10 * time.Second))
	send(t, a, b, []byte("long message"))
	send(t, a, b, []byte("next"))
	var buf [4]byte
	for _, want := range []string{"long", "next"} {
		if n, _, err := b.ReadFrom(buf[:]); err != nil || string(buf[:n]) != want {
			t.Errorf("got %q, %v, want %q", buf[:n], err, want)
		}
	}
}

func packetDeadlines(t *testing.T, a, b net.PacketConn) {
	for _, d := range []time.Duration{-time.Second, 0, 30 * time.Millisecond} {
		begin := time.Now()
		b.SetReadDeadline(begin.Add(d))
		_, _, err := b.ReadFrom(make([]byte, 1))
		if took := time.Since(begin); !errors.Is(err, os.ErrDeadlineExceeded) || took < d || took > time.Second {
			t.Errorf("deadline in %v: %v after %v", d, err, took)
		}
	}
	b.SetReadDeadline(time.Time{})
	send(t, a, b, []byte("x"))
	if _, _, err := b.ReadFrom(make([]byte, 1)); err != nil {
		t.Errorf("after the deadline is removed: %v", err)
	}
}

func packetClose(t *testing.T, a, b net.PacketConn) {
	done := make(chan error)
	go func() {
		_, _, err := b.ReadFrom(make([]byte, 1))
		done <- err
	}()
	time.Sleep(10 * time.Millisecond)
	b.Close()
	select {
	case err := <-done:
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Close does not end ReadFrom")
	}
	if _, err := b.WriteTo([]byte("x"), a.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteTo after Close: %v", err)
	}
}

// packetConcurrent has several goroutines use both ends at once. Every datagram
// must come whole; on loopback, with a pause now and then, most must come.
func packetConcurrent(t *testing.T, a, b net.PacketConn) {
	const senders, each = 4, 50
	var wg sync.WaitGroup
	got := make(chan string, senders*each)
	for range 2 {
		wg.Go(func() {
			buf := make([]byte, 100)
			for {
				n, _, err := b.ReadFrom(buf)
				if err != nil {
					return
				}
				got <- string(buf[:n])
			}
		})
	}
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := range each {
				send(t, a, b, fmt.Appendf(nil, "%d.%d", s, i))
				if i%10 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	sending.Wait()
	b.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	wg.Wait()
	close(got)
	seen := map[string]bool{}
	for m := range got {
		var s, i int
		if n, _ := fmt.Sscanf(m, "%d.%d", &s, &i); n != 2 || s >= senders || i >= each || seen[m] {
			t.Errorf("datagram %q", m)
		}
		seen[m] = true
	}
	if len(seen) < senders*each/2 {
		t.Errorf("%d datagrams of %d came", len(seen), senders*each)
	}
}
