package netstack

import (
	"net/netip"
	"slices"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/tailor-os/tailor/metrics"
	"github.com/tailor-os/tailor/netstack/dhcp4"
	"github.com/tailor-os/tailor/netstack/dhcp6"
)

// Found is what DHCP has found for a network card.
type Found struct {
	Device  string       // eth0 and so on
	Addr    netip.Prefix // invalid: there is no lease
	Server  netip.Addr
	NTP     []netip.Addr // time servers that the leases name
	Until   time.Time    // when the lease ends, unless Forever
	Forever bool
	Events  [dhcp4.Events]uint64 // how often each event happened
	V6      Found6
}

// Found6 is what DHCP for IPv6 has found.
type Found6 struct {
	Asked   bool         // a router has said that there is some
	Addrs   []netip.Addr // none: there is no lease
	Server  netip.Addr   // or its relay
	Until   time.Time    // when the lease ends, unless Forever
	Forever bool
	Events  [dhcp6.Events]uint64
}

// Found returns what DHCP has found so far, for each card that uses it, in order. What
// it points to does not change. It is safe for concurrent use.
func (s *Stack) Found() (list []*Found) {
	for _, c := range s.list() {
		if f := c.found.Load(); f != nil {
			list = append(list, f)
		}
	}
	return list
}

// WriteFigures writes the figures of the default stack; it is a [metrics.Source].
func WriteFigures(w *metrics.Writer) {
	if s, err := Default(); err == nil {
		s.writeFigures(w)
	}
}

func (s *Stack) writeFigures(w *metrics.Writer) {
	all := s.ip.Stats()
	writeTCP(w, &all.TCP)
	value := func(c *tcpip.StatCounter) float64 { return float64(c.Value()) }
	w.Counter("tailor_udp_datagrams_total", "UDP datagrams.").
		Add(value(all.UDP.PacketsReceived), "direction", "in").Add(value(all.UDP.PacketsSent), "direction", "out")
	w.Counter("tailor_udp_dropped_total", "UDP datagrams that were received and dropped, because a socket's buffer was full, none was open, or they were damaged.").
		Add(value(all.UDP.ReceiveBufferErrors), "why", "buffer").Add(value(all.UDP.UnknownPortErrors), "why", "port").
		Add(value(all.UDP.MalformedPacketsReceived)+value(all.UDP.ChecksumErrors), "why", "damaged")
	w.Counter("tailor_ip_errors_total", "IP packets that were damaged or not for this machine, and those that could not be sent.").
		Add(value(all.IP.MalformedPacketsReceived)+value(all.IP.InvalidDestinationAddressesReceived)+value(all.IP.InvalidSourceAddressesReceived), "direction", "in").
		Add(value(all.IP.OutgoingPacketErrors), "direction", "out")
	if cards := s.list(); len(cards) > 0 {
		writeLinks(w, cards)
	}
	if found := s.Found(); found != nil {
		writeFound(w, found)
		writeFound6(w, found)
	}
}

func writeTCP(w *metrics.Writer, t *tcpip.TCPStats) {
	value := func(c *tcpip.StatCounter) float64 { return float64(c.Value()) }
	w.Gauge("tailor_tcp_connections", "TCP connections that are established.").Add(value(t.CurrentEstablished))
	w.Counter("tailor_tcp_opened_total", "TCP connections that were established: accepted, or made by connecting.").
		Add(value(t.PassiveConnectionOpenings), "side", "accept").Add(value(t.ActiveConnectionOpenings), "side", "connect")
	w.Counter("tailor_tcp_failed_total", "TCP connections that could not be established.").Add(value(t.FailedConnectionAttempts))
	w.Counter("tailor_tcp_segments_total", "TCP segments, those sent again included.").
		Add(value(t.ValidSegmentsReceived), "direction", "in").Add(value(t.SegmentsSent), "direction", "out")
	w.Counter("tailor_tcp_retransmits_total", "TCP segments that were sent again.").Add(value(t.Retransmits))
	w.Counter("tailor_tcp_timeouts_total", "Times that nobody acknowledged TCP segments in time.").Add(value(t.Timeouts))
	w.Counter("tailor_tcp_resets_total", "TCP resets.").
		Add(value(t.ResetsReceived), "direction", "in").Add(value(t.ResetsSent), "direction", "out")
	w.Counter("tailor_tcp_errors_total", "TCP segments that were received damaged.").
		Add(value(t.InvalidSegmentsReceived) + value(t.ChecksumErrors))
	w.Counter("tailor_tcp_listen_overflows_total", "Attempts to connect that were dropped because a listener had too many.").
		Add(value(t.ListenOverflowSynDrop) + value(t.ListenOverflowAckDrop) + value(t.ForwardMaxInFlightDrop))
}

// writeLinks writes what went through the network cards.
func writeLinks(w *metrics.Writer, cards []*card) {
	type counter func(*stack.NICInfo) (in, out *tcpip.StatCounter)
	var nics []*stack.NICInfo
	for _, c := range cards {
		info, _ := c.s.ip.SingleNICInfo(c.nic)
		nics = append(nics, info)
	}
	for _, f := range []struct {
		name, help string
		of         counter
	}{
		{"tailor_network_packets_total", "Packets through the network card.",
			func(n *stack.NICInfo) (in, out *tcpip.StatCounter) { return n.Stats.Rx.Packets, n.Stats.Tx.Packets }},
		{"tailor_network_bytes_total", "Bytes through the network card, without Ethernet's headers.",
			func(n *stack.NICInfo) (in, out *tcpip.StatCounter) { return n.Stats.Rx.Bytes, n.Stats.Tx.Bytes }},
	} {
		all := w.Counter(f.name, f.help)
		for i, c := range cards {
			in, out := f.of(nics[i])
			all.Add(float64(in.Value()), "device", c.name, "direction", "in").
				Add(float64(out.Value()), "device", c.name, "direction", "out")
		}
	}
	dropped := w.Counter("tailor_network_dropped_total", "Packets that were dropped because the network card's queue, and the one before it, were full.")
	for i, c := range cards {
		dropped.Add(float64(nics[i].Stats.TxPacketsDroppedNoBufferSpace.Value()), "device", c.name, "direction", "out")
	}
	backlog := w.Gauge("tailor_network_backlog_packets", "Packets that were sent and are not on their way yet.")
	for _, c := range cards {
		backlog.Add(float64(c.link.dev.Backlog()), "device", c.name)
	}
	up := w.Gauge("tailor_network_up", "Whether the network card works and has an address.")
	for i, c := range cards {
		n := nics[i]
		up.Add(metrics.Bool(!c.down.Load() && n.Flags.Running && slices.ContainsFunc(n.ProtocolAddresses, leadsOff)), "device", c.name)
	}
	conflicts := w.Counter("tailor_address_conflicts_total", "Times that another machine was found to have an address of this one.")
	for _, c := range cards {
		conflicts.Add(float64(c.conflicts.Load()), "device", c.name)
	}
}

// leadsOff reports whether an address is one that leads off the link.
func leadsOff(a tcpip.ProtocolAddress) bool {
	addr := a.AddressWithPrefix.Address
	if addr.Len() == header.IPv4AddressSize {
		return addr != header.IPv4Any && addr != header.IPv4Broadcast
	}
	return !header.IsV6LinkLocalUnicastAddress(addr) && !header.IsV6MulticastAddress(addr)
}

func writeFound(w *metrics.Writer, found []*Found) {
	bound := w.Gauge("tailor_dhcp_bound", "Whether there is a lease.")
	for _, f := range found {
		bound.Add(metrics.Bool(f.Addr.IsValid()), "device", f.Device)
	}
	events := w.Counter("tailor_dhcp_events_total", "What the DHCP client has told.")
	for _, f := range found {
		for e, n := range f.Events {
			events.Add(float64(n), "device", f.Device, "event", dhcp4.Event(e).String())
		}
	}
	leased := slices.DeleteFunc(slices.Clone(found), func(f *Found) bool { return !f.Addr.IsValid() })
	if len(leased) == 0 {
		return
	}
	info := w.Gauge("tailor_dhcp_lease_info", "The lease that there is.")
	for _, f := range leased {
		info.Add(1, "device", f.Device, "address", f.Addr.String(), "server", f.Server.String())
	}
	left := w.Gauge("tailor_dhcp_lease_remaining_seconds", "Time until the lease ends, unless it is renewed.")
	for _, f := range leased {
		if !f.Forever {
			left.Add(time.Until(f.Until).Seconds(), "device", f.Device)
		}
	}
}

func writeFound6(w *metrics.Writer, found []*Found) {
	found = slices.DeleteFunc(slices.Clone(found), func(f *Found) bool { return !f.V6.Asked })
	if len(found) == 0 {
		return
	}
	bound := w.Gauge("tailor_dhcp6_bound", "Whether there is a lease of DHCP for IPv6.")
	for _, f := range found {
		bound.Add(metrics.Bool(len(f.V6.Addrs) > 0), "device", f.Device)
	}
	events := w.Counter("tailor_dhcp6_events_total", "What the client of DHCP for IPv6 has told.")
	for _, f := range found {
		for e, n := range f.V6.Events {
			events.Add(float64(n), "device", f.Device, "event", dhcp6.Event(e).String())
		}
	}
	leased := slices.DeleteFunc(found, func(f *Found) bool { return len(f.V6.Addrs) == 0 })
	if len(leased) == 0 {
		return
	}
	info := w.Gauge("tailor_dhcp6_lease_info", "The addresses of the lease that there is.")
	for _, f := range leased {
		for _, a := range f.V6.Addrs {
			info.Add(1, "device", f.Device, "address", a.String(), "server", f.V6.Server.String())
		}
	}
	left := w.Gauge("tailor_dhcp6_lease_remaining_seconds", "Time until the lease ends, unless it is renewed.")
	for _, f := range leased {
		if !f.V6.Forever {
			left.Add(time.Until(f.V6.Until).Seconds(), "device", f.Device)
		}
	}
}
