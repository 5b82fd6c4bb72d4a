package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"
)

const (
	// peerBudget bounds what one connection may send, in bytes, and so the
	// certificates that are looked at. A handshake needs a few KB.
	peerBudget = 16 << 10
	// talkTime bounds what comes after the handshake, and dialTime the wait for a
	// peer that is connected to.
	talkTime, dialTime = 3 * time.Second, 3 * time.Second
	// farewell is how long a peer has to read why it was refused.
	farewell = 500 * time.Millisecond
)

var (
	errNoCertificate = errors.New("the peer has no certificate")
	errNotAsked      = errors.New("the peer did not ask for our certificate")
	errTooOften      = errors.New("connected back a short time ago")
)

// A fortress hands its secret to peers that authenticate.
type fortress struct {
	*identity
	secret   []byte
	server   *tls.Config
	backs    *backs
	backPort string
	limits
	board *board
}

func newFortress(id *identity, secret string, o options) *fortress {
	return &fortress{
		identity: id, secret: []byte(secret), server: id.serverConfig(),
		backs: newBacks(o.backEvery), backPort: strconv.Itoa(o.backPort), limits: o.limits, board: newBoard(),
	}
}

// asServer is the TLS server for a visitor.
func (f *fortress) asServer(_ context.Context, v *visitor) (itself bool, err error) {
	return f.talk(v, tls.Server(v, f.server), nil)
}

// asClient is the TLS client on the visitor's connection.
func (f *fortress) asClient(_ context.Context, v *visitor) (itself bool, err error) {
	config, asked := f.clientConfig()
	return f.talk(v, tls.Client(v, config), asked)
}

// asBack closes the visitor's connection, and is the TLS client on one to the
// same address.
func (f *fortress) asBack(ctx context.Context, v *visitor) (itself bool, err error) {
	v.Close()
	if !f.backs.begin(v.peer, time.Now()) {
		return false, errTooOften
	}
	defer f.backs.end()
	from, err := netip.ParseAddrPort(v.RemoteAddr().String())
	if err != nil {
		return false, err
	}
	dialer := net.Dialer{Timeout: dialTime}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(from.Addr().String(), f.backPort))
	if err != nil {
		return false, err
	}
	back := &visitor{Conn: conn, left: peerBudget}
	defer back.Close()
	defer context.AfterFunc(ctx, back.abort)()
	config, asked := f.clientConfig()
	return f.talk(back, tls.Client(back, config), asked)
}

// talk does a handshake, with whom the peer must authenticate. Then each side
// sends the other what it has. Where this side is the client, asked tells whether
// the peer wanted to know who it is.
func (f *fortress) talk(v *visitor, c *tls.Conn, asked *bool) (itself bool, err error) {
	v.SetDeadline(time.Now().Add(f.handshake))
	err = c.Handshake()
	if err == nil && asked != nil && !*asked {
		err = errNotAsked
	}
	if err != nil {
		v.part(err)
		return false, err
	}
	peer := c.ConnectionState().PeerCertificates
	if len(peer) == 0 {
		return false, errNoCertificate // which crypto/tls has made sure of
	}
	v.SetDeadline(time.Now().Add(talkTime))
	if _, err := c.Write(f.secret); err != nil {
		return false, err
	}
	// So that the peer closes first, and nothing is lost by a reset. It has the
	// secret, if it wants it: what happens from here on is no failure.
	if c.CloseWrite() == nil {
		io.Copy(io.Discard, c)
	}
	return f.isOwn(peer[0]), nil
}

// part lets a peer read why it was refused, if it said anything.
func (v *visitor) part(err error) {
	if errors.Is(err, io.EOF) || isTimeout(err) {
		v.abort()
		return
	}
	v.SetReadDeadline(time.Now().Add(farewell))
	if _, err := io.Copy(io.Discard, v); err != nil {
		v.abort()
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
