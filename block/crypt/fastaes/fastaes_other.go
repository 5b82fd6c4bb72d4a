//go:build !amd64

package fastaes

// A Key does not exist for this processor.
type Key struct{}

// NewKey returns nil.
func NewKey([]byte) *Key { return nil }

// Crypt is never called.
func (*Key) Crypt(dst, src, tweaks []byte, encrypt bool) {}
