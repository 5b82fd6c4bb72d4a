package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"debug/elf"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
	"golang.org/x/sys/cpu"
)

// Zones are known where LoadLocation can be reached, and files come before what
// the image has in itself.
func TestZones(t *testing.T) { each(t, testZones, ownFiles, computing) }

func testZones(t *testing.T, on target) {
	img := on.image(t, "./testdata/zoneguest")
	on.run(t, img, "Europe/Berlin", "Asia/Tokyo").want(t, 0, []string{"local 12:00 UTC\n", "Europe/Berlin 14:00 CEST\n", "Asia/Tokyo 21:00 JST\n"}, nil)
	on.run(t, img, "Atlantis").want(t, 1, []string{"unknown time zone Atlantis"}, nil)
	zones := filepath.Join(goEnv(t, "GOROOT"), "lib/time/zoneinfo.zip")
	// A file in the place of a zone is that zone, and /etc/localtime the local one.
	dir := t.TempDir()
	write(t, dir, map[string]string{"GMT-5": "TZif2" + strings.Repeat("\x00", 15) + strings.Repeat("\x00", 24) +
		"TZif2" + strings.Repeat("\x00", 15) + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x05" +
		"\xff\xff\xb9\xb0\x00\x00MINE\x00\n\n"})
	img = on.buildWith(t, nil, "./testdata/zoneguest", "--file", dir+"/GMT-5:/usr/share/zoneinfo/Europe/Berlin", "--file", dir+"/GMT-5:/etc/localtime", "--file", zones+":/zones.zip")
	on.run(t, img, "Europe/Berlin", "Asia/Tokyo").want(t, 0, []string{"local 07:00 MINE\n", "Europe/Berlin 07:00 MINE\n", "Asia/Tokyo 21:00 JST\n"}, nil)
	on.run(t, "-e", "TZ=Europe/Berlin", "-e", "ZONEINFO=/zones.zip", img, "Europe/Berlin").want(t, 0, []string{"local 07:00 MINE\n", "Europe/Berlin 14:00 CEST\n"}, nil)
}

// makeCA makes /tls for tlsguest and the certificate of who signed for it.
func makeCA(t *testing.T, dir string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(name, kind string, der []byte) {
		must(os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	must(err)
	put("ca.pem", "CERTIFICATE", der)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{"server.test"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err = x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	must(err)
	must(os.Mkdir(filepath.Join(dir, "tls"), 0o700))
	put("tls/cert.pem", "CERTIFICATE", der)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	must(err)
	put("tls/key.pem", "PRIVATE KEY", der)
	for root := range bundle.Roots() {
		put("root.pem", "CERTIFICATE", root.Certificate)
		break
	}
}

// A client trusts the usual roots, or those that a file or a variable names and
// no others.
func TestRoots(t *testing.T) { each(t, testRoots, ownFiles, computing) }

func testRoots(t *testing.T, on target) {
	const verified, unknown = "handshake: verified\n", "certificate signed by unknown authority"
	dir := t.TempDir()
	makeCA(t, dir)
	base := []string{"--file", dir + "/tls:/tls", "--file", dir + "/ca.pem:/ca.pem", "--file", dir + "/root.pem:/root.pem"}
	img := on.buildWith(t, nil, "./testdata/tlsguest", base...)
	on.run(t, img, "/root.pem").want(t, 0, []string{"handshake: ", unknown, "/root.pem: <nil>\n"}, nil)
	on.run(t, "-e", "SSL_CERT_FILE=/ca.pem", img, "/root.pem").want(t, 0, []string{verified, "/root.pem: x509: " + unknown}, nil)
	on.run(t, "-e", "SSL_CERT_FILE=/missing.pem", img, "/root.pem").want(t, 0, []string{"handshake: ", unknown, "/root.pem: x509: " + unknown}, nil)
	img = on.buildWith(t, nil, "./testdata/tlsguest", append(base, "--file", dir+"/ca.pem:/etc/ssl/certs/ca-certificates.crt")...)
	on.run(t, img, "/root.pem").want(t, 0, []string{verified, "/root.pem: x509: " + unknown}, nil)
	// As fast as in a plain process: with all that the processor has for it.
	r := on.run(t, "-e", "GODEBUG=fips140=on", img)
	r.want(t, 0, []string{"FIPS 140-3 true, ", verified}, nil)
	if here := fmt.Sprintf("processor %+v\n", cpu.X86); on.slow == 1 && !strings.Contains(r.stdout, here) {
		t.Errorf("the host has\n%sand the guest says\n%s", here, r.stdout)
	}
}

// Zones and roots are in an image if, and only if, the program can ask for them.
func TestDataIsLinkedWhenAskedFor(t *testing.T) {
	for _, c := range []struct {
		pkg          string
		zones, roots bool
	}{
		{"../../examples/hello", false, false},
		{"../../examples/website", false, false},
		{"./testdata/tlsserver", false, false},
		{"./testdata/tlsguest", false, true},
		{"./testdata/zoneguest", true, false},
	} {
		img := buildWith(t, nil, c.pkg, "--ldflags=-s=0 -w=0")
		if zones := hasSymbol(t, img, "Tailor/zones.Load"); zones != c.zones {
			t.Errorf("%s: zone data linked: %v", c.pkg, zones)
		}
		if roots := hasSymbol(t, img, "crypto/x509.tailorBundle"); roots != c.roots {
			t.Errorf("%s: roots linked: %v", c.pkg, roots)
		}
	}
}

// hasSymbol reports whether an image built with symbols has one with a prefix.
func hasSymbol(t *testing.T, img, prefix string) bool {
	t.Helper()
	f, err := elf.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(list, func(s elf.Symbol) bool { return strings.HasPrefix(s.Name, prefix) })
}
