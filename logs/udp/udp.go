// Package udp is the transport of RFC 5426: a message in each datagram. An
// import of it makes tailor build link the syslog client with this transport, as
// --log syslog+udp does.
package udp

import (
	"context"
	"net"

	"github.com/tailor-os/tailor/logs"
	"github.com/tailor-os/tailor/logs/ship"
)

func init() { logs.Register("udp", open) }

func open(o logs.Options) (ship.Transport, error) {
	return ship.Transport{Dial: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", o.Address)
	}}, nil
}
