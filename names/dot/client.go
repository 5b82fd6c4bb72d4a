// Package dot asks DNS servers over TLS (RFC 7858), servers that are verified by name,
// by address or by their key (RFC 8310, the strict profile): nothing is ever asked in
// the clear, nor of a server that was not verified.
package dot

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tailor-os/tailor/metrics"
	"github.com/tailor-os/tailor/names"
)

// Times of connections.
const (
	// dialTime is for connections with all servers together: less than a resolver
	// waits, so that it learns why there is none.
	dialTime  = 4 * time.Second
	firstWait = 100 * time.Millisecond // before connecting is tried again; doubles
	lastWait  = 5 * time.Second
)

// opName is what fails, in errors.
const opName = "dns over tls"

// A Config says who is asked.
type Config struct {
	Servers []Server // in order of preference; there is one at least
	Pins    []Pin    // of which one must be a server's, if there are any
	Roots   *x509.CertPool
	// Say tells people: a line without its end.
	Say func(line string)
}

// A Client asks, over one connection. It implements [names.Upstream].
type Client struct {
	cfg Config
	tls []*tls.Config // by server

	mu      sync.Mutex
	live    *link
	dialing *dialing
	first   int // the server that is tried first
	err     error
	until   time.Time // err is of all attempts before
	wait    time.Duration
	down    bool // it was said that no server is reached

	dialed, failed uint64
}

// A dialing is an attempt to connect.
type dialing struct {
	done chan struct{} // closed when the rest is set
	l    *link
	err  error
}

// New returns a client that connects when it is first asked.
func New(cfg Config) *Client {
	c := &Client{cfg: cfg, wait: firstWait}
	for _, s := range cfg.Servers {
		c.tls = append(c.tls, cfg.tlsConfig(s))
	}
	return c
}

// Exchange implements [names.Upstream]. The servers are the client's own.
func (c *Client) Exchange(ctx context.Context, _, _ string, q dnsmessage.Question) (*names.Answer, error) {
	for again := true; ; again = false {
		l, err := c.link(ctx)
		if err != nil {
			return nil, err
		}
		a, err := l.ask(ctx, q)
		if errors.Is(err, errSilent) {
			c.next(l)
		}
		if err == nil || !again || !errors.Is(err, errGone) {
			if err != nil {
				err = about(l, err)
			}
			return a, err
		}
	}
}

// about says which server an error is about.
func about(l *link, err error) error {
	return &net.OpError{Op: opName, Addr: l.server, Err: err}
}

// next has another server tried first, if l, which does not answer, is the connection.
func (c *Client) next(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == l && l.isDead() {
		c.live = nil
		c.first = (c.first + 1) % len(c.cfg.Servers)
	}
}

// link returns the connection, once there is one.
func (c *Client) link(ctx context.Context) (*link, error) {
	c.mu.Lock()
	if c.live != nil && !c.live.isDead() {
		defer c.mu.Unlock()
		return c.live, nil
	}
	if time.Now().Before(c.until) {
		defer c.mu.Unlock()
		return nil, c.err
	}
	d := c.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		c.dialing = d
		go c.dial(d, c.first)
	}
	c.mu.Unlock()
	select {
	case <-d.done:
		return d.l, d.err
	case <-ctx.Done():
		return nil, &net.OpError{Op: opName, Err: os.ErrDeadlineExceeded}
	}
}

// dial tries each server, beginning with one.
func (c *Client) dial(d *dialing, first int) {
	end := time.Now().Add(dialTime)
	n := len(c.cfg.Servers)
	at := first
	var errs []string
	for i := range n {
		at = (first + i) % n
		left := time.Until(end) / time.Duration(n-i)
		conn, err := c.connect(at, left)
		if err == nil {
			d.l = newLink(named(c.cfg.Servers[at].String()), conn)
			break
		}
		errs = append(errs, c.cfg.Servers[at].String()+": "+printable(err.Error()))
	}
	if d.l == nil {
		d.err = &net.OpError{Op: opName, Err: errors.New(strings.Join(errs, "; "))}
	}
	c.finish(d, at, len(errs))
	close(d.done)
}

// connect connects with server number at, and verifies it.
func (c *Client) connect(at int, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", c.cfg.Servers[at].Address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, c.tls[at])
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // there is a better error
		return nil, err
	}
	return secure, nil
}

// maxText bounds the reason why a server cannot be asked, in bytes.
const maxText = 400

// printable is text for a line on the console, into which a certificate may have brought
// whatever a stranger wrote.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text[:min(len(text), maxText)])
}

// finish notes what became of an attempt, and says what has changed.
func (c *Client) finish(d *dialing, at, failures int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialing = nil
	c.failed += uint64(failures)
	if d.l == nil {
		c.err, c.until = d.err, time.Now().Add(c.wait)
		c.wait = min(2*c.wait, lastWait)
		if !c.down {
			c.down = true
			c.cfg.Say("cannot ask: " + d.err.Error() + "; names are not resolved until this can be done, and not asked for in the clear")
		}
		return
	}
	c.dialed++
	c.live, c.first, c.wait = d.l, at, firstWait
	if c.down {
		c.down = false
		c.cfg.Say("asking " + c.cfg.Servers[at].String() + " over TLS again")
	}
}

// WriteFigures is a [metrics.Source].
func (c *Client) WriteFigures(w *metrics.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	up := c.live != nil && !c.live.isDead()
	w.Gauge("tailor_dns_tls_connected", "Whether there is a connection with a server over TLS. Idle ones end.").Add(metrics.Bool(up))
	w.Counter("tailor_dns_tls_connections_total", "Connections with servers over TLS by what became of them.").
		Add(float64(c.dialed), "result", "ok").Add(float64(c.failed), "result", "failed")
}
