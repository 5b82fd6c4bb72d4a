package netstack

import (
	"time"

	"github.com/tailor-os/tailor/params"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// routers is the [ipv6.NDPDispatcher] of a stack, which has one for all interfaces: it
// passes on what the stack tells to the card that it is about.
type routers struct {
	cards [params.MaxCards]*slaac // nil for those whose addresses are static
	none  *slaac                  // of the other interfaces, which routers do not tell anything
}

// of returns what belongs to an interface.
func (r *routers) of(nic tcpip.NICID) *slaac {
	n := int(nic) - int(ethernetNIC)
	if n < 0 || n >= len(r.cards) || r.cards[n] == nil {
		return r.none
	}
	return r.cards[n]
}

// OnOffLinkRouteUpdated implements [ipv6.NDPDispatcher]. The stack bounds how
// many there are.
func (r *routers) OnOffLinkRouteUpdated(nic tcpip.NICID, to tcpip.Subnet, via tcpip.Address, _ header.NDPRoutePreference) {
	r.of(nic).addRoute(to, via)
}

// OnOffLinkRouteInvalidated implements [ipv6.NDPDispatcher].
func (r *routers) OnOffLinkRouteInvalidated(nic tcpip.NICID, to tcpip.Subnet, via tcpip.Address) {
	r.of(nic).removeRoute(to, via)
}

// OnOnLinkPrefixDiscovered implements [ipv6.NDPDispatcher].
func (r *routers) OnOnLinkPrefixDiscovered(nic tcpip.NICID, to tcpip.Subnet) {
	r.of(nic).addRoute(to, tcpip.Address{})
}

// OnOnLinkPrefixInvalidated implements [ipv6.NDPDispatcher].
func (r *routers) OnOnLinkPrefixInvalidated(nic tcpip.NICID, to tcpip.Subnet) {
	r.of(nic).removeRoute(to, tcpip.Address{})
}

// OnDuplicateAddressDetectionResult implements [ipv6.NDPDispatcher].
func (r *routers) OnDuplicateAddressDetectionResult(nic tcpip.NICID, addr tcpip.Address, result stack.DADResult) {
	if a := r.of(nic); a != r.none {
		a.detected(addr, result)
	}
}

// OnAutoGenAddress implements [ipv6.NDPDispatcher].
func (r *routers) OnAutoGenAddress(tcpip.NICID, tcpip.AddressWithPrefix) stack.AddressDispatcher {
	return nil
}

// OnAutoGenAddressDeprecated implements [ipv6.NDPDispatcher].
func (r *routers) OnAutoGenAddressDeprecated(tcpip.NICID, tcpip.AddressWithPrefix) {}

// OnAutoGenAddressInvalidated implements [ipv6.NDPDispatcher].
func (r *routers) OnAutoGenAddressInvalidated(nic tcpip.NICID, addr tcpip.AddressWithPrefix) {
	if a := r.of(nic); a != r.none {
		a.invalidated(addr)
	}
}

// OnRecursiveDNSServerOption implements [ipv6.NDPDispatcher].
func (r *routers) OnRecursiveDNSServerOption(nic tcpip.NICID, addrs []tcpip.Address, lifetime time.Duration) {
	if a := r.of(nic); a != r.none {
		a.resolvers(addrs, lifetime)
	}
}

// OnDNSSearchListOption implements [ipv6.NDPDispatcher].
func (r *routers) OnDNSSearchListOption(nic tcpip.NICID, names []string, lifetime time.Duration) {
	r.of(nic).domains(names, lifetime)
}

// OnDHCPv6Configuration implements [ipv6.NDPDispatcher].
func (r *routers) OnDHCPv6Configuration(nic tcpip.NICID, c ipv6.DHCPv6ConfigurationFromNDPRA) {
	r.of(nic).dhcpConfiguration(c)
}
