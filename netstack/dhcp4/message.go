package dhcp4

import "encoding/binary"

// The fixed part of a message (RFC 2131 section 2), and where its fields are.
const (
	opRequest = 1
	opReply   = 2

	atXID     = 4
	atSecs    = 8
	atClient  = 12 // ciaddr
	atYours   = 16 // yiaddr
	atMAC     = 28 // chaddr
	atName    = 44 // sname, 64 bytes
	atFile    = 108
	atCookie  = 236
	atOptions = 240

	cookie  = 0x63825363
	minSize = 300 // what relays of BOOTP expect (RFC 1542 section 2.1)
)

// The kinds of messages (RFC 2132 section 9.6).
const (
	discover = 1
	offer    = 2
	request  = 3
	decline  = 4
	ack      = 5
	nak      = 6
)

// Options of RFC 2132, and where it is another, of the RFC named.
const (
	optPad       = 0
	optMask      = 1
	optRouter    = 3
	optDNS       = 6
	optHostname  = 12
	optDomain    = 15
	optMTU       = 26
	optNTP       = 42
	optAddress   = 50
	optLease     = 51
	optOverload  = 52
	optKind      = 53
	optServer    = 54
	optWanted    = 55
	optMaxSize   = 57
	optT1        = 58
	optT2        = 59
	optClientID  = 61
	optSearch    = 119 // RFC 3397
	optClassless = 121 // RFC 3442
	optEnd       = 255
)

// wanted are the options that are asked for, classless routes before routers, as
// RFC 3442 wants it.
const wanted = "\x01\x79\x03\x06\x0c\x0f\x1a\x2a\x77\x33\x36\x3a\x3b"

// A message is a DHCP message that [checkReply] has accepted.
type message []byte

// checkReply reports whether b is a well-formed answer to the client mac's
// request xid.
func checkReply(b []byte, mac [6]byte, xid uint32) bool {
	if len(b) < atOptions || b[0] != opReply || b[1] != 1 || b[2] != 6 ||
		binary.BigEndian.Uint32(b[atXID:]) != xid || [6]byte(b[atMAC:]) != mac ||
		binary.BigEndian.Uint32(b[atCookie:]) != cookie {
		return false
	}
	for _, area := range message(b).areas() {
		if !walk(area, func(byte, []byte) {}) {
			return false
		}
	}
	return true
}

// areas returns where options are, in the order of RFC 3396 section 5: besides
// their own field, the two that option 52 lends to them.
func (m message) areas() [][]byte {
	list := [][]byte{m[atOptions:]}
	lent := byte(0)
	walk(list[0], func(code byte, v []byte) {
		if code == optOverload && len(v) == 1 {
			lent = v[0]
		}
	})
	if lent&1 != 0 {
		list = append(list, m[atFile:atCookie])
	}
	if lent&2 != 0 {
		list = append(list, m[atName:atFile])
	}
	return list
}

// walk calls f for each option in b and reports whether they are well-formed.
func walk(b []byte, f func(code byte, value []byte)) bool {
	for len(b) > 0 && b[0] != optEnd {
		if b[0] == optPad {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return false
		}
		f(b[0], b[2:2+int(b[1])])
		b = b[2+int(b[1]):]
	}
	return true
}

// option returns the value of an option, its parts joined (RFC 3396), nil if it
// is not there.
func (m message) option(code byte) (value []byte) {
	for _, area := range m.areas() {
		walk(area, func(c byte, v []byte) {
			if c == code {
				value = append(value, v...)
			}
		})
	}
	return value
}

// kind returns what the message is, 0 if it does not say.
func (m message) kind() byte {
	if v := m.option(optKind); len(v) == 1 {
		return v[0]
	}
	return 0
}

// four returns an option that is an address or a number of 4 bytes, zero if it
// is not there or of another length.
func (m message) four(code byte) (v [4]byte) {
	if o := m.option(code); len(o) == len(v) {
		v = [4]byte(o)
	}
	return v
}

// yours returns the address that is given to the client.
func (m message) yours() [4]byte { return [4]byte(m[atYours:]) }

// newRequest begins a message of the client's.
func newRequest(kind byte, mac [6]byte, xid uint32, secs uint16) message {
	m := make(message, atOptions, minSize)
	m[0], m[1], m[2] = opRequest, 1, 6
	binary.BigEndian.PutUint32(m[atXID:], xid)
	binary.BigEndian.PutUint16(m[atSecs:], secs)
	copy(m[atMAC:], mac[:])
	binary.BigEndian.PutUint32(m[atCookie:], cookie)
	m = m.add(optKind, kind)
	return m.add(optClientID, 1, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5])
}

// add appends an option of at most 255 bytes.
func (m message) add(code byte, value ...byte) message {
	return append(append(m, code, byte(len(value))), value...)
}

// end finishes a message.
func (m message) end() message {
	m = append(m, optEnd)
	for len(m) < minSize {
		m = append(m, optPad)
	}
	return m
}
