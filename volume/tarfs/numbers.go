package tarfs

import (
	"errors"
	"strconv"
	"strings"
)

// numeric reads a number of a header: octal digits, or with the first bit set
// binary, as GNU tar writes what is too large for that.
func numeric(b []byte) (n int64, ok bool) {
	if b[0]&0x80 == 0 {
		return octal(b)
	}
	// Two's complement, big-endian, without the first bit.
	negative := b[0]&0x40 != 0
	for i, c := range b {
		if negative {
			c = ^c
		}
		if i == 0 {
			c &= 0x7F
		}
		if n>>55 != 0 {
			return 0, false
		}
		n = n<<8 | int64(c)
	}
	if negative {
		n = ^n
	}
	return n, true
}

// octal reads digits with spaces and zeros around them; none are 0.
func octal(b []byte) (n int64, ok bool) {
	for len(b) > 0 && (b[0] == ' ' || b[0] == 0) {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == 0) {
		b = b[:len(b)-1]
	}
	for _, c := range b {
		switch {
		case c == 0:
			return n, true
		case c < '0' || c > '7':
			return 0, false
		}
		n = n<<3 | int64(c-'0') // 12 digits fit
	}
	return n, true
}

// A pax is what an extended header of the pax format sets. Empty texts set
// nothing.
type pax struct {
	path, linkpath, size, uid, gid, mtime string
	sparse                                bool
}

var errRecord = errors.New("malformed record")

// parse reads records "LENGTH KEY=VALUE\n", the length being that of all.
func (p *pax) parse(b []byte) error {
	for s := string(b); s != ""; {
		digits, rest, ok := strings.Cut(s, " ")
		n, err := strconv.ParseUint(digits, 10, 31)
		used := len(digits) + 1
		if !ok || err != nil || int(n) <= used || int(n) > len(s) || s[n-1] != '\n' {
			return errRecord
		}
		key, value, ok := strings.Cut(rest[:int(n)-used-1], "=")
		if !ok || key == "" {
			return errRecord
		}
		p.set(key, value)
		s = s[n:]
	}
	return p.check()
}

func (p *pax) set(key, value string) {
	switch key {
	case "path":
		p.path = value
	case "linkpath":
		p.linkpath = value
	case "size":
		p.size = value
	case "uid":
		p.uid = value
	case "gid":
		p.gid = value
	case "mtime":
		p.mtime = value
	default:
		p.sparse = p.sparse || strings.HasPrefix(key, "GNU.sparse.")
	}
}

// check makes sure that texts which are numbers are some.
func (p *pax) check() error {
	for _, s := range []string{p.size, p.uid, p.gid} {
		if n, err := strconv.ParseInt(s, 10, 64); s != "" && (err != nil || n < 0) {
			return errors.New("not a number: " + strconv.Quote(s))
		}
	}
	if _, _, ok := paxTime(p.mtime); p.mtime != "" && !ok {
		return errors.New("not a time: " + strconv.Quote(p.mtime))
	}
	return nil
}

// apply changes h.
func (p *pax) apply(h *header) {
	if p.path != "" {
		h.name = p.path
	}
	if p.linkpath != "" {
		h.link = p.linkpath
	}
	number := func(s string, to *uint32) {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			*to = uint32(n)
		}
	}
	number(p.uid, &h.uid)
	number(p.gid, &h.gid)
	if n, err := strconv.ParseInt(p.size, 10, 64); err == nil {
		h.size = n
	}
	if sec, nsec, ok := paxTime(p.mtime); ok {
		h.sec, h.nsec = sec, nsec
	}
	if p.sparse {
		h.why = "is a sparse file"
	}
}

// paxTime reads seconds, which may have a fraction. Digits beyond nanoseconds
// are dropped.
func paxTime(s string) (sec int64, nsec int32, ok bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	scale := int32(100_000_000)
	for _, c := range []byte(fraction) {
		if c < '0' || c > '9' {
			return 0, 0, false
		}
		nsec += int32(c-'0') * scale
		scale /= 10
	}
	if nsec > 0 && whole[0] == '-' {
		sec, nsec = sec-1, 1_000_000_000-nsec
	}
	return sec, nsec, true
}
