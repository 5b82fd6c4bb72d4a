// Package gocrypto gives package crypt the cryptography of Go's standard
// library. It is apart because that imports package os.
package gocrypto

import (
	"crypto/aes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"

	"github.com/tailor-os/tailor/block/crypt"
)

// Crypto is the standard library's.
var Crypto = crypt.Crypto{
	AES:    func(key []byte) (crypt.Cipher, error) { return aes.NewCipher(key) },
	SHA256: sha256.Sum256,
	PBKDF2: func(password, salt []byte, iterations, n int) ([]byte, error) {
		return pbkdf2.Key(sha256.New, string(password), salt, iterations, n)
	},
	Random: func(p []byte) error {
		_, err := rand.Read(p)
		return err
	},
}
