package dhcp4

import (
	"encoding/binary"

	"github.com/tailor-os/tailor/netstack/dhcpwire"
)

// IPv4 (RFC 791), as far as a client without an address needs it.
const (
	etherLen = dhcpwire.EtherLen
	udpLen   = dhcpwire.UDPLen
	ipLen    = 20

	clientPort = 68
	serverPort = 67
)

// A datagram is a message and the addresses that it travels with.
type datagram struct {
	srcMAC, dstMAC [6]byte
	src, dst       [4]byte
	payload        []byte
}

// frame returns d as an Ethernet frame from the client's port to the server's.
func (d *datagram) frame() []byte {
	b := make([]byte, etherLen+ipLen+udpLen, etherLen+ipLen+udpLen+len(d.payload))
	dhcpwire.Ether(b, d.dstMAC, d.srcMAC, dhcpwire.TypeIPv4)
	b = append(b, d.payload...)
	ip := b[etherLen:]
	ip[0] = 0x45
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	ip[8], ip[9] = 64, dhcpwire.ProtoUDP
	copy(ip[12:], d.src[:])
	copy(ip[16:], d.dst[:])
	binary.BigEndian.PutUint16(ip[10:], ^dhcpwire.Sum(0, ip[:ipLen]))
	dhcpwire.PutUDP(ip[ipLen:], ip[12:ipLen], clientPort, serverPort)
	return b
}

// IsReply reports whether an IPv4 packet, of which 28 bytes are enough, carries
// a datagram to a DHCP client. A fragment does not: only the first has ports.
func IsReply(ip []byte) bool {
	return len(ip) >= ipLen+udpLen && ip[0] == 0x45 && ip[9] == dhcpwire.ProtoUDP &&
		binary.BigEndian.Uint16(ip[6:])&0x3fff == 0 && binary.BigEndian.Uint16(ip[ipLen+2:]) == clientPort
}

// isReply is IsReply for a frame.
func isReply(b []byte) bool {
	return len(b) > etherLen && binary.BigEndian.Uint16(b[12:]) == dhcpwire.TypeIPv4 && IsReply(b[etherLen:])
}

// parseFrame takes the datagram out of a frame for which isReply holds. The
// checksum of UDP is not looked at if it is known to be right.
func parseFrame(b []byte, validated bool) (d datagram, ok bool) {
	ip := b[etherLen:]
	size := int(binary.BigEndian.Uint16(ip[2:]))
	if size < ipLen+udpLen || size > len(ip) || dhcpwire.Sum(0, ip[:ipLen]) != 0xffff {
		return d, false
	}
	payload, ok := dhcpwire.UDP(ip[ipLen:size], ip[12:ipLen], validated)
	d = datagram{dstMAC: [6]byte(b), srcMAC: [6]byte(b[6:]), src: [4]byte(ip[12:]), dst: [4]byte(ip[16:]), payload: payload}
	return d, ok && binary.BigEndian.Uint16(ip[ipLen:]) == serverPort
}
