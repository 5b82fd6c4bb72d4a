package usernet

import (
	"encoding/binary"
	"net/netip"
)

// Sizes in bytes.
const (
	vnetHdrSize  = 12 // struct virtio_net_hdr_v1, virtio 1.2 section 5.1.6
	ethHdrSize   = 14
	ipv4HdrSize  = 20
	ipv6HdrSize  = 40
	maxIPPacket  = 65535
	maxFrameSize = ethHdrSize + maxIPPacket
)

// Fields of struct virtio_net_hdr_v1.
const (
	vnetNeedsCsum = 1 // flags: VIRTIO_NET_HDR_F_NEEDS_CSUM

	gsoNone  = 0
	gsoTCPv4 = 1
	gsoTCPv6 = 4
	gsoECN   = 0x80
)

// vnetHdr is struct virtio_net_hdr_v1 in host byte order. NumBuffers has a
// meaning only inside the device, so it is not kept.
type vnetHdr struct {
	flags, gsoType                         uint8
	hdrLen, gsoSize, csumStart, csumOffset uint16
}

func parseVnetHdr(b []byte) vnetHdr {
	le := binary.LittleEndian
	return vnetHdr{flags: b[0], gsoType: b[1], hdrLen: le.Uint16(b[2:]), gsoSize: le.Uint16(b[4:]),
		csumStart: le.Uint16(b[6:]), csumOffset: le.Uint16(b[8:])}
}

func (h vnetHdr) put(b []byte) {
	le := binary.LittleEndian
	b[0], b[1] = h.flags, h.gsoType
	le.PutUint16(b[2:], h.hdrLen)
	le.PutUint16(b[4:], h.gsoSize)
	le.PutUint16(b[6:], h.csumStart)
	le.PutUint16(b[8:], h.csumOffset)
	le.PutUint16(b[10:], 1)
}

// A verdict says what becomes of a frame from the guest.
type verdict int

const (
	drop    verdict = iota
	toStack         // for the TCP/IP stack
	toPing          // an echo request for the outside
)

// judge decides on a frame from the guest, which is hostile. head is the start
// of the frame, all of it or at least 128 bytes; size is the whole frame's.
//
// The stack behind it is promiscuous, that is, takes any destination address
// for its own. So what must not be answered in another's name is kept from it:
// ARP and neighbour solicitation for others, and ICMP.
func judge(h vnetHdr, head []byte, size, mtu int) verdict {
	if len(head) < ethHdrSize || size > maxFrameSize || !h.valid(head, size, mtu) {
		return drop
	}
	if head[0]&1 == 0 && string(head[:6]) != string(gatewayMAC) {
		return drop
	}
	switch packet := head[ethHdrSize:]; binary.BigEndian.Uint16(head[12:]) {
	case 0x0800:
		return judgeIPv4(packet)
	case 0x86dd:
		return judgeIPv6(packet)
	case 0x0806:
		return judgeARP(packet)
	}
	return drop
}

// valid checks the header's fields against the frame (virtio 1.2 section
// 5.1.6.2). The offloads are those of checksum, TSOv4 and TSOv6; flags of
// others must be ignored.
func (h vnetHdr) valid(head []byte, size, mtu int) bool {
	needsCsum := h.flags&vnetNeedsCsum != 0
	if needsCsum {
		start, end := int(h.csumStart), int(h.csumStart)+int(h.csumOffset)+2
		if start < ethHdrSize+ipv4HdrSize || end > size {
			return false
		}
	}
	if h.gsoType == gsoNone {
		return size <= ethHdrSize+mtu
	}
	if !needsCsum || h.gsoSize == 0 {
		return false
	}
	switch h.gsoType &^ gsoECN {
	case gsoTCPv4:
		return len(head) >= ethHdrSize+ipv4HdrSize && head[12] == 0x08 && head[13] == 0 && head[ethHdrSize+9] == protoTCP
	case gsoTCPv6:
		return len(head) >= ethHdrSize+ipv6HdrSize && head[12] == 0x86 && head[13] == 0xdd && head[ethHdrSize+6] == protoTCP
	}
	return false
}

// IP protocol numbers.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// judgeARP lets requests for the network's own addresses through (RFC 826).
// The guest's answers are not needed: its hardware address is known.
func judgeARP(p []byte) verdict {
	if len(p) < 28 || binary.BigEndian.Uint16(p[6:]) != 1 {
		return drop
	}
	target := netip.AddrFrom4([4]byte(p[24:28]))
	if target != gateway4 && target != dns4 {
		return drop
	}
	// A sender of 0.0.0.0 is a probe (RFC 5227 section 1.1).
	sender := netip.AddrFrom4([4]byte(p[14:18]))
	if ours(sender) || !net4.Contains(sender) && !sender.IsUnspecified() {
		return drop
	}
	return toStack
}

func judgeIPv4(p []byte) verdict {
	if len(p) < ipv4HdrSize || p[0]>>4 != 4 {
		return drop
	}
	src, dst := netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	if !net4.Contains(src) || ours(src) || dst.IsMulticast() || dst.IsLoopback() || reserved4.Contains(dst) {
		return drop
	}
	if p[9] != protoICMP || ours(dst) {
		return toStack
	}
	// The stack takes errors about its flows (destination unreachable,
	// including the guest's "port unreachable"); the rest is not for it.
	hdr := int(p[0]&15) * 4
	whole := binary.BigEndian.Uint16(p[6:])&0x3fff == 0 // neither more fragments nor an offset
	if hdr < ipv4HdrSize || len(p) < hdr+8 || !whole {
		return drop
	}
	switch p[hdr] {
	case 3:
		return toStack
	case 8:
		return toPing
	}
	return drop
}

func judgeIPv6(p []byte) verdict {
	if len(p) < ipv6HdrSize || p[0]>>4 != 6 {
		return drop
	}
	src, dst := netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
	if p[6] == protoICMPv6 {
		return judgeICMPv6(src, dst, p[ipv6HdrSize:])
	}
	if !net6.Contains(src) && !src.IsLinkLocalUnicast() || ours(src) || dst.IsMulticast() || dst.IsLoopback() || dst.Is4In6() {
		return drop
	}
	return toStack
}

// judgeICMPv6 lets through neighbour discovery for the network's own addresses
// (RFC 4861), errors about its flows (RFC 4443) and echo requests.
func judgeICMPv6(src, dst netip.Addr, p []byte) verdict {
	if len(p) < 8 || ours(src) || !net6.Contains(src) && !src.IsLinkLocalUnicast() && !src.IsUnspecified() {
		return drop
	}
	switch p[0] {
	case 135: // neighbour solicitation
		if len(p) >= 24 && ours(netip.AddrFrom16([16]byte(p[8:24]))) {
			return toStack
		}
	case 1, 2, 136: // unreachable, packet too big, neighbour advertisement
		return toStack
	case 128:
		if ours(dst) {
			return toStack
		}
		if !dst.IsMulticast() && net6.Contains(src) {
			return toPing
		}
	}
	return drop
}
