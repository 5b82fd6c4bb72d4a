package netstack

import (
	"sync/atomic"

	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/netdev"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A Device is a network card; [netdev.Device] is the one there is.
type Device interface {
	// MAC returns the Ethernet address.
	MAC() [6]byte
	// MTU returns the largest IP packet in bytes.
	MTU() int
	// TSO reports whether the device cuts TCP packets of up to 64 KiB, over
	// IPv4 and IPv6, into segments and completes checksums.
	TSO() bool
	// Send transmits a packet without blocking; false if it was dropped.
	Send(netdev.Packet) bool
	// Backlog returns how many packets were sent that are not on their way yet.
	Backlog() int
	// Run starts to receive.
	Run(netdev.Receiver) error
}

// maxGSO is the size in bytes of the largest TCP packet given to a device that
// segments: what an IP packet's length field can say.
const maxGSO = 65535

// A link is a Device as the stack sees it: an Ethernet link endpoint.
//
// Checksum offload on transmission is not declared to the stack: that would
// make it send SYNs, UDP and fragments with no checksum at all. It computes
// checksums itself, except for TCP data when the device does TSO; that it marks
// in the packet, with the pseudo-header's sum in place (see [txPacket.Header]).
type link struct {
	dev        Device
	mtu        atomic.Uint32
	mac        tcpip.LinkAddress
	dispatcher atomic.Pointer[stack.NetworkDispatcher]
	// validated is whether the packet being delivered needs no checksum
	// verification. The stack asks for that as a capability of the link, on
	// the goroutine that delivers, so the answer may differ from packet to
	// packet.
	validated atomic.Bool
	// hear, if it is there, is shown each packet for this machine before the
	// stack, and reports whether the stack needs not see it.
	hear atomic.Pointer[func(pkt *stack.PacketBuffer, validated bool) bool]
}

func newLink(dev Device, mtu int) *link {
	mac := dev.MAC()
	l := &link{dev: dev, mac: tcpip.LinkAddress(mac[:])}
	l.mtu.Store(uint32(mtu))
	return l
}

// MTU implements [stack.LinkEndpoint].
func (l *link) MTU() uint32 { return l.mtu.Load() }

// SetMTU implements [stack.LinkEndpoint].
func (l *link) SetMTU(mtu uint32) { l.mtu.Store(mtu) }

// MaxHeaderLength implements [stack.LinkEndpoint]: the headers of Ethernet and
// virtio are built in front of the packet, in one piece with its own.
func (l *link) MaxHeaderLength() uint16 { return virtio.NetHdrLen + header.EthernetMinimumSize }

// LinkAddress implements [stack.LinkEndpoint].
func (l *link) LinkAddress() tcpip.LinkAddress { return l.mac }

// SetLinkAddress implements [stack.LinkEndpoint]; the address is the device's.
func (l *link) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements [stack.LinkEndpoint].
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	if l.validated.Load() {
		return stack.CapabilityResolutionRequired | stack.CapabilityRXChecksumOffload
	}
	return stack.CapabilityResolutionRequired
}

// GSOMaxSize implements [stack.GSOEndpoint].
func (l *link) GSOMaxSize() uint32 { return maxGSO }

// SupportedGSO implements [stack.GSOEndpoint]. Without help from the device,
// the stack still sends batches of segments through its layers as one.
func (l *link) SupportedGSO() stack.SupportedGSO {
	if l.dev.TSO() {
		return stack.HostGSOSupported
	}
	return stack.GVisorGSOSupported
}

// Attach implements [stack.LinkEndpoint].
func (l *link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.dispatcher.Store(nil)
		return
	}
	l.dispatcher.Store(&d)
}

// IsAttached implements [stack.LinkEndpoint].
func (l *link) IsAttached() bool { return l.dispatcher.Load() != nil }

// Wait implements [stack.LinkEndpoint].
func (l *link) Wait() {}

// Close implements [stack.LinkEndpoint].
func (l *link) Close() {}

// SetOnCloseAction implements [stack.LinkEndpoint].
func (l *link) SetOnCloseAction(func()) {}

// ARPHardwareType implements [stack.LinkEndpoint].
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader implements [stack.LinkEndpoint].
func (l *link) AddHeader(pkt *stack.PacketBuffer) {
	eth := header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize))
	eth.Encode(&header.EthernetFields{
		SrcAddr: l.mac,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

// ParseHeader implements [stack.LinkEndpoint].
func (l *link) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(header.EthernetMinimumSize)
	return ok
}

// WritePackets implements [stack.LinkEndpoint].
func (l *link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	n := 0
	for _, pkt := range pkts.AsSlice() {
		pkt.VirtioNetHeader().Push(virtio.NetHdrLen)
		if !l.dev.Send(txPacket{pkt}) {
			return n, &tcpip.ErrNoBufferSpace{}
		}
		n++
	}
	return n, nil
}

// receive is the device's [netdev.Receiver].
func (l *link) receive(buf buffer.Buffer, validated bool) {
	d := l.dispatcher.Load()
	if d == nil {
		buf.Release()
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buf})
	defer pkt.DecRef()
	if !l.ParseHeader(pkt) {
		return
	}
	eth := header.Ethernet(pkt.LinkHeader().Slice())
	if pkt.PktType = l.packetType(eth.DestinationAddress()); pkt.PktType == tcpip.PacketOtherHost {
		return
	}
	proto := eth.Type()
	pkt.NetworkProtocolNumber = proto
	if hear := l.hear.Load(); hear != nil && (*hear)(pkt, validated) {
		return
	}
	l.validated.Store(validated && ipHeaderValid(proto, pkt))
	(*d).DeliverNetworkPacket(proto, pkt)
}

func (l *link) packetType(dst tcpip.LinkAddress) tcpip.PacketType {
	switch {
	case dst == l.mac:
		return tcpip.PacketHost
	case dst == header.EthernetBroadcastAddress:
		return tcpip.PacketBroadcast
	case header.IsMulticastEthernetAddress(dst):
		return tcpip.PacketMulticast
	}
	return tcpip.PacketOtherHost
}

// ipHeaderValid verifies the checksum of an IPv4 header, which a device does
// not vouch for, but which the stack skips together with the transport's.
func ipHeaderValid(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) bool {
	if proto != header.IPv4ProtocolNumber {
		return true
	}
	b, ok := pkt.Data().PullUp(header.IPv4MinimumSize)
	if !ok {
		return false
	}
	if n := int(header.IPv4(b).HeaderLength()); n != len(b) {
		if b, ok = pkt.Data().PullUp(n); !ok || n < header.IPv4MinimumSize {
			return false
		}
	}
	return header.IPv4(b).IsChecksumValid()
}

// A txPacket is a packet of the stack as the driver sees it. It is as large as
// a pointer, so that it becomes an interface without an allocation.
type txPacket struct{ pkt *stack.PacketBuffer }

// Parts implements [netdev.Packet].
func (t txPacket) Parts(dst [][]byte) [][]byte {
	views, skip := t.pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		dst = append(dst, b[skip:])
		skip = 0
	}
	return dst
}

// Header implements [netdev.Packet].
func (t txPacket) Header() (h virtio.NetHdr) {
	gso := &t.pkt.GSOOptions
	if gso.Type != stack.GSOTCPv4 && gso.Type != stack.GSOTCPv6 || !gso.NeedsCsum {
		return h
	}
	l3 := header.EthernetMinimumSize + len(t.pkt.NetworkHeader().Slice())
	h.Flags = virtio.NetHdrNeedsCsum
	h.CsumStart = uint16(l3)
	h.CsumOffset = gso.CsumOffset
	h.HdrLen = uint16(l3 + len(t.pkt.TransportHeader().Slice()))
	if t.pkt.Data().Size() <= int(gso.MSS) {
		return h
	}
	h.GSOSize = gso.MSS
	h.GSOType = virtio.GSOTCPv4
	if gso.Type == stack.GSOTCPv6 {
		h.GSOType = virtio.GSOTCPv6
	}
	return h
}

// Keep implements [netdev.Packet].
func (t txPacket) Keep() netdev.Packet { return txPacket{t.pkt.IncRef()} }

// Hold implements [netdev.Packet]. A datagram counts against its socket's send
// buffer until it is released, which while nothing else is sent may be never;
// a clone of it holds the same memory and does not count.
func (t txPacket) Hold() netdev.Packet {
	if t.pkt.TransportProtocolNumber == header.TCPProtocolNumber {
		return t.Keep()
	}
	return txPacket{t.pkt.Clone()}
}

// Release implements [netdev.Packet].
func (t txPacket) Release() { t.pkt.DecRef() }
