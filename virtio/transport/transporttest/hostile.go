package transporttest

import "fmt"

// A Hostile machine answers each access with the next bytes of a script, and
// with its last ones again and again. It notes accesses outside of what was
// mapped. It is the ports of package pci, and a transport.Memory.
type Hostile struct {
	Script []byte
	Mapped [][2]uint64
	Wrong  error
	at     int
}

func (h *Hostile) next(n int) (v uint64) {
	for i := range n {
		if len(h.Script) > 0 {
			v |= uint64(h.Script[h.at%len(h.Script)]) << (8 * i)
			h.at++
		}
	}
	return v
}

// Map notes what was mapped; a script may refuse.
func (h *Hostile) Map(addr, n uint64) bool {
	if addr+n < addr || n == 0 {
		h.Wrong = fmt.Errorf("%d bytes at %#x mapped", n, addr)
	}
	h.Mapped = append(h.Mapped, [2]uint64{addr, n})
	return h.next(1) != 0xff
}

// Check notes an access that is not within what was mapped, or not aligned.
func (h *Hostile) check(addr, width uint64) {
	for _, m := range h.Mapped {
		if addr >= m[0] && addr+width <= m[0]+m[1] && addr%width == 0 {
			return
		}
	}
	h.Wrong = fmt.Errorf("%d bytes at %#x accessed; mapped: %x", width, addr, h.Mapped)
}

// Load8, and what follows, are accesses to registers.
func (h *Hostile) Load8(addr uint64) uint8 { h.check(addr, 1); return uint8(h.next(1)) }

// Load16 is 2 bytes.
func (h *Hostile) Load16(addr uint64) uint16 { h.check(addr, 2); return uint16(h.next(2)) }

// Load32 is 4 bytes.
func (h *Hostile) Load32(addr uint64) uint32 { h.check(addr, 4); return uint32(h.next(4)) }

// Store8 is 1 byte.
func (h *Hostile) Store8(addr uint64, _ uint8) { h.check(addr, 1) }

// Store16 is 2 bytes.
func (h *Hostile) Store16(addr uint64, _ uint16) { h.check(addr, 2) }

// Store32 is 4 bytes.
func (h *Hostile) Store32(addr uint64, _ uint32) { h.check(addr, 4) }

// In32 reads a port.
func (h *Hostile) In32(uint16) uint32 { return uint32(h.next(4)) }

// Out32 writes one.
func (h *Hostile) Out32(uint16, uint32) {}
