// Package syslog writes syslog messages: RFC 5424, RFC 3164, and the framing of
// streams (RFC 6587, RFC 5425). It is functions on bytes; several goroutines may
// call them at once.
package syslog

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// A Severity is how grave a message is, RFC 5424 section 6.2.1, table 2.
type Severity uint8

// The severities that programs use here.
const (
	Critical Severity = 2
	Error    Severity = 3
	Warning  Severity = 4
	Notice   Severity = 5
	Info     Severity = 6
	Debug    Severity = 7
)

// The most bytes of a message that receivers can be expected to take.
const (
	// MaxStream is what they should take over TLS (RFC 5425 section 4.3.1), and
	// rsyslog's default.
	MaxStream = 8192
	// MaxDatagram fits into an Ethernet frame with IPv6's header and UDP's: RFC
	// 5426 section 3.2 wants no fragments.
	MaxDatagram = 1500 - 40 - 8
	// MaxOld is the limit of RFC 3164 section 4.1.
	MaxOld = 1024
)

// Lengths of header fields, RFC 5424 section 6.
const (
	maxHost = 255
	maxApp  = 48
	maxTag  = 32 // RFC 3164 section 4.1.3
)

// A Source is what all messages of a program have in common.
type Source struct {
	Facility int    // RFC 5424 section 6.2.1, table 1: 0 to 23
	Host     string // host name or address, "" if it is not known
	App      string // name of the program
	PID      int    // number of its process
	Old      bool   // write RFC 3164
	Max      int    // most bytes of a message; those of Old have MaxOld at most
}

// A Message is what a program says.
type Message struct {
	Severity Severity
	Time     time.Time
	Data     []byte // structured data that [AppendParam] made, nil for none
	Text     []byte // one line, without its end
}

// Append appends m as s sends it. What is longer than s.Max loses its end (RFC
// 5424 section 6.1), at the start of a character; structured data that leaves
// less than a quarter to the text is left out.
func (s *Source) Append(b []byte, m Message) []byte {
	if s.Old {
		return s.appendOld(b, m)
	}
	start := len(b)
	b = s.appendPriority(b, m.Severity)
	b = append(b, "1 "...)
	b = m.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, ' ')
	b = appendField(b, s.Host, maxHost)
	b = append(b, ' ')
	b = appendField(b, s.App, maxApp)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(s.PID), 10)
	b = append(b, " - "...)
	if data := m.Data; len(data) > 0 && len(b)-start+len(data)+len(DataID)+3 <= s.Max*3/4 {
		b = append(b, '[')
		b = append(b, DataID...)
		b = append(b, data...)
		b = append(b, ']')
	} else {
		b = append(b, '-')
	}
	b = append(b, ' ')
	return clip(AppendText(b, m.Text), start, s.Max)
}

// appendOld is Append for RFC 3164 section 4.1, with the attributes behind the
// text.
func (s *Source) appendOld(b []byte, m Message) []byte {
	start := len(b)
	b = s.appendPriority(b, m.Severity)
	b = m.Time.AppendFormat(b, time.Stamp)
	b = append(b, ' ')
	b = appendField(b, s.Host, maxHost)
	b = append(b, ' ')
	b = appendField(b, s.App, maxTag)
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(s.PID), 10)
	b = append(b, "]: "...)
	b = AppendText(b, m.Text)
	return clip(append(b, m.Data...), start, min(s.Max, MaxOld))
}

func (s *Source) appendPriority(b []byte, v Severity) []byte {
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(s.Facility*8+int(v)), 10)
	return append(b, '>')
}

// clip cuts b so that from start on there are at most n bytes, of whole
// characters.
func clip(b []byte, start, n int) []byte {
	if len(b)-start <= n {
		return b
	}
	end := start + n
	for i := end; i > start && i > end-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			return b[:i]
		}
	}
	return b[:end] // not UTF-8
}

// appendField appends a field of the header: printable ASCII without spaces,
// "-" for nothing (NILVALUE).
func appendField(b []byte, s string, n int) []byte {
	if s == "" {
		return append(b, '-')
	}
	for i := range min(len(s), n) {
		c := s[i]
		if c <= ' ' || c >= 0x7f {
			c = '_'
		}
		b = append(b, c)
	}
	return b
}

// AppendText appends text with control characters as "#" and three octal digits,
// as RFC 5424 section 6.4 has it for one of them: "#000". A message has no line ends then,
// and none that a terminal would obey.
func AppendText(b, text []byte) []byte {
	plain := 0 // what has not been appended begins here
	for i, c := range text {
		if c >= ' ' && c != 0x7f {
			continue
		}
		b = append(b, text[plain:i]...)
		b = append(b, '#', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		plain = i + 1
	}
	return append(b, text[plain:]...)
}

// AppendCounted appends a message as streams carry it, behind the number of its
// bytes: RFC 6587 section 3.4.1, RFC 5425 section 4.3.
func AppendCounted(b, msg []byte) []byte {
	b = strconv.AppendInt(b, int64(len(msg)), 10)
	b = append(b, ' ')
	return append(b, msg...)
}

// AppendLine appends a message as streams carry it with a line end behind it:
// RFC 6587 section 3.4.2.
func AppendLine(b, msg []byte) []byte { return append(append(b, msg...), '\n') }
