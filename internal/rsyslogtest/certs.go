package rsyslogtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certs are files in a folder of the test's: those of an authority, of a collector
// ("logs.test", and the addresses of tests) and of a program ("web.test").
type Certs struct {
	Roots, Cert, Key      string
	ClientCert, ClientKey string
	authority             *x509.Certificate
	authorityKey          *ecdsa.PrivateKey
	dir                   string
}

// NewCerts makes certificates that are valid for a day.
func NewCerts(t testing.TB) *Certs {
	t.Helper()
	c := &Certs{dir: t.TempDir()}
	c.authorityKey = newKey(t)
	c.authority = template("Test authority")
	c.authority.IsCA, c.authority.KeyUsage = true, x509.KeyUsageCertSign
	c.Roots, _ = c.write(t, "roots", c.authority, c.authorityKey)
	server := template("logs.test")
	server.DNSNames = []string{"logs.test"}
	for _, a := range []string{"127.0.0.1", "192.0.2.1", "10.0.2.2"} {
		server.IPAddresses = append(server.IPAddresses, net.ParseIP(a))
	}
	c.Cert, c.Key = c.write(t, "server", server, newKey(t))
	client := template("web.test")
	client.DNSNames = []string{"web.test"}
	c.ClientCert, c.ClientKey = c.write(t, "client", client, newKey(t))
	return c
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// write signs a certificate and writes it and its key.
func (c *Certs) write(t testing.TB, name string, cert *x509.Certificate, key *ecdsa.PrivateKey) (certFile, keyFile string) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, c.authority, key.Public(), c.authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(c.dir, name+".pem"), filepath.Join(c.dir, name+".key")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
