package usernet

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// guestLink is a guest's driver. Unlike the package's own link it trusts no
// checksum: it completes partial ones by the rule of the virtio specification
// and has the stack check every packet.
type guestLink struct {
	*link
	trust bool // skip that, for benchmarks
	bad   chan string
}

func (l *guestLink) Capabilities() stack.LinkEndpointCapabilities {
	c := stack.CapabilityResolutionRequired
	if l.trust {
		c |= stack.CapabilityRXChecksumOffload
	}
	return c
}

func (l *guestLink) Attach(d stack.NetworkDispatcher) {
	l.mu.Lock()
	start := l.dispatcher == nil && d != nil
	l.dispatcher = d
	l.mu.Unlock()
	if start {
		l.wg.Add(2)
		go l.guestLoop()
		go l.writeLoop()
	}
}

func (l *guestLink) guestLoop() {
	defer l.wg.Done()
	buf := make([]byte, 70000)
	l.raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.Read(int(fd), buf)
			if err == unix.EAGAIN {
				return false
			}
			if err != nil || n == 0 {
				return true
			}
			l.input(buf[:n])
		}
	})
}

func (l *guestLink) input(msg []byte) {
	h, frame := vnetHdr{}, msg[l.hdr:]
	if l.hdr > 0 {
		h = parseVnetHdr(msg)
	}
	if why := l.complete(h, frame); why != "" {
		select {
		case l.bad <- why:
		default:
		}
		return
	}
	l.mu.RLock()
	d := l.dispatcher
	l.mu.RUnlock()
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer pkt.DecRef()
	if d != nil && l.ParseHeader(pkt) {
		d.DeliverNetworkPacket(header.Ethernet(pkt.LinkHeader().Slice()).Type(), pkt)
	}
}

// complete checks the header and completes the checksum.
func (l *guestLink) complete(h vnetHdr, frame []byte) string {
	if h.gsoType == gsoNone && len(frame) > ethHdrSize+int(l.mtu) {
		return fmt.Sprintf("frame of %d bytes without segmentation offload", len(frame))
	}
	if h.gsoType != gsoNone && (h.flags&vnetNeedsCsum == 0 || h.gsoSize == 0 || int(h.gsoSize) > int(l.mtu)) {
		return fmt.Sprintf("bad header %+v", h)
	}
	if h.flags&vnetNeedsCsum == 0 || l.trust {
		return ""
	}
	start, at := int(h.csumStart), int(h.csumStart)+int(h.csumOffset)
	if at+2 > len(frame) {
		return fmt.Sprintf("checksum outside the frame: %+v", h)
	}
	binary.BigEndian.PutUint16(frame[at:], ^checksum.Checksum(frame[start:], 0))
	return ""
}

// guest is a second stack that plays the guest.
type guest struct {
	s    *stack.Stack
	link *guestLink
}

func newGuest(t testing.TB, n *Network, trust bool) *guest {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(n.GuestFD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a := n.Guest()
	l, err := newLink(os.NewFile(uintptr(fd), "guest"), uint32(a.MTU), a.MAC, n.cfg.Bare)
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{link: &guestLink{link: l, trust: trust, bad: make(chan string, 1)}}
	g.s = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	if err := tuneTCP(g.s); err != nil {
		t.Fatal(err)
	}
	if err := g.s.CreateNIC(nicID, g.link); err != nil {
		t.Fatal(err)
	}
	for _, p := range []netip.Prefix{a.IPv4, a.IPv6} {
		proto := tcpip.NetworkProtocolNumber(ipv4.ProtocolNumber)
		if p.Addr().Is6() {
			proto = ipv6.ProtocolNumber
		}
		if err := g.s.AddProtocolAddress(nicID, tcpip.ProtocolAddress{Protocol: proto, AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: toTCPIP(p.Addr()), PrefixLen: p.Bits()}}, stack.AddressProperties{}); err != nil {
			t.Fatal(err)
		}
	}
	g.s.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, Gateway: toTCPIP(a.Gateway4), NIC: nicID},
		{Destination: header.IPv6EmptySubnet, Gateway: toTCPIP(a.Gateway6), NIC: nicID},
	})
	t.Cleanup(func() { g.close(t) })
	return g
}

func (g *guest) close(t testing.TB) {
	g.s.Close()
	g.link.Close()
	g.s.Wait()
	select {
	case why := <-g.link.bad:
		t.Errorf("the guest got a bad packet: %s", why)
	default:
	}
	st := g.s.Stats()
	if n := st.TCP.ChecksumErrors.Value() + st.UDP.ChecksumErrors.Value() + st.IP.MalformedPacketsReceived.Value(); n != 0 {
		t.Errorf("the guest got %d packets with a wrong checksum or malformed", n)
	}
}

func full(a netip.AddrPort) (tcpip.FullAddress, tcpip.NetworkProtocolNumber) {
	f := tcpip.FullAddress{NIC: nicID, Port: a.Port()}
	if a.Addr().IsValid() {
		f.Addr = toTCPIP(a.Addr())
	}
	if a.Addr().Is6() {
		return f, ipv6.ProtocolNumber
	}
	return f, ipv4.ProtocolNumber
}

func (g *guest) dialContext(ctx context.Context, to netip.AddrPort) (*gonet.TCPConn, error) {
	a, proto := full(to)
	return gonet.DialContextTCP(ctx, g.s, a, proto)
}

func (g *guest) dial(t testing.TB, to netip.AddrPort) *gonet.TCPConn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := g.dialContext(ctx, to)
	if err != nil {
		t.Fatalf("guest: dial %v: %v", to, err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

func (g *guest) listen(t testing.TB, port uint16) *gonet.TCPListener {
	t.Helper()
	l, err := gonet.ListenTCP(g.s, tcpip.FullAddress{NIC: nicID, Port: port}, ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// udp returns a socket of the guest's, connected to a remote unless that is zero.
func (g *guest) udp(t testing.TB, port uint16, to netip.AddrPort) *gonet.UDPConn {
	t.Helper()
	local := &tcpip.FullAddress{NIC: nicID, Port: port}
	var remote *tcpip.FullAddress
	proto := tcpip.NetworkProtocolNumber(ipv4.ProtocolNumber)
	if to.IsValid() {
		var f tcpip.FullAddress
		f, proto = full(to)
		remote, local = &f, nil
	}
	c, err := gonet.DialUDP(g.s, local, remote, proto)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(5 * time.Second))
	return c
}

// network makes a network and its guest, and checks at the end that nothing of
// them is left.
func network(t testing.TB, cfg Config) (*Network, *guest) {
	t.Helper()
	n := networkOnly(t, cfg)
	return n, newGuest(t, n, false)
}

func networkOnly(t testing.TB, cfg Config) *Network {
	t.Helper()
	before := resources()
	t.Cleanup(func() { leftBehind(t, before) })
	if cfg.Log == nil {
		cfg.Log = t.Logf
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

type usage struct{ goroutines, sockets int }

// resources counts what a network could leave behind. Of the descriptors only
// sockets count: the Go library keeps pipes and its poller.
func resources() usage {
	u := usage{goroutines: runtime.NumGoroutine()}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(to, "socket:") {
			u.sockets++
		}
	}
	return u
}

// leftBehind runs after all other clean-ups.
func leftBehind(t testing.TB, before usage) {
	var now usage
	for deadline := time.Now().Add(3 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if now = resources(); now.goroutines <= before.goroutines && now.sockets <= before.sockets {
			return
		}
	}
	buf := make([]byte, 1<<20)
	t.Errorf("left behind: %+v, before %+v\n%s", now, before, relevant(string(buf[:runtime.Stack(buf, true)])))
}

// relevant leaves out the goroutines of the test framework.
func relevant(stacks string) string {
	var out []string
	for g := range strings.SplitSeq(stacks, "\n\n") {
		if !strings.Contains(g, "testing.(*") {
			out = append(out, g)
		}
	}
	return strings.Join(out, "\n\n")
}

// hostTCP listens on the host's loopback and serves each connection.
func hostTCP(t testing.TB, addr string, serve func(c *net.TCPConn)) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Skipf("no loopback: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(30 * time.Second))
				serve(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}
