package names

import (
	"encoding/binary"

	"golang.org/x/net/dns/dnsmessage"
)

// What package dnsmessage does not tell: where in a message things are.

// A layout is where the sections of a message end.
type layout struct {
	answers, authorities int
	soa                  bool // an authority says for how long there is no answer
}

// sections returns the layout of msg.
func sections(msg []byte) (l layout, ok bool) {
	at, ok := questionsEnd(msg)
	for n := count(msg, 1); n > 0 && ok; n-- {
		_, at, ok = record(msg, at)
	}
	l.answers = at
	for n := count(msg, 2); n > 0 && ok; n-- {
		var ttl int
		if ttl, at, ok = record(msg, at); ok {
			l.soa = l.soa || binary.BigEndian.Uint16(msg[ttl-4:]) == uint16(dnsmessage.TypeSOA)
		}
	}
	l.authorities = at
	return l, ok
}

// count returns how many of the four kinds msg has: questions, answers, authorities and
// additional records.
func count(msg []byte, kind int) int {
	if len(msg) < headLen {
		return 0
	}
	return int(binary.BigEndian.Uint16(msg[4+2*kind:]))
}

// questionsEnd returns where the records begin.
func questionsEnd(msg []byte) (at int, ok bool) {
	if len(msg) < headLen {
		return 0, false
	}
	const rest = 4 // type and class
	at, ok = headLen, true
	for n := count(msg, 0); n > 0 && ok; n-- {
		if at, ok = skipName(msg, at); ok {
			at += rest
			ok = at <= len(msg)
		}
	}
	return at, ok
}

// record returns where the TTL of the record at a place is, and where it ends (RFC 1035
// section 4.1.3).
func record(msg []byte, at int) (ttl, end int, ok bool) {
	at, ok = skipName(msg, at)
	if !ok || at+10 > len(msg) {
		return 0, 0, false
	}
	end = at + 10 + int(binary.BigEndian.Uint16(msg[at+8:]))
	return at + 4, end, end <= len(msg)
}

// skipName returns the end of the name at a place, which a pointer ends.
func skipName(msg []byte, at int) (end int, ok bool) {
	const pointer = 0xc0
	for at < len(msg) {
		switch n := int(msg[at]); {
		case n == 0:
			return at + 1, true
		case n&pointer == pointer:
			return at + 2, at+2 <= len(msg)
		case n&pointer != 0:
			return 0, false
		default:
			at += 1 + n
		}
	}
	return 0, false
}

// lower takes seconds off the TTL of each record in msg, which [sections] has walked.
func lower(msg []byte, seconds uint32) {
	at, ok := questionsEnd(msg)
	for n := count(msg, 1) + count(msg, 2); n > 0 && ok; n-- {
		var ttl int
		if ttl, at, ok = record(msg, at); ok {
			left := binary.BigEndian.Uint32(msg[ttl:])
			binary.BigEndian.PutUint32(msg[ttl:], left-min(left, seconds))
		}
	}
}
