package netstack

import (
	"errors"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/tailor-os/tailor/params"
)

// Start attaches a network card as eth0 and configures it from the boot
// parameters (see [ParseParams]); with a nil device it only checks them. It is
// called once, before the program runs.
func (s *Stack) Start(dev Device, words string) error {
	c, err := ParseParams(words)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != nil {
		return errors.New("netstack: started twice: there is one network card")
	}
	s.config = c
	if c.DHCP && startDHCP == nil {
		return errors.New("boot parameter ip=dhcp: the program was built without a DHCP client; rebuild it with: tailor build --dhcp")
	}
	if c.Temporary && startDHCP == nil {
		return errors.New("boot parameter ip6-privacy=temporary: the program was built to find no addresses; rebuild it with: tailor build --dhcp")
	}
	if dev == nil {
		return nil
	}
	l := newLink(dev, mtu(dev, c))
	find := s.routers != nil && c.finds()
	if err := s.ip.CreateNICWithOptions(ethernetNIC, l, stack.NICOptions{Name: ethernetName, Disabled: find}); err != nil {
		return stackError("create "+ethernetName, err)
	}
	s.link = l
	if err := s.configure(c); err != nil {
		return err
	}
	holdBehind(dev.Backlog)
	if err := dev.Run(l.receive); err != nil {
		return err
	}
	if watchStatic != nil {
		watchStatic(s, c)
	}
	if find {
		return startDHCP(s)
	}
	return nil
}

// finds reports whether addresses are to be found. With a static IPv6 address,
// that is IPv4's alone.
func (c *Config) finds() bool {
	return c.DHCP || !c.IP.IsValid() && !c.IP6.IsValid() && !c.None
}

// Config returns what [Stack.Start] was told.
func (s *Stack) Config() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

// mtu returns the device's MTU or a smaller configured one.
func mtu(dev Device, c Config) int {
	m := dev.MTU()
	if m < params.MinMTU || m > params.MaxMTU {
		m = 1500
	}
	if c.MTU != 0 {
		m = min(m, c.MTU)
	}
	return m
}

// configure gives eth0 its addresses and routes. With an IPv6 address comes a
// link-local one, which neighbour discovery needs (RFC 4291 section 2.8).
func (s *Stack) configure(c Config) error {
	if c.IP.IsValid() {
		if err := s.addNetwork(ipv4.ProtocolNumber, c.IP, c.GW); err != nil {
			return err
		}
	}
	if !c.IP6.IsValid() {
		return nil
	}
	local := tcpip.AddressWithPrefix{Address: header.LinkLocalAddr(s.link.mac), PrefixLen: 64}
	if err := s.addAddress(ethernetNIC, ipv6.ProtocolNumber, local); err != nil {
		return err
	}
	s.ip.AddRoute(tcpip.Route{Destination: local.Subnet(), NIC: ethernetNIC})
	return s.addNetwork(ipv6.ProtocolNumber, c.IP6, c.GW6)
}

// addNetwork adds an address, the route to its network, and the default route:
// to the gateway if there is one, else for multicast alone.
func (s *Stack) addNetwork(proto tcpip.NetworkProtocolNumber, p netip.Prefix, gw netip.Addr) error {
	a := tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(p.Addr().AsSlice()), PrefixLen: p.Bits()}
	if err := s.addAddress(ethernetNIC, proto, a); err != nil {
		return err
	}
	s.ip.AddRoute(tcpip.Route{Destination: a.Subnet(), NIC: ethernetNIC})
	everything, multicast := header.IPv4EmptySubnet, ipv4Multicast
	if proto == ipv6.ProtocolNumber {
		everything, multicast = header.IPv6EmptySubnet, ipv6Multicast
	}
	s.ip.AddRoute(tcpip.Route{Destination: multicast, NIC: ethernetNIC})
	if gw.IsValid() {
		s.ip.AddRoute(tcpip.Route{
			Destination: everything,
			Gateway:     tcpip.AddrFromSlice(gw.AsSlice()),
			NIC:         ethernetNIC,
		})
	}
	return nil
}

// The multicast networks, 224.0.0.0/4 and ff00::/8.
var (
	ipv4Multicast = subnet(tcpip.AddrFrom4([4]byte{0: 224}), 4)
	ipv6Multicast = subnet(tcpip.AddrFrom16([16]byte{0: 0xff}), 8)
)

func subnet(a tcpip.Address, bits int) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: a, PrefixLen: bits}.Subnet()
}

// Broken tells the stack that its network card is out of service: sockets that
// do not use the loopback interface get ENETDOWN. It is the Broken callback of
// [netdev.Config].
func (s *Stack) Broken(error) {
	if s.down.Swap(true) {
		return
	}
	_ = s.ip.DisableNIC(ethernetNIC)
	for _, ep := range s.ip.RegisteredEndpoints() {
		if c, ok := ep.(*tcp.Endpoint); ok && isRemoteConnection(c) {
			c.Abort()
		}
	}
}

// isRemoteConnection reports whether a TCP endpoint depends on the network card.
func isRemoteConnection(c *tcp.Endpoint) bool {
	a, err := c.GetRemoteAddress()
	return err == nil && !isLoopback(a.Addr)
}

// isLoopback reports whether an address is in 127.0.0.0/8 or ::1.
func isLoopback(a tcpip.Address) bool {
	return header.IsV4LoopbackAddress(a) || a == header.IPv6Loopback
}
