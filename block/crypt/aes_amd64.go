package crypt

// Go's AES does one block at a time outside of its own modes, of which XTS is
// none. The processor can have eight under way: that is four times as fast.

// hasAES reports whether the processor has the AES instructions.
func hasAES() bool

// subWord applies the S-box to each byte of w (FIPS 197, section 5.2). The time
// it takes tells nothing of w.
func subWord(w uint32) uint32

// inverseMix applies InvMixColumns to a round key (FIPS 197, section 5.3.5).
func inverseMix(key *[aesBlock]byte)

// encryptBlocks XORs tweaks onto blocks, a multiple of 8 that is not 0, encrypts
// them and XORs the tweaks once more. dst may be src. keys are rounds + 1 keys.
//
//go:noescape
func encryptBlocks(keys *byte, rounds int, dst, src, tweaks *byte, blocks int)

// decryptBlocks is encryptBlocks for keys of the equivalent inverse cipher.
//
//go:noescape
func decryptBlocks(keys *byte, rounds int, dst, src, tweaks *byte, blocks int)

// fastAES is an AES key for many blocks at a time.
type fastAES struct {
	rounds   int
	enc, dec [15][aesBlock]byte // round keys
}

// newFastAES expands a key of 16 or 32 bytes (FIPS 197, section 5.2); nil if the
// processor cannot do it.
func newFastAES(key []byte) *fastAES {
	if !hasAES() || len(key) != 16 && len(key) != 32 {
		return nil
	}
	n := len(key) / 4
	k := &fastAES{rounds: n + 6}
	var w [60]uint32
	for i := range n {
		w[i] = uint32(le64(append(key[4*i:4*i+4:4*i+4], 0, 0, 0, 0)))
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
		for i := range aesBlock {
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

// crypt does all of src, a multiple of 128 bytes, with a tweak for each block.
func (k *fastAES) crypt(dst, src, tweaks []byte, encrypt bool) {
	n := len(src)
	if n == 0 || n%(8*aesBlock) != 0 || len(dst) < n || len(tweaks) < n {
		panic("crypt: not whole groups of blocks")
	}
	if encrypt {
		encryptBlocks(&k.enc[0][0], k.rounds, &dst[0], &src[0], &tweaks[0], n/aesBlock)
	} else {
		decryptBlocks(&k.dec[0][0], k.rounds, &dst[0], &src[0], &tweaks[0], n/aesBlock)
	}
}
