package netstack

import (
	"net/netip"
	"sync"
	"time"

	"github.com/tailor-os/tailor/netstack/dhcp4"
	"github.com/tailor-os/tailor/params"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// What routers advertise (RFC 4861, RFC 4862, RFC 8106). The stack does it and
// tells; routes and name servers are ours to keep.

// newSLAAC returns what the stack tells of IPv6. It is nil in images that do not
// find their address.
var newSLAAC func(*Stack) ipv6.NDPDispatcher

// Times and bounds. An address counts as free after dadWait, a tenth of RFC
// 4861's second, as on one link everybody has answered long before.
const (
	dadWait         = 100 * time.Millisecond
	solicitations   = 5
	solicitInterval = 2 * time.Second
	maxServers      = 8 // name servers, and names of the search list
	// otherFamily is how much longer IPv4 is waited for when IPv6 is there.
	otherFamily = 500 * time.Millisecond
)

// A slaac keeps what routers have advertised. It implements
// [ipv6.NDPDispatcher], whose methods may not call the stack: they leave a token
// in changed, and [slaac.configure] does the rest on another goroutine.
type slaac struct {
	s       *Stack
	changed chan struct{}
	enabled bool // does what routers advertise; else addresses are static

	mu     sync.Mutex
	routes []tcpip.Route
	dns    []expiring
	search []expiring
}

// An expiring is a name server or a domain.
type expiring struct {
	text  string
	until time.Time
}

func makeSLAAC(s *Stack) ipv6.NDPDispatcher {
	return &slaac{s: s, changed: make(chan struct{}, 1)}
}

// enable makes the card, which is disabled yet, listen to routers.
func (a *slaac) enable() error {
	a.enabled = true
	ep, err := a.s.ip.GetNetworkEndpoint(ethernetNIC, ipv6.ProtocolNumber)
	if err != nil {
		return stackError("configure IPv6", err)
	}
	ep.(stack.DuplicateAddressDetector).SetDADConfigurations(stack.DADConfigurations{DupAddrDetectTransmits: 1, RetransmitTimer: dadWait})
	ep.(ipv6.NDPEndpoint).SetNDPConfigurations(ipv6.NDPConfigurations{
		MaxRtrSolicitations: solicitations, RtrSolicitationInterval: solicitInterval,
		HandleRAs:              ipv6.HandlingRAsEnabledWhenForwardingDisabled,
		DiscoverDefaultRouters: true, DiscoverMoreSpecificRoutes: true, DiscoverOnLinkPrefixes: true, AutoGenGlobalAddresses: true,
	})
	local := tcpip.AddressWithPrefix{Address: header.LinkLocalAddr(a.s.link.mac), PrefixLen: 64}
	if err := a.s.addAddress(ethernetNIC, ipv6.ProtocolNumber, local); err != nil {
		return err
	}
	a.s.ip.AddRoute(tcpip.Route{Destination: local.Subnet(), NIC: ethernetNIC})
	a.s.ip.AddRoute(tcpip.Route{Destination: ipv6Multicast, NIC: ethernetNIC})
	return nil
}

// configure brings the stack's routes in line with those that are advertised.
// Those of the link itself stay.
func (a *slaac) configure() {
	a.mu.Lock()
	routes := append([]tcpip.Route(nil), a.routes...)
	a.mu.Unlock()
	linkLocal := header.IPv6LinkLocalPrefix.Subnet()
	a.s.ip.RemoveRoutes(func(r tcpip.Route) bool {
		return r.NIC == ethernetNIC && r.Destination.ID().Len() == header.IPv6AddressSize &&
			r.Destination != linkLocal && r.Destination != ipv6Multicast
	})
	for _, r := range routes {
		a.s.ip.AddRoute(r)
	}
}

// expire forgets what has had its time and returns how long the rest has, at
// least a second.
func (a *slaac) expire() (left time.Duration, forgot bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left = dhcp4.Forever
	for _, list := range []*[]expiring{&a.dns, &a.search} {
		n := len(*list)
		*list = with(*list, "", 0)
		forgot = forgot || len(*list) < n
		for _, e := range *list {
			left = min(left, max(time.Until(e.until), time.Second))
		}
	}
	return left, forgot
}

// names returns the name servers and the search list that count now.
func (a *slaac) names() (dns, search []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return current(a.dns), current(a.search)
}

func current(list []expiring) (texts []string) {
	for _, e := range list {
		if time.Until(e.until) > 0 {
			texts = append(texts, e.text)
		}
	}
	return texts
}

// with returns list with an entry that counts for a time, 0 to have it no more.
// What has expired goes, and there is an end to how many there are.
func with(list []expiring, text string, lifetime time.Duration) (kept []expiring) {
	for _, e := range list {
		if e.text != text && time.Until(e.until) > 0 {
			kept = append(kept, e)
		}
	}
	if lifetime > 0 && len(kept) < maxServers {
		kept = append(kept, expiring{text, time.Now().Add(lifetime)})
	}
	return kept
}

// update changes what is known, and has it configured.
func (a *slaac) update(f func()) {
	a.mu.Lock()
	f()
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// addRoute adds a route to what is a router's to give: not to the link, to
// groups, or to this machine.
func (a *slaac) addRoute(to tcpip.Subnet, via tcpip.Address) {
	if id := to.ID(); isLoopback(id) || header.IsV6LinkLocalUnicastAddress(id) || header.IsV6MulticastAddress(id) {
		return
	}
	a.removeRoute(to, via)
	a.update(func() { a.routes = append(a.routes, tcpip.Route{Destination: to, Gateway: via, NIC: ethernetNIC}) })
}

func (a *slaac) removeRoute(to tcpip.Subnet, via tcpip.Address) {
	a.update(func() {
		kept := a.routes[:0]
		for _, r := range a.routes {
			if r.Destination != to || r.Gateway != via {
				kept = append(kept, r)
			}
		}
		a.routes = kept
	})
}

// OnOffLinkRouteUpdated implements [ipv6.NDPDispatcher]. The stack bounds how
// many there are.
func (a *slaac) OnOffLinkRouteUpdated(_ tcpip.NICID, to tcpip.Subnet, via tcpip.Address, _ header.NDPRoutePreference) {
	a.addRoute(to, via)
}

// OnOffLinkRouteInvalidated implements [ipv6.NDPDispatcher].
func (a *slaac) OnOffLinkRouteInvalidated(_ tcpip.NICID, to tcpip.Subnet, via tcpip.Address) {
	a.removeRoute(to, via)
}

// OnOnLinkPrefixDiscovered implements [ipv6.NDPDispatcher].
func (a *slaac) OnOnLinkPrefixDiscovered(_ tcpip.NICID, to tcpip.Subnet) {
	a.addRoute(to, tcpip.Address{})
}

// OnOnLinkPrefixInvalidated implements [ipv6.NDPDispatcher].
func (a *slaac) OnOnLinkPrefixInvalidated(_ tcpip.NICID, to tcpip.Subnet) {
	a.removeRoute(to, tcpip.Address{})
}

// OnDuplicateAddressDetectionResult implements [ipv6.NDPDispatcher]: an address
// can be used from now on, or never.
func (a *slaac) OnDuplicateAddressDetectionResult(nic tcpip.NICID, addr tcpip.Address, result stack.DADResult) {
	if nic != ethernetNIC {
		return
	}
	switch result.(type) {
	case *stack.DADSucceeded:
		if a.enabled && !header.IsV6LinkLocalUnicastAddress(addr) {
			println("tailor: network: eth0 has its address: " + addr.String() + " from a router's advertisement")
			time.AfterFunc(otherFamily, a.s.arrived)
		}
	case *stack.DADDupAddrDetected:
		println("tailor: network: eth0 does not use an address, which another machine has: " + addr.String())
	}
}

// OnAutoGenAddress implements [ipv6.NDPDispatcher].
func (a *slaac) OnAutoGenAddress(tcpip.NICID, tcpip.AddressWithPrefix) stack.AddressDispatcher {
	return nil
}

// OnAutoGenAddressDeprecated implements [ipv6.NDPDispatcher].
func (a *slaac) OnAutoGenAddressDeprecated(tcpip.NICID, tcpip.AddressWithPrefix) {}

// OnAutoGenAddressInvalidated implements [ipv6.NDPDispatcher].
func (a *slaac) OnAutoGenAddressInvalidated(_ tcpip.NICID, addr tcpip.AddressWithPrefix) {
	println("tailor: network: eth0 loses its address, which no router advertises any more: " + addr.String())
}

// OnRecursiveDNSServerOption implements [ipv6.NDPDispatcher].
func (a *slaac) OnRecursiveDNSServerOption(_ tcpip.NICID, addrs []tcpip.Address, lifetime time.Duration) {
	a.update(func() {
		for _, addr := range addrs {
			ip, _ := netip.AddrFromSlice(addr.AsSlice())
			if ip.IsLinkLocalUnicast() {
				ip = ip.WithZone(ethernetName)
			}
			if !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLoopback() {
				a.dns = with(a.dns, ip.String(), lifetime)
			}
		}
	})
}

// OnDNSSearchListOption implements [ipv6.NDPDispatcher].
func (a *slaac) OnDNSSearchListOption(_ tcpip.NICID, names []string, lifetime time.Duration) {
	a.update(func() {
		for _, name := range names {
			if params.IsHostname(name) {
				a.search = with(a.search, name, lifetime)
			}
		}
	})
}

// OnDHCPv6Configuration implements [ipv6.NDPDispatcher].
func (a *slaac) OnDHCPv6Configuration(_ tcpip.NICID, c ipv6.DHCPv6ConfigurationFromNDPRA) {
	if c == ipv6.DHCPv6ManagedAddress {
		println("tailor: network: the router has addresses of DHCPv6 only, for which there is no client; give eth0 one by the boot parameter ip6=ADDRESS/BITS")
	}
}
