package usernet

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// errReset reports that a TCP connection ended by a reset or an abort rather
// than by a FIN.
var errReset = errors.New("connection reset")

// guestConn is a blocking face of one of the stack's endpoints, TCP or UDP.
// One goroutine may read while another writes.
type guestConn struct {
	ep        tcpip.Endpoint
	wq        *waiter.Queue
	inE, outE waiter.Entry
	in, out   chan struct{}
	passing   atomic.Bool // something was read that the host has not got yet
}

const hangup = waiter.EventHUp | waiter.EventErr

func newGuestConn(ep tcpip.Endpoint, wq *waiter.Queue) *guestConn {
	g := &guestConn{ep: ep, wq: wq}
	g.inE, g.in = waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventRdHUp | hangup)
	g.outE, g.out = waiter.NewChannelEntry(waiter.WritableEvents | hangup)
	wq.EventRegister(&g.inE)
	wq.EventRegister(&g.outE)
	return g
}

// Close closes in the ordinary way: what was written is still delivered.
func (g *guestConn) Close() error {
	g.wq.EventUnregister(&g.inE)
	g.wq.EventUnregister(&g.outE)
	g.ep.Close()
	return nil
}

// abort resets the connection, which ends calls of Read and Write.
func (g *guestConn) abort() {
	if ep, ok := g.ep.(interface{ Abort() }); ok {
		ep.Abort()
	}
}

// closeWrite sends a FIN after what was written.
func (g *guestConn) closeWrite() { g.ep.Shutdown(tcpip.ShutdownWrite) }

// waitReadable waits until Read would not block.
func (g *guestConn) waitReadable() {
	for g.ep.Readiness(waiter.ReadableEvents|waiter.EventRdHUp|hangup) == 0 {
		<-g.in
	}
}

// Read implements io.Reader. Its errors are io.EOF after a FIN, else errReset.
func (g *guestConn) Read(p []byte) (int, error) {
	for {
		w := tcpip.SliceWriter(p)
		res, err := g.ep.Read(&w, tcpip.ReadOptions{})
		switch err.(type) {
		case nil:
			return res.Count, nil
		case *tcpip.ErrWouldBlock:
			<-g.in
		case *tcpip.ErrBadBuffer: // p is full before anything was read
			return 0, io.ErrShortBuffer
		case *tcpip.ErrClosedForReceive:
			return 0, io.EOF
		default:
			return 0, errReset
		}
	}
}

// waitPacket waits until readPacket would not block; it returns false if done
// is closed first.
func (g *guestConn) waitPacket(done <-chan struct{}) bool {
	for g.ep.Readiness(waiter.ReadableEvents|waiter.EventRdHUp|hangup) == 0 {
		select {
		case <-g.in:
		case <-done:
			return false
		}
	}
	return true
}

// readPacket reads one datagram, waiting until done is closed. Errors that the network reports about what
// was sent before are skipped.
func (g *guestConn) readPacket(p []byte, done <-chan struct{}) (n int, from tcpip.FullAddress, ok bool) {
	for {
		w := tcpip.SliceWriter(p)
		res, err := g.ep.Read(&w, tcpip.ReadOptions{NeedRemoteAddr: true})
		switch err.(type) {
		case nil:
			return res.Count, res.RemoteAddr, true
		case *tcpip.ErrWouldBlock:
			select {
			case <-g.in:
			case <-done:
				return 0, from, false
			}
		case *tcpip.ErrClosedForReceive, *tcpip.ErrInvalidEndpointState, *tcpip.ErrAborted:
			return 0, from, false
		default: // an ICMP error, which Read takes off the endpoint
			select {
			case <-done:
				return 0, from, false
			default:
			}
		}
	}
}

// Write implements io.Writer; its error is errReset.
func (g *guestConn) Write(p []byte) (int, error) {
	r := bytes.NewReader(p)
	for r.Len() > 0 {
		_, err := g.ep.Write(r, tcpip.WriteOptions{})
		switch err.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			<-g.out
		default:
			return len(p) - r.Len(), errReset
		}
	}
	return len(p), nil
}

// writePacket sends one datagram, or drops it.
func (g *guestConn) writePacket(p []byte, to *tcpip.FullAddress) {
	g.ep.Write(bytes.NewReader(p), tcpip.WriteOptions{To: to})
}

// connect result of [guestConn.connect].
type dialResult int

const (
	connected dialResult = iota
	refused              // the guest answered with a reset
	noAnswer             // the time is over
)

// connect waits for the end of a connection attempt that was started. nudge,
// when it gets ready, shortens the wait to grace.
func (g *guestConn) connect(to tcpip.FullAddress, timeout time.Duration, nudge, done <-chan struct{}) dialResult {
	err := g.ep.Connect(to)
	if _, started := err.(*tcpip.ErrConnectStarted); started {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		for waiting := true; waiting; {
			select {
			case <-g.out:
				waiting = false
			case <-nudge:
				nudge = nil
				timer.Reset(connectGrace)
			case <-timer.C:
				return noAnswer
			case <-done:
				return noAnswer
			}
		}
		err = g.ep.LastError()
	}
	switch err.(type) {
	case nil:
		return connected
	case *tcpip.ErrConnectionRefused:
		return refused
	}
	return noAnswer
}

// connectGrace is how long an attempt may still take once the guest has shown
// its first sign of life: by then its SYN was answered, or never arrived.
const connectGrace = 3 * time.Millisecond
