package netstack

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tailor-os/tailor/netstack/dhcpwire"
	"github.com/tailor-os/tailor/virtio"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Static addresses are used at once, and looked for on the network beside that: who
// else has one keeps it, and so does this machine (RFC 5227 section 2.4 c), as its
// operator said. That is told.

// watchStatic is nil in images that do not find addresses, which have no such
// code: their starter knows what it gives.
var watchStatic func(*Stack, Config)

// Times of the search. Owners answer within a millisecond; later ones are heard, too.
const (
	probeDelay     = 5 * time.Millisecond // the program starts first
	probeTime      = 100 * time.Millisecond
	defendInterval = 10 * time.Second // RFC 5227 section 1.1
)

// watchStatic looks for others that have the static addresses of c.
func (s *Stack) watchStatic(c Config) {
	w := &watch{s: s, mac: s.link.dev.MAC()}
	if c.IP.IsValid() {
		w.ip = c.IP.Addr().As4()
		time.AfterFunc(probeDelay, func() { s.sendFrame(dhcpwire.ARPRequest(w.mac, [4]byte{}, w.ip)) })
		time.AfterFunc(probeDelay+probeTime, w.announce)
	}
	if c.IP6.IsValid() {
		w.ip6 = c.IP6.Addr().As16()
		time.AfterFunc(probeDelay, func() { s.probe6(tcpip.AddrFrom16(w.ip6)) })
	}
	if c.IP.IsValid() || c.IP6.IsValid() {
		hear := w.hear
		s.link.hear.Store(&hear)
	}
}

// probe6 has the stack ask for others that have an IPv6 address (RFC 4862 section
// 5.4), which is in use already. It drops what comes from an address of its own, and so
// hears no answer.
func (s *Stack) probe6(a tcpip.Address) {
	ep, err := s.ip.GetNetworkEndpoint(ethernetNIC, ipv6.ProtocolNumber)
	if err != nil {
		return
	}
	d := ep.(stack.DuplicateAddressDetector)
	d.SetDADConfigurations(stack.DADConfigurations{DupAddrDetectTransmits: 1, RetransmitTimer: probeTime})
	d.CheckDuplicateAddress(a, func(stack.DADResult) {})
}

// A watch looks after static addresses, zero for none.
type watch struct {
	s     *Stack
	mac   [6]byte
	ip    [4]byte
	ip6   [16]byte
	taken atomic.Bool // somebody else has ip
	ours  atomic.Bool // ip was announced

	// Those of who receives:
	seen, seen6 conflict
}

// A conflict is one about an address that has come to light.
type conflict struct{ last time.Time }

// note counts that another machine has the address a, and says so the first time. It
// reports false if that was noted a moment ago.
func (c *conflict) note(s *Stack, a netip.Addr) bool {
	now, first := time.Now(), c.last.IsZero()
	if !first && now.Sub(c.last) < defendInterval {
		return false
	}
	c.last = now
	s.conflicts.Add(1)
	if first {
		println("tailor: network: eth0 keeps its address, which another machine has, too: " + a.String())
	}
	return true
}

// announce tells the network whose the address is, for those who knew another
// machine by it, unless there is one.
func (w *watch) announce() {
	if !w.taken.Load() {
		w.ours.Store(true)
		w.s.sendFrame(dhcpwire.ARPRequest(w.mac, w.ip, w.ip))
	}
}

// hear looks at what is received for who else uses an address, and leaves it to the
// stack.
func (w *watch) hear(pkt *stack.PacketBuffer, _ bool) bool {
	switch {
	case pkt.NetworkProtocolNumber == arp.ProtocolNumber && w.ip != [4]byte{}:
		w.hearARP(pkt)
	case pkt.NetworkProtocolNumber == ipv6.ProtocolNumber && w.ip6 != [16]byte{}:
		b, ok := pkt.Data().PullUp(advertLen)
		if ok && isAdvert(b, w.ip6) && string(header.Ethernet(pkt.LinkHeader().Slice()).SourceAddress()) != string(w.mac[:]) {
			w.seen6.note(w.s, netip.AddrFrom16(w.ip6))
		}
	}
	return false
}

// hearARP answers who came second, but not more often than others may do that, lest
// two do nothing else.
func (w *watch) hearARP(pkt *stack.PacketBuffer) {
	buf := pkt.ToBuffer()
	defer buf.Release()
	b := buf.Flatten()
	if !dhcpwire.IsARP(b) || dhcpwire.IsProbe(b) || !dhcpwire.Claims(b, w.mac, w.ip) {
		return
	}
	w.taken.Store(true)
	if w.seen.note(w.s, netip.AddrFrom4(w.ip)) && w.ours.Load() {
		time.AfterFunc(0, func() { w.s.sendFrame(dhcpwire.ARPRequest(w.mac, w.ip, w.ip)) })
	}
}

// advertLen is the length in bytes of an IPv6 header and of a neighbour advertisement
// as far as it says what it is about (RFC 4861 section 4.4).
const advertLen = header.IPv6MinimumSize + header.ICMPv6HeaderSize + 4 + header.IPv6AddressSize

// isAdvert reports whether an IPv6 packet, of which there are advertLen bytes, is an
// advertisement of who has an address.
func isAdvert(b []byte, a [16]byte) bool {
	ip := header.IPv6(b)
	icmp := header.ICMPv6(b[header.IPv6MinimumSize:])
	return ip.NextHeader() == uint8(header.ICMPv6ProtocolNumber) && ip.HopLimit() == header.NDPHopLimit &&
		icmp.Type() == header.ICMPv6NeighborAdvert && [16]byte(b[advertLen-header.IPv6AddressSize:]) == a
}

// sendFrame transmits an Ethernet frame past the stack; it may be lost.
func (s *Stack) sendFrame(frame []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: virtio.NetHdrLen, Payload: buffer.MakeWithData(frame),
	})
	var list stack.PacketBufferList
	list.PushBack(pkt)
	_, _ = s.link.WritePackets(list)
	list.Reset()
}
