//go:build tailoros

// Package gocrypto is the part of Go's cryptography that opens an encrypted
// volume, beneath package syscall. What is public of it imports package os, so
// this uses what lies beneath that. In an image it is part of crypto/subtle, since
// none but Go's own packages may import these.
package gocrypto

import (
	"crypto/internal/fips140/aes"
	"crypto/internal/fips140/pbkdf2"
	"crypto/internal/fips140/sha256"
)

// AES returns the cipher for a key of 16, 24 or 32 bytes.
func AES(key []byte) (*aes.Block, error) { return aes.New(key) }

// SHA256 returns the hash of p.
func SHA256(p []byte) [32]byte {
	h := sha256.New()
	h.Write(p)
	return [32]byte(h.Sum(nil))
}

// PBKDF2 derives n bytes with HMAC-SHA256 (RFC 8018, section 5.2). It calls pause
// every few milliseconds at most.
func PBKDF2(password, salt []byte, iterations, n int, pause func()) ([]byte, error) {
	hashes := 0
	return pbkdf2.Key(func() *pausing { return &pausing{sha256.New(), &hashes, pause} }, string(password), salt, iterations, n)
}

// A pausing hash calls a function now and then: of all that PBKDF2 does, hashing
// alone is somebody else's code.
type pausing struct {
	*sha256.Digest
	hashes *int
	pause  func()
}

// Sum implements hash.Hash.
func (p *pausing) Sum(b []byte) []byte {
	if *p.hashes++; *p.hashes%(1<<12) == 0 {
		p.pause()
	}
	return p.Digest.Sum(b)
}
