package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"
)

// lifetime of the certificates made at a start, in years.
const lifetime = 10

// An identity is who this program is, and whom it trusts: an authority of which
// it has the certificate alone, and a certificate of that with its key.
type identity struct {
	pool *x509.CertPool // the authority
	pem  []byte         // its certificate
	leaf tls.Certificate
}

func identityOf(authority *x509.Certificate, leaf tls.Certificate) *identity {
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	return &identity{pool, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}), leaf}
}

// newIdentity makes an authority, has it sign one certificate, and drops its key,
// which nothing outside of this function has seen. Nor has the memory that held
// it a name any more; the collector gives it to others as they come.
func newIdentity(now time.Time) (*identity, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := template("Piñata CA", now)
	ca.IsCA, ca.BasicConstraintsValid, ca.MaxPathLenZero = true, true, true
	ca.KeyUsage = x509.KeyUsageCertSign
	authority, err := sign(ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	own := template("Piñata", now)
	own.DNSNames = []string{"pinata"}
	own.KeyUsage = x509.KeyUsageDigitalSignature
	own.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	leaf, err := sign(own, authority, &key.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	return identityOf(authority, tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}), nil
}

// template returns a certificate that is valid from a while before now, for
// peers whose clock is slow.
func template(name string, now time.Time) *x509.Certificate {
	serial := make([]byte, 16)
	rand.Read(serial) // which does not fail
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(lifetime, 0, 0),
	}
}

func sign(cert, parent *x509.Certificate, pub *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// verify reports whether a chain, the peer's own certificate first, leads to the
// authority. It is for TLS clients: crypto/tls checks a server by its name too,
// and a peer of ours has none.
func (id *identity) verify(chain []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	if len(chain) == 0 {
		return errNoCertificate
	}
	others := x509.NewCertPool()
	for _, c := range chain[1:] {
		others.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: id.pool, Intermediates: others, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: now,
	})
	return err
}

// serverConfig is for doors where the peer is the client.
func (id *identity) serverConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{id.leaf},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              id.pool,
		SessionTicketsDisabled: true,
	}
}

// clientConfig is for one connection on which the peer is the server. What it
// returns beside that says, after the handshake, whether the peer asked for our
// certificate.
func (id *identity) clientConfig() (config *tls.Config, asked *bool) {
	asked = new(bool)
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// VerifyConnection does it, without a name.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return id.verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth, time.Now())
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			*asked = true
			return &id.leaf, nil
		},
		SessionTicketsDisabled: true,
	}, asked
}

// webConfig is for the pages.
func (id *identity) webConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{id.leaf},
		SessionTicketsDisabled: true,
	}
}

// isOwn reports whether a certificate is this program's: it talks to itself.
func (id *identity) isOwn(c *x509.Certificate) bool { return c.Equal(id.leaf.Leaf) }
