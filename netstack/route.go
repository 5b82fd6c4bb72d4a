package netstack

import (
	"encoding/binary"
	"slices"

	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Attributes and values of NETLINK_ROUTE, include/uapi/linux/{rtnetlink,
// if_link,if_addr,if}.h.
const (
	iflaAddress   = 1
	iflaBroadcast = 2
	iflaIfname    = 3
	iflaMTU       = 4

	ifaAddress   = 1
	ifaLocal     = 2
	ifaLabel     = 3
	ifaBroadcast = 4
	ifaFlags     = 8

	rtaDst     = 1
	rtaOif     = 4
	rtaGateway = 5
	rtaTable   = 15

	iffUp        = 0x1
	iffBroadcast = 0x2
	iffLoopback  = 0x8
	iffRunning   = 0x40
	iffMulticast = 0x1000
	iffLowerUp   = 0x10000

	arphrdEther    = 1
	arphrdLoopback = 772

	ifaFlagPermanent = 0x80
	scopeUniverse    = 0
	scopeLink        = 253
	scopeHost        = 254
	tableMain        = 254
	routeBoot        = 3 // RTPROT_BOOT
	routeUnicast     = 1 // RTN_UNICAST
)

func align4(n int) int { return (n + 3) &^ 3 }

// A netlinkWriter builds messages, packed into datagrams.
type netlinkWriter struct {
	seq, port uint32
	done      [][]byte
	buf       []byte
	start     int // of the message being built
}

// begin starts a message.
func (w *netlinkWriter) begin(typ, flags uint16) {
	w.start = len(w.buf)
	w.buf = append(w.buf, make([]byte, nlmsgHeader)...)
	b := w.buf[w.start:]
	binary.NativeEndian.PutUint16(b[4:], typ)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[8:], w.seq)
	binary.NativeEndian.PutUint32(b[12:], w.port)
}

// end finishes it; if it makes the datagram too long, it starts the next one.
func (w *netlinkWriter) end() {
	binary.NativeEndian.PutUint32(w.buf[w.start:], uint32(len(w.buf)-w.start))
	w.pad()
	if len(w.buf) > maxNetlinkDatagram && w.start > 0 {
		msg := slices.Clone(w.buf[w.start:])
		w.done = append(w.done, w.buf[:w.start])
		w.buf = msg
	}
}

// datagrams returns all that was written.
func (w *netlinkWriter) datagrams() [][]byte { return append(w.done, w.buf) }

func (w *netlinkWriter) pad() {
	for len(w.buf)%4 != 0 {
		w.buf = append(w.buf, 0)
	}
}

func (w *netlinkWriter) put(b ...byte)  { w.buf = append(w.buf, b...) }
func (w *netlinkWriter) put16(v uint16) { w.buf = binary.NativeEndian.AppendUint16(w.buf, v) }
func (w *netlinkWriter) put32(v uint32) { w.buf = binary.NativeEndian.AppendUint32(w.buf, v) }

// attr appends an attribute.
func (w *netlinkWriter) attr(typ uint16, value []byte) {
	w.put16(uint16(4 + len(value)))
	w.put16(typ)
	w.put(value...)
	w.pad()
}

func (w *netlinkWriter) attr32(typ uint16, v uint32) {
	w.attr(typ, binary.NativeEndian.AppendUint32(nil, v))
}

// fail answers a request with an error.
func (w *netlinkWriter) fail(e libos.Errno, req []byte) {
	w.begin(nlmsgError, 0)
	w.put32(uint32(-int32(e)))
	w.put(req[:nlmsgHeader]...)
	w.end()
}

// A nic is an interface and its index.
type nic struct {
	id tcpip.NICID
	stack.NICInfo
}

// interfaces returns the interfaces in the order of their indexes. There are
// few: package slices' sorting of so large a type would be 50 KB of the image.
func (s *Stack) interfaces() []nic {
	var nics []nic
	for id, info := range s.ip.NICInfo() {
		nics = append(nics, nic{id, info})
		for i := len(nics) - 1; i > 0 && nics[i-1].id > nics[i].id; i-- {
			nics[i-1], nics[i] = nics[i], nics[i-1]
		}
	}
	return nics
}

func (n *nic) flags() (f uint32) {
	f = iffBroadcast | iffMulticast
	if n.Flags.Loopback {
		f = iffLoopback
	}
	if n.Flags.Up {
		f |= iffUp | iffLowerUp
	}
	if n.Flags.Running {
		f |= iffRunning
	}
	return f
}

func (n *nic) hardware() (typ uint16, addr, broadcast []byte) {
	if n.Flags.Loopback {
		return arphrdLoopback, make([]byte, 6), make([]byte, 6)
	}
	return arphrdEther, []byte(n.LinkAddress), []byte(header.EthernetBroadcastAddress)
}

// dumpLinks writes struct ifinfomsg and attributes of each interface.
func (s *Stack) dumpLinks(w *netlinkWriter) {
	for _, n := range s.interfaces() {
		typ, addr, broadcast := n.hardware()
		w.begin(rtmNewLink, nlmFlagMulti)
		w.put(afUnspec, 0)
		w.put16(typ)
		w.put32(uint32(n.id))
		w.put32(n.flags())
		w.put32(0) // ifi_change
		w.attr(iflaIfname, append([]byte(n.Name), 0))
		w.attr32(iflaMTU, n.MTU)
		w.attr(iflaAddress, addr)
		w.attr(iflaBroadcast, broadcast)
		w.end()
	}
}

// dumpAddrs writes struct ifaddrmsg and attributes of each address.
func (s *Stack) dumpAddrs(w *netlinkWriter, family int) {
	for _, n := range s.interfaces() {
		for _, a := range n.ProtocolAddresses {
			f := addressFamily(a.AddressWithPrefix.Address)
			if a.Protocol == arp.ProtocolNumber || family != afUnspec && family != f {
				continue
			}
			n.dumpAddr(w, f, a.AddressWithPrefix)
		}
	}
}

func (n *nic) dumpAddr(w *netlinkWriter, family int, a tcpip.AddressWithPrefix) {
	w.begin(rtmNewAddr, nlmFlagMulti)
	w.put(byte(family), byte(a.PrefixLen), ifaFlagPermanent, addressScope(a.Address))
	w.put32(uint32(n.id))
	ip := a.Address.AsSlice()
	w.attr(ifaAddress, ip)
	if family == afInet {
		w.attr(ifaLocal, ip)
		if !n.Flags.Loopback && a.PrefixLen < 31 {
			b := a.Subnet()
			broadcast := b.Broadcast()
			w.attr(ifaBroadcast, broadcast.AsSlice())
		}
		w.attr(ifaLabel, append([]byte(n.Name), 0))
	}
	w.attr32(ifaFlags, ifaFlagPermanent)
	w.end()
}

func addressFamily(a tcpip.Address) int {
	if a.Len() == header.IPv4AddressSize {
		return afInet
	}
	return afInet6
}

func addressScope(a tcpip.Address) byte {
	switch {
	case isLoopback(a):
		return scopeHost
	case header.IsV6LinkLocalUnicastAddress(a), header.IsV4LinkLocalUnicastAddress(a):
		return scopeLink
	}
	return scopeUniverse
}

// dumpRoutes writes struct rtmsg and attributes of each route.
func (s *Stack) dumpRoutes(w *netlinkWriter, family int) {
	for _, r := range s.ip.GetRouteTable() {
		dst := r.Destination.ID()
		f := addressFamily(dst)
		if family != afUnspec && family != f {
			continue
		}
		scope := byte(scopeLink)
		if r.Gateway.Len() != 0 {
			scope = scopeUniverse
		}
		w.begin(rtmNewRoute, nlmFlagMulti)
		w.put(byte(f), byte(r.Destination.Prefix()), 0, 0, tableMain, routeBoot, scope, routeUnicast)
		w.put32(0) // rtm_flags
		w.attr32(rtaTable, tableMain)
		if r.Destination.Prefix() > 0 {
			w.attr(rtaDst, dst.AsSlice())
		}
		if r.Gateway.Len() != 0 {
			w.attr(rtaGateway, r.Gateway.AsSlice())
		}
		w.attr32(rtaOif, uint32(r.NIC))
		w.end()
	}
}
