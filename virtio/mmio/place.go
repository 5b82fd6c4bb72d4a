package mmio

import "strconv"

// A Place is where a device's registers are, in bytes, and its interrupt.
type Place struct {
	Base, Size uint64
	IRQ        uint32 // pin of the I/O APIC
}

// maxIRQ is the largest interrupt number that a place may have.
const maxIRQ = 1<<10 - 1

// Parse reads the value of a boot parameter virtio_mmio.device=, in the form
// SIZE@BASE:IRQ or SIZE@BASE:IRQ:ID, that Linux defines in
// drivers/virtio/virtio_mmio.c. SIZE may end in K, M or G.
func Parse(s string) (p Place, ok bool) {
	size, rest, ok := cut(s, '@')
	if !ok {
		return p, false
	}
	base, rest, ok := cut(rest, ':')
	if !ok {
		return p, false
	}
	irq, id, more := cut(rest, ':')
	if more {
		if _, err := strconv.ParseInt(id, 0, 32); err != nil {
			return p, false
		}
	}
	n, err := strconv.ParseUint(irq, 0, 32)
	if err != nil || n > maxIRQ {
		return p, false
	}
	p.IRQ = uint32(n)
	if p.Size, ok = bytes(size); !ok {
		return p, false
	}
	if p.Base, err = strconv.ParseUint(base, 0, 64); err != nil {
		return p, false
	}
	return p, p.Valid()
}

// Valid reports whether a device can be there.
func (p Place) Valid() bool {
	return p.Size >= MinSize && p.Size <= 1<<20 && p.Base&3 == 0 && p.Base != 0 && p.Base+p.Size > p.Base
}

// bytes reads a number with a suffix.
func bytes(s string) (uint64, bool) {
	shift := 0
	if s != "" {
		switch s[len(s)-1] | 0x20 {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		}
	}
	if shift > 0 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseUint(s, 0, 32)
	return n << shift, err == nil
}

// cut splits s at the first c.
func cut(s string, c byte) (before, after string, found bool) {
	for i := range len(s) {
		if s[i] == c {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
