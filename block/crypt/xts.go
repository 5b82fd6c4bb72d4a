package crypt

import (
	"crypto/subtle"
	"sync"

	"github.com/tailor-os/tailor/block/crypt/fastaes"
)

// xts is XTS-AES of IEEE 1619-2007, section 5.3, for units of 512 bytes, the
// number of a unit being its tweak ("plain64" in Linux).
type xts struct {
	data, tweak         Cipher
	fastData, fastTweak *fastaes.Key // the same, nil if there is none
}

// newXTS takes a key of 32 or 64 bytes: one half for data, one for tweaks.
func newXTS(c Crypto, key []byte) (x xts, err error) {
	half := len(key) / 2
	if x.data, err = c.AES(key[:half]); err != nil {
		return x, err
	}
	x.fastData, x.fastTweak = fastaes.NewKey(key[:half]), fastaes.NewKey(key[half:])
	x.tweak, err = c.AES(key[half:])
	return x, err
}

const aesBlock = 16

// group is how many units are done at a time: as many as a processor has AES
// blocks under way, since each has a tweak to be encrypted.
const group = 8

// A scratch is memory for the work on a group. It is not on the stack, because
// what is given to a Cipher cannot be.
type scratch struct {
	seeds, zeros [group * aesBlock]byte
	tweaks       [group * unit]byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// encrypt does units from number n on; dst, as long as src, may be src.
func (x *xts) encrypt(dst, src []byte, n uint64) { x.crypt(dst, src, n, true) }

// decrypt does units from number n on; dst, as long as src, may be src.
func (x *xts) decrypt(dst, src []byte, n uint64) { x.crypt(dst, src, n, false) }

func (x *xts) crypt(dst, src []byte, n uint64, encrypt bool) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	for len(src) > 0 {
		k := min(len(src), group*unit)
		x.makeTweaks(s, n, k/unit)
		if x.fastData != nil {
			x.fastData.Crypt(dst[:k], src[:k], s.tweaks[:k], encrypt)
		} else {
			x.slow(dst[:k], src[:k], s.tweaks[:k], encrypt)
		}
		dst, src, n = dst[k:], src[k:], n+uint64(k/unit)
	}
}

// slow does what has tweaks block by block.
func (x *xts) slow(dst, src, tweaks []byte, encrypt bool) {
	subtle.XORBytes(dst, src, tweaks)
	for i := 0; i < len(dst); i += aesBlock {
		b := dst[i : i+aesBlock : i+aesBlock]
		if encrypt {
			x.data.Encrypt(b, b)
		} else {
			x.data.Decrypt(b, b)
		}
	}
	subtle.XORBytes(dst, dst, tweaks)
}

// makeTweaks makes those of so many units. That of a unit's first block is its
// number, encrypted. Each other is the one before, times x in GF(2^128), whose
// polynomial is x^128 + x^7 + x^2 + x + 1.
func (x *xts) makeTweaks(s *scratch, n uint64, units int) {
	for i := range units {
		putLE64(s.seeds[i*aesBlock:], n+uint64(i))
		putLE64(s.seeds[i*aesBlock+8:], 0)
	}
	if x.fastTweak != nil {
		x.fastTweak.Crypt(s.seeds[:], s.seeds[:], s.zeros[:], true)
	} else {
		for b := s.seeds[:units*aesBlock]; len(b) > 0; b = b[aesBlock:] {
			x.tweak.Encrypt(b[:aesBlock], b[:aesBlock])
		}
	}
	for u := range units {
		low, high := le64(s.seeds[u*aesBlock:]), le64(s.seeds[u*aesBlock+8:])
		for t := s.tweaks[u*unit : (u+1)*unit]; len(t) >= aesBlock; t = t[aesBlock:] {
			putLE64(t, low)
			putLE64(t[8:], high)
			carry := -(high >> 63) & 0x87
			low, high = low<<1^carry, high<<1|low>>63
		}
	}
}

func le64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func putLE64(b []byte, v uint64) {
	_ = b[7]
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	b[4], b[5], b[6], b[7] = byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56)
}
