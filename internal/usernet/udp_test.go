package usernet

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// hostUDP answers each datagram on the host's loopback.
func hostUDP(t testing.TB, addr string, answer func(p []byte) []byte) *net.UDPConn {
	t.Helper()
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Skipf("no loopback: %v", err)
	}
	c := pc.(*net.UDPConn)
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 65535)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if a := answer(bytes.Clone(buf[:n])); a != nil {
				c.WriteToUDPAddrPort(a, from)
			}
		}
	}()
	return c
}

func portOf(c *net.UDPConn) uint16 { return c.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

func echoDatagram(p []byte) []byte { return p }

func TestUDPEcho(t *testing.T) {
	n, g := network(t, Config{UDPIdle: 300 * time.Millisecond})
	for host, to := range map[string]netip.Addr{"127.0.0.1:0": gateway4, "[::1]:0": gateway6} {
		c := g.udp(t, 0, netip.AddrPortFrom(to, portOf(hostUDP(t, host, echoDatagram))))
		for _, size := range []int{1, 1400, 9000, 60000} { // fragments too
			want := bytes.Repeat([]byte{byte(size)}, size)
			if _, err := c.Write(want); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 65535)
			k, err := c.Read(got)
			if err != nil || !bytes.Equal(got[:k], want) {
				t.Errorf("%v: %d bytes of %d, %v", to, k, size, err)
			}
		}
	}
	if n.udp.len() != 2 {
		t.Errorf("%d flows, want 2", n.udp.len())
	}
	for deadline := time.Now().Add(3 * time.Second); n.udp.len() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("idle flows are kept")
		}
	}
}

// TestUDPRefused: the host's "port unreachable" reaches the guest's socket.
func TestUDPRefused(t *testing.T) {
	_, g := network(t, Config{})
	for host, to := range map[string]netip.Addr{"127.0.0.1:0": gateway4, "[::1]:0": gateway6} {
		closed := hostUDP(t, host, echoDatagram)
		port := portOf(closed)
		closed.Close()
		if err := g.datagramError(t, netip.AddrPortFrom(to, port)); err != "connection was refused" {
			t.Errorf("%v: %q, want refused", to, err)
		}
	}
}

// datagramError sends a datagram and returns the error that comes back, or "".
func (g *guest) datagramError(t *testing.T, to netip.AddrPort) string {
	t.Helper()
	f, proto := full(to)
	wq := new(waiter.Queue)
	ep, err := g.s.NewEndpoint(udp.ProtocolNumber, proto, wq)
	if err != nil {
		t.Fatal(err)
	}
	c := newGuestConn(ep, wq)
	defer c.Close()
	if err := ep.Connect(f); err != nil {
		t.Fatal(err)
	}
	c.writePacket([]byte("x"), nil)
	select {
	case <-c.in:
	case <-time.After(2 * time.Second):
		return ""
	}
	if err := ep.LastError(); err != nil {
		return err.String()
	}
	return ""
}

func TestUDPTableBounded(t *testing.T) {
	n, g := network(t, Config{})
	n.udp.max = 10
	port := portOf(hostUDP(t, "127.0.0.1:0", echoDatagram))
	for i := range 30 {
		c := g.udp(t, 0, gw(port))
		c.Write([]byte{byte(i)})
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatalf("flow %d: %v", i, err)
		}
	}
	if n.udp.len() > 10 {
		t.Errorf("%d flows", n.udp.len())
	}
}

func TestUDPPublished(t *testing.T) {
	n, g := network(t, Config{Forwards: []Forward{{"udp", netip.MustParseAddrPort("127.0.0.1:0"), 5000}}})
	s := g.udp(t, 5000, netip.AddrPort{})
	go func() {
		buf := make([]byte, 65535)
		for {
			k, from, err := s.ReadFrom(buf)
			if err != nil {
				return
			}
			s.WriteTo(buf[:k], from)
		}
	}()
	for i := range 5 { // a flow for each source
		c, err := net.Dial("udp", n.Published()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		for j := range 3 {
			want := fmt.Sprint(i, j)
			c.Write([]byte(want))
			got := make([]byte, 100)
			if k, err := c.Read(got); err != nil || string(got[:k]) != want {
				t.Errorf("%q, want %q: %v", got[:k], want, err)
			}
		}
	}
	if n.udp.len() != 5 {
		t.Errorf("%d flows, want 5", n.udp.len())
	}
}

// query returns a DNS query.
func query(t testing.TB, id uint16, name string, typ dnsmessage.Type) []byte {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	b.StartQuestions()
	if err := b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}); err != nil {
		t.Fatal(err)
	}
	msg, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// resolvConf writes a resolv.conf that names the given resolvers.
func resolvConf(t testing.TB, servers ...string) string {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# a comment\nsearch example.org\n"
	for _, s := range servers {
		text += "nameserver " + s + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func ask(t testing.TB, g *guest, to netip.Addr, q []byte) []byte {
	t.Helper()
	c := g.udp(t, 0, netip.AddrPortFrom(to, 53))
	c.Write(q)
	buf := make([]byte, 65535)
	k, err := c.Read(buf)
	if err != nil {
		t.Fatalf("%v: %v", to, err)
	}
	return buf[:k]
}

// TestDNSForward passes queries through as they are, by UDP and TCP, also when
// the first resolver is dead.
func TestDNSForward(t *testing.T) {
	answer := func(q []byte) []byte {
		q[2] |= 0x80
		return append(q, "opaque"...)
	}
	host := hostUDP(t, "127.0.0.1:0", answer)
	l, err := net.Listen("tcp", host.LocalAddr().String())
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if q, err := readStreamMessage(c); err == nil {
				c.Write(streamMessage(answer(q)))
			}
			c.Close()
		}
	}()
	dead := hostUDP(t, "127.0.0.1:0", echoDatagram)
	dead.Close()
	_, g := network(t, Config{ResolvConf: resolvConf(t, dead.LocalAddr().String(), host.LocalAddr().String())})
	q := query(t, 77, "example.org.", dnsmessage.TypeMX)
	want := answer(bytes.Clone(q))
	for _, to := range []netip.Addr{dns4, dns6} {
		if got := ask(t, g, to, q); !bytes.Equal(got, want) {
			t.Errorf("%v by UDP: %x", to, got)
		}
		c := g.dial(t, netip.AddrPortFrom(to, 53))
		for range 2 {
			c.Write(streamMessage(q))
			if got, err := readStreamMessage(c); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v by TCP: %x, %v", to, got, err)
			}
		}
	}
}

// TestDNSForged: an answer with another identifier is not one.
func TestDNSForged(t *testing.T) {
	host := hostUDP(t, "127.0.0.1:0", func(q []byte) []byte {
		q[0] ^= 1
		q[2] |= 0x80
		return q
	})
	d := &resolver{path: resolvConf(t, host.LocalAddr().String())}
	began := time.Now()
	got := d.resolve(t.Context(), "udp", query(t, 1, "example.org.", dnsmessage.TypeA))
	var p dnsmessage.Parser
	if h, err := p.Start(got); err != nil || h.RCode != dnsmessage.RCodeServerFailure || h.ID != 1 {
		t.Errorf("%v, %v", h, err)
	}
	if time.Since(began) < dnsTimeout/2 {
		t.Error("gave up at the forgery")
	}
}

// TestDNSLookup: without a usable resolver, the host's library answers.
func TestDNSLookup(t *testing.T) {
	_, g := network(t, Config{ResolvConf: filepath.Join(t.TempDir(), "none")})
	for typ, want := range map[dnsmessage.Type]string{dnsmessage.TypeA: "127.0.0.1", dnsmessage.TypeMX: ""} {
		var m dnsmessage.Message
		if err := m.Unpack(ask(t, g, dns4, query(t, 5, "localhost.", typ))); err != nil {
			t.Fatal(err)
		}
		if !m.Response || m.ID != 5 || len(m.Questions) != 1 {
			t.Errorf("%v: %v", typ, m.GoString())
		}
		got := ""
		if len(m.Answers) > 0 {
			if a, ok := m.Answers[0].Body.(*dnsmessage.AResource); ok {
				got = netip.AddrFrom4(a.A).String()
			}
		}
		if got != want {
			t.Errorf("%v: %q, want %q", typ, got, want)
		}
	}
}

func TestResolvConf(t *testing.T) {
	got := fmt.Sprint(parseResolvConf("nameserver 1.1.1.1\n;x\n nameserver\tfe80::1%eth0 # y\nnameserver bad\nnameserver\nnameserver 2.2.2.2\nnameserver 3.3.3.3"))
	if want := "[1.1.1.1:53 [fe80::1%eth0]:53 2.2.2.2:53]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	d := &resolver{path: resolvConf(t, "1.1.1.1")}
	if l := d.list(); len(l) != 1 {
		t.Fatal(l)
	}
	os.WriteFile(d.path, []byte("nameserver 2.2.2.2\nnameserver 3.3.3.3\n"), 0o644)
	os.Chtimes(d.path, time.Now(), time.Now().Add(time.Minute))
	d.checked = time.Time{}
	if l := d.list(); len(l) != 2 {
		t.Errorf("the change was not seen: %v", l)
	}
}

func FuzzDNSQuery(f *testing.F) {
	f.Add(query(f, 1, "localhost.", dnsmessage.TypeA))
	f.Add(query(f, 1, "x.", dnsmessage.TypeMX))
	f.Add([]byte("123456789012"))
	f.Fuzz(func(t *testing.T, q []byte) {
		if len(q) < dnsHdrSize || q[2]&0x80 != 0 {
			return
		}
		// A name is not looked up, so that the host is not asked at random.
		if a := failure(q, dnsmessage.RCodeServerFailure); a != nil && !answers(q, a) {
			t.Errorf("%x is no answer to %x", a, q)
		}
	})
}

// ping sends an echo request and returns whether the answer came.
func (g *guest) ping(t testing.TB, to netip.Addr, wait time.Duration) bool {
	t.Helper()
	f, netProto := full(netip.AddrPortFrom(to, 0))
	proto, msg := icmp.ProtocolNumber4, []byte{8, 0, 0, 0, 0, 0, 0, 1, 'p', 'i', 'n', 'g'}
	if netProto == ipv6.ProtocolNumber {
		proto, msg[0] = icmp.ProtocolNumber6, byte(header.ICMPv6EchoRequest)
	}
	wq := new(waiter.Queue)
	ep, err := g.s.NewEndpoint(proto, netProto, wq)
	if err != nil {
		t.Fatal(err)
	}
	c := newGuestConn(ep, wq)
	defer c.Close()
	if err := ep.Connect(f); err != nil {
		t.Fatal(err)
	}
	if _, err := ep.Write(bytes.NewReader(msg), tcpip.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	timer := time.AfterFunc(wait, func() { close(done) })
	defer timer.Stop()
	buf := make([]byte, 100)
	k, _, ok := c.readPacket(buf, done)
	return ok && bytes.HasSuffix(buf[:k], []byte("ping"))
}

func TestPingGateway(t *testing.T) {
	_, g := network(t, Config{})
	for _, a := range []netip.Addr{gateway4, gateway6, dns4, dns6} {
		if !g.ping(t, a, 2*time.Second) {
			t.Errorf("no answer from %v", a)
		}
	}
}

// TestPingOutside needs a host that forbids and then allows ping sockets: this
// program again in a network namespace, where an address of the loopback
// interface stands for the outside.
func TestPingOutside(t *testing.T) {
	if os.Getenv("USERNET_PING_CHILD") != "" {
		pingOutside(t)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("not root: cannot make a network namespace")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPingOutside$", "-test.v", "-test.timeout=20s")
	cmd.Env = append(os.Environ(), "USERNET_PING_CHILD=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err != nil {
		if errors.Is(err, unix.EPERM) {
			t.Skipf("cannot make a network namespace: %v", err)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("--- SKIP")) {
		t.Skipf("%s", out)
	}
}

func pingOutside(t *testing.T) {

	loopbackUp(t, outside4)
	addrs := []netip.Addr{outside4}
	if addLoopback6(outside6) {
		addrs = append(addrs, outside6)
	}
	sysctl := func(value string) {
		if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte(value), 0); err != nil {
			t.Skipf("cannot set ping_group_range: %v", err)
		}
	}
	var logged atomic.Int64
	n, g := network(t, Config{Log: func(format string, args ...any) {
		logged.Add(1)
		if s := fmt.Sprintf(format, args...); !strings.Contains(s, "ping_group_range") {
			t.Errorf("logged %q", s)
		}
	}})
	sysctl("1 0")
	for range 2 {
		if g.ping(t, outside4, 100*time.Millisecond) {
			t.Error("an answer without ping sockets")
		}
	}
	if logged.Load() != 1 {
		t.Errorf("logged %d times, want once", logged.Load())
	}
	sysctl("0 2147483647")
	for _, a := range addrs {
		for range 2 {
			if !g.ping(t, a, 2*time.Second) {
				t.Errorf("no answer from %v", a)
			}
		}
	}
	if g.ping(t, netip.MustParseAddr("203.0.113.9"), 100*time.Millisecond) {
		t.Error("an answer from nowhere")
	}
	if n.pings.len() == 0 {
		t.Error("no ping flow: who answered?")
	}
}

// loopbackUp brings the loopback interface up, with a second address.
func loopbackUp(t *testing.T, a netip.Addr) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	up, _ := unix.NewIfreq("lo")
	up.SetUint16(unix.IFF_UP)
	alias, _ := unix.NewIfreq("lo:1")
	alias.SetInet4Addr(a.AsSlice())
	err = errors.Join(unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, up), unix.IoctlIfreq(s, unix.SIOCSIFADDR, alias))
	if err != nil {
		t.Fatal(err)
	}
}

// addLoopback6 adds an IPv6 address to the loopback interface, index 1, if it can
// (struct in6_ifreq of linux/ipv6.h).
func addLoopback6(a netip.Addr) bool {
	s, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(s)
	req := struct {
		addr      [16]byte
		prefixLen uint32
		index     int32
	}{a.As16(), 128, 1}
	// SAFETY: req has in6_ifreq's layout and outlives the call.
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(&req)))
	return e == 0
}
