package netstack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tailor-os/tailor/netstack/dhcpwire"
	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
)

// awaitConflicts waits until a stack has found as many.
func awaitConflicts(t *testing.T, s *Stack, want uint64) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); s.cards[0].conflicts.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d conflicts, want %d", s.cards[0].conflicts.Load(), want)
		}
	}
}

// TestConflict: the second machine with an address finds the first, which need not be
// told: it answers. Both go on.
func TestConflict(t *testing.T) {
	for name, words := range map[string]string{"IPv4": "ip=10.9.0.1/24", "IPv6": "ip6=fd09::1/64"} {
		t.Run(name, func(t *testing.T) {
			first, second, _ := newPair(t, netdevtest.Options{})
			for _, s := range []*Stack{first, second} {
				s.cards[0].watchStatic()
			}
			time.Sleep(probeDelay + 2*probeTime)
			if n := first.cards[0].conflicts.Load() + second.cards[0].conflicts.Load(); n != 0 {
				t.Fatalf("%d conflicts of different addresses", n)
			}
			c, err := ParseParams(words)
			if err != nil {
				t.Fatal(err)
			}
			card := second.cards[0]
			card.config = c.Cards[0]
			proto, p := ipv4.ProtocolNumber, card.config.IP
			if name == "IPv6" {
				proto, p = ipv6.ProtocolNumber, card.config.IP6
			}
			if err := card.addNetwork(proto, p, netip.Addr{}); err != nil {
				t.Fatal(err)
			}
			card.watchStatic()
			awaitConflicts(t, second, 1)
			time.Sleep(2 * probeTime)
			if n := first.cards[0].conflicts.Load(); n != 0 {
				t.Errorf("the first machine has %d conflicts: the second has announced what is not its own", n)
			}
			if v := figuresOf(t, second)["address_conflicts_total"]; v != 1 {
				t.Errorf("the figure is %v", v)
			}
		})
	}
}

// TestAnnounce: an address that nobody else has is announced, whatever is found out
// about others.
func TestAnnounce(t *testing.T) {
	s, _, _ := newPair(t, netdevtest.Options{})
	for _, taken := range []bool{false, true} {
		c := s.cards[0]
		w := &watch{card: c, mac: c.link.dev.MAC(), ip: c.config.IP.Addr().As4()}
		w.taken.Store(taken)
		c.conflicts.Add(1)
		if w.announce(); w.ours.Load() == taken {
			t.Errorf("taken: %v, announced: %v", taken, w.ours.Load())
		}
	}
}

// TestConflictLater: another machine that takes the address without asking is
// answered once, however often it does so. What is no claim is none.
func TestConflictLater(t *testing.T) {
	s1, s2, cable := newPair(t, netdevtest.Options{})
	a, b := s1.cards[0], s2.cards[0]
	a.watchStatic()
	b.watchStatic()
	time.Sleep(probeDelay + 2*probeTime)
	before := cable.Stats[0].Packets.Load()
	own, mac, other := [4]byte{10, 9, 0, 1}, [6]byte{2, 0, 0, 0, 0, 9}, [4]byte{10, 9, 0, 7}
	b.sendFrame(dhcpwire.ARPRequest(mac, other, other))
	b.sendFrame(dhcpwire.ARPRequest(mac, other, own)) // a question
	b.sendFrame(dhcpwire.ARPRequest(a.link.dev.MAC(), own, own))
	b.sendFrame(dhcpwire.ARPRequest(mac, own, own)[:41]) // cut
	for range 50 {
		b.sendFrame(dhcpwire.ARPRequest(mac, own, own))
	}
	awaitConflicts(t, s1, 1)
	time.Sleep(50 * time.Millisecond)
	if n := a.conflicts.Load(); n != 1 {
		t.Errorf("%d conflicts", n)
	}
	// The stack answers each of them, as it does questions.
	if n := cable.Stats[0].Packets.Load() - before; n > 50+10 {
		t.Errorf("%d packets", n)
	}
	if n := b.conflicts.Load(); n != 0 {
		t.Errorf("the sender has %d", n)
	}
	for range 50 {
		b.sendFrame(advert("fd09::1", mac))
		b.sendFrame(advert("fd09::2", mac)) // which is the sender's own
	}
	awaitConflicts(t, s1, 2)
	time.Sleep(50 * time.Millisecond)
	if n := a.conflicts.Load(); n != 2 {
		t.Errorf("%d conflicts", n)
	}
}

// advert is the frame in which a machine says to all that it has an address, as Linux
// does: from that address.
func advert(addr string, mac [6]byte) []byte {
	a := netip.MustParseAddr(addr).As16()
	b := make([]byte, dhcpwire.EtherLen+advertLen+8)
	dhcpwire.Ether(b, [6]byte{0x33, 0x33, 0, 0, 0, 1}, mac, dhcpwire.TypeIPv6)
	ip := header.IPv6(b[dhcpwire.EtherLen:])
	icmp := header.ICMPv6(ip[header.IPv6MinimumSize:])
	all := header.IPv6AllNodesMulticastAddress
	ip.Encode(&header.IPv6Fields{PayloadLength: uint16(len(icmp)), TransportProtocol: header.ICMPv6ProtocolNumber, HopLimit: header.NDPHopLimit,
		SrcAddr: tcpip.AddrFrom16(a), DstAddr: all})
	icmp.SetType(header.ICMPv6NeighborAdvert)
	copy(icmp[8:], a[:])
	copy(icmp[24:], []byte{2, 1})
	copy(icmp[26:], mac[:])
	icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: tcpip.AddrFrom16(a), Dst: all}))
	return b
}
