package crypt

import (
	"errors"
	"strconv"

	"github.com/tailor-os/tailor/block"
)

// Sizes of a header, in bytes.
const (
	headerSize = 592
	headArea   = 4096 // what is read and written of it; key material is behind
	digestSize = 20
	saltSize   = 32
	slotOffset = 208
	slotSize   = 48
	numSlots   = 8
	stripes    = 4000 // of the anti-forensic splitter: LUKS_STRIPES
)

const (
	slotOn  = 0x00AC71F3
	slotOff = 0x0000DEAD
)

// MaxIterations bounds what a header may ask of PBKDF2, so that a hostile one
// takes a bounded time: about half a minute for each of its keys.
const MaxIterations = 1 << 25

// MinIterations is what the specification asks for at least. It is enough for
// a key of random bytes.
const MinIterations = 1000

// A Header is what a LUKS header says in clear.
type Header struct {
	UUID     string
	Payload  int64 // where the data begins, in bytes
	KeyBytes int   // of the master key: 32 for AES-128, 64 for AES-256
	Slots    [numSlots]Slot

	digest     [digestSize]byte
	salt       [saltSize]byte
	iterations uint32
}

// A Slot is a copy of the master key, encrypted with a user's.
type Slot struct {
	Used       bool
	Iterations uint32

	salt [saltSize]byte
	at   int64 // of the key material, in bytes
}

// Is reports whether b, the first bytes of a device, begins a LUKS header of any
// version.
func Is(b []byte) bool { return len(b) >= 6 && string(b[:6]) == magic }

const magic = "LUKS\xba\xbe"

// ReadHeader reads the header of d. It fails with ErrNone if there is none, and
// with an error that says what is wrong if it cannot be used.
func ReadHeader(d block.Device) (*Header, error) {
	b := make([]byte, headArea)
	if d.Size() < headArea {
		return nil, ErrNone
	}
	if err := d.ReadAt(b, 0); err != nil {
		return nil, err
	}
	return parseHeader(b, d)
}

func (*Header) bad(what string) error { return errors.New("LUKS header: " + what) }

// parseHeader reads the fields of b and checks them against the device.
func parseHeader(b []byte, d block.Device) (*Header, error) {
	if !Is(b) {
		return nil, ErrNone
	}
	h := &Header{
		UUID: text(b[168:208]), Payload: int64(be32(b[104:])) * unit, KeyBytes: int(be32(b[108:])),
		digest: [digestSize]byte(b[112:]), salt: [saltSize]byte(b[132:]), iterations: be32(b[164:]),
	}
	if v := int(b[6])<<8 | int(b[7]); v != 1 {
		return nil, h.bad("version " + strconv.Itoa(v) + " is not supported, only 1 (cryptsetup luksFormat --type luks1)")
	}
	if got := text(b[8:40]) + "-" + text(b[40:72]) + " with " + text(b[72:104]); got != "aes-xts-plain64 with sha256" {
		return nil, h.bad(got + " is not supported, only aes-xts-plain64 with sha256")
	}
	switch {
	case h.KeyBytes != 32 && h.KeyBytes != 64:
		return nil, h.bad("a master key of " + strconv.Itoa(h.KeyBytes) + " bytes is not supported, only 32 and 64")
	case h.iterations == 0 || h.iterations > MaxIterations:
		return nil, h.bad("it asks for " + strconv.FormatUint(uint64(h.iterations), 10) + " iterations")
	case h.Payload < headArea || h.Payload >= d.Size() || h.Payload%int64(d.SectorSize()) != 0:
		return nil, h.bad("the data would begin at byte " + strconv.FormatInt(h.Payload, 10) + " of " + strconv.FormatInt(d.Size(), 10))
	}
	return h, h.parseSlots(b)
}

func (h *Header) parseSlots(b []byte) error {
	for i := range h.Slots {
		f := b[slotOffset+i*slotSize:][:slotSize]
		s := &h.Slots[i]
		*s = Slot{be32(f) == slotOn, be32(f[4:]), [saltSize]byte(f[8:]), int64(be32(f[40:])) * unit}
		switch {
		case s.Used && (s.Iterations == 0 || s.Iterations > MaxIterations):
			return h.bad("key " + strconv.Itoa(i) + " asks for " + strconv.FormatUint(uint64(s.Iterations), 10) + " iterations")
		case s.Used && be32(f[44:]) != stripes:
			return h.bad("key " + strconv.Itoa(i) + " is not split into 4000 stripes")
		case s.Used && !h.holds(s):
			return h.bad("key " + strconv.Itoa(i) + " does not lie between header and data")
		}
	}
	return nil
}

// holds reports whether the key material of s has its place.
func (h *Header) holds(s *Slot) bool {
	return s.at >= headerSize && s.at+h.materialSize() <= h.Payload
}

// materialSize is what the stripes of a master key take, in whole units.
func (h *Header) materialSize() int64 {
	return (int64(h.KeyBytes)*stripes + unit - 1) &^ (unit - 1)
}

// bytes returns h as it is on a device.
func (h *Header) bytes() []byte {
	b := make([]byte, headArea)
	copy(b, magic)
	b[7] = 1
	copy(b[8:], "aes")
	copy(b[40:], "xts-plain64")
	copy(b[72:], "sha256")
	putBE32(b[104:], uint32(h.Payload/unit))
	putBE32(b[108:], uint32(h.KeyBytes))
	copy(b[112:], h.digest[:])
	copy(b[132:], h.salt[:])
	putBE32(b[164:], h.iterations)
	copy(b[168:207], h.UUID)
	for i, s := range h.Slots {
		f := b[slotOffset+i*slotSize:]
		putBE32(f, slotOff)
		if s.Used {
			putBE32(f, slotOn)
			putBE32(f[4:], s.Iterations)
			copy(f[8:], s.salt[:])
		}
		putBE32(f[40:], uint32(s.at/unit))
		putBE32(f[44:], stripes)
	}
	return b
}

// text returns the bytes before the first zero.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func putBE32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}
