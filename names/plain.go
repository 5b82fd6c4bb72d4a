package names

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"golang.org/x/net/dns/dnsmessage"
)

// Plain asks the resolver's servers over UDP, and over TCP what is too long for that.
type Plain struct{}

// Exchange implements [Upstream]. Each question has a socket of its own, at a port that
// nobody knows, which hears its server alone.
func (Plain) Exchange(ctx context.Context, network, server string, q dnsmessage.Question) (*Answer, error) {
	a, err := exchange(ctx, network, server, q)
	if err == nil && a.Truncated && network == "udp" {
		a, err = exchange(ctx, "tcp", server, q)
	}
	if err != nil {
		return nil, failed(network, server, err)
	}
	return a, nil
}

func exchange(ctx context.Context, network, server string, q dnsmessage.Question) (*Answer, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if t, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(t); err != nil {
			return nil, err
		}
	}
	id := NewID()
	if network == "udp" {
		return exchangePacket(c, id, q)
	}
	return exchangeStream(c, id, q)
}

// NewID returns an id that nobody can guess.
func NewID() uint16 {
	var b [2]byte
	_, _ = rand.Read(b[:]) // which does not fail
	return binary.BigEndian.Uint16(b[:])
}

// truncated is the bit TC in the third byte of a message.
const truncated = 2

// exchangePacket asks over UDP. An answer that is truncated is good for nothing but that.
func exchangePacket(c net.Conn, id uint16, q dnsmessage.Question) (*Answer, error) {
	msg, err := AppendQuery(nil, id, q, false)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(msg); err != nil {
		return nil, err
	}
	for b := make([]byte, maxPayload); ; {
		n, err := c.Read(b)
		if err != nil {
			return nil, err
		}
		a, err := Examine(b[:n], id, q)
		if errors.Is(err, ErrMalformed) && b[2]&truncated != 0 {
			return &Answer{Truncated: true}, nil // some cut in the middle of a record
		}
		if !errors.Is(err, ErrForeign) {
			return a, err
		}
	}
}

func exchangeStream(c net.Conn, id uint16, q dnsmessage.Question) (*Answer, error) {
	msg, err := AppendQuery(make([]byte, lengthLen), id, q, false)
	if err != nil {
		return nil, err
	}
	if err := WriteMessage(c, msg); err != nil {
		return nil, err
	}
	if msg, err = ReadMessage(c); err != nil {
		return nil, err
	}
	return Examine(msg, id, q)
}

// WriteMessage writes b, which has room for the length in front.
func WriteMessage(w io.Writer, b []byte) error {
	binary.BigEndian.PutUint16(b, uint16(len(b)-lengthLen))
	_, err := w.Write(b)
	return err
}

// ReadMessage reads a message behind its length.
func ReadMessage(r io.Reader) ([]byte, error) {
	var length [lengthLen]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}
