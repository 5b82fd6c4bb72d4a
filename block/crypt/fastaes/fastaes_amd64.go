// Package fastaes is AES for many blocks at a time, each with a tweak: what XTS
// needs. Go's own AES does one block at a time outside of its own modes, of which
// XTS is none. The processor can have eight under way: that is four times as fast.
//
// It imports nothing, so that it can lie anywhere in an image.
package fastaes

const blockSize = 16

// hasAES reports whether the processor has the AES instructions.
func hasAES() bool

// subWord applies the S-box to each byte of w (FIPS 197, section 5.2). The time
// it takes tells nothing of w.
func subWord(w uint32) uint32

// inverseMix applies InvMixColumns to a round key (FIPS 197, section 5.3.5).
func inverseMix(key *[blockSize]byte)

// encryptBlocks XORs tweaks onto blocks, a multiple of 8 that is not 0, encrypts
// them and XORs the tweaks once more. dst may be src. keys are rounds + 1 keys.
//
//go:noescape
func encryptBlocks(keys *byte, rounds int, dst, src, tweaks *byte, blocks int)

// decryptBlocks is encryptBlocks for keys of the equivalent inverse cipher.
//
//go:noescape
func decryptBlocks(keys *byte, rounds int, dst, src, tweaks *byte, blocks int)

// A Key is an AES key. It does not change, and may be used by several goroutines
// at once.
type Key struct {
	rounds   int
	enc, dec [15][blockSize]byte // round keys
}

// NewKey expands a key of 16 or 32 bytes (FIPS 197, section 5.2). It returns nil
// for others, and if the processor has no AES instructions.
func NewKey(key []byte) *Key {
	if !hasAES() || len(key) != 16 && len(key) != 32 {
		return nil
	}
	n := len(key) / 4
	k := &Key{rounds: n + 6}
	var w [60]uint32
	for i := range n {
		w[i] = uint32(key[4*i]) | uint32(key[4*i+1])<<8 | uint32(key[4*i+2])<<16 | uint32(key[4*i+3])<<24
	}
	rcon := uint32(1)
	for i := n; i < 4*(k.rounds+1); i++ {
		t := w[i-1]
		switch {
		case i%n == 0:
			t = subWord(t>>8|t<<24) ^ rcon // words are little-endian here
			rcon = rcon<<1 ^ rcon>>7*0x11B
		case n > 6 && i%n == 4:
			t = subWord(t)
		}
		w[i] = w[i-n] ^ t
	}
	for r := range k.rounds + 1 {
		for i := range blockSize {
			k.enc[r][i] = byte(w[4*r+i/4] >> (8 * (i % 4)))
		}
		inverse := &k.dec[k.rounds-r]
		*inverse = k.enc[r]
		if r > 0 && r < k.rounds {
			inverseMix(inverse)
		}
	}
	return k
}

// Crypt encrypts or decrypts src to dst, with a tweak for each block of 16 bytes,
// which is XORed onto it before and after. All have the same number of bytes, a
// multiple of 128 that is not 0; dst may be src.
func (k *Key) Crypt(dst, src, tweaks []byte, encrypt bool) {
	n := len(src)
	if n == 0 || n%(8*blockSize) != 0 || len(dst) < n || len(tweaks) < n {
		panic("fastaes: not whole groups of blocks")
	}
	if encrypt {
		encryptBlocks(&k.enc[0][0], k.rounds, &dst[0], &src[0], &tweaks[0], n/blockSize)
	} else {
		decryptBlocks(&k.dec[0][0], k.rounds, &dst[0], &src[0], &tweaks[0], n/blockSize)
	}
}
