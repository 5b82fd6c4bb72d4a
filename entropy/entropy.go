// Package entropy is the guest's source of random bytes: ChaCha20 (RFC 8439)
// as a generator with fast key erasure, seeded by the starter and stirred with
// the processor's own source.
//
// A seed alone makes the stream unpredictable and different for each start; so
// does the processor's source alone. Neither can make it worse than the other.
package entropy

import "sync"

const (
	blockWords = 16 // of ChaCha20
	keyWords   = 8
	buffered   = 4 * blockWords * 4 // bytes made at a time
	// stirEvery is how many bytes are given out before the processor's source
	// is stirred in again.
	stirEvery = 1 << 20
)

// A Generator gives out random bytes. It may be used by several goroutines.
type Generator struct {
	mu       sync.Mutex
	key      [keyWords]uint32
	buf      [buffered]byte
	left     int // bytes of buf not given out, at its end
	made     int // bytes since the last stir
	hardware func() (uint64, bool)
}

// New returns a generator for a secret seed. hardware returns a random word of
// the processor, false if it has none at the moment; it may be nil.
func New(seed *[32]byte, hardware func() (uint64, bool)) *Generator {
	g := &Generator{hardware: hardware, made: stirEvery} // stirred when first read
	for i := range g.key {
		g.key[i] = le32(seed[4*i:])
	}
	return g
}

// Read fills p with random bytes.
func (g *Generator) Read(p []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(p) > 0 {
		if g.left == 0 {
			g.refill()
		}
		from := g.buf[len(g.buf)-g.left:]
		n := copy(p, from)
		clear(from[:n])
		g.left -= n
		p = p[n:]
	}
}

// Mix stirs bytes of a further source into the state, which cannot make it worse,
// whoever knows them.
func (g *Generator) Mix(p []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, b := range p {
		g.key[i/4%len(g.key)] ^= uint32(b) << (i % 4 * 8)
	}
	g.stir()
}

// stir mixes words of the processor's source into the key and replaces it by
// output of the generator, so that neither the old key nor the words can be
// got back from it.
func (g *Generator) stir() {
	if g.hardware != nil {
		for i := 0; i < len(g.key); i += 2 {
			if v, ok := g.hardware(); ok {
				g.key[i] ^= uint32(v)
				g.key[i+1] ^= uint32(v >> 32)
			}
		}
	}
	g.made = 0
	g.refill()
}

// refill makes one buffer of output. Its first bytes become the next key and
// are erased at once: what was given out cannot be computed from the state.
func (g *Generator) refill() {
	if g.made >= stirEvery {
		g.stir()
		return
	}
	var block [blockWords]uint32
	for n := range len(g.buf) / 64 {
		chacha20(&block, &g.key, uint32(n))
		for i, w := range block {
			putLE32(g.buf[64*n+4*i:], w)
		}
	}
	for i := range g.key {
		g.key[i] = le32(g.buf[4*i:])
	}
	clear(g.buf[:4*keyWords])
	g.left = len(g.buf) - 4*keyWords
	g.made += len(g.buf)
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func putLE32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}
