package netstack

import (
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/tailor-os/tailor/params"
)

// A card is a network card as an interface of the stack. A packet never needs
// one: its link knows the stack.
type card struct {
	s      *Stack
	nic    tcpip.NICID
	name   string // eth0 and so on
	link   *link
	config CardConfig
	down   atomic.Bool // the device broke
	found  atomic.Pointer[Found]
	// conflicts counts the times that another machine had an address of this one.
	conflicts atomic.Uint64
	there     atomic.Bool // an address was found
	learned   names       // guarded by s.learn
}

// names are what a network tells of names.
type names struct {
	dns, search []string
	host        string
}

// cardName returns the name of card n, below params.MaxCards.
func cardName(n int) string { return "eth" + string(rune('0'+n)) }

// finds reports whether addresses are to be found.
func (c *card) finds() bool { return c.s.routers != nil && c.config.finds() }

// mtu returns the device's MTU or a smaller configured one.
func (c *card) mtu(dev Device) int {
	m := dev.MTU()
	if m < params.MinMTU || m > params.MaxMTU {
		m = 1500
	}
	if c.config.MTU != 0 {
		m = min(m, c.config.MTU)
	}
	return m
}

// configure gives a card its static addresses and routes. With an IPv6 address comes
// a link-local one, which neighbour discovery needs (RFC 4291 section 2.8).
func (c *card) configure() error {
	if g := &c.config; g.IP.IsValid() {
		if err := c.addNetwork(ipv4.ProtocolNumber, g.IP, g.GW); err != nil {
			return err
		}
	}
	if !c.config.IP6.IsValid() {
		return nil
	}
	local := tcpip.AddressWithPrefix{Address: header.LinkLocalAddr(c.link.mac), PrefixLen: 64}
	if err := c.s.addAddress(c.nic, ipv6.ProtocolNumber, local); err != nil {
		return err
	}
	c.s.staticRoute(c.nic, local.Subnet(), tcpip.Address{})
	return c.addNetwork(ipv6.ProtocolNumber, c.config.IP6, c.config.GW6)
}

// addNetwork adds an address, the route to its network, and the default route:
// to the gateway if there is one, else for multicast alone.
func (c *card) addNetwork(proto tcpip.NetworkProtocolNumber, p netip.Prefix, gw netip.Addr) error {
	a := tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(p.Addr().AsSlice()), PrefixLen: p.Bits()}
	if err := c.s.addAddress(c.nic, proto, a); err != nil {
		return err
	}
	c.s.staticRoute(c.nic, a.Subnet(), tcpip.Address{})
	everything, multicast := header.IPv4EmptySubnet, ipv4Multicast
	if proto == ipv6.ProtocolNumber {
		everything, multicast = header.IPv6EmptySubnet, ipv6Multicast
	}
	c.s.staticRoute(c.nic, multicast, tcpip.Address{})
	if gw.IsValid() {
		c.s.staticRoute(c.nic, everything, tcpip.AddrFromSlice(gw.AsSlice()))
	}
	return nil
}

// staticRoute adds a route. They come in the order of their interfaces. It is not
// inlined, because a route is large and there are six calls.
//
//go:noinline
func (s *Stack) staticRoute(nic tcpip.NICID, to tcpip.Subnet, via tcpip.Address) {
	s.ip.AddRoute(tcpip.Route{Destination: to, Gateway: via, NIC: nic})
}

// Broken tells the stack that card n, eth0 being 0, is out of service: what uses it
// ends, and without any other card sockets that do not use the loopback interface
// get ENETDOWN. It is what the Broken callback of [netdev.Config] calls.
func (s *Stack) Broken(n int) {
	var broken *card
	others := false
	for _, c := range s.list() {
		if c.nic == ethernetNIC+tcpip.NICID(n) {
			broken = c
		} else {
			others = others || !c.down.Load()
		}
	}
	if broken == nil || broken.down.Swap(true) {
		return
	}
	if !others {
		s.down.Store(true)
	}
	for _, ep := range s.ip.RegisteredEndpoints() {
		c, ok := ep.(*tcp.Endpoint)
		if ok && isRemoteConnection(c) && (!others || s.ownerOf(c) == broken.nic) {
			c.Abort()
		}
	}
	_ = s.ip.DisableNIC(broken.nic) // which keeps connections from being found
}

// list returns the cards.
func (s *Stack) list() []*card {
	s.mu.Lock()
	cards := s.cards
	s.mu.Unlock()
	return cards
}

// isRemoteConnection reports whether a TCP endpoint depends on a network card.
func isRemoteConnection(c *tcp.Endpoint) bool {
	a, err := c.GetRemoteAddress()
	return err == nil && !isLoopback(a.Addr)
}

// ownerOf returns the interface that has the local address of an endpoint, 0 if none
// has it.
func (s *Stack) ownerOf(ep tcpip.Endpoint) tcpip.NICID {
	a, _ := ep.GetLocalAddress()
	proto := ipv4.ProtocolNumber
	if a.Addr.Len() == header.IPv6AddressSize {
		proto = ipv6.ProtocolNumber
	}
	return s.ip.CheckLocalAddress(0, proto, a.Addr)
}
