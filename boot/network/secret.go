//go:build tailoros

package network

import "syscall"

// secretFile has what stable IPv6 addresses are made of (RFC 7217), random bytes that
// nobody else has; the machine keeps its addresses as long as it is given the same.
const (
	secretFile = "/run/secrets/ip6-secret"
	minSecret  = 16 // bytes
	maxSecret  = 1024
)

// secret returns it, nil if there is none, so that addresses are made of the MAC.
func secret() []byte {
	fd, err := syscall.Open(secretFile, syscall.O_RDONLY, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	b := make([]byte, maxSecret)
	n, err := syscall.Read(fd, b)
	if err != nil || n < minSecret {
		println("tailor: network: IPv6 addresses are made of the MAC:", secretFile, "is not to be read, or shorter than", minSecret, "bytes")
		return nil
	}
	return b[:n]
}
