package usernet

import (
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// Addrs is the address plan of a Network: what the guest is to be given.
type Addrs struct {
	MAC        net.HardwareAddr // the guest's
	GatewayMAC net.HardwareAddr
	MTU        int // bytes, without the Ethernet header

	IPv4, IPv6         netip.Prefix // the guest's own addresses, with prefix length
	Gateway4, Gateway6 netip.Addr   // connections to it reach the host's loopback
	DNS4, DNS6         netip.Addr   // port 53, UDP and TCP
}

// The plan is fixed: each Network is a world of its own, so that two of them
// never meet. The IPv4 half is the one QEMU's user network has; the IPv6 half
// is a unique local prefix (RFC 4193) spelling "tailor", which leaves no host.
var (
	net4     = netip.MustParsePrefix("10.0.2.0/24")
	net6     = netip.MustParsePrefix("fd74:6169:6c6f:72::/64")
	gateway4 = netip.MustParseAddr("10.0.2.2")
	gateway6 = netip.MustParseAddr("fd74:6169:6c6f:72::2")
	dns4     = netip.MustParseAddr("10.0.2.3")
	dns6     = netip.MustParseAddr("fd74:6169:6c6f:72::3")
	guest4   = netip.MustParseAddr("10.0.2.15")
	guest6   = netip.MustParseAddr("fd74:6169:6c6f:72::15")
	// gatewayLL is the gateway's link-local address, for guests that want one.
	gatewayLL = netip.MustParseAddr("fe80::2")

	gatewayMAC = net.HardwareAddr{0x02, 0x00, 0x0a, 0x00, 0x02, 0x02}
	guestMAC   = net.HardwareAddr{0x02, 0x00, 0x0a, 0x00, 0x02, 0x0f}

	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
	reserved4 = netip.MustParsePrefix("240.0.0.0/4") // RFC 1112 section 4; holds the broadcast address
	thisNet4  = netip.MustParsePrefix("0.0.0.0/8")   // RFC 1122 section 3.2.1.3
)

// ours reports whether a is an address of the network's own side.
func ours(a netip.Addr) bool {
	switch a {
	case gateway4, gateway6, dns4, dns6, gatewayLL:
		return true
	}
	return false
}

// hostAddr returns the address to use on the host for a guest's destination.
// It is the one place that decides what a guest can reach: the host's loopback
// by the gateway's name only (and not at all if loopback is false), nothing
// else of this network, and no address that would mean the host itself or a group.
func hostAddr(dst netip.Addr, loopback bool) (netip.Addr, bool) {
	switch dst {
	case gateway4:
		return loopback4, loopback
	case gateway6:
		return loopback6, loopback
	}
	// An IPv4 address in IPv6 clothes is held to the IPv4 rules.
	dst = dst.Unmap().WithZone("")
	switch {
	case net4.Contains(dst), net6.Contains(dst),
		dst.IsLoopback(), dst.IsUnspecified(), dst.IsMulticast(),
		dst.Is6() && dst.IsLinkLocalUnicast(), // would need a zone
		reserved4.Contains(dst), thisNet4.Contains(dst):
		return netip.Addr{}, false
	}
	return dst, dst.IsValid()
}

func toTCPIP(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

func fromTCPIP(a tcpip.Address) netip.Addr {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return ip
}

// subnet returns p as the stack's route tables want it.
func subnet(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: toTCPIP(p.Addr()), PrefixLen: p.Bits()}.Subnet()
}
