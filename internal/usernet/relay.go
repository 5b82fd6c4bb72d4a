package usernet

import (
	"io"
	"net"
	"sync"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// relayBuf is what is read from a connection at once, in bytes: some of the
// guest's largest segments.
const relayBuf = 256 << 10

var relayBufs = sync.Pool{New: func() any { return new([relayBuf]byte) }}

// relay copies both ways between a connection of the host and one of the guest
// until both directions have ended, then closes both. The end of one direction
// (FIN) and resets are passed on as what they are.
func (n *Network) relay(host *net.TCPConn, g *guestConn) {
	var wg sync.WaitGroup
	n.said.add(g)
	wg.Go(func() {
		toHost(host, g)
		n.said.remove(g)
	})
	toGuest(g, host)
	wg.Wait()
	g.Close()
	host.Close()
}

// reset closes a connection of the host with a RST.
func reset(host *net.TCPConn) {
	host.SetLinger(0)
	host.Close()
}

// toHost copies from the guest to the host.
func toHost(host *net.TCPConn, g *guestConn) {
	for {
		// The buffer is taken only when there is something to read: most
		// connections are idle most of the time.
		g.waitReadable()
		g.passing.Store(true)
		buf := relayBufs.Get().(*[relayBuf]byte)
		n, err := g.Read(buf[:])
		var werr error
		if err == nil {
			_, werr = host.Write(buf[:n])
		}
		relayBufs.Put(buf)
		g.passing.Store(false)
		switch {
		case err == io.EOF:
			host.CloseWrite()
			return
		case err != nil:
			reset(host)
			return
		case werr != nil:
			g.abort()
			return
		}
	}
}

// toGuest copies from the host to the guest, from the host's socket straight
// into the buffers that the stack sends.
func toGuest(g *guestConn, host *net.TCPConn) {
	raw, err := host.SyscallConn()
	if err != nil {
		g.abort()
		return
	}
	var p fdPayload
	for {
		var terr tcpip.Error
		rerr := raw.Read(func(fd uintptr) (done bool) {
			if p.look(int(fd)); p.n > 0 {
				_, terr = g.ep.Write(&p, tcpip.WriteOptions{})
			}
			return p.n > 0 || p.err != unix.EAGAIN
		})
		_, full := terr.(*tcpip.ErrWouldBlock)
		switch {
		case p.err == io.EOF:
			g.closeWrite()
			return
		case rerr != nil || p.err != nil:
			g.abort()
			return
		case full:
			<-g.out
		case terr != nil: // the guest's end is gone
			reset(host)
			return
		}
	}
}

// maxPayload is what is read from a connection of the host at once, in bytes:
// two of the stack's largest buffers.
const maxPayload = 128 << 10

// fdPayload is a tcpip.Payloader that reads from a non-blocking stream socket.
// The stack insists on getting as much as Len promised, so the socket is asked
// first how much there is.
type fdPayload struct {
	fd, n int
	err   error // if n is 0: io.EOF, EAGAIN or what else there is instead of data
}

// unread returns how many bytes a socket has to read, of a message socket those of
// its first message.
func unread(fd int) (int, error) {
	return unix.IoctlGetInt(fd, unix.TIOCINQ) // FIONREAD by its other name
}

// look sets n, or err if there is nothing to read.
func (p *fdPayload) look(fd int) {
	p.fd, p.err = fd, nil
	n, err := unread(fd)
	p.n = min(n, maxPayload)
	if err != nil {
		p.n, p.err = 0, err
	}
	if p.n > 0 || err != nil {
		return
	}
	var b [1]byte
	n, err = ignoringEINTR(func() (int, error) {
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return n, err
	})
	switch {
	case err != nil:
		p.err = err
	case n == 0:
		p.err = io.EOF
	default: // it came in just now
		p.n = n
	}
}

// Len implements tcpip.Payloader.
func (p *fdPayload) Len() int { return p.n }

// Read implements io.Reader. It never returns io.EOF, which the stack would
// take for a reason to go on.
func (p *fdPayload) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := ignoringEINTR(func() (int, error) { return unix.Read(p.fd, b) })
	if err == nil && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil { // a reset can take away what was there
		p.err = err
		return 0, err
	}
	return n, nil
}

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}
