package netstack

import (
	"net/netip"
	"slices"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/tailor-os/tailor/metrics"
	"github.com/tailor-os/tailor/netstack/dhcp4"
	"github.com/tailor-os/tailor/netstack/dhcp6"
)

// Found is what DHCP has found.
type Found struct {
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

// Found returns what DHCP has found so far, nil if the image does not use it. What it
// points to does not change. It is safe for concurrent use.
func (s *Stack) Found() *Found { return s.found.Load() }

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
	s.writeLink(w)
	w.Counter("tailor_address_conflicts_total", "Times that another machine was found to have an address of this one.").Add(float64(s.conflicts.Load()))
	if f := s.Found(); f != nil {
		f.write(w)
		if f.V6.Asked {
			f.V6.write(w)
		}
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

// writeLink writes what went through the network card.
func (s *Stack) writeLink(w *metrics.Writer) {
	nic, ok := s.ip.SingleNICInfo(ethernetNIC)
	if !ok {
		return
	}
	for _, f := range []struct {
		name, help string
		in, out    *tcpip.StatCounter
	}{
		{"tailor_network_packets_total", "Packets through the network card.", nic.Stats.Rx.Packets, nic.Stats.Tx.Packets},
		{"tailor_network_bytes_total", "Bytes through the network card, without Ethernet's headers.", nic.Stats.Rx.Bytes, nic.Stats.Tx.Bytes},
	} {
		w.Counter(f.name, f.help).
			Add(float64(f.in.Value()), "device", ethernetName, "direction", "in").
			Add(float64(f.out.Value()), "device", ethernetName, "direction", "out")
	}
	w.Counter("tailor_network_dropped_total", "Packets that were dropped because the network card's queue, and the one before it, were full.").
		Add(float64(nic.Stats.TxPacketsDroppedNoBufferSpace.Value()), "device", ethernetName, "direction", "out")
	s.mu.Lock()
	waiting := s.link.dev.Backlog()
	s.mu.Unlock()
	w.Gauge("tailor_network_backlog_packets", "Packets that were sent and are not on their way yet.").Add(float64(waiting), "device", ethernetName)
	up := !s.down.Load() && nic.Flags.Running && slices.ContainsFunc(nic.ProtocolAddresses, leadsOff)
	w.Gauge("tailor_network_up", "Whether the network card works and has an address.").Add(metrics.Bool(up), "device", ethernetName)
}

// leadsOff reports whether an address is one that leads off the link.
func leadsOff(a tcpip.ProtocolAddress) bool {
	addr := a.AddressWithPrefix.Address
	if addr.Len() == header.IPv4AddressSize {
		return addr != header.IPv4Any && addr != header.IPv4Broadcast
	}
	return !header.IsV6LinkLocalUnicastAddress(addr) && !header.IsV6MulticastAddress(addr)
}

func (f *Found) write(w *metrics.Writer) {
	w.Gauge("tailor_dhcp_bound", "Whether there is a lease.").Add(metrics.Bool(f.Addr.IsValid()))
	events := w.Counter("tailor_dhcp_events_total", "What the DHCP client has told.")
	for e, n := range f.Events {
		events.Add(float64(n), "event", dhcp4.Event(e).String())
	}
	if !f.Addr.IsValid() {
		return
	}
	w.Gauge("tailor_dhcp_lease_info", "The lease that there is.").Add(1, "address", f.Addr.String(), "server", f.Server.String())
	if !f.Forever {
		w.Gauge("tailor_dhcp_lease_remaining_seconds", "Time until the lease ends, unless it is renewed.").Add(time.Until(f.Until).Seconds())
	}
}

func (f *Found6) write(w *metrics.Writer) {
	w.Gauge("tailor_dhcp6_bound", "Whether there is a lease of DHCP for IPv6.").Add(metrics.Bool(len(f.Addrs) > 0))
	events := w.Counter("tailor_dhcp6_events_total", "What the client of DHCP for IPv6 has told.")
	for e, n := range f.Events {
		events.Add(float64(n), "event", dhcp6.Event(e).String())
	}
	if len(f.Addrs) == 0 {
		return
	}
	info := w.Gauge("tailor_dhcp6_lease_info", "The addresses of the lease that there is.")
	for _, a := range f.Addrs {
		info.Add(1, "address", a.String(), "server", f.Server.String())
	}
	if !f.Forever {
		w.Gauge("tailor_dhcp6_lease_remaining_seconds", "Time until the lease ends, unless it is renewed.").Add(time.Until(f.Until).Seconds())
	}
}
