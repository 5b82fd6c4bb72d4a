// Package tcp is the transport of RFC 6587: messages in a stream, each behind its
// length or before a line end. An import of it makes tailor build link the syslog
// client with this transport, as --log syslog+tcp does.
package tcp

import (
	"context"
	"net"

	"github.com/tailor-os/tailor/logs"
	"github.com/tailor-os/tailor/logs/ship"
	"github.com/tailor-os/tailor/logs/syslog"
)

func init() { logs.Register("tcp", open) }

func open(o logs.Options) (ship.Transport, error) {
	frame := syslog.AppendCounted
	if o.Lines {
		frame = syslog.AppendLine
	}
	dial := func(ctx context.Context) (net.Conn, error) { return logs.DialTCP(ctx, o.Address) }
	return ship.Transport{Dial: dial, Frame: frame}, nil
}
