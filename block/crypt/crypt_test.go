package crypt_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/block/blocktest"
	"github.com/tailor-os/tailor/block/crypt"
	"github.com/tailor-os/tailor/block/crypt/gocrypto"
)

var lib = gocrypto.Crypto

const size = crypt.MinSize + 64<<10

func made(t testing.TB, key string) (*blocktest.Mem, *crypt.Device) {
	t.Helper()
	m := blocktest.New(size)
	d, err := crypt.Format(m, lib, []byte(key), crypt.MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	return m, d
}

func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestDevice(t *testing.T) {
	m, d := made(t, "secret")
	text := noise(64<<10, 1)
	if err := d.WriteAt(text, 4096); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(m.Data, text[:512]) {
		t.Error("the text is on the device in clear")
	}
	again, err := crypt.Open(m, lib, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if err := again.ReadAt(got, 4096); err != nil || !bytes.Equal(got, text) {
		t.Errorf("what was read is not what was written: %v", err)
	}
	part := make([]byte, 1024)
	if err := again.ReadAt(part, 8192); err != nil || !bytes.Equal(part, text[4096:5120]) {
		t.Errorf("a part of it: %v", err)
	}
	if again.Size() != size-2<<20 {
		t.Errorf("size %d", again.Size())
	}
	for _, c := range []struct{ off, n int64 }{{again.Size(), 512}, {1, 512}, {-512, 512}, {0, 100}} {
		p := make([]byte, c.n)
		for op, err := range map[string]error{"read": again.ReadAt(p, c.off), "write": again.WriteAt(p, c.off), "discard": again.Discard(c.off, c.n)} {
			if !errors.Is(err, block.ErrRange) {
				t.Errorf("%s of %d at %d: %v", op, c.n, c.off, err)
			}
		}
	}
	before := bytes.Clone(m.Data)
	if err := again.Discard(0, 8192); err != nil || !bytes.Equal(m.Data, before) {
		t.Errorf("discard tells what is not in use: %v", err)
	}
	m.RO = true
	if err := again.WriteAt(part, 0); !errors.Is(err, block.ErrReadOnly) || !again.ReadOnly() {
		t.Errorf("write on a read-only device: %v", err)
	}
}

func TestWrongKey(t *testing.T) {
	m, _ := made(t, "secret")
	for _, key := range []string{"", "secre", "secret\n", "Secret", strings.Repeat("secret", 100)} {
		if _, err := crypt.Open(m, lib, []byte(key)); !errors.Is(err, crypt.ErrKey) {
			t.Errorf("%.10q: %v", key, err)
		}
	}
	if _, err := crypt.Open(blocktest.New(size), lib, nil); !errors.Is(err, crypt.ErrNone) {
		t.Errorf("not encrypted: %v", err)
	}
	if _, err := crypt.Format(blocktest.New(crypt.MinSize-512), lib, []byte("x"), 1); !errors.Is(err, block.ErrRange) {
		t.Errorf("too small: %v", err)
	}
}

func opens(t *testing.T, m *blocktest.Mem, key string) bool {
	t.Helper()
	_, err := crypt.Open(m, lib, []byte(key))
	if err != nil && !errors.Is(err, crypt.ErrKey) {
		t.Fatalf("open: %v", err)
	}
	return err == nil
}

func TestChangeKey(t *testing.T) {
	m, d := made(t, "old")
	text := noise(512, 2)
	if err := d.WriteAt(text, 0); err != nil {
		t.Fatal(err)
	}
	if err := crypt.ChangeKey(m, lib, []byte("wrong"), []byte("new"), 0); !errors.Is(err, crypt.ErrKey) {
		t.Errorf("with a wrong key: %v", err)
	}
	if err := crypt.ChangeKey(m, lib, []byte("old"), []byte("new"), 0); err != nil {
		t.Fatal(err)
	}
	if opens(t, m, "old") || !opens(t, m, "new") {
		t.Error("the old key opens it, or the new one does not")
	}
	again, err := crypt.Open(m, lib, []byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 512)
	if err := again.ReadAt(got, 0); err != nil || !bytes.Equal(got, text) {
		t.Errorf("the data is another: %v", err)
	}
	for i := range 6 {
		if err := crypt.AddKey(m, lib, []byte("new"), fmt.Append(nil, i), 0); err != nil {
			t.Fatalf("key %d: %v", i, err)
		}
	}
	if err := crypt.AddKey(m, lib, []byte("0"), []byte("8"), 0); !errors.Is(err, crypt.ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	for _, key := range []string{"new", "0", "5"} {
		if !opens(t, m, key) {
			t.Errorf("%s does not open it", key)
		}
	}
}

// TestChangeKeyCut cuts the power at each write of a change of key, in its
// middle too: the old key or the new one opens what is left.
func TestChangeKeyCut(t *testing.T) {
	before, _ := made(t, "old")
	cut := errors.New("power cut")
	for stop, done := 0, false; !done; stop++ {
		m := blocktest.Of(bytes.Clone(before.Data))
		writes := 0
		m.Fail = func(op string, off, n int64) error {
			if op != "write" {
				return nil
			}
			if writes++; writes > stop {
				// Each sector of the write in flight may be new already.
				for i := off; i < off+n; i += 1024 {
					copy(m.Data[i:i+512], noise(512, uint64(i)))
				}
				if off == 0 {
					copy(m.Data[:n], before.Data[:n])
				}
				return cut
			}
			return nil
		}
		err := crypt.ChangeKey(m, lib, []byte("old"), []byte("new"), 0)
		m.Fail = nil
		if done = err == nil; !done && !errors.Is(err, cut) {
			t.Fatal(err)
		}
		if !opens(t, m, "old") && !opens(t, m, "new") {
			t.Errorf("after a cut at write %d, no key opens it", stop)
		}
	}
}

func TestIterations(t *testing.T) {
	for key, want := range map[string]int{
		"":                           600_000,
		"hunter2":                    600_000,
		strings.Repeat("words ", 20): 600_000,
		"Passwort mit \xc3\xa4":      600_000,
		string(noise(16, 1)):         600_000,
		string(noise(32, 1)):         crypt.MinIterations,
		string(noise(64, 2)) + "\n":  crypt.MinIterations,
	} {
		if got := crypt.Iterations([]byte(key)); got != want {
			t.Errorf("%q: %d iterations, want %d", key, got, want)
		}
	}
}

func TestBadHeaders(t *testing.T) {
	good, _ := made(t, "k")
	for _, c := range []struct {
		name string
		at   int
		to   string
		err  string
	}{
		{"magic", 0, "X", "no LUKS header"},
		{"version", 7, "\x02", "version 2 is not supported"},
		{"cipher", 8, "twofish\x00", "twofish-xts-plain64 with sha256 is not supported"},
		{"mode", 40, "cbc-essiv:sha256\x00", "aes-cbc-essiv:sha256"},
		{"hash", 72, "sha1\x00", "with sha1 is not"},
		{"hash without end", 72, strings.Repeat("x", 32), "is not supported"},
		{"key bytes", 111, "\x41", "a master key of 65 bytes"},
		{"key bits", 108, "\xff\xff\xff\xff", "a master key of"},
		{"payload in header", 104, "\x00\x00\x00\x01", "would begin at byte 512"},
		{"payload beyond", 104, "\x7f\xff\xff\xff", "would begin at byte"},
		{"no iterations", 164, "\x00\x00\x00\x00", "asks for 0 iterations"},
		{"endless", 164, "\xff\xff\xff\xff", "asks for 4294967295 iterations"},
		{"slot endless", 212, "\x7f\xff\xff\xff", "key 0 asks for 2147483647"},
		{"slot never", 212, "\x00\x00\x00\x00", "key 0 asks for 0"},
		{"slot in header", 248, "\x00\x00\x00\x01", "key 0 does not lie"},
		{"slot in data", 248, "\x00\x00\x10\x00", "key 0 does not lie"},
		{"slot beyond", 248, "\xff\xff\xff\xff", "key 0 does not lie"},
		{"stripes", 252, "\x00\x00\x00\x01", "4000 stripes"},
		{"digest", 112, "\x00\x00\x00\x00", "the key does not fit"},
		{"slot off", 208, "\x00\x00\x00\x00", "the key does not fit"},
		{"material", 5000, "\x00\x00\x00\x00", "the key does not fit"},
	} {
		m := blocktest.Of(bytes.Clone(good.Data))
		copy(m.Data[c.at:], c.to)
		if _, err := crypt.Open(m, lib, []byte("k")); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %s", c.name, err, c.err)
		}
	}
	for _, n := range []int64{0, 512, 4096, 2 << 20} {
		if _, err := crypt.Open(blocktest.Of(good.Data[:n]), lib, []byte("k")); err == nil {
			t.Errorf("cut at byte %d, it opens", n)
		}
	}
	m := blocktest.Of(good.Data)
	m.Fail = func(string, int64, int64) error { return block.ErrIO }
	if _, err := crypt.Open(m, lib, []byte("k")); !errors.Is(err, block.ErrIO) {
		t.Errorf("a device that fails: %v", err)
	}
}

// TestXTS is vector 10 of IEEE 1619-2007, annex B: AES-256, unit 0xff, text
// 00 01 ... ff twice. The device's master key is made to be the vector's by a
// random source that gives it first.
func TestXTS(t *testing.T) {
	key, _ := hex.DecodeString("2718281828459045235360287471352662497757247093699959574966967627" +
		"3141592653589793238462643383279502884197169399375105820974944592")
	c := lib
	c.Random = func(p []byte) error {
		copy(p, key)
		key = nil
		return nil
	}
	m := blocktest.New(crypt.MinSize + 256*512)
	d, err := crypt.Format(m, c, []byte("k"), 0)
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 512)
	for i := range text {
		text[i] = byte(i)
	}
	if err := d.WriteAt(text, 0xff*512); err != nil {
		t.Fatal(err)
	}
	got := m.Data[2<<20+0xff*512:][:512]
	want := "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b" +
		"5d31e276f8fe4a8d66b317f9ac683f44680a86ac35adfc3345befecb4bb188fd"
	if hex.EncodeToString(got[:64]) != want || !strings.HasSuffix(hex.EncodeToString(got), "c4f36ffda9fcea70b9c6e693e148c151") {
		t.Errorf("got\n%x ... %x", got[:64], got[496:])
	}
}

// FuzzOpen: whatever the header is, opening ends, and with a header that is
// accepted reads stay on the device.
func FuzzOpen(f *testing.F) {
	m, _ := made(f, "k")
	f.Add(m.Data[:4096])
	quick := lib
	quick.PBKDF2 = func(password, salt []byte, iterations, n int) ([]byte, error) {
		if iterations < 1 || iterations > crypt.MaxIterations {
			panic("iterations out of bounds")
		}
		sum := sha256.Sum256(append([]byte(password), salt...))
		return append(sum[:], sum[:]...)[:n], nil
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		m := blocktest.New(crypt.MinSize)
		copy(m.Data, b)
		d, err := crypt.Open(m, quick, []byte("k"))
		if err != nil {
			return
		}
		if err := d.ReadAt(make([]byte, 512), d.Size()-512); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkDevice(b *testing.B) {
	m := blocktest.New(crypt.MinSize + 1<<20)
	d, err := crypt.Format(m, lib, []byte("k"), 0)
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 1<<20)
	b.Run("read", func(b *testing.B) {
		b.SetBytes(1 << 20)
		for b.Loop() {
			d.ReadAt(p, 0)
		}
	})
	b.Run("write", func(b *testing.B) {
		b.SetBytes(1 << 20)
		for b.Loop() {
			d.WriteAt(p, 0)
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			crypt.Open(m, lib, []byte("k"))
		}
	})
}
