// Package tls is the transport of RFC 5425: TLS, with the collector verified. An
// import of it makes tailor build link the syslog client with this transport, as
// --log syslog+tls does.
package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"time"

	"github.com/tailor-os/tailor/logs"
	"github.com/tailor-os/tailor/logs/ship"
	"github.com/tailor-os/tailor/logs/syslog"
)

// settle is how long a collector may take to refuse our certificate, which in
// TLS 1.3 it does after our side of the handshake (RFC 8446 section 4.4.2.4).
const settle = 100 * time.Millisecond

func init() { logs.Register("tls", open) }

func open(o logs.Options) (ship.Transport, error) {
	host, _, err := net.SplitHostPort(o.Address)
	if err != nil {
		return ship.Transport{}, err
	}
	cfg := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if o.Name != "" {
		cfg.ServerName = o.Name
	}
	if o.Roots != "" {
		if cfg.RootCAs, err = readRoots(o.Roots); err != nil {
			return ship.Transport{}, err
		}
	}
	if o.Cert != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return ship.Transport{}, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	dial := func(ctx context.Context) (net.Conn, error) {
		conn, err := logs.DialTCP(ctx, o.Address)
		if err != nil {
			return nil, err
		}
		c := tls.Client(conn, cfg)
		if err := c.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return c, nil
	}
	return ship.Transport{Dial: dial, Frame: syslog.AppendCounted, Settle: settle}, nil
}

func readRoots(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New(path + " has no certificate")
	}
	return pool, nil
}
