package netstack

import (
	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// ipOptions are those of IPPROTO_IP (ip(7)).
var ipOptions = [...]intOption{
	{solIP, ipTTL, (*socket).ttl, (*socket).setTTL},
	{solIP, ipTOS,
		func(s *socket) (int, libos.Errno) { return s.epInt(tcpip.IPv4TOSOption) },
		func(s *socket, v int) libos.Errno { return s.setEPInt(tcpip.IPv4TOSOption, v&0xff) }},
	{solIP, ipHdrincl,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetHeaderIncluded()), 0 },
		(*socket).setHeaderIncluded},
	{solIP, ipPktinfo,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetReceivePacketInfo()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetReceivePacketInfo(v != 0); return 0 }},
	{solIP, ipRecvttl,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetReceiveTTL()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetReceiveTTL(v != 0); return 0 }},
	{solIP, ipRecvtos,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetReceiveTOS()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetReceiveTOS(v != 0); return 0 }},
	{solIP, ipRecverr,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetIPv4RecvError()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetIPv4RecvError(v != 0); return 0 }},
	{solIP, ipMTUDiscover,
		(*socket).mtuDiscover, (*socket).setMTUDiscover},
	{solIP, ipMTU, (*socket).mtu, nil},
	{solIP, ipMulticastTTL,
		func(s *socket) (int, libos.Errno) { return s.epInt(tcpip.MulticastTTLOption) }, (*socket).setMulticastTTL},
	{solIP, ipMulticastLoop,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetMulticastLoop()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetMulticastLoop(v != 0); return 0 }},
	{solIP, ipMulticastAll, zero, accept},
	{solIP, ipFreebind, zero, accept},
	{solIP, ipBindAddrNoPort, zero, accept},
	{solIP, ipRecvorigdstaddr, zero, accept},
}

// ipv6Options6 are those of IPPROTO_IPV6 (ipv6(7)).
var ipv6Options6 = [...]intOption{
	{solIPv6, ipv6V6only,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetV6Only()), 0 }, (*socket).setV6Only},
	{solIPv6, ipv6UnicastHops, (*socket).hops, (*socket).setHops},
	{solIPv6, ipv6Tclass,
		func(s *socket) (int, libos.Errno) { return s.epInt(tcpip.IPv6TrafficClassOption) }, (*socket).setTrafficClass},
	{solIPv6, ipv6Recvpktinfo,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetIPv6ReceivePacketInfo()), 0 },
		(*socket).setRecvPktinfo6},
	{solIPv6, ipv6Recvhoplimit,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetReceiveHopLimit()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetReceiveHopLimit(v != 0); return 0 }},
	{solIPv6, ipv6Recvtclass,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetReceiveTClass()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetReceiveTClass(v != 0); return 0 }},
	{solIPv6, ipv6Recverr,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetIPv6RecvError()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetIPv6RecvError(v != 0); return 0 }},
	{solIPv6, ipv6MTUDiscover,
		(*socket).mtuDiscover, (*socket).setMTUDiscover},
	{solIPv6, ipv6MTU, (*socket).mtu, accept},
	{solIPv6, ipv6MulticastHops,
		func(s *socket) (int, libos.Errno) { return s.epInt(tcpip.MulticastTTLOption) }, (*socket).setMulticastTTL},
	{solIPv6, ipv6MulticastLoop,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetMulticastLoop()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetMulticastLoop(v != 0); return 0 }},
	{solIPv6, ipv6MulticastIf,
		func(s *socket) (int, libos.Errno) { return s.epInt(tcpip.IPv6MulticastInterfaceOption) },
		func(s *socket, v int) libos.Errno { return s.setEPInt(tcpip.IPv6MulticastInterfaceOption, v) }},
	{solIPv6, ipv6Checksum,
		func(s *socket) (int, libos.Errno) { return s.epInt(tcpip.IPv6Checksum) },
		func(s *socket, v int) libos.Errno { return s.setEPInt(tcpip.IPv6Checksum, v) }},
}

func (s *socket) setHeaderIncluded(v int) libos.Errno {
	if s.typ != sockRaw {
		return libos.ENOPROTOOPT
	}
	s.opts().SetHeaderIncluded(v != 0)
	return 0
}

// setV6Only is refused once the socket has an address, as Linux refuses it.
func (s *socket) setV6Only(v int) libos.Errno {
	if a, err := s.ep.GetLocalAddress(); err == nil && a.Port != 0 {
		return libos.EINVAL
	}
	s.opts().SetV6Only(v != 0)
	return 0
}

func (s *socket) setTrafficClass(v int) libos.Errno {
	if v < -1 || v > 255 {
		return libos.EINVAL
	}
	return s.setEPInt(tcpip.IPv6TrafficClassOption, max(v, 0))
}

// setRecvPktinfo6 asks for the packet's destination. A dual-stack socket gets
// that of IPv4 packets, too, as a mapped address.
func (s *socket) setRecvPktinfo6(v int) libos.Errno {
	s.opts().SetIPv6ReceivePacketInfo(v != 0)
	s.opts().SetReceivePacketInfo(v != 0)
	return 0
}

// pmtuStrategies are IP_PMTUDISC_DONT, WANT, DO and PROBE as the stack names them.
var pmtuStrategies = [...]tcpip.PMTUDStrategy{
	tcpip.PMTUDiscoveryDont, tcpip.PMTUDiscoveryWant, tcpip.PMTUDiscoveryDo, tcpip.PMTUDiscoveryProbe,
}

func (s *socket) mtuDiscover() (int, libos.Errno) {
	v, e := s.epInt(tcpip.MTUDiscoverOption)
	if e != 0 {
		return 0, e
	}
	for linux, strategy := range pmtuStrategies {
		if int(strategy) == v {
			return linux, 0
		}
	}
	return 0, libos.EINVAL
}

func (s *socket) setMTUDiscover(v int) libos.Errno {
	if v < 0 || v >= len(pmtuStrategies) {
		return libos.EINVAL
	}
	return s.setEPInt(tcpip.MTUDiscoverOption, int(pmtuStrategies[v]))
}

func (s *socket) setMulticastTTL(v int) libos.Errno {
	switch {
	case v == -1:
		v = 1
	case v < 0 || v > 255:
		return libos.EINVAL
	}
	return s.setEPInt(tcpip.MulticastTTLOption, v)
}
