package entropy

import "math/bits"

// chacha20 computes one block of the ChaCha20 key stream with a nonce of zero,
// RFC 8439 section 2.3. A key is used for a few blocks only.
func chacha20(out *[blockWords]uint32, key *[keyWords]uint32, counter uint32) {
	chacha20Nonce(out, key, counter, [3]uint32{})
}

func chacha20Nonce(out *[blockWords]uint32, key *[keyWords]uint32, counter uint32, nonce [3]uint32) {
	s := [blockWords]uint32{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}
	copy(s[4:], key[:])
	s[12] = counter
	copy(s[13:], nonce[:])
	x := s
	for range 10 {
		quarter(&x[0], &x[4], &x[8], &x[12])
		quarter(&x[1], &x[5], &x[9], &x[13])
		quarter(&x[2], &x[6], &x[10], &x[14])
		quarter(&x[3], &x[7], &x[11], &x[15])
		quarter(&x[0], &x[5], &x[10], &x[15])
		quarter(&x[1], &x[6], &x[11], &x[12])
		quarter(&x[2], &x[7], &x[8], &x[13])
		quarter(&x[3], &x[4], &x[9], &x[14])
	}
	for i := range x {
		out[i] = x[i] + s[i]
	}
}

// quarter is the quarter round, RFC 8439 section 2.1.
func quarter(a, b, c, d *uint32) {
	*a += *b
	*d = bits.RotateLeft32(*d^*a, 16)
	*c += *d
	*b = bits.RotateLeft32(*b^*c, 12)
	*a += *b
	*d = bits.RotateLeft32(*d^*a, 8)
	*c += *d
	*b = bits.RotateLeft32(*b^*c, 7)
}
