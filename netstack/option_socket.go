package netstack

import (
	"math"
	"time"

	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// opts shortens the tables.
func (s *socket) opts() *tcpip.SocketOptions { return s.ep.SocketOptions() }

// socketOptions are those of SOL_SOCKET (socket(7)).
var socketOptions = [...]intOption{
	{solSocket, soReuseaddr,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetReuseAddress()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetReuseAddress(v != 0); return 0 }},
	{solSocket, soReuseport,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetReusePort()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetReusePort(v != 0); return 0 }},
	{solSocket, soBroadcast,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetBroadcast()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetBroadcast(v != 0); return 0 }},
	{solSocket, soKeepalive,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetKeepAlive()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetKeepAlive(v != 0); return 0 }},
	{solSocket, soOobinline,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetOutOfBandInline()), 0 }, accept},
	{solSocket, soNoCheck,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetNoChecksum()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetNoChecksum(v != 0); return 0 }},
	{solSocket, soType, func(s *socket) (int, libos.Errno) { return s.typ, 0 }, nil},
	{solSocket, soProtocol, func(s *socket) (int, libos.Errno) { return s.proto, 0 }, nil},
	{solSocket, soDomain, func(s *socket) (int, libos.Errno) { return s.family, 0 }, nil},
	{solSocket, soError, (*socket).takeError, nil},
	{solSocket, soAcceptconn, (*socket).isListening, nil},
	{solSocket, soSndbuf,
		func(s *socket) (int, libos.Errno) { return clampInt(s.opts().GetSendBufferSize()), 0 },
		(*socket).setSendBuffer},
	{solSocket, soSndbufforce, nil, (*socket).setSendBuffer},
	{solSocket, soRcvbuf,
		func(s *socket) (int, libos.Errno) { return clampInt(s.opts().GetReceiveBufferSize()), 0 },
		(*socket).setReceiveBuffer},
	{solSocket, soRcvbufforce, nil, (*socket).setReceiveBuffer},
	{solSocket, soRcvlowat,
		func(s *socket) (int, libos.Errno) { return int(s.opts().GetRcvlowat()), 0 },
		func(s *socket, v int) libos.Errno { return s.errno(s.opts().SetRcvlowat(int32(v))) }},
	{solSocket, soMark,
		func(s *socket) (int, libos.Errno) { return int(s.opts().GetMark()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetMark(uint32(v)); return 0 }},
	{solSocket, soTimestamp,
		func(s *socket) (int, libos.Errno) { return boolInt(s.stamp.Load()), 0 },
		func(s *socket, v int) libos.Errno { s.stamp.Store(v != 0); return 0 }},
	{solSocket, soPriority, zero, accept},
	{solSocket, soDontroute, zero, accept},
	{solSocket, soRxqOvfl, zero, accept},
	{solSocket, soIncomingCPU, zero, accept},
}

// takeError is SO_ERROR: it returns the pending error and clears it.
func (s *socket) takeError() (int, libos.Errno) {
	return int(s.failure(s.opts().GetLastError())), 0
}

func (s *socket) isListening() (int, libos.Errno) {
	return boolInt(s.typ == sockStream && tcp.EndpointState(s.ep.State()) == tcp.StateListen), 0
}

func clampInt(v int64) int { return int(min(v, math.MaxInt32)) }

// setSendBuffer doubles the value, as Linux does to leave room for what a
// buffer costs beside its bytes (socket(7)), within the stack's bounds.
func (s *socket) setSendBuffer(v int) libos.Errno {
	s.opts().SetSendBufferSize(s.bufferSize(v), true)
	return 0
}

// setReceiveBuffer is like setSendBuffer; it ends the tuning of the window.
func (s *socket) setReceiveBuffer(v int) libos.Errno {
	s.opts().SetReceiveBufferSize(s.bufferSize(v), true)
	return 0
}

func (s *socket) bufferSize(v int) int64 {
	high := datagramMax
	if s.typ == sockStream {
		high = s.st.tcpMax
	}
	if v < 0 || v > high/2 {
		v = high / 2
	}
	return int64(max(2*v, bufferMin))
}

// getLinger and setLinger take struct linger: l_onoff, l_linger in seconds.
func (s *socket) getLinger(value []byte) (int, libos.Errno) {
	l := s.opts().GetLinger()
	n := putInt(value, boolInt(l.Enabled))
	return n + putInt(value[n:], int(l.Timeout/time.Second)), 0
}

func (s *socket) setLinger(value []byte) libos.Errno {
	if len(value) < 8 {
		return libos.EINVAL
	}
	on, _ := getInt(solSocket, value)
	sec, _ := getInt(solSocket, value[4:])
	s.opts().SetLinger(tcpip.LingerOption{
		Enabled: on != 0,
		Timeout: time.Duration(max(sec, 0)) * time.Second,
	})
	return 0
}

// bindToDevice takes an interface's name; the empty one unbinds.
func (s *socket) bindToDevice(value []byte) libos.Errno {
	name := cString(value)
	if name == "" {
		return s.errno(s.opts().SetBindToDevice(0))
	}
	for id, n := range s.st.ip.NICInfo() {
		if n.Name == name {
			return s.errno(s.opts().SetBindToDevice(int32(id)))
		}
	}
	return libos.ENODEV
}

func (s *socket) boundDevice(value []byte) (int, libos.Errno) {
	id := s.opts().GetBindToDevice()
	if id == 0 {
		return 0, 0
	}
	name := s.st.ip.FindNICNameFromID(tcpip.NICID(id))
	if len(value) < len(name)+1 {
		return 0, libos.EINVAL
	}
	n := copy(value, name)
	value[n] = 0
	return n + 1, 0
}

// cString returns the bytes before the first NUL.
func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// defaultTTL returns the time to live of packets whose socket sets none.
func (s *socket) defaultTTL(proto tcpip.NetworkProtocolNumber) (int, libos.Errno) {
	var o tcpip.DefaultTTLOption
	err := s.st.ip.NetworkProtocolOption(proto, &o)
	return int(o), s.errno(err)
}

// ttl and hops are IP_TTL and IPV6_UNICAST_HOPS.
func (s *socket) ttl() (int, libos.Errno) {
	v, e := s.epInt(tcpip.IPv4TTLOption)
	if e == 0 && v == tcpip.UseDefaultIPv4TTL {
		return s.defaultTTL(ipv4.ProtocolNumber)
	}
	return v, e
}

func (s *socket) setTTL(v int) libos.Errno {
	switch {
	case v == -1:
		v = tcpip.UseDefaultIPv4TTL
	case v < 1 || v > 255:
		return libos.EINVAL
	}
	return s.setEPInt(tcpip.IPv4TTLOption, v)
}

func (s *socket) hops() (int, libos.Errno) {
	v, e := s.epInt(tcpip.IPv6HopLimitOption)
	if e == 0 && v == tcpip.UseDefaultIPv6HopLimit {
		return s.defaultTTL(ipv6.ProtocolNumber)
	}
	return v, e
}

func (s *socket) setHops(v int) libos.Errno {
	if v < -1 || v > 255 {
		return libos.EINVAL
	}
	return s.setEPInt(tcpip.IPv6HopLimitOption, v)
}

// mtu is IP_MTU and IPV6_MTU: the path's, of a connected socket.
func (s *socket) mtu() (int, libos.Errno) {
	if _, err := s.ep.GetRemoteAddress(); err != nil {
		return 0, libos.ENOTCONN
	}
	nic := loopbackNIC
	if !s.isLocal() {
		nic = s.st.ownerOf(s.ep)
	}
	info, ok := s.st.ip.NICInfo()[nic]
	if !ok {
		return 0, libos.ENOTCONN
	}
	return int(min(info.MTU, header.IPv4MaximumPayloadSize)), 0
}
