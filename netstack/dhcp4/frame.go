package dhcp4

import "encoding/binary"

// Ethernet, IPv4 (RFC 791), UDP (RFC 768) and ARP (RFC 826), as far as a client
// without an address needs them.
const (
	typeIPv4 = 0x0800
	typeARP  = 0x0806
	etherLen = 14
	ipLen    = 20
	udpLen   = 8
	arpLen   = 28

	protoUDP   = 17
	clientPort = 68
	serverPort = 67
)

var broadcastMAC = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// A datagram is a message and the addresses that it travels with.
type datagram struct {
	srcMAC, dstMAC [6]byte
	src, dst       [4]byte
	payload        []byte
}

// frame returns d as an Ethernet frame from the client's port to the server's.
func (d *datagram) frame() []byte {
	b := make([]byte, etherLen+ipLen+udpLen, etherLen+ipLen+udpLen+len(d.payload))
	ether(b, d.dstMAC, d.srcMAC, typeIPv4)
	b = append(b, d.payload...)
	ip := b[etherLen:]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	ip[8], ip[9] = 64, protoUDP
	copy(ip[12:], d.src[:])
	copy(ip[16:], d.dst[:])
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip[:ipLen]))
	udp := ip[ipLen:]
	binary.BigEndian.PutUint16(udp, clientPort)
	binary.BigEndian.PutUint16(udp[2:], serverPort)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	c := ^udpSum(ip, udp)
	if c == 0 {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], c)
	return b
}

// IsReply reports whether an IPv4 packet, of which 28 bytes are enough, carries
// a datagram to a DHCP client. A fragment does not: only the first has ports.
func IsReply(ip []byte) bool {
	return len(ip) >= ipLen+udpLen && ip[0] == 0x45 && ip[9] == protoUDP &&
		binary.BigEndian.Uint16(ip[6:])&0x3fff == 0 && binary.BigEndian.Uint16(ip[ipLen+2:]) == clientPort
}

// isReply is IsReply for a frame.
func isReply(b []byte) bool {
	return len(b) > etherLen && binary.BigEndian.Uint16(b[12:]) == typeIPv4 && IsReply(b[etherLen:])
}

// parseFrame takes the datagram out of a frame for which isReply holds. The
// checksum of UDP is not looked at if it is known to be right.
func parseFrame(b []byte, validated bool) (d datagram, ok bool) {
	ip := b[etherLen:]
	size := int(binary.BigEndian.Uint16(ip[2:]))
	if size < ipLen+udpLen || size > len(ip) || sum(0, ip[:ipLen]) != 0xffff {
		return d, false
	}
	udp := ip[ipLen:size]
	n := int(binary.BigEndian.Uint16(udp[4:]))
	if n < udpLen || n > len(udp) || binary.BigEndian.Uint16(udp) != serverPort {
		return d, false
	}
	udp = udp[:n]
	if !validated && binary.BigEndian.Uint16(udp[6:]) != 0 && udpSum(ip, udp) != 0xffff {
		return d, false
	}
	d = datagram{dstMAC: [6]byte(b), srcMAC: [6]byte(b[6:]), src: [4]byte(ip[12:]), dst: [4]byte(ip[16:]), payload: udp[udpLen:]}
	return d, true
}

// udpSum adds up a datagram and its pseudo-header.
func udpSum(ip, udp []byte) uint16 { return sum(uint32(protoUDP+len(udp)), ip[12:20], udp) }

// sum is the checksum of RFC 1071 without the final complement, on top of n.
func sum(n uint32, parts ...[]byte) uint16 {
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

func ether(b []byte, dst, src [6]byte, typ uint16) {
	copy(b, dst[:])
	copy(b[6:], src[:])
	binary.BigEndian.PutUint16(b[12:], typ)
}

// arpRequest returns a frame that asks everybody for the owner of target. With
// sender zero it is a probe, with sender the same as target an announcement (RFC
// 5227 section 1.1).
func arpRequest(mac [6]byte, sender, target [4]byte) []byte {
	b := make([]byte, etherLen+arpLen)
	ether(b, broadcastMAC, mac, typeARP)
	copy(b[etherLen:], []byte{0, 1, typeIPv4 >> 8, typeIPv4 & 0xff, 6, 4, 0, 1})
	copy(b[etherLen+8:], mac[:])
	copy(b[etherLen+14:], sender[:])
	copy(b[etherLen+24:], target[:])
	return b
}

// isARP reports whether a frame is one of ARP for IPv4 on Ethernet.
func isARP(b []byte) bool {
	return len(b) >= etherLen+arpLen && binary.BigEndian.Uint16(b[12:]) == typeARP &&
		[6]byte(b[etherLen:]) == [6]byte{0, 1, typeIPv4 >> 8, typeIPv4 & 0xff, 6, 4}
}

// claims reports whether the frame, for which isARP holds, says that somebody
// other than mac has addr or, with a probe, wants it.
func claims(b []byte, mac [6]byte, addr [4]byte) bool {
	a := b[etherLen:]
	if [6]byte(a[8:]) == mac {
		return false
	}
	sender, target := [4]byte(a[14:]), [4]byte(a[24:])
	return sender == addr || sender == [4]byte{} && target == addr
}
