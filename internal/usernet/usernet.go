// Package usernet is a rootless network for one guest: what tailor run uses
// unless it is given a tap.
//
// The guest sees an Ethernet with a gateway and a resolver ([Addrs] is the
// plan). Behind them is no interface of the host but this process: TCP
// connections, UDP datagrams and echo requests that the guest sends to outside
// addresses are made again with the host's own sockets, so neither privilege
// nor configuration is needed, and the host sees an ordinary program.
//
//   - A connection to the gateway's address reaches the same port of the
//     host's loopback (as in QEMU's user network), unless
//     [Config.NoHostLoopback] is set. Addresses that would mean the host
//     itself (127.0.0.0/8, ::1) are refused.
//   - TCP is passed on faithfully: the guest's handshake completes only after
//     the host's has, a refused connection is refused, half-closes and resets
//     are what they were.
//   - The resolver's address answers DNS with the host's resolvers.
//   - Echo requests to the outside need the host's permission (the sysctl
//     net.ipv4.ping_group_range) and are dropped without it.
//   - Ports of the guest are published by [Config.Forwards]; the guest sees
//     such connections as coming from the gateway.
//
// There is no DHCP and no router advertisement: the guest gets the plan from
// whoever starts it.
//
// The guest is not trusted. Whatever it sends is checked (see judge), and all
// it can make this process hold is bounded.
package usernet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// Config says what network to make. The zero value is a working one.
type Config struct {
	// MTU of the guest's interface in bytes without the Ethernet header, 1280
	// to 65521; 0 means 1500.
	MTU uint32
	// Forwards are the published ports.
	Forwards []Forward
	// Bare leaves out the header before each frame and with it all offloads:
	// packets keep to the MTU, and checksums are complete. The wire is then one
	// for QEMU's -netdev socket,fd=.
	Bare bool
	// NoHostLoopback refuses connections to the gateway's address.
	NoHostLoopback bool
	// PublishWait is how long a connection to a published port waits for the
	// guest to listen; 0 means 30 seconds.
	PublishWait time.Duration
	// UDPIdle is how long an unused UDP flow is kept; 0 means 60 seconds.
	UDPIdle time.Duration
	// ResolvConf names the file with the host's resolvers; "" means
	// /etc/resolv.conf.
	ResolvConf string
	// Log, if not nil, is told what went wrong and was worked around. It is
	// called concurrently, once for each kind of problem.
	Log func(format string, args ...any)
}

// Forward publishes a port of the guest on the host.
type Forward struct {
	Network string // "tcp" or "udp"
	// HostAddr is where to listen. The zero address means all of the host's,
	// IPv4 and IPv6; port 0 means a free one (see [Network.Published]).
	HostAddr  netip.AddrPort
	GuestPort uint16
}

// Network is a running network. Its methods may be called concurrently.
type Network struct {
	cfg    Config
	stack  *stack.Stack
	link   *link
	guest  *os.File // the guest's end
	ctx    context.Context
	cancel context.CancelFunc

	published []netip.AddrPort
	tcpSlots  chan struct{} // bounds connections, both ways
	udp       flowTable
	dns       *resolver
	pings     flowTable

	mu      sync.Mutex
	closed  bool
	closers map[io.Closer]struct{} // of the host's sockets in use
	logged  map[string]bool
	wg      sync.WaitGroup
	said    heard
}

// Bounds on what one guest can make this process hold.
const (
	maxTCP     = 4096 // connections, each with one descriptor
	maxDialing = 1024 // of them not yet connected
	maxUDP     = 1024 // flows
	maxPing    = 64
)

const nicID = 1

// New makes a network and opens the published ports, which accept connections
// from then on.
func New(cfg Config) (*Network, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	n := &Network{cfg: cfg, tcpSlots: make(chan struct{}, maxTCP),
		closers: make(map[io.Closer]struct{}), logged: make(map[string]bool)}
	n.udp.init(maxUDP)
	n.pings.init(maxPing)
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if err := n.start(); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func (c *Config) complete() error {
	if c.MTU == 0 {
		c.MTU = 1500
	}
	// RFC 8200 section 5 has the minimum; a frame must fit 64 KiB.
	if c.MTU < 1280 || c.MTU > maxIPPacket-ethHdrSize {
		return fmt.Errorf("usernet: mtu %d is out of range: give 1280 to %d", c.MTU, maxIPPacket-ethHdrSize)
	}
	for _, d := range []struct {
		v    *time.Duration
		dflt time.Duration
	}{{&c.PublishWait, 30 * time.Second}, {&c.UDPIdle, 60 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.dflt
		}
	}
	if c.ResolvConf == "" {
		c.ResolvConf = "/etc/resolv.conf"
	}
	return nil
}

func (n *Network) start() error {
	// The ports first: taken ones are the likely error, and cost nothing yet.
	ports, err := listenAll(n.cfg.Forwards)
	if err != nil {
		return err
	}
	for _, p := range ports {
		n.published = append(n.published, p.addr())
		n.track(p)
	}
	host, guest, err := socketpair(n.cfg.Bare)
	if err != nil {
		return err
	}
	n.guest = guest
	n.link, err = newLink(host, n.cfg.MTU, gatewayMAC, n.cfg.Bare)
	if err != nil {
		host.Close()
		return fmt.Errorf("usernet: %w", err)
	}
	n.link.ping = n.handlePing
	if err := n.newStack(); err != nil {
		return err
	}
	if err := n.startDNS(); err != nil {
		return err
	}
	for _, p := range ports {
		n.spawn(func() { p.serve(n) })
	}
	return nil
}

// socketBuffer is asked for on both ends of the wire, in bytes. The kernel
// grants an unprivileged process less (net.core.wmem_max), which suffices.
const socketBuffer = 4 << 20

// socketpair returns the two ends of the wire. QEMU takes datagrams, which have
// no end to notice.
func socketpair(bare bool) (host, guest *os.File, err error) {
	kind := unix.SOCK_SEQPACKET
	if bare {
		kind = unix.SOCK_DGRAM
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("usernet: cannot make a socket pair: %w", err)
	}
	for _, fd := range fds {
		for _, opt := range [][2]int{{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}, {unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}} {
			if unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt[0], socketBuffer) != nil {
				unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt[1], socketBuffer)
			}
		}
	}
	return os.NewFile(uintptr(fds[0]), "usernet host"), os.NewFile(uintptr(fds[1]), "usernet guest"), nil
}

func (n *Network) newStack() error {
	n.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	if err := tuneTCP(n.stack); err != nil {
		return fmt.Errorf("usernet: cannot set a TCP option: %s", err)
	}
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber,
		tcp.NewForwarder(n.stack, 0, maxDialing, n.handleTCP).HandlePacket)
	n.stack.SetTransportProtocolHandler(udp.ProtocolNumber,
		udp.NewForwarder(n.stack, n.handleUDP).HandlePacket)
	if err := n.stack.CreateNIC(nicID, n.link); err != nil {
		return fmt.Errorf("usernet: cannot make the interface: %s", err)
	}
	return n.configure()
}

// configure gives the stack's interface its addresses, and lets it receive and
// send for any other.
func (n *Network) configure() error {
	var errs []tcpip.Error
	for _, a := range []netip.Addr{gateway4, dns4, gateway6, dns6, gatewayLL} {
		proto, bits := tcpip.NetworkProtocolNumber(ipv4.ProtocolNumber), net4.Bits()
		if a.Is6() {
			proto, bits = ipv6.ProtocolNumber, net6.Bits()
		}
		errs = append(errs, n.stack.AddProtocolAddress(nicID, tcpip.ProtocolAddress{Protocol: proto,
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: toTCPIP(a), PrefixLen: bits}}, stack.AddressProperties{}))
	}
	n.stack.SetRouteTable([]tcpip.Route{
		{Destination: subnet(net4), NIC: nicID},
		{Destination: subnet(net6), NIC: nicID},
		{Destination: subnet(netip.MustParsePrefix("fe80::/64")), NIC: nicID},
	})
	errs = append(errs,
		n.stack.SetPromiscuousMode(nicID, true),
		n.stack.SetSpoofing(nicID, true),
		// The guest's hardware address is known: no resolution, no delay.
		n.stack.AddStaticNeighbor(nicID, ipv4.ProtocolNumber, toTCPIP(guest4), tcpip.LinkAddress(guestMAC)),
		n.stack.AddStaticNeighbor(nicID, ipv6.ProtocolNumber, toTCPIP(guest6), tcpip.LinkAddress(guestMAC)))
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("usernet: cannot configure the interface: %s", err)
		}
	}
	return nil
}

// tuneTCP sets the stack up for a wire that is memory: large buffers, and
// closed connections forgotten soon, since nothing can be delayed in it.
func tuneTCP(s *stack.Stack) tcpip.Error {
	sack := tcpip.TCPSACKEnabled(true)
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	recovery := tcpip.TCPRecovery(0) // RACK's timers cost much and find nothing here
	snd := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultSendBufferSize, Max: tcp.MaxBufferSize}
	rcv := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultReceiveBufferSize, Max: tcp.MaxBufferSize}
	wait := tcpip.TCPTimeWaitTimeoutOption(time.Second)
	reuse := tcpip.TCPTimeWaitReuseOption(tcpip.TCPTimeWaitReuseGlobal)
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &recovery, &snd, &rcv, &wait, &reuse} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return err
		}
	}
	return nil
}

// GuestFD returns the guest's end of the wire: a non-blocking, close-on-exec
// SOCK_SEQPACKET socket, or with [Config.Bare] a SOCK_DGRAM one. Each read gives
// and each write takes one packet: a virtio_net_hdr_v1 (12 bytes, virtio 1.2
// section 5.1.6) unless they are bare, and an Ethernet frame; a frame with
// segmentation offload can have up to 65549 bytes. The descriptor stays the
// Network's: it is valid until Close.
func (n *Network) GuestFD() int {
	fd := -1
	if raw, err := n.guest.SyscallConn(); err == nil {
		raw.Control(func(f uintptr) { fd = int(f) })
	}
	return fd
}

// Guest returns the address plan.
func (n *Network) Guest() Addrs {
	return Addrs{MAC: append([]byte(nil), guestMAC...), GatewayMAC: append([]byte(nil), gatewayMAC...), MTU: int(n.cfg.MTU),
		IPv4: netip.PrefixFrom(guest4, net4.Bits()), IPv6: netip.PrefixFrom(guest6, net6.Bits()),
		Gateway4: gateway4, Gateway6: gateway6, DNS4: dns4, DNS6: dns6}
}

// Published returns where each of Config.Forwards listens, in the same order.
func (n *Network) Published() []netip.AddrPort {
	return append([]netip.AddrPort(nil), n.published...)
}

// Close passes on what the guest has sent, for 0.1 s at the most, resets all
// connections, closes the published ports and both ends of the wire, and waits for
// its goroutines. Later calls do nothing.
func (n *Network) Close() error {
	if n.link != nil {
		n.settle()
	}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	var errs []error
	for c := range n.closers {
		if err := c.Close(); !errors.Is(err, net.ErrClosed) { // it may be ending by itself
			errs = append(errs, err)
		}
	}
	n.mu.Unlock()
	n.cancel()
	n.abortAll()
	if n.link != nil {
		n.link.Close()
	}
	if n.stack != nil {
		n.stack.Close()
		n.stack.Wait()
	}
	if n.guest != nil {
		errs = append(errs, n.guest.Close())
	}
	return errors.Join(errs...)
}

// abortAll resets connections until no goroutine is left that could make more.
// Once is not enough: a handshake can begin between the look and the abort,
// and would wait for the guest for minutes.
func (n *Network) abortAll() {
	done := make(chan struct{})
	go func() {
		n.wg.Wait()
		close(done)
	}()
	for {
		if n.stack != nil {
			for _, ep := range n.stack.RegisteredEndpoints() {
				ep.Abort()
			}
		}
		select {
		case <-done:
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// track has c closed by Close. It returns false, with c closed, if that was
// called before.
func (n *Network) track(c io.Closer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		c.Close()
		return false
	}
	n.closers[c] = struct{}{}
	return true
}

func (n *Network) untrack(c io.Closer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.closers, c)
}

// spawn runs f on a goroutine that Close waits for, or not at all after Close.
func (n *Network) spawn(f func()) bool {
	if !n.begin() {
		return false
	}
	go func() {
		defer n.wg.Done()
		f()
	}()
	return true
}

// begin makes Close wait for n.wg.Done; it returns false after Close.
func (n *Network) begin() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.wg.Add(1)
	return true
}

// logOnce reports a problem of the given kind if it is the first one.
func (n *Network) logOnce(kind, format string, args ...any) {
	if n.cfg.Log == nil {
		return
	}
	n.mu.Lock()
	first := !n.logged[kind]
	n.logged[kind] = true
	n.mu.Unlock()
	if first {
		n.cfg.Log(format, args...)
	}
}
