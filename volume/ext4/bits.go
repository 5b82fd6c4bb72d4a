package ext4

import (
	"encoding/binary"
	"math/bits"
)

// Bitmaps: bit i is bit i%8 of byte i/8.

func testBit(p []byte, i int) bool { return p[i>>3]>>(i&7)&1 != 0 }

// setBits sets n bits from bit i on.
func setBits(p []byte, i, n int) {
	for ; n > 0 && i&7 != 0; i, n = i+1, n-1 {
		p[i>>3] |= 1 << (i & 7)
	}
	for ; n >= 8; i, n = i+8, n-8 {
		p[i>>3] = 0xFF
	}
	for ; n > 0; i, n = i+1, n-1 {
		p[i>>3] |= 1 << (i & 7)
	}
}

// clearBits clears n bits from bit i on.
func clearBits(p []byte, i, n int) {
	for ; n > 0; i, n = i+1, n-1 {
		p[i>>3] &^= 1 << (i & 7)
	}
}

// countBits returns how many of n bits from bit i on are set.
func countBits(p []byte, i, n int) int {
	c := 0
	for ; n > 0 && i&7 != 0; i, n = i+1, n-1 {
		c += int(p[i>>3] >> (i & 7) & 1)
	}
	for ; n >= 8; i, n = i+8, n-8 {
		c += bits.OnesCount8(p[i>>3])
	}
	for ; n > 0; i, n = i+1, n-1 {
		c += int(p[i>>3] >> (i & 7) & 1)
	}
	return c
}

// word returns 64 bits of p, or of p and q together, from bit i on, which is a
// multiple of 64.
func word(p, q []byte, i int) uint64 {
	w := binary.LittleEndian.Uint64(p[i>>3:])
	if q != nil {
		w |= binary.LittleEndian.Uint64(q[i>>3:])
	}
	return w
}

// nextClear returns the first bit from i on, below end, that is clear in p and in
// q, which may be nil; end if there is none.
func nextClear(p, q []byte, i, end int) int {
	return nextBit(p, q, i, end, ^uint64(0))
}

// nextSet returns the first bit from i on, below end, that is set in p or q.
func nextSet(p, q []byte, i, end int) int {
	return nextBit(p, q, i, end, 0)
}

// nextBit returns the first bit from i on that is set in the words xor flip.
func nextBit(p, q []byte, i, end int, flip uint64) int {
	for i < end {
		w := (word(p, q, i&^63) ^ flip) >> (i & 63)
		if w != 0 {
			return min(i+bits.TrailingZeros64(w), end)
		}
		i = i&^63 + 64
	}
	return end
}
