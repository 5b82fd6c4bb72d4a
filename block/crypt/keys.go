package crypt

import (
	"crypto/subtle"

	"github.com/tailor-os/tailor/block"
)

// Where a new header has its parts, in bytes; as cryptsetup places them.
const (
	firstMaterial = 4096
	materialStep  = 504 * unit // 500 for 64 bytes of key, to multiples of 4096
	newPayload    = 2 << 20
	newKeyBytes   = 64 // AES-256
)

// MinSize is the least size of a device that can be encrypted, in bytes.
const MinSize = newPayload + 4096

// Format makes d an encrypted device that key opens, and returns it open. What
// was on d is lost. iterations is what a guess of the key is to cost; see
// [Iterations].
func Format(d block.Device, c Crypto, key []byte, iterations int) (*Device, error) {
	if d.Size() < MinSize {
		return nil, block.ErrRange
	}
	master := make([]byte, newKeyBytes)
	h := &Header{Payload: newPayload, KeyBytes: newKeyBytes, iterations: MinIterations}
	var id [16]byte
	for _, p := range [][]byte{master, h.salt[:], id[:]} {
		if err := c.Random(p); err != nil {
			return nil, err
		}
	}
	h.UUID = uuid(id)
	for i := range h.Slots {
		h.Slots[i].at = firstMaterial + int64(i)*materialStep
	}
	digest, err := c.PBKDF2(master, h.salt[:], MinIterations, digestSize)
	if err != nil {
		return nil, err
	}
	h.digest = [digestSize]byte(digest)
	if err := h.setKey(d, c, 0, master, key, iterations); err != nil {
		return nil, err
	}
	return h.open(d, c, master)
}

// uuid writes random bytes as a UUID of version 4 (RFC 9562, section 5.4).
func uuid(b [16]byte) string {
	b[6], b[8] = b[6]&0x0F|0x40, b[8]&0x3F|0x80
	const digits = "0123456789abcdef"
	s := ""
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			s += "-"
		}
		s += string([]byte{digits[c>>4], digits[c&15]})
	}
	return s
}

// Iterations returns how often to iterate for key. Bytes that nobody has typed,
// 32 at least, cannot be guessed however fast that is; for others it is what
// OWASP recommends for PBKDF2 with HMAC-SHA256 (Password Storage Cheat Sheet,
// 2023).
func Iterations(key []byte) int {
	typed := true
	for _, c := range key {
		typed = typed && (c >= ' ' && c != 0x7F || c == '\n' || c == '\r' || c == '\t')
	}
	if len(key) >= 32 && !typed {
		return MinIterations
	}
	return 600_000
}

// AddKey makes new open the device d too, which old opens. A power cut leaves the
// old key good in any case. It fails with ErrFull.
func AddKey(d block.Device, c Crypto, old, new []byte, iterations int) error {
	_, _, _, err := addKey(d, c, old, new, iterations)
	return err
}

// ChangeKey makes new open the device d instead of old. The data is not
// written anew: whoever has the old key and an old copy of the header, or the
// master key, can still read it. A power cut leaves the old key good or the new one,
// or both.
func ChangeKey(d block.Device, c Crypto, old, new []byte, iterations int) error {
	h, was, _, err := addKey(d, c, old, new, iterations)
	if err != nil {
		return err
	}
	return h.dropKey(d, c, was)
}

// addKey also returns the slot that old opens.
func addKey(d block.Device, c Crypto, old, new []byte, iterations int) (h *Header, was, is int, err error) {
	if h, err = ReadHeader(d); err != nil {
		return nil, 0, 0, err
	}
	was, master, err := h.unlock(d, c, old)
	if err != nil {
		return nil, 0, 0, err
	}
	// Slot 6 lies on two sectors, of which a power cut may leave one.
	for _, is := range []int{0, 1, 2, 3, 4, 5, 7} {
		if s := &h.Slots[is]; !s.Used && h.holds(s) {
			return h, was, is, h.setKey(d, c, is, master, new, iterations)
		}
	}
	return nil, 0, 0, ErrFull
}

// setKey stores master, encrypted with key, in slot i: first the material, then
// what says that it is there.
func (h *Header) setKey(d block.Device, c Crypto, i int, master, key []byte, iterations int) error {
	s := &h.Slots[i]
	s.Iterations = uint32(max(MinIterations, min(iterations, MaxIterations)))
	if err := c.Random(s.salt[:]); err != nil {
		return err
	}
	x, err := s.xts(c, key, h.KeyBytes)
	if err != nil {
		return err
	}
	m := make([]byte, h.materialSize())
	if err := split(c, m[:h.KeyBytes*stripes], master); err != nil {
		return err
	}
	x.encrypt(m, m, 0)
	if err := writeSynced(d, m, s.at); err != nil {
		return err
	}
	s.Used = true
	return writeSynced(d, h.bytes(), 0)
}

// dropKey makes slot i unusable, its material too.
func (h *Header) dropKey(d block.Device, c Crypto, i int) error {
	s := &h.Slots[i]
	s.Used = false
	if err := writeSynced(d, h.bytes(), 0); err != nil {
		return err
	}
	m := make([]byte, h.materialSize())
	if err := c.Random(m); err != nil {
		return err
	}
	return writeSynced(d, m, s.at)
}

// writeSynced writes p, whose ends need not be whole sectors of d, durably.
func writeSynced(d block.Device, p []byte, off int64) error {
	mask := int64(d.SectorSize() - 1)
	start, end := off&^mask, (off+int64(len(p))+mask)&^mask
	b := make([]byte, end-start)
	if err := d.ReadAt(b, start); err != nil {
		return err
	}
	copy(b[off-start:], p)
	if err := d.WriteAt(b, start); err != nil {
		return err
	}
	return d.Flush()
}

// unlock returns the slot that key opens, and the master key. It fails with
// ErrKey.
func (h *Header) unlock(d block.Device, c Crypto, key []byte) (int, []byte, error) {
	for i := range h.Slots {
		s := &h.Slots[i]
		if !s.Used {
			continue
		}
		master, err := h.recover(d, c, s, key)
		if err != nil {
			return 0, nil, err
		}
		digest, err := c.PBKDF2(master, h.salt[:], int(h.iterations), digestSize)
		if err != nil {
			return 0, nil, err
		}
		if subtle.ConstantTimeCompare(digest, h.digest[:]) == 1 {
			return i, master, nil
		}
	}
	return 0, nil, ErrKey
}

// recover returns what s has for the master key if key is right.
func (h *Header) recover(d block.Device, c Crypto, s *Slot, key []byte) ([]byte, error) {
	x, err := s.xts(c, key, h.KeyBytes)
	if err != nil {
		return nil, err
	}
	m := make([]byte, h.materialSize())
	if err := block.ReadBytes(d, m, s.at); err != nil {
		return nil, err
	}
	x.decrypt(m, m, 0)
	return merge(c, m, h.KeyBytes), nil
}

// xts returns what encrypts the material of s.
func (s *Slot) xts(c Crypto, key []byte, n int) (xts, error) {
	k, err := c.PBKDF2(key, s.salt[:], int(s.Iterations), n)
	if err != nil {
		return xts{}, err
	}
	return newXTS(c, k)
}

// split fills m with stripes from which merge makes key, and from which nothing
// can be learned if a single one is missing: what is wiped of a disk may survive
// somewhere in part (specification, section 2.4).
func split(c Crypto, m, key []byte) error {
	last := len(m) - len(key)
	if err := c.Random(m[:last]); err != nil {
		return err
	}
	subtle.XORBytes(m[last:], mixed(c, m[:last], len(key)), key)
	return nil
}

// merge is the inverse of split.
func merge(c Crypto, m []byte, n int) []byte {
	last := n * (stripes - 1)
	key := mixed(c, m[:last], n)
	subtle.XORBytes(key, key, m[last:last+n])
	return key
}

// mixed folds stripes of n bytes into one.
func mixed(c Crypto, m []byte, n int) []byte {
	d := make([]byte, n)
	for ; len(m) > 0; m = m[n:] {
		subtle.XORBytes(d, d, m[:n])
		diffuse(c, d)
	}
	return d
}

// diffuse hashes each 32 bytes of d, with their number before them.
func diffuse(c Crypto, d []byte) {
	var in [4 + 32]byte
	for i := 0; i < len(d); i += 32 {
		putBE32(in[:], uint32(i/32))
		copy(in[4:], d[i:i+32])
		sum := c.SHA256(in[:])
		copy(d[i:], sum[:])
	}
}
