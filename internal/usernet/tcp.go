package usernet

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// dialTimeout bounds a connection attempt on the host. A guest that still
// waits by then sends its SYN again, which starts another.
const dialTimeout = 30 * time.Second

// handleTCP serves a connection attempt of the guest's. It runs on a goroutine
// of its own.
func (n *Network) handleTCP(r *tcp.ForwarderRequest) {
	if !n.begin() {
		r.Complete(false)
		return
	}
	defer n.wg.Done()
	select {
	case n.tcpSlots <- struct{}{}:
		defer func() { <-n.tcpSlots }()
	default:
		n.logOnce("tcp slots", "usernet: more than %d TCP connections at once: new ones wait", maxTCP)
		r.Complete(false) // as a full backlog does: the guest tries again
		return
	}
	dst, port := fromTCPIP(r.ID().LocalAddress), r.ID().LocalPort
	if (dst == dns4 || dst == dns6) && port == dnsPort {
		if g := accept(r); g != nil {
			n.serveDNSStream(g)
		}
		return
	}
	to, ok := hostAddr(dst, !n.cfg.NoHostLoopback)
	if !ok {
		r.Complete(true)
		return
	}
	n.connectOut(r, netip.AddrPortFrom(to, port))
}

// connectOut dials the host's side first, so that the guest's handshake ends
// as the real one did.
func (n *Network) connectOut(r *tcp.ForwarderRequest, to netip.AddrPort) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(n.ctx, "tcp", to.String())
	if err != nil {
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
			n.logOnce("descriptors", "usernet: out of file descriptors: a connection of the guest is refused; raise the limit (ulimit -n)")
		}
		// No answer is passed on as no answer, anything else as a refusal.
		var nerr net.Error
		r.Complete(!(errors.As(err, &nerr) && nerr.Timeout()) && n.ctx.Err() == nil)
		return
	}
	host := c.(*net.TCPConn)
	if !n.track(host) {
		r.Complete(false)
		return
	}
	defer n.untrack(host)
	g := accept(r)
	if g == nil {
		reset(host)
		return
	}
	n.relay(host, g)
}

// accept completes the guest's handshake. It returns nil if the guest gave up.
func accept(r *tcp.ForwarderRequest) *guestConn {
	wq := new(waiter.Queue)
	ep, err := r.CreateEndpoint(wq)
	r.Complete(false)
	if err != nil {
		return nil
	}
	ep.SocketOptions().SetDelayOption(false)
	return newGuestConn(ep, wq)
}
