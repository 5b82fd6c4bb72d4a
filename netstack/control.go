package netstack

import (
	"bytes"
	"encoding/binary"

	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
)

// Ancillary data, cmsg(3): a header of len (8 bytes, header included), level
// and type, the data, and padding to 8 bytes.
const (
	cmsgHeader = 16
	cmsgAlign  = 8
)

// A cmsgWriter appends control messages to a buffer that may be too short.
type cmsgWriter struct {
	buf       []byte
	n         int
	truncated bool
}

// add appends one message. Linux cuts the last one that fits in part.
func (w *cmsgWriter) add(level, typ int, data []byte) {
	free := len(w.buf) - w.n
	if free < cmsgHeader {
		w.truncated = true
		return
	}
	n := cmsgHeader + len(data)
	if n > free {
		w.truncated = true
		n = free
	}
	b := w.buf[w.n:]
	binary.NativeEndian.PutUint64(b, uint64(n))
	binary.NativeEndian.PutUint32(b[8:], uint32(level))
	binary.NativeEndian.PutUint32(b[12:], uint32(typ))
	copy(b[cmsgHeader:n], data)
	end := min((n+cmsgAlign-1)&^(cmsgAlign-1), free)
	clear(b[n:end])
	w.n += end
}

func (w *cmsgWriter) addInt(level, typ, v int) {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(v))
	w.add(level, typ, b[:])
}

// encodeControl puts what the socket asked to know of a datagram into oob.
func (s *socket) encodeControl(out *libos.Received, oob []byte, cm *tcpip.ReceivableControlMessages) {
	w := cmsgWriter{buf: oob}
	if s.stamp.Load() && cm.HasTimestamp {
		var b [sizeTimeval]byte
		binary.NativeEndian.PutUint64(b[:], uint64(cm.Timestamp.Unix()))
		binary.NativeEndian.PutUint64(b[8:], uint64(cm.Timestamp.Nanosecond()/1000))
		w.add(solSocket, soTimestamp, b[:])
	}
	if cm.HasTOS {
		w.add(solIP, ipTOS, []byte{cm.TOS})
	}
	if cm.HasTTL {
		w.addInt(solIP, ipTTL, int(cm.TTL))
	}
	if cm.HasTClass {
		w.addInt(solIPv6, ipv6Tclass, int(cm.TClass))
	}
	if cm.HasHopLimit {
		w.addInt(solIPv6, ipv6Hoplimit, int(cm.HopLimit))
	}
	if cm.HasIPPacketInfo {
		s.addPacketInfo(&w, &cm.PacketInfo)
	}
	if cm.HasIPv6PacketInfo {
		addPacketInfo6(&w, cm.IPv6PacketInfo.Addr, cm.IPv6PacketInfo.NIC)
	}
	out.OOBN = w.n
	if w.truncated {
		out.Flags |= msgCtrunc
	}
}

// addPacketInfo appends struct in_pktinfo (ip(7)), or in6_pktinfo on an IPv6
// socket that an IPv4 packet reached.
func (s *socket) addPacketInfo(w *cmsgWriter, p *tcpip.IPPacketInfo) {
	if s.family == afInet6 {
		addPacketInfo6(w, p.DestinationAddr, p.NIC)
		return
	}
	var b [12]byte
	binary.NativeEndian.PutUint32(b[:], uint32(p.NIC))
	copy(b[4:8], p.LocalAddr.AsSlice())
	copy(b[8:12], p.DestinationAddr.AsSlice())
	w.add(solIP, ipPktinfo, b[:])
}

// addPacketInfo6 appends struct in6_pktinfo (RFC 3542 section 6).
func addPacketInfo6(w *cmsgWriter, a tcpip.Address, nic tcpip.NICID) {
	var b [20]byte
	ip := encodeIP6(a)
	copy(b[:], ip[:])
	binary.NativeEndian.PutUint32(b[16:], uint32(nic))
	w.add(solIPv6, ipv6Pktinfo, b[:])
}

// decodeControl reads the ancillary data of a datagram to be sent.
func (s *socket) decodeControl(opts *tcpip.WriteOptions, oob []byte) libos.Errno {
	oob = bytes.Clone(oob) // it may lie on the caller's stack, see parts.go
	for len(oob) >= cmsgHeader {
		n := binary.NativeEndian.Uint64(oob)
		if n < cmsgHeader || n > uint64(len(oob)) {
			return libos.EINVAL
		}
		level, typ := getInt32(oob[8:]), getInt32(oob[12:])
		if e := s.applyControl(opts, int(level), int(typ), oob[cmsgHeader:n]); e != 0 {
			return e
		}
		oob = oob[min((n+cmsgAlign-1)&^(cmsgAlign-1), uint64(len(oob))):]
	}
	return 0
}

// applyControl applies one control message. Levels that are not the protocol's
// are skipped, as Linux skips them.
func (s *socket) applyControl(opts *tcpip.WriteOptions, level, typ int, data []byte) libos.Errno {
	cm := &opts.ControlMessages
	switch {
	case level == solIP && typ == ipTTL:
		v, e := getInt(solIP, data)
		if e != 0 || v < 1 || v > 255 {
			return libos.EINVAL
		}
		cm.HasTTL, cm.TTL = true, uint8(v)
	case level == solIPv6 && typ == ipv6Hoplimit:
		v, e := getInt(solIPv6, data)
		if e != 0 || v < -1 || v > 255 {
			return libos.EINVAL
		}
		cm.HasHopLimit, cm.HopLimit = v >= 0, uint8(max(v, 0))
	case level == solIP && typ == ipPktinfo:
		if len(data) < 12 {
			return libos.EINVAL
		}
		return s.sendFrom(opts, tcpip.NICID(getInt32(data)), data[4:8])
	case level == solIPv6 && typ == ipv6Pktinfo:
		if len(data) < 20 {
			return libos.EINVAL
		}
		return s.sendFrom6(opts, data)
	case level == solIP && typ == ipTOS, level == solIPv6 && typ == ipv6Tclass:
		// The stack has no field for it; the socket's own value is used.
	case level == solIP, level == solIPv6:
		return libos.EINVAL
	}
	return 0
}

// sendFrom applies IP_PKTINFO: the interface, and the source, which must be an
// address of ours; the stack chooses among those of the interface itself.
func (s *socket) sendFrom(opts *tcpip.WriteOptions, nic tcpip.NICID, source []byte) libos.Errno {
	if nic != 0 && opts.To != nil {
		opts.To.NIC = nic
	}
	a := tcpip.AddrFrom4Slice(source)
	if !a.Unspecified() && s.st.ip.CheckLocalAddress(nic, ipv4.ProtocolNumber, a) == 0 {
		return libos.ENETUNREACH
	}
	return 0
}

func (s *socket) sendFrom6(opts *tcpip.WriteOptions, data []byte) libos.Errno {
	nic := tcpip.NICID(getInt32(data[16:]))
	ip := [16]byte(data[:16])
	if isMapped(ip) {
		return s.sendFrom(opts, nic, ip[12:])
	}
	if nic != 0 && opts.To != nil {
		opts.To.NIC = nic
	}
	cm := &opts.ControlMessages
	cm.HasIPv6PacketInfo = true
	cm.IPv6PacketInfo = tcpip.IPv6PacketInfo{NIC: nic}
	if ip != ([16]byte{}) {
		cm.IPv6PacketInfo.Addr = tcpip.AddrFrom16(ip)
	}
	return 0
}

func isMapped(ip [16]byte) bool {
	return [12]byte(ip[:12]) == [12]byte{10: 0xff, 11: 0xff}
}
