package netstack

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"time"

	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// rawOptions are those whose value is not an int.
var rawOptions = [...]rawOption{
	{solSocket, soLinger, (*socket).getLinger, (*socket).setLinger},
	{solSocket, soBindtodevice, (*socket).boundDevice, (*socket).bindToDevice},
	{solSocket, soRcvtimeo,
		func(s *socket, b []byte) (int, libos.Errno) { return putTimeval(b, &s.rcvtimeo) },
		func(s *socket, b []byte) libos.Errno { return setTimeval(b, &s.rcvtimeo) }},
	{solSocket, soSndtimeo,
		func(s *socket, b []byte) (int, libos.Errno) { return putTimeval(b, &s.sndtimeo) },
		func(s *socket, b []byte) libos.Errno { return setTimeval(b, &s.sndtimeo) }},
	{solTCP, tcpInfo, (*socket).info, nil},
	{solTCP, tcpCongestion, (*socket).congestion, (*socket).setCongestion},
	{solIP, ipMulticastIf, (*socket).multicastIf, (*socket).setMulticastIf},
	{solIP, ipAddMembership, nil,
		func(s *socket, b []byte) libos.Errno { return s.membership(true, parseMreq4, b) }},
	{solIP, ipDropMembership, nil,
		func(s *socket, b []byte) libos.Errno { return s.membership(false, parseMreq4, b) }},
	{solIP, mcastJoinGroup, nil,
		func(s *socket, b []byte) libos.Errno { return s.membership(true, parseGroupReq, b) }},
	{solIP, mcastLeaveGroup, nil,
		func(s *socket, b []byte) libos.Errno { return s.membership(false, parseGroupReq, b) }},
	{solIPv6, ipv6AddMembership, nil,
		func(s *socket, b []byte) libos.Errno { return s.membership(true, parseMreq6, b) }},
	{solIPv6, ipv6DropMembership, nil,
		func(s *socket, b []byte) libos.Errno { return s.membership(false, parseMreq6, b) }},
	{solIPv6, mcastJoinGroup, nil,
		func(s *socket, b []byte) libos.Errno { return s.membership(true, parseGroupReq, b) }},
	{solIPv6, mcastLeaveGroup, nil,
		func(s *socket, b []byte) libos.Errno { return s.membership(false, parseGroupReq, b) }},
	{solICMPv6, icmpv6Filter, (*socket).icmpFilter, (*socket).setICMPFilter},
}

// sizeTimeval is the size of struct timeval: two 64-bit words.
const sizeTimeval = 16

func putTimeval(value []byte, t *atomic.Int64) (int, libos.Errno) {
	d := time.Duration(t.Load())
	var b [sizeTimeval]byte
	binary.NativeEndian.PutUint64(b[:], uint64(d/time.Second))
	binary.NativeEndian.PutUint64(b[8:], uint64(d%time.Second/time.Microsecond))
	return copy(value, b[:]), 0
}

func setTimeval(value []byte, t *atomic.Int64) libos.Errno {
	if len(value) < sizeTimeval {
		return libos.EINVAL
	}
	sec := int64(binary.NativeEndian.Uint64(value))
	usec := int64(binary.NativeEndian.Uint64(value[8:]))
	switch {
	case usec < 0 || usec >= 1e6:
		return libos.EINVAL // EDOM on Linux, which has no name here
	case sec < 0 || sec > math.MaxInt64/int64(time.Second)-1:
		sec, usec = 0, 0
	}
	t.Store(sec*int64(time.Second) + usec*int64(time.Microsecond))
	return 0
}

// A membershipParser reads one of the three shapes of a multicast request.
type membershipParser func([]byte) (tcpip.MembershipOption, libos.Errno)

// parseMreq4 reads struct ip_mreq or ip_mreqn (ip(7)).
func parseMreq4(b []byte) (m tcpip.MembershipOption, e libos.Errno) {
	if len(b) < 8 {
		return m, libos.EINVAL
	}
	m.MulticastAddr = tcpip.AddrFrom4Slice(b[:4])
	m.InterfaceAddr = tcpip.AddrFrom4Slice(b[4:8])
	if len(b) >= 12 {
		m.NIC = tcpip.NICID(getInt32(b[8:]))
		if m.NIC != 0 { // the index wins over the address
			m.InterfaceAddr = tcpip.Address{}
		}
	}
	return m, 0
}

// parseMreq6 reads struct ipv6_mreq (RFC 3493 section 5.2).
func parseMreq6(b []byte) (m tcpip.MembershipOption, e libos.Errno) {
	if len(b) < 20 {
		return m, libos.EINVAL
	}
	m.MulticastAddr = tcpip.AddrFrom16Slice(b[:16])
	m.NIC = tcpip.NICID(getInt32(b[16:]))
	return m, 0
}

// parseGroupReq reads struct group_req (RFC 3678 section 5.1): an interface
// index, padding to 8 bytes, and a socket address.
func parseGroupReq(b []byte) (m tcpip.MembershipOption, e libos.Errno) {
	if len(b) < 8+sizeInet4 {
		return m, libos.EINVAL
	}
	a, _, e := parseSockaddr(b[8:])
	m.NIC = tcpip.NICID(getInt32(b))
	m.MulticastAddr = a.Addr
	return m, e
}

func getInt32(b []byte) int32 { return int32(binary.NativeEndian.Uint32(b)) }

// membership joins or leaves a group.
func (s *socket) membership(join bool, parse membershipParser, value []byte) libos.Errno {
	if s.typ == sockStream {
		return ePROTO
	}
	m, e := parse(value)
	if e != 0 {
		return e
	}
	if join {
		o := tcpip.AddMembershipOption(m)
		e := s.errno(s.ep.SetSockOpt(&o))
		if e == 0 {
			s.st.noteGroup(m.MulticastAddr)
		}
		return e
	}
	o := tcpip.RemoveMembershipOption(m)
	return s.errno(s.ep.SetSockOpt(&o))
}

// setMulticastIf takes struct in_addr, ip_mreq or ip_mreqn.
func (s *socket) setMulticastIf(value []byte) libos.Errno {
	var o tcpip.MulticastInterfaceOption
	switch {
	case len(value) >= 8:
		m, e := parseMreq4(value)
		if e != 0 {
			return e
		}
		o.NIC, o.InterfaceAddr = m.NIC, m.InterfaceAddr
	case len(value) >= 4:
		o.InterfaceAddr = tcpip.AddrFrom4Slice(value[:4])
	default:
		return libos.EINVAL
	}
	if o.InterfaceAddr.Unspecified() {
		o.InterfaceAddr = tcpip.Address{}
	}
	return s.errno(s.ep.SetSockOpt(&o))
}

func (s *socket) multicastIf(value []byte) (int, libos.Errno) {
	var o tcpip.MulticastInterfaceOption
	if err := s.ep.GetSockOpt(&o); err != nil {
		return 0, s.errno(err)
	}
	var ip [4]byte
	copy(ip[:], o.InterfaceAddr.AsSlice())
	return copy(value, ip[:]), 0
}

// icmpFilter and setICMPFilter are struct icmp6_filter (RFC 3542 section 3.2).
func (s *socket) icmpFilter(value []byte) (int, libos.Errno) {
	var o tcpip.ICMPv6Filter
	if err := s.ep.GetSockOpt(&o); err != nil {
		return 0, s.errno(err)
	}
	var b [32]byte
	for i, w := range o.DenyType {
		binary.NativeEndian.PutUint32(b[4*i:], w)
	}
	return copy(value, b[:]), 0
}

func (s *socket) setICMPFilter(value []byte) libos.Errno {
	var b [32]byte
	copy(b[:], value)
	var o tcpip.ICMPv6Filter
	for i := range o.DenyType {
		o.DenyType[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return s.errno(s.ep.SetSockOpt(&o))
}
