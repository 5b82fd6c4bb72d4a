// Package ntp is a client of the Network Time Protocol, version 4 (RFC 5905), of the
// simple kind (section 14, RFC 4330): it asks servers and believes the majority.
// There is no clock and no socket in it: packets, times and answers go in, what to do
// about the clock comes out.
package ntp

import (
	"encoding/binary"
	"errors"
	"time"
)

// PacketLen is the length of a packet without extensions, in bytes. What follows in an
// answer is not looked at.
const PacketLen = 48

// Port is the servers' UDP port.
const Port = 123

// A packet's fields by their offset (RFC 5905 section 7.3, figure 8). Times are
// seconds and fractions since 1900, 32 bits each.
const (
	atFlags      = 0 // leap indicator, version, mode
	atStratum    = 1
	atDelay      = 4 // root delay and dispersion, 16.16 fixed point seconds
	atDispersion = 8
	atRef        = 12
	atRefTime    = 16
	atOrigin     = 24
	atReceive    = 32
	atTransmit   = 40
)

const (
	version     = 4
	modeClient  = 3
	modeServer  = 4
	leapUnknown = 3
	maxStratum  = 15
)

// Bounds of what is believed.
const (
	// maxRoot is how far from its source's a server's time may be, as it says itself,
	// and how long an answer may take: MAXDIST of RFC 5905 section 7.2.
	maxRoot = time.Second
	// slack is by how much a server may have taken longer than the answer did: it has
	// another clock.
	slack = time.Millisecond
)

// Errors of answers that are not believed.
var (
	ErrShort     = errors.New("the answer is too short")
	ErrMode      = errors.New("the answer is not one of a server's")
	ErrOrigin    = errors.New("the answer is to another question")
	errUnsynced  = errors.New("the server says that its clock is not synchronized")
	errStratum   = errors.New("the server says that it is too far from any clock")
	errTimes     = errors.New("the answer's times contradict each other")
	errDistance  = errors.New("the server's time is too uncertain")
	errAbsurd    = errors.New("the server's time is one that this program cannot run at")
	errNotKissed = errors.New("the answer has a code that is no text")
)

// A Kiss is the error of a server that gives no time, but a reason (RFC 5905
// section 7.4): four letters.
type Kiss string

// Error implements error.
func (k Kiss) Error() string { return "the server refuses, with code " + string(k) }

// Forever reports whether the server must not be asked again.
func (k Kiss) Forever() bool { return k == "DENY" || k == "RSTR" }

// Request returns a question. id is a random number, which stands where the client's
// time would: it says nothing of the client's clock, and who cannot see it cannot
// answer (draft-ietf-ntp-data-minimization).
func Request(id uint64) (p [PacketLen]byte) {
	p[atFlags] = version<<3 | modeClient
	binary.BigEndian.PutUint64(p[atTransmit:], id)
	return p
}

// A Sample is what an answer says.
type Sample struct {
	Offset   time.Duration // what the client's clock lacks
	Delay    time.Duration // of the way there and back
	Distance time.Duration // how wrong Offset can be at the most, if nobody lies
	Stratum  uint8         // of the server, 1 to 15
}

// Parse reads an answer to the request with that id. The request was sent when the
// client's clock was at sent, and the answer came after took. [ErrShort], [ErrMode] and
// [ErrOrigin] are errors of packets that are no answer to it, a [Kiss] is one of a server
// that gives no time.
func Parse(b []byte, id uint64, sent time.Time, took time.Duration) (s Sample, err error) {
	if len(b) < PacketLen {
		return s, ErrShort
	}
	stamp := func(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
	switch v := b[atFlags] >> 3 & 7; {
	case b[atFlags]&7 != modeServer || v < 3 || v > version:
		return s, ErrMode
	case stamp(atOrigin) != id:
		return s, ErrOrigin
	case b[atStratum] == 0:
		return s, kiss(b[atRef : atRef+4])
	case b[atFlags]>>6 == leapUnknown:
		return s, errUnsynced
	case b[atStratum] > maxStratum:
		return s, errStratum
	}
	reference, receive, transmit := stamp(atRefTime), stamp(atReceive), stamp(atTransmit)
	// The differences are right within 68 years, whatever the era.
	held := span(transmit - receive)
	if receive == 0 || transmit == 0 || held < 0 || int64(transmit-reference) < 0 && reference != 0 {
		return s, errTimes
	}
	at, ok := unix(transmit)
	if !ok {
		return s, errAbsurd
	}
	s.Delay = took - held
	if s.Delay < -slack || took < 0 {
		return s, errTimes
	}
	s.Delay = max(s.Delay, 0)
	rootDelay, rootDispersion := short(b[atDelay:]), short(b[atDispersion:])
	s.Distance = rootDelay/2 + rootDispersion + s.Delay/2
	if rootDelay > maxRoot || s.Distance > maxRoot || s.Delay > maxRoot {
		return s, errDistance
	}
	// Both ways are taken to be equally long: the answer's time is that of its arrival
	// less half the delay.
	s.Offset = at.Add(s.Delay / 2).Sub(sent.Add(took))
	s.Stratum = b[atStratum]
	return s, nil
}

// kiss returns the error of a code.
func kiss(code []byte) error {
	for _, c := range code {
		if c < 'A' || c > 'Z' {
			return errNotKissed
		}
	}
	return Kiss(code)
}

// span returns the time that a difference of two timestamps is.
func span(d uint64) time.Duration {
	return time.Duration(int64(d)>>32)*time.Second + time.Duration(d&(1<<32-1)*uint64(time.Second)>>32)
}

// short returns a time in the short format.
func short(b []byte) time.Duration {
	return time.Duration(uint64(binary.BigEndian.Uint32(b)) * uint64(time.Second) >> 16)
}

// epoch is how many seconds 1900 is before 1970.
const epoch = 2208988800

// earliest and latest bound the times that are believed: a server that is a century
// off has another era in mind, or nothing good.
var (
	earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2106, 1, 1, 0, 0, 0, 0, time.UTC)
)

// unix returns the time of a timestamp, in the era that begins in 1900 or the next
// (2036). ok is false if it is in neither of the bounds.
func unix(stamp uint64) (t time.Time, ok bool) {
	t = time.Unix(int64(stamp>>32)-epoch, int64(stamp&(1<<32-1)*uint64(time.Second)>>32)).UTC()
	if t.Before(earliest) {
		t = t.Add(1 << 32 * time.Second)
	}
	return t, !t.Before(earliest) && t.Before(latest)
}
