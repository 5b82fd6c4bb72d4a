package netstack

import (
	"encoding/binary"

	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// Sizes in bytes of struct sockaddr_in and sockaddr_in6 (RFC 3493 section
// 3.3); Linux takes the latter without its scope, too.
const (
	sizeInet4        = 16
	sizeInet6        = 28
	sizeInet6NoScope = 24
)

// mappedAny is ::ffff:0.0.0.0, which binds the IPv4 half of a dual-stack socket.
var mappedAny = tcpip.AddrFrom16([16]byte{10: 0xff, 11: 0xff})

// sockaddrFamily returns the sa_family of a raw address.
func sockaddrFamily(sa []byte) (int, libos.Errno) {
	if len(sa) < 2 {
		return 0, libos.EINVAL
	}
	return int(binary.NativeEndian.Uint16(sa)), 0
}

// parseSockaddr decodes a sockaddr_in or sockaddr_in6. The wildcard address is
// the empty one, as the stack has it.
func parseSockaddr(sa []byte) (tcpip.FullAddress, int, libos.Errno) {
	family, e := sockaddrFamily(sa)
	if e != 0 {
		return tcpip.FullAddress{}, 0, e
	}
	switch family {
	case afInet:
		return parseInet4(sa)
	case afInet6:
		return parseInet6(sa)
	}
	return tcpip.FullAddress{}, family, libos.EAFNOSUPPORT
}

func parseInet4(sa []byte) (tcpip.FullAddress, int, libos.Errno) {
	if len(sa) < sizeInet4 {
		return tcpip.FullAddress{}, afInet, libos.EINVAL
	}
	a := tcpip.FullAddress{Port: binary.BigEndian.Uint16(sa[2:])}
	if ip := [4]byte(sa[4:8]); ip != ([4]byte{}) {
		a.Addr = tcpip.AddrFrom4(ip)
	}
	return a, afInet, 0
}

func parseInet6(sa []byte) (tcpip.FullAddress, int, libos.Errno) {
	if len(sa) < sizeInet6NoScope {
		return tcpip.FullAddress{}, afInet6, libos.EINVAL
	}
	a := tcpip.FullAddress{Port: binary.BigEndian.Uint16(sa[2:])}
	ip := [16]byte(sa[8:24])
	if ip != ([16]byte{}) {
		a.Addr = tcpip.AddrFrom16(ip)
	}
	if isLinkLocal6(ip) && len(sa) >= sizeInet6 {
		a.NIC = tcpip.NICID(binary.NativeEndian.Uint32(sa[24:]))
	}
	return a, afInet6, 0
}

// isLinkLocal6 reports whether an address needs a scope: fe80::/10 and ff02::/16
// (RFC 4291 sections 2.5.6 and 2.7).
func isLinkLocal6(ip [16]byte) bool {
	return ip[0] == 0xfe && ip[1]&0xc0 == 0x80 || ip[0] == 0xff && ip[1]&0xf == 2
}

// encodeSockaddr is the inverse, for a socket of the given family: an IPv4
// address on an IPv6 socket becomes a mapped one.
func encodeSockaddr(family int, a tcpip.FullAddress) []byte {
	if family == afInet {
		sa := make([]byte, sizeInet4)
		binary.NativeEndian.PutUint16(sa, afInet)
		binary.BigEndian.PutUint16(sa[2:], a.Port)
		copy(sa[4:8], a.Addr.AsSlice())
		return sa
	}
	sa := make([]byte, sizeInet6)
	binary.NativeEndian.PutUint16(sa, afInet6)
	binary.BigEndian.PutUint16(sa[2:], a.Port)
	ip := encodeIP6(a.Addr)
	copy(sa[8:24], ip[:])
	if isLinkLocal6(ip) {
		binary.NativeEndian.PutUint32(sa[24:], uint32(a.NIC))
	}
	return sa
}

// encodeIP6 returns an address as IPv6 has it.
func encodeIP6(a tcpip.Address) (ip [16]byte) {
	switch a.Len() {
	case 4:
		ip[10], ip[11] = 0xff, 0xff
		copy(ip[12:], a.AsSlice())
	case 16:
		ip = a.As16()
	}
	return ip
}
