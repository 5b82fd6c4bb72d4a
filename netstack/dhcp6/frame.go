package dhcp6

import (
	"encoding/binary"
	"net/netip"

	"github.com/tailor-os/tailor/netstack/dhcpwire"
)

// IPv6 (RFC 8200), and the ports and the group of RFC 9915 section 7.
const (
	etherLen = dhcpwire.EtherLen
	udpLen   = dhcpwire.UDPLen
	ipLen    = 40

	clientPort = 546
	serverPort = 547
)

var (
	servers    = netip.MustParseAddr("ff02::1:2").As16()
	serversMAC = [6]byte{0x33, 0x33, 0, 1, 0, 2} // RFC 2464 section 7
)

// frame returns an Ethernet frame with a message from an address to all servers.
func frame(mac [6]byte, from [16]byte, m message) []byte {
	b := make([]byte, etherLen+ipLen+udpLen, etherLen+ipLen+udpLen+len(m))
	dhcpwire.Ether(b, serversMAC, mac, dhcpwire.TypeIPv6)
	b = append(b, m...)
	ip := b[etherLen:]
	ip[0] = 6 << 4
	binary.BigEndian.PutUint16(ip[4:], uint16(udpLen+len(m)))
	ip[6], ip[7] = dhcpwire.ProtoUDP, 1
	copy(ip[8:], from[:])
	copy(ip[24:], servers[:])
	dhcpwire.PutUDP(ip[ipLen:], ip[8:ipLen], clientPort, serverPort)
	return b
}

// IsReply reports whether an IPv6 packet, of which 48 bytes are enough, carries a
// datagram to a DHCP client.
func IsReply(ip []byte) bool {
	return len(ip) >= ipLen+udpLen && ip[0]>>4 == 6 && ip[6] == dhcpwire.ProtoUDP &&
		binary.BigEndian.Uint16(ip[ipLen+2:]) == clientPort
}

// parseFrame takes the message out of a frame for a machine with this link-local
// address, and says who sent it. The checksum of UDP is not looked at if it is
// known to be right.
func parseFrame(b []byte, local [16]byte, validated bool) (m message, from netip.Addr, ok bool) {
	if len(b) < etherLen || binary.BigEndian.Uint16(b[12:]) != dhcpwire.TypeIPv6 || !IsReply(b[etherLen:]) {
		return nil, from, false
	}
	ip := b[etherLen:]
	size := int(binary.BigEndian.Uint16(ip[4:]))
	from = netip.AddrFrom16([16]byte(ip[8:]))
	if size < udpLen || size > len(ip)-ipLen || [16]byte(ip[24:]) != local || from.IsMulticast() || from.IsUnspecified() {
		return nil, from, false
	}
	m, ok = dhcpwire.UDP(ip[ipLen:ipLen+size], ip[8:ipLen], validated)
	return m, from, ok
}
