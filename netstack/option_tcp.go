package netstack

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// tcpOptions are those of IPPROTO_TCP (tcp(7)).
var tcpOptions = [...]intOption{
	{solTCP, tcpNodelay,
		func(s *socket) (int, libos.Errno) { return boolInt(!s.opts().GetDelayOption()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetDelayOption(v == 0); return 0 }},
	{solTCP, tcpCork,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetCorkOption()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetCorkOption(v != 0); return 0 }},
	{solTCP, tcpQuickack,
		func(s *socket) (int, libos.Errno) { return boolInt(s.opts().GetQuickAck()), 0 },
		func(s *socket, v int) libos.Errno { s.opts().SetQuickAck(v != 0); return 0 }},
	{solTCP, tcpMaxseg,
		func(s *socket) (int, libos.Errno) { return s.epInt(tcpip.MaxSegOption) },
		func(s *socket, v int) libos.Errno { return s.setEPInt(tcpip.MaxSegOption, v) }},
	{solTCP, tcpKeepidle, (*socket).keepIdle, (*socket).setKeepIdle},
	{solTCP, tcpKeepintvl, (*socket).keepInterval, (*socket).setKeepInterval},
	{solTCP, tcpKeepcnt,
		func(s *socket) (int, libos.Errno) { return s.epInt(tcpip.KeepaliveCountOption) }, (*socket).setKeepCount},
	{solTCP, tcpSyncnt,
		func(s *socket) (int, libos.Errno) { return s.epInt(tcpip.TCPSynCountOption) },
		func(s *socket, v int) libos.Errno { return s.setEPInt(tcpip.TCPSynCountOption, v) }},
	{solTCP, tcpUserTimeout, (*socket).userTimeout, (*socket).setUserTimeout},
	{solTCP, tcpLinger2, (*socket).linger2, (*socket).setLinger2},
	{solTCP, tcpDeferAccept, (*socket).deferAccept, (*socket).setDeferAccept},
	{solTCP, tcpWindowClamp,
		func(s *socket) (int, libos.Errno) { return s.epInt(tcpip.TCPWindowClampOption) },
		func(s *socket, v int) libos.Errno { return s.setEPInt(tcpip.TCPWindowClampOption, v) }},
	{solTCP, tcpFastopen, zero, accept},
	{solTCP, tcpNotsentLowat, zero, accept},
}

// Bounds of the keep-alive options, include/net/tcp.h.
const (
	maxKeepIdle     = 32767
	maxKeepInterval = 32767
	maxKeepCount    = 127
)

func (s *socket) keepIdle() (int, libos.Errno) {
	var o tcpip.KeepaliveIdleOption
	err := s.ep.GetSockOpt(&o)
	return int(time.Duration(o) / time.Second), s.errno(err)
}

func (s *socket) setKeepIdle(v int) libos.Errno {
	if v < 1 || v > maxKeepIdle {
		return libos.EINVAL
	}
	o := tcpip.KeepaliveIdleOption(time.Duration(v) * time.Second)
	return s.errno(s.ep.SetSockOpt(&o))
}

func (s *socket) keepInterval() (int, libos.Errno) {
	var o tcpip.KeepaliveIntervalOption
	err := s.ep.GetSockOpt(&o)
	return int(time.Duration(o) / time.Second), s.errno(err)
}

func (s *socket) setKeepInterval(v int) libos.Errno {
	if v < 1 || v > maxKeepInterval {
		return libos.EINVAL
	}
	o := tcpip.KeepaliveIntervalOption(time.Duration(v) * time.Second)
	return s.errno(s.ep.SetSockOpt(&o))
}

func (s *socket) setKeepCount(v int) libos.Errno {
	if v < 1 || v > maxKeepCount {
		return libos.EINVAL
	}
	return s.setEPInt(tcpip.KeepaliveCountOption, v)
}

// userTimeout is in milliseconds (RFC 5482).
func (s *socket) userTimeout() (int, libos.Errno) {
	var o tcpip.TCPUserTimeoutOption
	err := s.ep.GetSockOpt(&o)
	return int(time.Duration(o) / time.Millisecond), s.errno(err)
}

func (s *socket) setUserTimeout(v int) libos.Errno {
	if v < 0 {
		return libos.EINVAL
	}
	o := tcpip.TCPUserTimeoutOption(time.Duration(v) * time.Millisecond)
	return s.errno(s.ep.SetSockOpt(&o))
}

func (s *socket) linger2() (int, libos.Errno) {
	var o tcpip.TCPLingerTimeoutOption
	err := s.ep.GetSockOpt(&o)
	return int(time.Duration(o) / time.Second), s.errno(err)
}

func (s *socket) setLinger2(v int) libos.Errno {
	o := tcpip.TCPLingerTimeoutOption(time.Duration(v) * time.Second)
	return s.errno(s.ep.SetSockOpt(&o))
}

func (s *socket) deferAccept() (int, libos.Errno) {
	var o tcpip.TCPDeferAcceptOption
	err := s.ep.GetSockOpt(&o)
	return int(time.Duration(o) / time.Second), s.errno(err)
}

func (s *socket) setDeferAccept(v int) libos.Errno {
	o := tcpip.TCPDeferAcceptOption(time.Duration(max(v, 0)) * time.Second)
	return s.errno(s.ep.SetSockOpt(&o))
}

// congestion and setCongestion name the algorithm.
func (s *socket) congestion(value []byte) (int, libos.Errno) {
	var o tcpip.CongestionControlOption
	if err := s.ep.GetSockOpt(&o); err != nil {
		return 0, s.errno(err)
	}
	var name [16]byte // TCP_CA_NAME_MAX, NUL-padded
	copy(name[:15], o)
	return copy(value, name[:]), 0
}

func (s *socket) setCongestion(value []byte) libos.Errno {
	o := tcpip.CongestionControlOption(cString(value))
	return s.errno(s.ep.SetSockOpt(&o))
}

// sizeTCPInfo is the size of struct tcp_info up to tcpi_total_retrans, in
// include/uapi/linux/tcp.h; callers take a shorter one.
const sizeTCPInfo = 104

// info is TCP_INFO with what the stack knows; the rest is zero.
func (s *socket) info(value []byte) (int, libos.Errno) {
	var o tcpip.TCPInfoOption
	if err := s.ep.GetSockOpt(&o); err != nil {
		return 0, s.errno(err)
	}
	var b [sizeTCPInfo]byte
	put := func(off int, v uint64) {
		binary.NativeEndian.PutUint32(b[off:], uint32(min(v, math.MaxUint32)))
	}
	b[0] = linuxTCPState(tcp.EndpointState(o.State))
	b[1] = congestionState(o.CcState)
	put(8, uint64(o.RTO/time.Microsecond))
	mss, _ := s.epInt(tcpip.MaxSegOption)
	put(16, uint64(mss)) // tcpi_snd_mss
	put(20, uint64(mss)) // tcpi_rcv_mss
	put(64, uint64(s.pathMTU()))
	put(72, uint64(o.RTT/time.Microsecond))
	put(76, uint64(o.RTTVar/time.Microsecond))
	put(80, uint64(o.SndSsthresh))
	put(84, uint64(o.SndCwnd))
	return copy(value, b[:]), 0
}

func (s *socket) pathMTU() int {
	v, _ := s.mtu()
	return v
}

// linuxTCPState numbers a state as include/net/tcp_states.h does.
func linuxTCPState(st tcp.EndpointState) byte {
	switch st {
	case tcp.StateEstablished:
		return 1
	case tcp.StateSynSent:
		return 2
	case tcp.StateSynRecv:
		return 3
	case tcp.StateFinWait1:
		return 4
	case tcp.StateFinWait2:
		return 5
	case tcp.StateTimeWait:
		return 6
	case tcp.StateCloseWait:
		return 8
	case tcp.StateLastAck:
		return 9
	case tcp.StateListen:
		return 10
	case tcp.StateClosing:
		return 11
	}
	return 7 // TCP_CLOSE
}

// congestionState numbers tcpi_ca_state: open, disorder, recovery, loss.
func congestionState(st tcpip.CongestionControlState) byte {
	switch st {
	case tcpip.Disorder:
		return 1
	case tcpip.FastRecovery, tcpip.SACKRecovery:
		return 3
	case tcpip.RTORecovery:
		return 4
	}
	return 0
}
