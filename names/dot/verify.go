package dot

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
)

// tlsConfig says how a server is verified: by its name if it has one, by its address if
// there is nothing else, and by a pin if there are some. A name and pins must both be
// right (RFC 8310 section 8.2); pins alone are enough (RFC 7858 section 4.2).
func (c *Config) tlsConfig(s Server) *tls.Config {
	host, _, _ := net.SplitHostPort(s.Address)
	cfg := &tls.Config{
		ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: c.Roots,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	if s.Name != "" {
		cfg.ServerName = s.Name
	}
	if len(c.Pins) == 0 {
		return cfg
	}
	// The chain is then of no importance, and need not lead to a root.
	cfg.InsecureSkipVerify = s.Name == ""
	cfg.VerifyConnection = func(state tls.ConnectionState) error { return c.checkPins(&state) }
	return cfg
}

// checkPins looks for a pinned key in the chains that were verified. Where none was, it
// must be the server's own: others in what it sends prove nothing.
func (c *Config) checkPins(state *tls.ConnectionState) error {
	chains := state.VerifiedChains
	if len(chains) == 0 && len(state.PeerCertificates) > 0 {
		chains = [][]*x509.Certificate{state.PeerCertificates[:1]}
	}
	for _, chain := range chains {
		for _, cert := range chain {
			if slices.Contains(c.Pins, PinOf(cert)) {
				return nil
			}
		}
	}
	if len(chains) == 0 {
		return errors.New("the server has no certificate")
	}
	return errors.New("the server's key has the pin " + PinOf(chains[0][0]).String() + ", which is none of those given by dns-pin")
}

// PinOf returns the pin of a certificate.
func PinOf(cert *x509.Certificate) Pin { return sha256.Sum256(cert.RawSubjectPublicKeyInfo) }
