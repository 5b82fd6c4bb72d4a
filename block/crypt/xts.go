package crypt

import "crypto/subtle"

// xts is XTS-AES of IEEE 1619-2007, section 5.3, for units of 512 bytes, the
// number of a unit being its tweak ("plain64" in Linux).
type xts struct{ data, tweak Cipher }

// newXTS takes a key of 32 or 64 bytes: one half for data, one for tweaks.
func newXTS(c Crypto, key []byte) (x xts, err error) {
	half := len(key) / 2
	if x.data, err = c.AES(key[:half]); err != nil {
		return x, err
	}
	x.tweak, err = c.AES(key[half:])
	return x, err
}

const aesBlock = 16

// crypt does unit number n; dst may be src. The tweaks of all blocks are made
// first, so that most of the work is on whole units.
func (x *xts) crypt(dst, src []byte, n uint64, do func(c Cipher, dst, src []byte)) {
	var tweaks [unit]byte
	putLE64(tweaks[:], n)
	x.tweak.Encrypt(tweaks[:aesBlock], tweaks[:aesBlock])
	low, high := le64(tweaks[:]), le64(tweaks[8:])
	for i := aesBlock; i < unit; i += aesBlock {
		// Times x in GF(2^128), whose polynomial is x^128 + x^7 + x^2 + x + 1.
		carry := -(high >> 63) & 0x87
		low, high = low<<1^carry, high<<1|low>>63
		putLE64(tweaks[i:], low)
		putLE64(tweaks[i+8:], high)
	}
	subtle.XORBytes(dst, src, tweaks[:])
	for i := 0; i < unit; i += aesBlock {
		b := dst[i : i+aesBlock : i+aesBlock]
		do(x.data, b, b)
	}
	subtle.XORBytes(dst, dst, tweaks[:])
}

func le64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func putLE64(b []byte, v uint64) {
	_ = b[7]
	for i := range 8 {
		b[i] = byte(v >> (8 * i))
	}
}
