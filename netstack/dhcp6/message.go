package dhcp6

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"time"
)

// The kinds of messages (RFC 9915 section 7.3).
const (
	solicit   = 1
	advertise = 2
	request   = 3
	renew     = 5
	rebind    = 6
	reply     = 7
	decline   = 9
	inform    = 11
)

// Options of RFC 9915 section 21, and where it is another, of the RFC named.
const (
	optClient    = 1
	optServer    = 2
	optIANA      = 3
	optAddress   = 5
	optWanted    = 6
	optElapsed   = 8
	optStatus    = 13
	optDNS       = 23 // RFC 3646
	optSearch    = 24 // RFC 3646
	optSNTP      = 31 // RFC 4075
	optRefresh   = 32
	optFQDN      = 39 // RFC 4704
	optNTP       = 56 // RFC 5908
	optMaxSol    = 82
	optMaxInform = 83
)

// Status codes (RFC 9915 section 21.13), and one for what is malformed.
const (
	statusOK        = 0
	statusNoBinding = 3
	statusMalformed = 1 << 16
)

const (
	headLen = 4
	maxDUID = 130 // bytes (RFC 9915 section 11.1)
	// iaid is the same at each start (section 12), and there is one interface.
	iaid = 1
)

// A message is a DHCP message: a kind, a number of 24 bits, and options.
type message []byte

// duid is the client's identifier (RFC 9915 section 11.4): made of the MAC alone, so
// that a machine that remembers nothing has the same at each start.
func duid(mac [6]byte) []byte { return append([]byte{0, 3, 0, 1}, mac[:]...) }

// newMessage begins one of the client's.
func newMessage(kind byte, mac [6]byte, xid uint32, since time.Duration) message {
	m := message(binary.BigEndian.AppendUint32(nil, uint32(kind)<<24|xid))
	m = m.add(optClient, duid(mac)...)
	n := uint16(min(since/(10*time.Millisecond), 1<<16-1))
	return m.add(optElapsed, byte(n>>8), byte(n))
}

// add appends an option.
func (m message) add(code uint16, value ...byte) message {
	m = binary.BigEndian.AppendUint16(m, code)
	m = binary.BigEndian.AppendUint16(m, uint16(len(value)))
	return append(m, value...)
}

// addWanted asks for options.
func (m message) addWanted(codes ...uint16) message {
	var b []byte
	for _, c := range codes {
		b = binary.BigEndian.AppendUint16(b, c)
	}
	return m.add(optWanted, b...)
}

// addAddresses appends what is wanted: addresses, these if it may be.
func (m message) addAddresses(addrs []netip.Addr) message {
	v := message{0, 0, 0, iaid, 0, 0, 0, 0, 0, 0, 0, 0} // and no times in mind
	for _, a := range addrs {
		b := a.As16()
		v = v.add(optAddress, append(b[:], make([]byte, 8)...)...)
	}
	return m.add(optIANA, v...)
}

// addName tells the server the machine's name, and that it may publish it. Without
// a zero at the end it is not a whole one.
func (m message) addName(name string) message {
	v := []byte{1}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 {
			return m
		}
		v = append(append(v, byte(len(label))), label...)
	}
	return m.add(optFQDN, v...)
}

// check reports whether m is a well-formed answer to the message xid of the client.
func (m message) check(mac [6]byte, xid uint32) bool {
	if len(m) < headLen || binary.BigEndian.Uint32(m)&(1<<24-1) != xid || !walk(m[headLen:], func(uint16, []byte) bool { return true }) {
		return false
	}
	s := m.option(optServer)
	return bytes.Equal(m.option(optClient), duid(mac)) && len(s) > 2 && len(s) <= maxDUID
}

// walk calls f for each option in b until it returns false, and reports whether
// they are well-formed as far as that.
func walk(b []byte, f func(code uint16, value []byte) bool) bool {
	for len(b) > 0 {
		if len(b) < 4 {
			return false
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			return false
		}
		if !f(binary.BigEndian.Uint16(b), b[4:4+n]) {
			return true
		}
		b = b[4+n:]
	}
	return true
}

// find returns the first option of a code in b, nil if there is none.
func find(b []byte, code uint16) (value []byte) {
	walk(b, func(c uint16, v []byte) bool {
		if c == code {
			value = v
		}
		return c != code
	})
	return value
}

func (m message) option(code uint16) []byte { return find(m[headLen:], code) }

// status returns the status code among options.
func status(options []byte) int {
	v := find(options, optStatus)
	switch {
	case v == nil:
		return statusOK
	case len(v) < 2:
		return statusMalformed
	}
	return int(binary.BigEndian.Uint16(v))
}

// limit returns an option that says how long the client may be silent at the most (RFC 9915
// sections 21.24, 21.25), or else what it is otherwise.
func (m message) limit(code uint16, otherwise time.Duration) time.Duration {
	v := m.option(code)
	if len(v) != 4 {
		return otherwise
	}
	if d := seconds(v); d >= time.Minute && d <= 24*time.Hour {
		return d
	}
	return otherwise
}

// seconds reads a time.
func seconds(b []byte) time.Duration {
	n := binary.BigEndian.Uint32(b)
	if n == 1<<32-1 {
		return Forever
	}
	return time.Duration(n) * time.Second
}
