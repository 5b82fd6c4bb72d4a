//go:build tailoros

// Package roots pins the module whose root certificates images have: it is what
// go.mod requires it for. internal/port lays them into package crypto/x509.
package roots

import _ "golang.org/x/crypto/x509roots/fallback/bundle" // see above
