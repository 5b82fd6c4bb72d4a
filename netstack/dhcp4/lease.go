package dhcp4

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/tailor-os/tailor/netstack/dhcpwire"
)

// Forever is the duration of a lease that does not end.
const Forever = time.Duration(1<<63 - 1)

// Bounds of what a lease is believed to say. A shorter one than minLease would
// keep client and server busy with each other.
const (
	minLease  = 5 * time.Second
	maxAddrs  = 8
	maxRoutes = 32
)

// A Route is a way to a network.
type Route struct {
	To  netip.Prefix
	Via netip.Addr // invalid: the network is on the link
}

// A Lease is what a server gives. What it does not say is zero. Every address is
// one that a machine can have, and every name one that may stand in a file.
type Lease struct {
	Addr     netip.Prefix
	Server   netip.Addr
	Routes   []Route
	DNS      []netip.Addr
	NTP      []netip.Addr // time servers
	Hostname string
	Domain   string
	Search   []string
	MTU      int // bytes

	// Counted from when it was asked for: it ends after Duration; from T1 on its
	// server, from T2 on any is asked to renew it (RFC 2131 section 4.4.5).
	Duration, T1, T2 time.Duration
}

// lease reads what an OFFER or ACK says. It reports false if that is no lease
// that could be used.
func (m message) lease() (l Lease, ok bool) {
	addr, server := netip.AddrFrom4(m.yours()), netip.AddrFrom4(m.four(optServer))
	bits := maskBits(m.option(optMask), addr)
	if !isHost(addr) || !isHost(server) || bits == 0 {
		return l, false
	}
	l.Addr, l.Server = netip.PrefixFrom(addr, bits), server
	if !l.times(m) {
		return l, false
	}
	l.DNS, l.NTP = addrs(m.option(optDNS)), addrs(m.option(optNTP))
	l.Hostname, l.Domain = dhcpwire.Name(m.option(optHostname)), dhcpwire.Name(m.option(optDomain))
	l.Search = dhcpwire.Names(m.option(optSearch))
	if v := m.option(optMTU); len(v) == 2 {
		l.MTU = int(binary.BigEndian.Uint16(v))
	}
	l.routes(m)
	return l, true
}

// times reads the durations; T1 and T2 are put right if they make no sense.
func (l *Lease) times(m message) bool {
	l.Duration = m.seconds(optLease)
	if l.Duration < minLease {
		return false
	}
	if l.Duration == Forever {
		l.T1, l.T2 = Forever, Forever
		return true
	}
	l.T1, l.T2 = m.seconds(optT1), m.seconds(optT2)
	if l.T2 <= 0 || l.T2 >= l.Duration {
		l.T2 = l.Duration / 8 * 7
	}
	if l.T1 <= 0 || l.T1 >= l.T2 {
		if l.T1 = l.Duration / 2; l.T1 >= l.T2 {
			l.T1 = l.T2 / 2
		}
	}
	return true
}

// seconds returns an option that is a time, 0 if it is not there.
func (m message) seconds(code byte) time.Duration {
	v := m.four(code)
	n := binary.BigEndian.Uint32(v[:])
	if n == 1<<32-1 {
		return Forever
	}
	return time.Duration(n) * time.Second
}

// routes reads the routes: classless ones if there are any, else the first
// router is the way to everywhere (RFC 3442).
func (l *Lease) routes(m message) {
	if v := m.option(optClassless); v != nil {
		if l.classless(v) {
			return
		}
		l.Routes = nil
	}
	if via := addrs(m.option(optRouter)); len(via) > 0 {
		l.Routes = []Route{{To: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Via: via[0]}}
	}
}

// classless reads option 121: for each route the length of the network's
// prefix, as many bytes of it as that needs, and the router. Routes to what is
// not the network's to give are left out.
func (l *Lease) classless(b []byte) bool {
	for len(b) > 0 {
		bits := int(b[0])
		n := (bits + 7) / 8
		if bits > 32 || len(b) < 1+n+4 {
			return false
		}
		var to [4]byte
		copy(to[:], b[1:1+n])
		r := Route{To: netip.PrefixFrom(netip.AddrFrom4(to), bits).Masked(), Via: netip.AddrFrom4([4]byte(b[1+n:]))}
		b = b[1+n+4:]
		if r.Via.IsUnspecified() {
			r.Via = netip.Addr{}
		}
		if to[0] != 127 && to[0] < 224 && (!r.Via.IsValid() || isHost(r.Via)) && len(l.Routes) < maxRoutes {
			l.Routes = append(l.Routes, r)
		}
	}
	return true
}

// maskBits returns the length of a subnet mask's prefix, 0 if it is none.
// Without a mask it is what the address's class says (RFC 791 section 2.3).
func maskBits(mask []byte, addr netip.Addr) int {
	if mask == nil {
		switch b := addr.As4()[0]; {
		case b < 128:
			return 8
		case b < 192:
			return 16
		}
		return 24
	}
	if len(mask) != 4 {
		return 0
	}
	m, n := binary.BigEndian.Uint32(mask), 0
	for ; m&(1<<31) != 0; m <<= 1 {
		n++
	}
	if m != 0 {
		return 0
	}
	return n
}

// isHost reports whether a is an address that one machine can have.
func isHost(a netip.Addr) bool {
	b := a.As4()[0]
	return b != 0 && b != 127 && b < 224
}

// addrs reads a list of addresses, the first few of it.
func addrs(b []byte) (list []netip.Addr) {
	for ; len(b) >= 4 && len(list) < maxAddrs; b = b[4:] {
		if a := netip.AddrFrom4([4]byte(b)); isHost(a) {
			list = append(list, a)
		}
	}
	return list
}
