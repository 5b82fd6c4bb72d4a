// Package crypt encrypts a block device: LUKS version 1 with AES-XTS, SHA-256
// and sectors of 512 bytes, a format that cryptsetup, QEMU and others open
// (LUKS On-Disk Format Specification 1.2.3; XTS is IEEE 1619-2007). A random
// master key encrypts the data; up to eight keys of users each encrypt a copy of
// it, so that one is changed without writing the data anew.
//
// XTS hides what sectors hold, and does not show who has changed them:
// docs/decisions/encryption.md says why it is enough here.
//
// The package lies beneath package syscall, as Go's cryptography does not. So
// that is given to it: see [Crypto] and package gocrypto.
package crypt

import (
	"errors"
	"strconv"
	"sync"

	"github.com/tailor-os/tailor/block"
)

// A Cipher encrypts blocks of 16 bytes; it is a cipher.Block. dst and src may be
// the same.
type Cipher interface {
	Encrypt(dst, src []byte)
	Decrypt(dst, src []byte)
}

// Crypto is the cryptography that volumes are opened and made with. Its functions
// may be called by several goroutines at once.
type Crypto struct {
	// AES returns the cipher for a key of 16 or 32 bytes.
	AES func(key []byte) (Cipher, error)
	// SHA256 returns the hash of p.
	SHA256 func(p []byte) [32]byte
	// PBKDF2 derives n bytes with HMAC-SHA256 (RFC 8018, section 5.2).
	PBKDF2 func(password, salt []byte, iterations, n int) ([]byte, error)
	// Random fills p with bytes that nobody can guess.
	Random func(p []byte) error
}

// Errors of volumes.
var (
	// ErrNone is for a device that is not encrypted in this format.
	ErrNone = errors.New("no LUKS header")
	// ErrKey is for a key that opens none of the copies of the master key.
	ErrKey = errors.New("the key does not fit")
	// ErrFull is returned when all keys are in use that there can be.
	ErrFull = errors.New("no room for another key")
)

// A Device is what is in an encrypted device.
type Device struct {
	under block.Device // without the header
	xts   xts
}

// unit is the number of bytes that are encrypted as one.
const unit = 512

// chunk is how much is encrypted and written at a time, in bytes.
const chunk = 128 << 10

var chunks = sync.Pool{New: func() any { return new([chunk]byte) }}

// Open opens the encrypted device d. It fails with ErrNone or ErrKey, and with
// an error that says so if the header is damaged or of a kind that is not
// supported. The time it takes is bounded by [MaxIterations].
func Open(d block.Device, c Crypto, key []byte) (*Device, error) {
	h, err := ReadHeader(d)
	if err != nil {
		return nil, err
	}
	_, master, err := h.unlock(d, c, key)
	if err != nil {
		return nil, err
	}
	return h.open(d, c, master)
}

func (h *Header) open(d block.Device, c Crypto, master []byte) (*Device, error) {
	x, err := newXTS(c, master)
	if err != nil {
		return nil, err
	}
	under, err := block.Sub(d, h.Payload, d.Size()-h.Payload)
	if err != nil {
		return nil, h.bad("the data would begin at byte " + strconv.FormatInt(h.Payload, 10))
	}
	return &Device{under, x}, nil
}

// Size implements block.Device.
func (d *Device) Size() int64 { return d.under.Size() }

// SectorSize implements block.Device.
func (d *Device) SectorSize() int { return d.under.SectorSize() }

// ReadOnly implements block.Device.
func (d *Device) ReadOnly() bool { return d.under.ReadOnly() }

// Flush implements block.Device.
func (d *Device) Flush() error { return d.under.Flush() }

// ReadAt implements block.Device.
func (d *Device) ReadAt(p []byte, off int64) error {
	if err := d.under.ReadAt(p, off); err != nil {
		return err
	}
	d.xts.decrypt(p, p, uint64(off)/unit)
	return nil
}

// WriteAt implements block.Device.
func (d *Device) WriteAt(p []byte, off int64) error {
	if err := block.Check(d, off, int64(len(p))); err != nil {
		return err
	}
	buf := chunks.Get().(*[chunk]byte)
	defer chunks.Put(buf)
	for len(p) > 0 {
		n := min(len(p), chunk)
		d.xts.encrypt(buf[:n], p[:n], uint64(off)/unit)
		if err := d.under.WriteAt(buf[:n], off); err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// Discard implements block.Device. It does nothing: which sectors are in use is
// nobody's business.
func (d *Device) Discard(off, n int64) error {
	if d.ReadOnly() {
		return block.ErrReadOnly
	}
	return block.Check(d, off, n)
}
