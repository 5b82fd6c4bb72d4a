// Package dhcpwire is what the clients of DHCP, for IPv4 and IPv6, share: Ethernet
// frames of datagrams and of ARP, made without an IP stack, because one that has no
// address sends nothing; and the names in options.
package dhcpwire

import "encoding/binary"

// Types of Ethernet frames, and lengths in bytes.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeIPv6 = 0x86dd

	EtherLen = 14
	UDPLen   = 8
	arpLen   = 28

	ProtoUDP = 17
)

// Broadcast is the Ethernet address of everybody.
var Broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Ether writes the header of an Ethernet frame to the start of b.
func Ether(b []byte, dst, src [6]byte, typ uint16) {
	copy(b, dst[:])
	copy(b[6:], src[:])
	binary.BigEndian.PutUint16(b[12:], typ)
}

// PutUDP writes the header of a UDP datagram (RFC 768), which b is as a whole, the
// sum of addrs (source and destination) included.
func PutUDP(b, addrs []byte, from, to uint16) {
	binary.BigEndian.PutUint16(b, from)
	binary.BigEndian.PutUint16(b[2:], to)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	c := ^SumUDP(addrs, b)
	if c == 0 {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(b[6:], c)
}

// UDP returns the payload of a datagram, of which b has at least the
// header. The sum is not looked at if it is known to be right. With IPv4, of which
// addrs are, there may be none.
func UDP(b, addrs []byte, validated bool) (payload []byte, ok bool) {
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < UDPLen || n > len(b) {
		return nil, false
	}
	b = b[:n]
	absent := len(addrs) == 8 && binary.BigEndian.Uint16(b[6:]) == 0
	if !validated && !absent && SumUDP(addrs, b) != 0xffff {
		return nil, false
	}
	return b[UDPLen:], true
}

// SumUDP adds up a datagram and its pseudo-header.
func SumUDP(addrs, udp []byte) uint16 { return Sum(uint32(ProtoUDP+len(udp)), addrs, udp) }

// Sum is the checksum of RFC 1071 without the final complement, on top of n.
func Sum(n uint32, parts ...[]byte) uint16 {
	for _, b := range parts {
		for ; len(b) > 1; b = b[2:] {
			n += uint32(b[0])<<8 | uint32(b[1])
		}
		if len(b) > 0 {
			n += uint32(b[0]) << 8
		}
	}
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	return uint16(n)
}

// ARPRequest returns a frame that asks everybody for the owner of target (RFC 826).
// With sender zero it is a probe, with sender the same as target an announcement
// (RFC 5227 section 1.1).
func ARPRequest(mac [6]byte, sender, target [4]byte) []byte {
	b := make([]byte, EtherLen+arpLen)
	Ether(b, Broadcast, mac, TypeARP)
	copy(b[EtherLen:], []byte{0, 1, TypeIPv4 >> 8, TypeIPv4 & 0xff, 6, 4, 0, 1})
	copy(b[EtherLen+8:], mac[:])
	copy(b[EtherLen+14:], sender[:])
	copy(b[EtherLen+24:], target[:])
	return b
}

// IsARP reports whether a frame is one of ARP for IPv4 on Ethernet.
func IsARP(b []byte) bool {
	return len(b) >= EtherLen+arpLen && binary.BigEndian.Uint16(b[12:]) == TypeARP &&
		[6]byte(b[EtherLen:]) == [6]byte{0, 1, TypeIPv4 >> 8, TypeIPv4 & 0xff, 6, 4}
}

// IsProbe reports whether a frame, for which IsARP holds, only asks whether an
// address is free.
func IsProbe(b []byte) bool { return binary.BigEndian.Uint32(b[EtherLen+14:]) == 0 }

// Claims reports whether the frame, for which IsARP holds, says that somebody
// other than mac has addr or, with a probe, wants it.
func Claims(b []byte, mac [6]byte, addr [4]byte) bool {
	a := b[EtherLen:]
	if [6]byte(a[8:]) == mac {
		return false
	}
	sender, target := [4]byte(a[14:]), [4]byte(a[24:])
	return sender == addr || sender == [4]byte{} && target == addr
}
