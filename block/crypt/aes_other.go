//go:build !amd64

package crypt

// fastAES does not exist for this processor.
type fastAES struct{}

func newFastAES([]byte) *fastAES { return nil }

func (*fastAES) crypt(dst, src, tweaks []byte, encrypt bool) {}
