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
var watchStatic func(*card)

// Times of the search. Owners answer within a millisecond; later ones are heard, too.
const (
	probeDelay     = 5 * time.Millisecond // the program starts first
	probeTime      = 100 * time.Millisecond
	defendInterval = 10 * time.Second // RFC 5227 section 1.1
)

// watchStatic looks for others that have the static addresses of c.
func (c *card) watchStatic() {
	w := &watch{card: c, mac: c.link.dev.MAC()}
	g := &c.config
	if g.IP.IsValid() {
		w.ip = g.IP.Addr().As4()
		time.AfterFunc(probeDelay, func() { c.sendFrame(dhcpwire.ARPRequest(w.mac, [4]byte{}, w.ip)) })
		time.AfterFunc(probeDelay+probeTime, w.announce)
	}
	if g.IP6.IsValid() {
		w.ip6 = g.IP6.Addr().As16()
		time.AfterFunc(probeDelay, func() { c.probe6(tcpip.AddrFrom16(w.ip6)) })
	}
	if g.IP.IsValid() || g.IP6.IsValid() {
		hear := w.hear
		c.link.hear.Store(&hear)
	}
}

// probe6 has the stack ask for others that have an IPv6 address (RFC 4862 section
// 5.4), which is in use already. It drops what comes from an address of its own, and so
// hears no answer.
func (c *card) probe6(a tcpip.Address) {
	ep, err := c.s.ip.GetNetworkEndpoint(c.nic, ipv6.ProtocolNumber)
	if err != nil {
		return
	}
	d := ep.(stack.DuplicateAddressDetector)
	d.SetDADConfigurations(stack.DADConfigurations{DupAddrDetectTransmits: 1, RetransmitTimer: probeTime})
	d.CheckDuplicateAddress(a, func(stack.DADResult) {})
}

// A watch looks after static addresses, zero for none.
type watch struct {
	card  *card
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
func (c *conflict) note(of *card, a netip.Addr) bool {
	now, first := time.Now(), c.last.IsZero()
	if !first && now.Sub(c.last) < defendInterval {
		return false
	}
	c.last = now
	of.conflicts.Add(1)
	if first {
		println("tailor: network: " + of.name + " keeps its address, which another machine has, too: " + a.String())
	}
	return true
}

// announce tells the network whose the address is, for those who knew another
// machine by it, unless there is one.
func (w *watch) announce() {
	if !w.taken.Load() {
		w.ours.Store(true)
		w.card.sendFrame(dhcpwire.ARPRequest(w.mac, w.ip, w.ip))
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
			w.seen6.note(w.card, netip.AddrFrom16(w.ip6))
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
	if w.seen.note(w.card, netip.AddrFrom4(w.ip)) && w.ours.Load() {
		time.AfterFunc(0, func() { w.card.sendFrame(dhcpwire.ARPRequest(w.mac, w.ip, w.ip)) })
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
func (c *card) sendFrame(frame []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: virtio.NetHdrLen, Payload: buffer.MakeWithData(frame),
	})
	var list stack.PacketBufferList
	list.PushBack(pkt)
	_, _ = c.link.WritePackets(list)
	list.Reset()
}
