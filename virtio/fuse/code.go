package fuse

// Package os imports this one, and the tests of encoding/binary, which are in
// that package itself, import os: so it is not used here.

// U32 appends integers of 32 bits.
func U32(b []byte, v ...uint32) []byte {
	for _, v := range v {
		b = append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return b
}

// U64 appends integers of 64 bits.
func U64(b []byte, v ...uint64) []byte {
	for _, v := range v {
		b = U32(b, uint32(v), uint32(v>>32))
	}
	return b
}

// Text appends a string and its end.
func Text(b []byte, s string) []byte { return append(append(b, s...), 0) }

// A Decoder takes values off the front of a message. When there are too few
// bytes, or a value cannot be, it takes zeros from then on and [Decoder.OK] is
// false.
type Decoder struct {
	b   []byte
	bad bool
}

// NewDecoder returns a decoder of b, which must not change any more.
func NewDecoder(b []byte) *Decoder { return &Decoder{b: b} }

// OK reports whether all that was taken was there.
func (d *Decoder) OK() bool { return !d.bad }

// Len returns the number of bytes left.
func (d *Decoder) Len() int { return len(d.b) }

// Bytes takes n bytes; nil if they are not there.
func (d *Decoder) Bytes(n int) []byte {
	if d.bad || n < 0 || n > len(d.b) {
		d.bad = true
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

// Skip takes n bytes and forgets them.
func (d *Decoder) Skip(n int) { d.Bytes(n) }

// U32 takes an integer of 32 bits.
func (d *Decoder) U32() uint32 {
	if p := d.Bytes(4); p != nil {
		return uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16 | uint32(p[3])<<24
	}
	return 0
}

// U64 takes an integer of 64 bits.
func (d *Decoder) U64() uint64 {
	if p := (Decoder{b: d.Bytes(8)}); p.b != nil {
		low, high := p.U32(), p.U32()
		return uint64(low) | uint64(high)<<32
	}
	return 0
}

// Text takes a string and the NUL at its end.
func (d *Decoder) Text() string {
	for i, c := range d.b {
		if c == 0 && !d.bad {
			s := string(d.b[:i])
			d.Skip(i + 1)
			return s
		}
	}
	d.bad = true
	return ""
}
