// Package names answers the DNS questions of Go's resolver beside the program: from a
// bounded cache, or by asking a server, once for all who ask at the same time. It is
// linked into images and plain programs that are built with --resolver, where package
// boot/names puts a [Stub] between net.DefaultResolver and the network.
//
// Messages are read by golang.org/x/net/dns/dnsmessage, which package net has too.
package names

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// An Upstream is who is asked for what the cache does not have.
type Upstream interface {
	// Exchange asks and returns an answer that [Examine] has accepted. The resolver
	// chose network, "udp" or "tcp", and server, which is HOST:PORT; an upstream with
	// servers of its own takes those. It ends when ctx does. It may be called by several
	// goroutines at once.
	Exchange(ctx context.Context, network, server string, q dnsmessage.Question) (*Answer, error)
}

// Times of a question, whose deadline is the resolver's.
const (
	usualTime = 5 * time.Second // the resolver's own (resolv.conf(5), option timeout)
	maxTime   = 30 * time.Second
	// worthAsking is how much more time than another asker one must have to ask again.
	worthAsking = 100 * time.Millisecond
)

// MaxFlights bounds the questions that a stub asks at the same time; others fail.
const MaxFlights = 1024

var (
	errBusy    = errors.New("too many questions at once")
	errTooLong = errors.New("a question that is too long")
)

// An addr is what a connection with the stub says of its ends.
type addr struct{ network, text string }

func (a addr) Network() string { return a.network }
func (a addr) String() string  { return a.text }

// isTimeout reports whether err is of a time that is over.
func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// failed is err as package net says such things, so that the resolver counts it as one
// of the network's and tries again or elsewhere.
func failed(network, server string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	return &net.OpError{Op: "ask", Net: network, Addr: addr{network, server}, Err: err}
}
