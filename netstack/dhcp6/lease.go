package dhcp6

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/tailor-os/tailor/netstack/dhcpwire"
)

// Forever is the duration of a lease that does not end.
const Forever = time.Duration(1<<63 - 1)

// Bounds of what a server is believed to say. A shorter lease than minLease would
// keep client and server busy with each other.
const (
	minLease   = 5 * time.Second
	maxAddrs   = 4 // of the machine
	maxServers = 8 // of each kind
)

// Bounds of how long information counts (RFC 9915 section 21.23), and how long it
// does if the server does not say.
const (
	minRefresh = 10 * time.Minute
	maxRefresh = 24 * time.Hour
)

// A Lease is what a server gives. What it does not say is zero. Every address is
// one that a machine can have, and every name one that may stand in a file.
type Lease struct {
	Addrs  []netip.Addr // none if the server was asked for the rest only
	Server netip.Addr   // which the answer came from; a relay's, if there is one
	DNS    []netip.Addr
	NTP    []netip.Addr // time servers
	Search []string

	// Counted from when they were asked for, and the same for all addresses, as the
	// shortest of them are: from Preferred on they are not for new connections, after
	// Duration they are not to be used. From T1 on the server, from T2 on any is asked
	// to renew them.
	Preferred, Duration, T1, T2 time.Duration
}

// lease reads what a message says. Without usable addresses, it says why.
func (m message) lease(from netip.Addr) (l Lease, code int) {
	l.Server = from
	l.information(m)
	if s := status(m[headLen:]); s != statusOK {
		return l, s
	}
	ia := m.option(optIANA)
	if len(ia) < 12 || binary.BigEndian.Uint32(ia) != iaid {
		return l, statusMalformed
	}
	t1, t2, options := seconds(ia[4:]), seconds(ia[8:]), ia[12:]
	if s := status(options); s != statusOK {
		return l, s
	}
	if t1 > t2 && t2 > 0 { // section 21.4
		return l, statusMalformed
	}
	l.Preferred, l.Duration = Forever, Forever
	if !walk(options, l.address) {
		l.Addrs = nil
		return l, statusMalformed
	}
	if len(l.Addrs) == 0 {
		return l, whyNone(options)
	}
	l.times(t1, t2)
	return l, statusOK
}

// whyNone returns why there is no usable address among the options of an IA_NA: with
// one that has no time, the server takes back what it gave (section 18.2.10.1).
func whyNone(options []byte) (code int) {
	code = statusMalformed
	walk(options, func(c uint16, v []byte) bool {
		if c == optAddress && len(v) >= 24 && seconds(v[20:]) == 0 {
			code = statusNoBinding
		}
		return true
	})
	return code
}

// address reads an option of an IA_NA, which may be an address (section 21.6). One
// that is taken back has no time.
func (l *Lease) address(code uint16, v []byte) bool {
	if code != optAddress || len(v) < 24 || len(l.Addrs) == maxAddrs {
		return true
	}
	a := netip.AddrFrom16([16]byte(v))
	preferred, valid := seconds(v[16:]), seconds(v[20:])
	if !isHost(a) || preferred > valid || valid < minLease || status(v[24:]) != statusOK || slices.Contains(l.Addrs, a) {
		return true
	}
	l.Addrs = append(l.Addrs, a)
	l.Preferred, l.Duration = min(l.Preferred, preferred), min(l.Duration, valid)
	return true
}

// times sets T1 and T2, which are half and four fifths of the time if the server
// leaves them to the client, or if they make no sense.
func (l *Lease) times(t1, t2 time.Duration) {
	if l.Duration == Forever {
		l.T1, l.T2 = Forever, Forever
		return
	}
	base := l.Preferred
	if base < minLease { // for connections that there are, or a moment
		base = l.Duration
	}
	if t2 <= 0 || t2 >= l.Duration {
		t2 = base / 5 * 4
	}
	if t1 <= 0 || t1 > t2 {
		if t1 = base / 2; t1 > t2 {
			t1 = t2 / 2
		}
	}
	l.T1, l.T2 = max(t1, time.Second), max(t2, time.Second)
}

// information reads what is not about addresses.
func (l *Lease) information(m message) {
	l.DNS = addrs(l.DNS, m.option(optDNS))
	l.Search = dhcpwire.Names(m.option(optSearch))
	walk(m.option(optNTP), func(code uint16, v []byte) bool {
		if code == 1 && len(v) == 16 { // a server's address (RFC 5908 section 4.1)
			l.NTP = addrs(l.NTP, v)
		}
		return true
	})
	l.NTP = addrs(l.NTP, m.option(optSNTP))
}

// addrs adds a list of addresses, the first few of it.
func addrs(list []netip.Addr, b []byte) []netip.Addr {
	for ; len(b) >= 16 && len(list) < maxServers; b = b[16:] {
		if a := netip.AddrFrom16([16]byte(b)); (isHost(a) || a.IsLinkLocalUnicast()) && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// isHost reports whether a is an address that one machine can have, in more networks
// than one.
func isHost(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.IsLinkLocalUnicast() && !a.Is4In6()
}

// refresh returns how long information counts.
func (m message) refresh() time.Duration {
	v := m.option(optRefresh)
	if len(v) != 4 {
		return maxRefresh
	}
	return min(max(seconds(v), minRefresh), maxRefresh)
}
