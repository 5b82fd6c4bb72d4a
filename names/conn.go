package names

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A conn is a connection with the stub, in memory: DNS over a stream (RFC 1035 section
// 4.2.2). What is in the cache is answered before Write returns.
type conn struct {
	s               *Stub
	network, server string
	changed         chan struct{} // has room for one token: look again

	mu       sync.Mutex
	in, out  []byte // not a whole message yet; not read yet
	asking   int    // messages that are not answered
	err      error  // of the connection
	deadline time.Time
}

const (
	lengthLen = 2
	maxQuery  = 1024 // bytes; a question has some 300 at the most
	maxAsking = 64   // of one connection
)

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	c.in = append(c.in, p...)
	for len(c.in) >= lengthLen {
		n := int(binary.BigEndian.Uint16(c.in))
		switch {
		case n > maxQuery:
			c.fail(errTooLong)
			return 0, c.err
		case c.asking >= maxAsking:
			c.fail(errBusy)
			return 0, c.err
		}
		if len(c.in) < lengthLen+n {
			break
		}
		msg := c.in[lengthLen : lengthLen+n]
		c.in = c.in[lengthLen+n:]
		if c.take(msg); c.err != nil {
			return 0, c.err
		}
	}
	return len(p), nil
}

// take answers a message, or has it asked.
func (c *conn) take(msg []byte) {
	q, code, err := parseQuery(msg)
	if err != nil {
		c.fail(err)
		return
	}
	if code != dnsmessage.RCodeSuccess {
		c.answer(refusal(q, code))
		return
	}
	if b := c.s.cached(q); b != nil {
		c.answer(b)
		return
	}
	c.asking++
	deadline := c.until()
	go func() {
		b, err := c.s.ask(q, c.network, c.server, deadline)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asking--
		if err != nil {
			c.fail(err)
		} else {
			c.answer(b)
		}
	}()
}

// until is when a question that is asked now is given up: somewhat before the resolver
// would, which then learns why.
func (c *conn) until() time.Time {
	left := usualTime
	if !c.deadline.IsZero() {
		left = min(time.Until(c.deadline), maxTime)
	}
	return time.Now().Add(left - left/20)
}

func (c *conn) answer(msg []byte) {
	if c.err != nil {
		return
	}
	c.out = append(binary.BigEndian.AppendUint16(c.out, uint16(len(msg))), msg...)
	c.wake()
}

// fail ends the connection, as a server would with what it cannot answer.
func (c *conn) fail(err error) {
	if c.err == nil {
		c.err = failed(c.network, c.server, err)
		c.wake()
	}
}

func (c *conn) wake() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// Read implements [net.Conn], for one goroutine at a time.
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, wait, err := c.ready(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-c.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// ready reads what is there, or says for how long to wait.
func (c *conn) ready(p []byte) (n int, wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n = copy(p, c.out); n > 0 {
		c.out = c.out[n:]
		return n, 0, nil
	}
	wait = maxTime
	if !c.deadline.IsZero() {
		if wait = time.Until(c.deadline); wait <= 0 && c.err == nil {
			return 0, 0, &net.OpError{Op: "read", Net: c.network, Addr: c.RemoteAddr(), Err: os.ErrDeadlineExceeded}
		}
	}
	return 0, wait, c.err
}

// Close implements [net.Conn]. What is being asked goes on, for the cache.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.in, c.out = io.ErrClosedPipe, nil, nil
	c.wake()
	return nil
}

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	c.wake()
	return nil
}

// SetReadDeadline implements [net.Conn]: it is that of questions, too.
func (c *conn) SetReadDeadline(t time.Time) error { return c.SetDeadline(t) }

// SetWriteDeadline implements [net.Conn]. Write does not wait.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr implements [net.Conn].
func (c *conn) LocalAddr() net.Addr { return addr{c.network, "stub"} }

// RemoteAddr implements [net.Conn].
func (c *conn) RemoteAddr() net.Addr { return addr{c.network, c.server} }
