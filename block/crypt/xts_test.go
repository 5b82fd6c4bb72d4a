package crypt

import (
	"bytes"
	"crypto/aes"
	"math/rand/v2"
	"testing"

	"github.com/tailor-os/tailor/block/crypt/fastaes"
)

// The assembly does what Go's own AES does, for both sizes of keys, in place and
// not.
func TestFastAES(t *testing.T) {
	if fastaes.NewKey(make([]byte, 32)) == nil {
		t.Skip("the processor has no AES instructions, or is of another kind")
	}
	r := rand.New(rand.NewPCG(7, 7))
	fill := func(b []byte) []byte {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	c := Crypto{AES: func(key []byte) (Cipher, error) { return aes.NewCipher(key) }}
	for i := range 500 {
		fast, err := newXTS(c, fill(make([]byte, 32<<(i%2))))
		if err != nil || fast.fastData == nil || fast.fastTweak == nil {
			t.Fatal(err)
		}
		slow := fast
		slow.fastData, slow.fastTweak = nil, nil
		n := r.Uint64()
		src := fill(make([]byte, unit*(1+r.IntN(20))))
		one, two := make([]byte, len(src)), make([]byte, len(src))
		fast.encrypt(one, src, n)
		slow.encrypt(two, src, n)
		if !bytes.Equal(one, two) {
			t.Fatalf("unit %d is encrypted otherwise", n)
		}
		fast.decrypt(one, one, n)
		slow.decrypt(two, two, n)
		if !bytes.Equal(one, src) || !bytes.Equal(two, src) {
			t.Fatalf("unit %d is not decrypted to what it was", n)
		}
	}
	if fastaes.NewKey(make([]byte, 24)) != nil {
		t.Error("a key of 24 bytes is taken")
	}
}

func BenchmarkXTS(b *testing.B) {
	c := Crypto{AES: func(key []byte) (Cipher, error) { return aes.NewCipher(key) }}
	x, err := newXTS(c, make([]byte, 64))
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, x xts) {
		b.Run(name, func(b *testing.B) {
			var p [8 * unit]byte
			b.SetBytes(8 * unit)
			for b.Loop() {
				x.decrypt(p[:], p[:], 5)
			}
		})
	}
	run("fast", x)
	x.fastData, x.fastTweak = nil, nil
	run("portable", x)
}
