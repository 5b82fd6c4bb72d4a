package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// secret is what is compiled in, for -ldflags '-X main.secret=...'.
var secret = "This Piñata was filled with nothing but paper."

// Bounds of what is given, in bytes. A secret that is handed to this program by
// itself must be within what a peer may send.
const maxFile, maxSecret = 64 << 10, 4 << 10

// settings are what can be set in several ways; empty is not set.
type settings struct {
	secret        string
	ca, cert, key string // PEM, or in flags the name of a file with it
}

// complete returns the settings of s, then those of the folders in their order,
// then what is compiled in. PEM is read from the files that flags name.
func (s settings) complete(folders ...string) (settings, error) {
	for _, f := range []struct {
		value *string
		name  string
	}{{&s.secret, "secret"}, {&s.ca, "ca.pem"}, {&s.cert, "cert.pem"}, {&s.key, "key.pem"}} {
		var err error
		switch {
		case *f.value == "":
			*f.value, err = find(f.name, folders)
		case f.value != &s.secret && !strings.Contains(*f.value, "-----BEGIN"):
			*f.value, err = read(*f.value)
		}
		if err != nil {
			return s, err
		}
	}
	s.secret = cmp.Or(s.secret, secret)
	if len(s.secret) > maxSecret {
		return s, fmt.Errorf("the secret has %d bytes, %d at most", len(s.secret), maxSecret)
	}
	return s, nil
}

// find reads a file from the first folder that has it; "" if none has.
func find(name string, folders []string) (string, error) {
	for _, dir := range folders {
		text, err := read(filepath.Join(dir, name))
		if !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
	}
	return "", nil
}

func read(path string) (string, error) {
	text, err := os.ReadFile(path)
	switch {
	case err != nil:
		return "", err
	case len(text) > maxFile:
		return "", fmt.Errorf("%s has %d bytes, %d at most", path, len(text), maxFile)
	case len(bytes.TrimSpace(text)) == 0:
		return "", fmt.Errorf("%s is empty", path)
	}
	return string(text), nil
}

// identity returns the authority and the certificate that were given, or ones
// made for this start alone.
func (s settings) identity(now time.Time) (*identity, error) {
	switch missing := s.missing(); len(missing) {
	case 0:
		return readIdentity(s.ca, s.cert, s.key, now)
	case 3:
		return newIdentity(now)
	default:
		return nil, fmt.Errorf("an authority needs a ca, a cert and a key; there is no %s", strings.Join(missing, " and no "))
	}
}

func (s settings) missing() (names []string) {
	for _, v := range []struct{ name, text string }{{"ca", s.ca}, {"cert", s.cert}, {"key", s.key}} {
		if v.text == "" {
			names = append(names, v.name)
		}
	}
	return names
}

// readIdentity makes an identity of PEM, if it would convince a peer.
func readIdentity(ca, cert, key string, now time.Time) (*identity, error) {
	block, _ := pem.Decode([]byte(ca))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("ca: no certificate in PEM")
	}
	authority, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	leaf, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		return nil, fmt.Errorf("cert and key: %w", err)
	}
	id := identityOf(authority, leaf)
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := id.verify([]*x509.Certificate{leaf.Leaf}, usage, now); err != nil {
			return nil, fmt.Errorf("cert: %w", err)
		}
	}
	return id, nil
}
