package main

import "github.com/tailor-os/tailor/internal/sloc"

type span sloc.Span

// has reports whether one of the lines is within s.
func (s span) has(lines map[int]bool) bool {
	for n := s.From; n <= s.To; n++ {
		if lines[n] {
			return true
		}
	}
	return false
}

// declarations divides a file of C at the ends of its outermost declarations: at
// each semicolon and closing brace outside of all braces, and at each closing
// brace that begins a line, where styles of C end a function whatever branches of
// the preprocessor were before. Lines of the preprocessor are of none: they count as
// little as they have instructions.
func declarations(src []byte) (list []span) {
	d := divider{src: src, line: 1}
	for d.at < len(src) {
		d.step()
	}
	return d.list
}

type divider struct {
	src   []byte
	at    int
	line  int
	from  int // where the declaration begins, 0 for none
	depth int
	list  []span
}

// step takes what is at the current place whole: a comment, a string, a line
// of the preprocessor, or one byte.
func (d *divider) step() {
	c := d.src[d.at]
	first := d.at == 0 || d.src[d.at-1] == '\n'
	switch {
	case c == '\n':
		d.line++
	case c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v':
	case d.follows("//"):
		d.until("\n")
		return
	case d.follows("/*"):
		d.at += 2
		d.until("*/")
		d.at += 2
		return
	case c == '#' && d.startsLine():
		d.directive()
		return
	default:
		d.code(c, first)
	}
	d.at++
}

// code takes a byte of a declaration.
func (d *divider) code(c byte, first bool) {
	if d.from == 0 {
		d.from = d.line
	}
	switch c {
	case '"', '\'':
		d.quoted(c)
	case '{', '(', '[':
		d.depth++
	case ')', ']':
		d.depth--
	case '}':
		if d.depth--; first {
			d.depth = 0
		}
		if d.depth <= 0 {
			d.end()
		}
	case ';':
		if d.depth <= 0 {
			d.end()
		}
	}
}

func (d *divider) end() {
	d.list = append(d.list, span{d.from, d.line})
	d.from, d.depth = 0, 0
}

// quoted passes over a string, but for its last quote.
func (d *divider) quoted(q byte) {
	for d.at++; d.at < len(d.src) && d.src[d.at] != q; d.at++ {
		switch d.src[d.at] {
		case '\\':
			if d.at++; d.at < len(d.src) && d.src[d.at] == '\n' {
				d.line++
			}
		case '\n': // none, or not C
			d.line++
			return
		}
	}
}

// directive passes over a line of the preprocessor and those that continue it.
func (d *divider) directive() {
	for ; d.at < len(d.src); d.at++ {
		if d.follows("/*") {
			d.at += 2
			d.until("*/")
			d.at++
			continue
		}
		if d.src[d.at] != '\n' {
			continue
		}
		if d.src[d.at-1] != '\\' {
			return
		}
		d.line++
	}
}

// startsLine reports whether only white space is before the current place.
func (d *divider) startsLine() bool {
	for i := d.at - 1; i >= 0 && d.src[i] != '\n'; i-- {
		if d.src[i] != ' ' && d.src[i] != '\t' {
			return false
		}
	}
	return true
}

func (d *divider) follows(s string) bool {
	return d.at+len(s) <= len(d.src) && string(d.src[d.at:d.at+len(s)]) == s
}

// until goes to what ends a comment, or to the end.
func (d *divider) until(s string) {
	for ; d.at < len(d.src) && !d.follows(s); d.at++ {
		if d.src[d.at] == '\n' {
			d.line++
		}
	}
}
