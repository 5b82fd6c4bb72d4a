package netstack

import (
	"crypto/rand"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tailor-os/tailor/netstack/dhcp4"
	"github.com/tailor-os/tailor/netstack/dhcp6"
	"github.com/tailor-os/tailor/params"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// What routers advertise (RFC 4861, RFC 4862, RFC 8106). The stack does it and
// tells; routes and name servers are ours to keep.

// newRouters returns whom the stack tells of IPv6, and sets what it needs for that. It is
// nil in images that do not find their address.
var newRouters func(*ipv6.Options) ipv6.NDPDispatcher

// Times and bounds. An address counts as free after dadWait, a tenth of RFC
// 4861's second, as on one link everybody has answered long before.
const (
	dadWait         = 100 * time.Millisecond
	solicitations   = 5
	solicitInterval = 2 * time.Second
	maxServers      = 8 // name servers, and names of the search list
	maxRoutes       = 64
	maxVerdicts     = 16
	// conflictRetries is how many other addresses of the secret are tried (RFC 7217
	// section 6).
	conflictRetries = 3
	// Temporary addresses (RFC 8981 section 3.8) are for new connections for a day, and
	// for those that there are for another.
	tempPreferred = 24 * time.Hour
	tempValid     = 48 * time.Hour
	tempAdvance   = 5 * time.Second
	// otherFamily is how much longer IPv4 is waited for when IPv6 is there.
	otherFamily = 500 * time.Millisecond
)

// A slaac keeps what routers have advertised to a card. [routers] calls its methods,
// which may not call the stack: they leave a token
// in changed, and [slaac.configure] does the rest on another goroutine.
type slaac struct {
	card    *card
	changed chan struct{}
	enabled bool          // does what routers advertise; else addresses are static
	local   tcpip.Address // of the link
	secret  []byte        // of which addresses are made; nil for the MAC

	mu       sync.Mutex
	routes   []tcpip.Route
	dns      []expiring
	search   []expiring
	ready    bool            // the link-local address is in use
	mode     dhcp6.Mode      // what routers say that DHCP has
	leased   []tcpip.Address // addresses that DHCP has given
	verdicts []verdict       // on those
}

// A verdict says that an address can be used, or that another machine has it.
type verdict struct {
	addr tcpip.Address
	dup  bool
}

// An expiring is a name server or a domain.
type expiring struct {
	text  string
	until time.Time
}

func newSLAAC(c *card) *slaac {
	return &slaac{card: c, changed: make(chan struct{}, 1), secret: addressSecret}
}

func makeRouters(o *ipv6.Options) ipv6.NDPDispatcher {
	if addressSecret != nil {
		o.OpaqueIIDOpts = ipv6.OpaqueInterfaceIdentifierOptions{
			NICNameFromID: func(_ tcpip.NICID, name string) string { return name },
			SecretKey:     addressSecret,
		}
	}
	o.TempIIDSeed = make([]byte, header.IIDSize)
	_, _ = rand.Read(o.TempIIDSeed) // which does not fail
	return &routers{none: newSLAAC(nil)}
}

// linkLocal returns the card's link-local address.
func (a *slaac) linkLocal() tcpip.Address {
	if a.secret != nil {
		return header.LinkLocalAddrWithOpaqueIID(a.card.name, 0, a.secret)
	}
	return header.LinkLocalAddr(a.card.link.mac)
}

// enable makes the card, which is disabled yet, listen to routers.
func (a *slaac) enable() error {
	a.enabled = true
	s := a.card.s
	ep, err := s.ip.GetNetworkEndpoint(a.card.nic, ipv6.ProtocolNumber)
	if err != nil {
		return stackError("configure IPv6", err)
	}
	ep.(stack.DuplicateAddressDetector).SetDADConfigurations(stack.DADConfigurations{DupAddrDetectTransmits: 1, RetransmitTimer: dadWait})
	ep.(ipv6.NDPEndpoint).SetNDPConfigurations(ipv6.NDPConfigurations{
		MaxRtrSolicitations: solicitations, RtrSolicitationInterval: solicitInterval,
		HandleRAs:              ipv6.HandlingRAsEnabledWhenForwardingDisabled,
		DiscoverDefaultRouters: true, DiscoverMoreSpecificRoutes: true, DiscoverOnLinkPrefixes: true, AutoGenGlobalAddresses: true,
		AutoGenAddressConflictRetries: conflictRetries, AutoGenTempGlobalAddresses: s.config.Temporary,
		MaxTempAddrValidLifetime: tempValid, MaxTempAddrPreferredLifetime: tempPreferred, RegenAdvanceDuration: tempAdvance,
	})
	a.local = a.linkLocal()
	local := tcpip.AddressWithPrefix{Address: a.local, PrefixLen: 64}
	if err := s.addAddress(a.card.nic, ipv6.ProtocolNumber, local); err != nil {
		return err
	}
	s.addRoute(tcpip.Route{Destination: local.Subnet(), NIC: a.card.nic})
	s.addRoute(tcpip.Route{Destination: ipv6Multicast, NIC: a.card.nic})
	return nil
}

// configure brings the stack's routes in line with those that are advertised.
// Those of the link itself stay.
func (a *slaac) configure() {
	a.mu.Lock()
	routes := append([]tcpip.Route(nil), a.routes...)
	a.mu.Unlock()
	linkLocal := header.IPv6LinkLocalPrefix.Subnet()
	s := a.card.s
	s.ip.RemoveRoutes(func(r tcpip.Route) bool {
		return r.NIC == a.card.nic && r.Destination.ID().Len() == header.IPv6AddressSize &&
			r.Destination != linkLocal && r.Destination != ipv6Multicast
	})
	for _, r := range routes {
		s.addRoute(r)
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
	a.update(func() {
		if len(a.routes) < maxRoutes {
			a.routes = append(a.routes, tcpip.Route{Destination: to, Gateway: via, NIC: a.card.nic})
		}
	})
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

// detected: an address can be used from now on, or never.
func (a *slaac) detected(addr tcpip.Address, result stack.DADResult) {
	_, dup := result.(*stack.DADDupAddrDetected)
	if _, ok := result.(*stack.DADSucceeded); !ok && !dup || a.judge(addr, dup) {
		return
	}
	switch {
	case dup:
		a.card.conflicts.Add(1)
		println("tailor: network: " + a.card.name + " does not use an address, which another machine has: " + addr.String())
	case a.enabled && !header.IsV6LinkLocalUnicastAddress(addr):
		what := "has its address: "
		if a.temporary(addr) {
			what = "has a temporary address: "
		}
		println("tailor: network: " + a.card.name + " " + what + addr.String() + " from a router's advertisement")
		time.AfterFunc(otherFamily, a.card.arrived)
	}
}

// temporary reports whether an address is one that changes: it has neither the MAC
// nor the secret in it.
func (a *slaac) temporary(addr tcpip.Address) bool {
	if !a.card.s.config.Temporary {
		return false
	}
	b := addr.As16()
	head, tail := b[:header.IIDOffsetInIPv6Address], string(b[header.IIDOffsetInIPv6Address:])
	if a.secret == nil {
		mac := header.EthernetAddressToModifiedEUI64(a.card.link.mac)
		return tail != string(mac[:])
	}
	for n := range byte(conflictRetries + 1) {
		if tail == string(header.AppendOpaqueInterfaceIdentifier(nil, subnet(addr, 8*len(head)), a.card.name, n, a.secret)) {
			return false
		}
	}
	return true
}

// judge passes on a verdict on an address if DHCP has given it.
func (a *slaac) judge(addr tcpip.Address, dup bool) (leased bool) {
	a.update(func() {
		a.ready = a.ready || addr == a.local && !dup
		leased = slices.Contains(a.leased, addr)
		if leased && len(a.verdicts) < maxVerdicts {
			a.verdicts = append(a.verdicts, verdict{addr, dup})
		}
	})
	return leased
}

// lease says which addresses are DHCP's.
func (a *slaac) lease(list []tcpip.Address) {
	a.mu.Lock()
	a.leased = list
	a.mu.Unlock()
}

// news returns what DHCP is to be asked for, nothing before the link-local address
// can be used, and the verdicts that there are by now.
func (a *slaac) news() (m dhcp6.Mode, v []verdict) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, a.verdicts = a.verdicts, nil
	if a.ready {
		m = a.mode
	}
	return m, v
}

// invalidated: no router advertises the network of an address any more.
func (a *slaac) invalidated(addr tcpip.AddressWithPrefix) {
	if a.temporary(addr.Address) {
		return // there are others by now
	}
	println("tailor: network: " + a.card.name + " loses its address, which no router advertises any more: " + addr.String())
}

// resolvers takes name servers.
func (a *slaac) resolvers(addrs []tcpip.Address, lifetime time.Duration) {
	a.update(func() {
		for _, addr := range addrs {
			ip, _ := netip.AddrFromSlice(addr.AsSlice())
			if ip.IsLinkLocalUnicast() {
				ip = ip.WithZone(a.card.name)
			}
			if !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLoopback() {
				a.dns = with(a.dns, ip.String(), lifetime)
			}
		}
	})
}

// domains takes a search list.
func (a *slaac) domains(names []string, lifetime time.Duration) {
	a.update(func() {
		for _, name := range names {
			if params.IsHostname(name) {
				a.search = with(a.search, name, lifetime)
			}
		}
	})
}

// dhcpConfiguration: what one router says of DHCP is not
// taken back by another, or by nobody in particular.
func (a *slaac) dhcpConfiguration(c ipv6.DHCPv6ConfigurationFromNDPRA) {
	m := dhcp6.Nothing
	switch c {
	case ipv6.DHCPv6ManagedAddress:
		m = dhcp6.Addresses
	case ipv6.DHCPv6OtherConfigurations:
		m = dhcp6.Information
	}
	a.update(func() { a.mode = max(a.mode, m) })
}
