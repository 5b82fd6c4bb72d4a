package usernet

import (
	"bytes"
	"encoding/binary"
	"math/rand"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// frameOf returns a frame of the guest's to the gateway's hardware address.
func frameOf(etherType uint16, packet []byte) []byte {
	f := append(append([]byte(nil), gatewayMAC...), guestMAC...)
	return append(binary.BigEndian.AppendUint16(f, etherType), packet...)
}

func ipv4Of(src, dst netip.Addr, proto byte, payload []byte) []byte {
	p := make([]byte, ipv4HdrSize, ipv4HdrSize+len(payload))
	p[0], p[8], p[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(p[2:], uint16(ipv4HdrSize+len(payload)))
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	return append(p, payload...)
}

func ipv6Of(src, dst netip.Addr, proto byte, payload []byte) []byte {
	p := make([]byte, ipv6HdrSize, ipv6HdrSize+len(payload))
	p[0], p[6], p[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(p[4:], uint16(len(payload)))
	copy(p[8:], src.AsSlice())
	copy(p[24:], dst.AsSlice())
	return append(p, payload...)
}

func arpOf(op uint16, sender, target netip.Addr) []byte {
	p := []byte{0, 1, 8, 0, 6, 4, 0, byte(op)}
	p = append(append(p, guestMAC...), sender.AsSlice()...)
	return append(append(p, 0, 0, 0, 0, 0, 0), target.AsSlice()...)
}

var (
	outside4 = netip.MustParseAddr("192.0.2.1")
	outside6 = netip.MustParseAddr("2001:db8::1")
	tcpSeg   = make([]byte, 20)
)

func solicit(target netip.Addr) []byte {
	return append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...)
}

func TestJudge(t *testing.T) {
	any4 := netip.AddrFrom4([4]byte{})
	echo4, echo6 := make([]byte, 8), make([]byte, 8)
	echo4[0], echo6[0] = 8, 128
	fragment := ipv4Of(guest4, outside4, protoICMP, echo4)
	fragment[6] = 0x20
	tcp4 := frameOf(0x0800, ipv4Of(guest4, outside4, protoTCP, tcpSeg))
	foreign := bytes.Clone(tcp4)
	foreign[0] = 0x06 // another station's
	csum := vnetHdr{flags: vnetNeedsCsum, csumStart: 34, csumOffset: 16}
	tso := vnetHdr{flags: vnetNeedsCsum, gsoType: gsoTCPv4, gsoSize: 1460, csumStart: 34, csumOffset: 16}
	with := func(h vnetHdr, f func(*vnetHdr)) vnetHdr { f(&h); return h }
	for name, tc := range map[string]struct {
		h     vnetHdr
		frame []byte
		size  int // if not the frame's
		want  verdict
	}{
		"tcp":                   {frame: tcp4, want: toStack},
		"csum":                  {h: csum, frame: tcp4, want: toStack},
		"tso":                   {h: tso, frame: tcp4, size: 60000, want: toStack},
		"tso with ecn":          {h: with(tso, func(h *vnetHdr) { h.gsoType |= gsoECN }), frame: tcp4, size: 60000, want: toStack},
		"tso over 64 KiB":       {h: tso, frame: tcp4, size: maxFrameSize + 1},
		"tso without csum":      {h: with(tso, func(h *vnetHdr) { h.flags = 0 }), frame: tcp4},
		"tso of size 0":         {h: with(tso, func(h *vnetHdr) { h.gsoSize = 0 }), frame: tcp4},
		"tso of udp":            {h: tso, frame: frameOf(0x0800, ipv4Of(guest4, outside4, protoUDP, tcpSeg))},
		"tso6 on IPv4":          {h: with(tso, func(h *vnetHdr) { h.gsoType = gsoTCPv6 }), frame: tcp4},
		"ufo":                   {h: with(tso, func(h *vnetHdr) { h.gsoType = 3 }), frame: tcp4},
		"csum in headers":       {h: with(csum, func(h *vnetHdr) { h.csumStart = 33 }), frame: tcp4},
		"csum past the end":     {h: with(csum, func(h *vnetHdr) { h.csumOffset = 19 }), frame: tcp4},
		"csum far past the end": {h: with(csum, func(h *vnetHdr) { h.csumStart = 0xffff; h.csumOffset = 0xffff }), frame: tcp4},
		"over the mtu":          {frame: tcp4, size: ethHdrSize + 1501},
		"at the mtu":            {frame: tcp4, size: ethHdrSize + 1500, want: toStack},
		"empty":                 {frame: nil},
		"short":                 {frame: tcp4[:13]},
		"short ip":              {frame: tcp4[:33]},
		"other station":         {frame: foreign},
		"unknown ethertype":     {frame: frameOf(0x88cc, tcpSeg)},
		"ip version":            {frame: frameOf(0x0800, ipv6Of(guest6, outside6, protoTCP, tcpSeg))},
		"spoofed gateway":       {frame: frameOf(0x0800, ipv4Of(gateway4, outside4, protoTCP, tcpSeg))},
		"spoofed outside":       {frame: frameOf(0x0800, ipv4Of(outside4, gateway4, protoTCP, tcpSeg))},
		"broadcast":             {frame: frameOf(0x0800, ipv4Of(guest4, netip.MustParseAddr("255.255.255.255"), protoUDP, tcpSeg))},
		"multicast":             {frame: frameOf(0x0800, ipv4Of(guest4, netip.MustParseAddr("224.0.0.1"), protoUDP, tcpSeg))},
		"ping gateway":          {frame: frameOf(0x0800, ipv4Of(guest4, gateway4, protoICMP, echo4)), want: toStack},
		"ping outside":          {frame: frameOf(0x0800, ipv4Of(guest4, outside4, protoICMP, echo4)), want: toPing},
		"ping fragment":         {frame: frameOf(0x0800, fragment)},
		"ping short":            {frame: frameOf(0x0800, ipv4Of(guest4, outside4, protoICMP, echo4[:7]))},
		"icmp redirect":         {frame: frameOf(0x0800, ipv4Of(guest4, outside4, protoICMP, []byte{5, 0, 0, 0, 0, 0, 0, 0}))},
		"icmp unreachable":      {frame: frameOf(0x0800, ipv4Of(guest4, outside4, protoICMP, []byte{3, 3, 0, 0, 0, 0, 0, 0})), want: toStack},
		"arp gateway":           {frame: frameOf(0x0806, arpOf(1, guest4, gateway4)), want: toStack},
		"arp dns":               {frame: frameOf(0x0806, arpOf(1, guest4, dns4)), want: toStack},
		"arp other":             {frame: frameOf(0x0806, arpOf(1, guest4, outside4))},
		"arp probe of its own":  {frame: frameOf(0x0806, arpOf(1, any4, guest4))},
		"arp reply":             {frame: frameOf(0x0806, arpOf(2, gateway4, gateway4))},
		"arp as the gateway":    {frame: frameOf(0x0806, arpOf(1, gateway4, dns4))},
		"arp short":             {frame: frameOf(0x0806, arpOf(1, guest4, gateway4)[:27])},
		"tcp6":                  {frame: frameOf(0x86dd, ipv6Of(guest6, outside6, protoTCP, tcpSeg)), want: toStack},
		"spoofed gateway 6":     {frame: frameOf(0x86dd, ipv6Of(gateway6, outside6, protoTCP, tcpSeg))},
		"ns gateway":            {frame: frameOf(0x86dd, ipv6Of(guest6, outside6, protoICMPv6, solicit(gateway6))), want: toStack},
		"ns other (DAD)":        {frame: frameOf(0x86dd, ipv6Of(netip.IPv6Unspecified(), outside6, protoICMPv6, solicit(guest6)))},
		"ping6 gateway":         {frame: frameOf(0x86dd, ipv6Of(guest6, gateway6, protoICMPv6, echo6)), want: toStack},
		"ping6 outside":         {frame: frameOf(0x86dd, ipv6Of(guest6, outside6, protoICMPv6, echo6)), want: toPing},
		"ping6 all nodes":       {frame: frameOf(0x86dd, ipv6Of(guest6, netip.MustParseAddr("ff02::1"), protoICMPv6, echo6))},
		"redirect6":             {frame: frameOf(0x86dd, ipv6Of(guest6, gateway6, protoICMPv6, []byte{137, 0, 0, 0, 0, 0, 0, 0}))},
	} {
		if tc.size == 0 {
			tc.size = len(tc.frame)
		}
		if got := judge(tc.h, tc.frame, tc.size, 1500); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

func TestHostAddr(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.2.2": "127.0.0.1", "fd74:6169:6c6f:72::2": "::1", // the host's loopback, by its proper name
		"192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::1", "10.0.3.1": "10.0.3.1", "::ffff:192.0.2.1": "192.0.2.1",
		"127.0.0.1": "", "127.9.9.9": "", "::1": "", "0.0.0.0": "", "0.1.2.3": "", "::": "", // the host, by others
		"::ffff:127.0.0.1": "", "::ffff:0.0.0.0": "", "::ffff:10.0.2.2": "",
		"10.0.2.3": "", "10.0.2.9": "", "fd74:6169:6c6f:72::3": "", "fd74:6169:6c6f:72::9": "",
		"224.0.0.1": "", "255.255.255.255": "", "240.0.0.1": "", "ff02::1": "", "fe80::1": "", "fe80::2": "",
	} {
		got := ""
		if a, ok := hostAddr(netip.MustParseAddr(in), true); ok {
			got = a.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	if _, ok := hostAddr(netip.Addr{}, true); ok {
		t.Error("the zero address is let through")
	}
}

// FuzzJudge checks the promises on which the rest relies: what is let through
// has a header and addresses that need no second look.
func FuzzJudge(f *testing.F) {
	f.Add([]byte{1, 1, 0, 0, 0xb4, 5, 34, 0, 16, 0, 1, 0}, frameOf(0x0800, ipv4Of(guest4, outside4, protoTCP, tcpSeg)), 60000)
	f.Add(make([]byte, 12), frameOf(0x0800, ipv4Of(guest4, outside4, protoICMP, []byte{8, 0, 0, 0, 0, 0, 0, 0})), 0)
	f.Add(make([]byte, 12), frameOf(0x86dd, ipv6Of(guest6, outside6, protoICMPv6, []byte{128, 0, 0, 0, 0, 0, 0, 0})), 0)
	f.Add(make([]byte, 12), frameOf(0x0806, arpOf(1, guest4, gateway4)), 0)
	f.Fuzz(func(t *testing.T, hdr, frame []byte, extra int) {
		if len(hdr) < vnetHdrSize {
			return
		}
		h := parseVnetHdr(hdr)
		size := len(frame) + max(0, extra%70000)
		v := judge(h, frame[:min(len(frame), headSize)], size, 1500)
		if v == drop {
			return
		}
		if h.flags&vnetNeedsCsum != 0 && int(h.csumStart)+int(h.csumOffset)+2 > size {
			t.Error("checksum outside the frame")
		}
		if size > maxFrameSize || h.gsoType == gsoNone && size > ethHdrSize+1500 || h.gsoType != gsoNone && h.gsoSize == 0 {
			t.Errorf("header %+v for %d bytes", h, size)
		}
		if v == toPing && size == len(frame) {
			if e, ok := parseEcho(frame); ok && (len(e.msg) < 8 || ours(e.src) || ours(e.dst)) {
				t.Errorf("echo %+v", e)
			}
		}
		var back [vnetHdrSize]byte
		h.put(back[:])
		if parseVnetHdr(back[:]) != h {
			t.Error("put and parse differ")
		}
	})
}

// TestHostileGuest sends broken messages on the wire; the network must still
// serve afterwards.
func TestHostileGuest(t *testing.T) {
	n := networkOnly(t, Config{})
	r := rand.New(rand.NewSource(1))
	fd := n.GuestFD()
	send := func(msg []byte) {
		for {
			if _, err := unix.Write(fd, msg); err != unix.EAGAIN {
				return
			}
			unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 100)
		}
	}
	seeds := [][]byte{
		frameOf(0x0800, ipv4Of(guest4, outside4, protoTCP, tcpSeg)),
		frameOf(0x0800, ipv4Of(guest4, gateway4, protoUDP, make([]byte, 30))),
		frameOf(0x0800, ipv4Of(guest4, outside4, protoICMP, append([]byte{3, 4, 0, 0, 0, 0, 0, 9}, ipv4Of(outside4, guest4, protoTCP, tcpSeg)...))),
		frameOf(0x86dd, ipv6Of(guest6, gateway6, 0, make([]byte, 60))),
		frameOf(0x86dd, ipv6Of(guest6, gateway6, 44, make([]byte, 60))),
		frameOf(0x86dd, ipv6Of(guest6, outside6, protoICMPv6, solicit(gateway6))),
		frameOf(0x0806, arpOf(1, guest4, gateway4)),
	}
	for range 20000 {
		msg := append(make([]byte, vnetHdrSize), seeds[r.Intn(len(seeds))]...)
		for range r.Intn(4) {
			msg[vnetHdrSize+12+r.Intn(len(msg)-vnetHdrSize-12)] = byte(r.Int())
		}
		if r.Intn(4) == 0 {
			r.Read(msg[:vnetHdrSize])
		}
		send(msg[:1+r.Intn(len(msg))])
		if r.Intn(2) == 0 {
			send(msg)
		}
	}
	send(make([]byte, 66000))
	big := make([]byte, vnetHdrSize+headSize+bodySize) // fills the buffers to the last byte
	copy(big, []byte{1, 1, 0, 0, 0xb4, 5, 34, 0, 16, 0})
	copy(big[vnetHdrSize:], seeds[0])
	send(big)
	// Throw away what was answered, then be a good guest.
	time.Sleep(50 * time.Millisecond)
	for buf := make([]byte, 70000); ; {
		if _, err := unix.Read(fd, buf); err == unix.EAGAIN {
			break
		}
	}
	g := newGuest(t, n, false)
	if err := roundTrip(g.dial(t, gw(hostTCP(t, "127.0.0.1:0", echoConn))), []byte("still there")); err != nil {
		t.Error(err)
	}
}

// TestBareEmpty: an empty frame is no end of the wire.
func TestBareEmpty(t *testing.T) {
	n, g := network(t, Config{Bare: true})
	if _, err := unix.Write(n.GuestFD(), nil); err != nil {
		t.Fatal(err)
	}
	if !g.ping(t, gateway4, 2*time.Second) {
		t.Error("no answer after an empty frame")
	}
}

// TestGuestNotReading: a guest that sends and never reads holds a bounded
// amount of memory and blocks nothing.
func TestGuestNotReading(t *testing.T) {
	n := networkOnly(t, Config{})
	fd := n.GuestFD()
	e := make([]byte, 1000)
	e[0] = 8
	msg := append(make([]byte, vnetHdrSize), frameOf(0x0800, ipv4Of(guest4, gateway4, protoICMP, e))...)
	// The stack checks the message's own checksum.
	_, good := ipPacket(guest4, gateway4, e)
	copy(msg[vnetHdrSize+ethHdrSize:], good)
	for range 20000 {
		for unix.EAGAIN == func() error { _, err := unix.Write(fd, msg); return err }() {
			unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 1000)
		}
	}
	n.link.txMu.Lock()
	defer n.link.txMu.Unlock()
	if n.link.queued > maxQueued {
		t.Errorf("%d bytes queued", n.link.queued)
	}
	if n.link.queued < maxQueued/2 {
		t.Errorf("only %d bytes queued: does this test still fill it?", n.link.queued)
	}
}

// TestHalfHandshake has guests that send a SYN and nothing more: closing must
// not wait for them.
func TestHalfHandshake(t *testing.T) {
	accepted := make(chan bool, 100)
	port := hostTCP(t, "127.0.0.1:0", func(c *net.TCPConn) {
		accepted <- true
		c.Read(make([]byte, 1))
	})
	before := resources()
	n, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	const count = 50
	for i := range count {
		syn := make([]byte, 20)
		binary.BigEndian.PutUint16(syn, uint16(2000+i))
		binary.BigEndian.PutUint16(syn[2:], port)
		syn[12], syn[13], syn[14] = 5<<4, 2, 0xff
		_, p := ipPacket(guest4, gateway4, make([]byte, 20)) // for a good IP header
		p[9] = protoTCP
		header.IPv4(p).SetChecksum(0)
		header.IPv4(p).SetChecksum(^header.IPv4(p).CalculateChecksum())
		copy(p[ipv4HdrSize:], syn)
		if _, err := unix.Write(n.GuestFD(), append(make([]byte, vnetHdrSize), frameOf(0x0800, p)...)); err != nil {
			t.Fatal(err)
		}
	}
	for range count {
		select {
		case <-accepted:
		case <-time.After(5 * time.Second):
			t.Fatal("a SYN led to no connection")
		}
	}
	began := time.Now()
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("close took %v", d)
	}
	leftBehind(t, before)
}
