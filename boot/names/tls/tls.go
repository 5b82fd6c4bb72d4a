//go:build tailoros

// Package tls has names asked for over TLS, of the servers that the parameter dns-tls
// gives. It is linked into programs that are built with --resolver dns+tls.
package tls

import (
	"crypto/x509"
	"errors"
	"os"

	boot "github.com/tailor-os/tailor/boot/names"
	"github.com/tailor-os/tailor/boot/parameters"
	"github.com/tailor-os/tailor/metrics"
	"github.com/tailor-os/tailor/names/dot"
)

// secretRoots has the certificates that the servers' are verified by, if there is such a
// file and no parameter names another.
const secretRoots = "/run/secrets/dns-roots.pem"

var client *dot.Client

func init() {
	given := parameters.Given()
	servers := given.All("dns-tls")
	if len(servers) == 0 {
		for _, name := range []string{"dns-pin", "dns-roots"} {
			if given.Get(name) != "" {
				parameters.Fail(errors.New(name + " is given without dns-tls, so that nothing would be asked over TLS"))
			}
		}
		return
	}
	cfg, err := dot.ParseConfig(servers, given.All("dns-pin"))
	if err == nil {
		cfg.Roots, err = roots(given.Get("dns-roots"))
	}
	if err != nil {
		parameters.Fail(err)
	}
	cfg.Say = func(line string) { println("tailor: dns:", line) }
	client = dot.New(cfg)
	boot.Ask(client)
}

// roots reads certificates from a file; nil stands for the system's.
func roots(file string) (*x509.CertPool, error) {
	given := file != ""
	if !given {
		file = secretRoots
	}
	pem, err := os.ReadFile(file)
	if !given && errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errors.New("dns-roots: " + err.Error())
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("dns-roots: " + file + " has no certificate")
	}
	return pool, nil
}

// WriteFigures is a [metrics.Source].
func WriteFigures(w *metrics.Writer) {
	boot.WriteFigures(w)
	if client != nil {
		client.WriteFigures(w)
	}
}
