//go:build tailoros

// Package luks mounts volumes in an image that can open encrypted ones.
package luks

import (
	"errors"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/block/crypt"
	"github.com/tailor-os/tailor/boot/event"
	"github.com/tailor-os/tailor/boot/volumes"
	"github.com/tailor-os/tailor/boot/volumes/luks/gocrypto"
)

func init() { volumes.Start(open) }

var library = crypt.Crypto{
	AES:    func(key []byte) (crypt.Cipher, error) { return gocrypto.AES(key) },
	SHA256: gocrypto.SHA256,
	PBKDF2: func(password, salt []byte, iterations, n int) ([]byte, error) {
		// It may take seconds, which are no stall: nothing else is to run yet.
		return gocrypto.PBKDF2(password, salt, iterations, n, event.Yield)
	},
	// Random is for making volumes and changing keys, which a guest does not.
}

// open opens the encrypted device d.
func open(d block.Device, key []byte) (block.Device, error) {
	inner, err := crypt.Open(d, library, key)
	if errors.Is(err, crypt.ErrKey) {
		return nil, errors.New(err.Error() + ": give the one that it was made with (all bytes of its file count, a newline at the end too)")
	}
	if err != nil {
		return nil, err
	}
	return inner, nil
}
