package fuse

import "encoding/binary"

// U32 appends integers of 32 bits.
func U32(b []byte, v ...uint32) []byte {
	for _, v := range v {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

// U64 appends integers of 64 bits.
func U64(b []byte, v ...uint64) []byte {
	for _, v := range v {
		b = binary.LittleEndian.AppendUint64(b, v)
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
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

// U64 takes an integer of 64 bits.
func (d *Decoder) U64() uint64 {
	if p := d.Bytes(8); p != nil {
		return binary.LittleEndian.Uint64(p)
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
