package entropy

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The vector of RFC 8439 section 2.3.2.
func TestBlock(t *testing.T) {
	var key [keyWords]uint32
	for i := range key {
		b := byte(4 * i)
		key[i] = le32([]byte{b, b + 1, b + 2, b + 3})
	}
	var out [blockWords]uint32
	chacha20Nonce(&out, &key, 1, [3]uint32{0x09000000, 0x4a000000, 0})
	var b [64]byte
	for i, w := range out {
		putLE32(b[4*i:], w)
	}
	want := "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e" +
		"d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
	if got := hex.EncodeToString(b[:]); got != want {
		t.Errorf("block = %s, want %s", got, want)
	}
}

func TestSeedsDecideTheStream(t *testing.T) {
	read := func(seed byte, hw func() (uint64, bool)) []byte {
		p := make([]byte, 3000)
		New(&[32]byte{seed}, hw).Read(p)
		return p
	}
	none := func() (uint64, bool) { return 0, false }
	seven := func() (uint64, bool) { return 7, true }
	if !bytes.Equal(read(1, nil), read(1, none)) {
		t.Error("the same seed gives different streams without hardware words")
	}
	if bytes.Equal(read(1, nil), read(2, nil)) {
		t.Error("different seeds give the same stream")
	}
	if bytes.Equal(read(1, none), read(1, seven)) {
		t.Error("hardware words change nothing")
	}
}

func TestReadSizesAgree(t *testing.T) {
	one := New(&[32]byte{9}, nil)
	all := make([]byte, 5000)
	one.Read(all)
	many := New(&[32]byte{9}, nil)
	var got []byte
	for n := 1; len(got) < len(all); n++ {
		p := make([]byte, min(n, len(all)-len(got)))
		many.Read(p)
		got = append(got, p...)
	}
	if !bytes.Equal(all, got) {
		t.Error("the stream depends on how it is read")
	}
}

// What was given out must not be left in the state.
func TestErasure(t *testing.T) {
	g := New(&[32]byte{3}, nil)
	p := make([]byte, 100)
	g.Read(p)
	if bytes.Contains(g.buf[:], p[:16]) || bytes.Contains(g.buf[:], p[80:]) {
		t.Error("output is still in the buffer")
	}
}

func TestStirred(t *testing.T) {
	calls := 0
	g := New(&[32]byte{4}, func() (uint64, bool) { calls++; return uint64(calls), true })
	g.Read(make([]byte, 3*stirEvery))
	if calls < 3*4 {
		t.Errorf("the processor's source was asked %d times", calls)
	}
}

func BenchmarkRead(b *testing.B) {
	g := New(&[32]byte{5}, nil)
	p := make([]byte, 4096)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		g.Read(p)
	}
}

func TestMix(t *testing.T) {
	read := func(mix ...[]byte) string {
		g := New(&[32]byte{1}, nil)
		for _, m := range mix {
			g.Mix(m)
		}
		p := make([]byte, 64)
		g.Read(p)
		return string(p)
	}
	seen := map[string]string{}
	for name, got := range map[string]string{
		"nothing": read(), "a": read([]byte("a")), "b": read([]byte("b")), "a, b": read([]byte("a"), []byte("b")),
		"b, a": read([]byte("b"), []byte("a")), "33rd byte": read(append(make([]byte, 32), 7)),
	} {
		if other := seen[got]; other != "" {
			t.Errorf("the stream is the same after mixing %s and %s", name, other)
		}
		seen[got] = name
	}
}
