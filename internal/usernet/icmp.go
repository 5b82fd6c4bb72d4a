package usernet

import (
	"encoding/binary"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
)

// pingIdle is how long the socket of an echo request waits for answers.
const pingIdle = 10 * time.Second

// ipPacket returns an IP packet with an ICMP message, whose checksum is filled
// in, and the EtherType for it. Both addresses are of one family.
func ipPacket(src, dst netip.Addr, icmp []byte) (etherType uint16, packet []byte) {
	binary.BigEndian.PutUint16(icmp[2:], 0)
	if src.Is4() {
		binary.BigEndian.PutUint16(icmp[2:], ^checksum.Checksum(icmp, 0))
		p := make([]byte, ipv4HdrSize, ipv4HdrSize+len(icmp))
		ip := header.IPv4(p)
		ip.Encode(&header.IPv4Fields{TotalLength: uint16(ipv4HdrSize + len(icmp)), TTL: 64, Protocol: protoICMP,
			SrcAddr: toTCPIP(src), DstAddr: toTCPIP(dst)})
		ip.SetChecksum(^ip.CalculateChecksum())
		return etherIPv4, append(p, icmp...)
	}
	sum := header.PseudoHeaderChecksum(header.ICMPv6ProtocolNumber, toTCPIP(src), toTCPIP(dst), uint16(len(icmp)))
	binary.BigEndian.PutUint16(icmp[2:], ^checksum.Checksum(icmp, sum))
	p := make([]byte, ipv6HdrSize, ipv6HdrSize+len(icmp))
	header.IPv6(p).Encode(&header.IPv6Fields{PayloadLength: uint16(len(icmp)), TransportProtocol: header.ICMPv6ProtocolNumber,
		HopLimit: 64, SrcAddr: toTCPIP(src), DstAddr: toTCPIP(dst)})
	return etherIPv6, append(p, icmp...)
}

// unreachable tells the guest that nothing listens where a flow of its
// datagrams went (RFC 792; RFC 4443 section 3.1).
func (n *Network) unreachable(k flowKey) {
	// The message quotes the datagram's headers, of which only the addresses
	// and ports are still known; they are what the receiver goes by.
	icmp := []byte{3, 3, 0, 0, 0, 0, 0, 0} // destination unreachable, port
	src, dst := k.src.Addr(), k.dst.Addr()
	var quoted []byte
	if src.Is4() {
		ip := make(header.IPv4, ipv4HdrSize)
		ip.Encode(&header.IPv4Fields{TotalLength: ipv4HdrSize + 8, TTL: 64, Protocol: protoUDP, SrcAddr: toTCPIP(src), DstAddr: toTCPIP(dst)})
		ip.SetChecksum(^ip.CalculateChecksum())
		quoted = ip
	} else {
		icmp[0], icmp[1] = 1, 4
		ip := make(header.IPv6, ipv6HdrSize)
		ip.Encode(&header.IPv6Fields{PayloadLength: 8, TransportProtocol: header.UDPProtocolNumber, HopLimit: 64, SrcAddr: toTCPIP(src), DstAddr: toTCPIP(dst)})
		quoted = ip
	}
	udp := binary.BigEndian.AppendUint16(quoted, k.src.Port())
	udp = binary.BigEndian.AppendUint16(udp, k.dst.Port())
	udp = append(udp, 0, 8, 0, 0)
	n.link.sendIP(ipPacket(dst, src, append(icmp, udp...)))
}

// echo is an echo request.
type echo struct {
	src, dst netip.Addr
	msg      []byte // from the ICMP header on
}

// parseEcho takes an echo request out of a frame that judge let through. ok is
// false if its lengths do not fit the frame.
func parseEcho(frame []byte) (e echo, ok bool) {
	p := frame[ethHdrSize:]
	hdr, end := ipv6HdrSize, 0
	if p[0]>>4 == 4 {
		hdr, end = int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
		e.src, e.dst = netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	} else {
		end = ipv6HdrSize + int(binary.BigEndian.Uint16(p[4:]))
		e.src, e.dst = netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
	}
	if end > len(p) || end < hdr+8 {
		return e, false
	}
	e.msg = p[hdr:end]
	return e, true
}

// handlePing passes an echo request on by an unprivileged ping socket. It runs
// on the link's reader.
func (n *Network) handlePing(frame []byte) {
	e, ok := parseEcho(frame)
	if !ok {
		return
	}
	to, ok := hostAddr(e.dst, !n.cfg.NoHostLoopback)
	if !ok || to.Is4() != e.dst.Is4() {
		return
	}
	id := binary.BigEndian.Uint16(e.msg[4:])
	key := flowKey{src: netip.AddrPortFrom(e.src, id), dst: netip.AddrPortFrom(e.dst, 0)}
	f := n.pings.get(key)
	if f == nil {
		sock, err := pingSocket(to)
		if err != nil {
			n.logOnce("ping", "usernet: echo requests to the outside are dropped: the host does not allow ping sockets (%v); to allow them: sudo sysctl net.ipv4.ping_group_range='0 2147483647'", err)
			return
		}
		if f = n.newPing(key, sock); f == nil {
			return
		}
	}
	f.touch()
	f.send(e.msg)
}

// pingSocket returns a socket that sends ICMP echo requests to one address
// and receives the answers (icmp(7)). The kernel chooses the identifier.
func pingSocket(to netip.Addr) (*os.File, error) {
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	var sa unix.Sockaddr
	if to.Is4() {
		sa = &unix.SockaddrInet4{Addr: to.As4()}
	} else {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
		sa = &unix.SockaddrInet6{Addr: to.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, sa); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "ping"), nil
}

func (n *Network) newPing(key flowKey, sock *os.File) *flow {
	f := newFlow(key, func() { sock.Close() })
	f.send = func(p []byte) { sock.Write(p) }
	if !n.track(f) {
		return nil
	}
	n.pings.add(f)
	if !n.spawn(func() {
		n.pingReplies(f, sock)
		f.Close()
		n.pings.remove(f)
		n.untrack(f)
	}) {
		return nil
	}
	return f
}

// pingReplies passes the answers to the guest until none came for a while.
func (n *Network) pingReplies(f *flow, sock *os.File) {
	buf := make([]byte, n.cfg.MTU)
	want := byte(0)
	if f.key.dst.Addr().Is6() {
		want = 129
	}
	for {
		sock.SetReadDeadline(time.Now().Add(pingIdle))
		size, err := sock.Read(buf[:int(n.cfg.MTU)-ipv6HdrSize])
		if err != nil {
			return
		}
		if size < 8 || buf[0] != want {
			continue
		}
		binary.BigEndian.PutUint16(buf[4:], f.key.src.Port()) // the guest's own identifier
		n.link.sendIP(ipPacket(f.key.dst.Addr(), f.key.src.Addr(), buf[:size]))
	}
}
