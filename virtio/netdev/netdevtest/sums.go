package netdevtest

import (
	"encoding/binary"
	"fmt"

	"github.com/tailor-os/tailor/virtio"
)

// checkSums verifies an Ethernet frame's IP and transport checksums. A partial
// one must hold the sum of the pseudo-header (virtio 1.2 section 5.1.6.2).
func checkSums(p []byte, h *virtio.NetHdr) error {
	if len(p) < 14 {
		return fmt.Errorf("frame of %d bytes", len(p))
	}
	ip := p[14:]
	switch binary.BigEndian.Uint16(p[12:]) {
	case 0x0800:
		return checkIPv4(ip, h)
	case 0x86dd:
		return checkIPv6(ip, h)
	}
	return nil
}

func checkIPv4(ip []byte, h *virtio.NetHdr) error {
	if len(ip) < 20 {
		return fmt.Errorf("IPv4 packet of %d bytes", len(ip))
	}
	n := int(ip[0]&15) * 4
	total := int(binary.BigEndian.Uint16(ip[2:]))
	if total != len(ip) {
		return fmt.Errorf("IPv4 length %d in a packet of %d bytes", total, len(ip))
	}
	if s := fold(sum(0, ip[:n])); s != 0xffff {
		return fmt.Errorf("IPv4 header sums up to %#x", s)
	}
	if binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
		return nil // a fragment
	}
	pseudo := sum(0, ip[12:20]) + uint64(ip[9]) + uint64(total-n)
	return checkTransport(ip[n:], ip[9], pseudo, 14+n, h)
}

func checkIPv6(ip []byte, h *virtio.NetHdr) error {
	if len(ip) < 40 {
		return fmt.Errorf("IPv6 packet of %d bytes", len(ip))
	}
	if n := int(binary.BigEndian.Uint16(ip[4:])); n+40 != len(ip) {
		return fmt.Errorf("IPv6 length %d in a packet of %d bytes", n, len(ip))
	}
	pseudo := sum(0, ip[8:40]) + uint64(ip[6]) + uint64(len(ip)-40)
	return checkTransport(ip[40:], ip[6], pseudo, 54, h)
}

// checkTransport verifies TCP, UDP and ICMPv6.
func checkTransport(b []byte, proto byte, pseudo uint64, start int, h *virtio.NetHdr) error {
	at, ok := map[byte]int{6: 16, 17: 6, 58: 2}[proto]
	if !ok || len(b) < at+2 {
		return nil
	}
	if h.Flags&virtio.NetHdrNeedsCsum != 0 {
		if int(h.CsumStart) != start || int(h.CsumOffset) != at {
			return fmt.Errorf("checksum start %d offset %d, want %d, %d", h.CsumStart, h.CsumOffset, start, at)
		}
		if got, want := binary.BigEndian.Uint16(b[at:]), fold(pseudo); got != want {
			return fmt.Errorf("partial checksum %#x, want %#x", got, want)
		}
		return nil
	}
	if s := fold(sum(pseudo, b)); s != 0xffff {
		return fmt.Errorf("protocol %d packet of %d bytes sums up to %#x", proto, len(b), s)
	}
	return nil
}

// sum adds up 16-bit words, big-endian, padded (RFC 1071).
func sum(s uint64, b []byte) uint64 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
