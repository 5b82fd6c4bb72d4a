package usernet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/tailor-os/tailor/internal/hint"
)

// port is a published port.
type port interface {
	io.Closer
	addr() netip.AddrPort
	serve(n *Network) // until Close
}

// listenAll opens the host's side of all forwards, or of none.
func listenAll(fwds []Forward) ([]port, error) {
	var ports []port
	for _, f := range fwds {
		p, err := listen(f)
		if err != nil {
			for _, p := range ports {
				p.Close()
			}
			return nil, err
		}
		ports = append(ports, p)
	}
	return ports, nil
}

func listen(f Forward) (port, error) {
	if f.GuestPort == 0 {
		return nil, errors.New("usernet: a published port needs a guest port from 1 to 65535")
	}
	addr := fmt.Sprintf(":%d", f.HostAddr.Port()) // all addresses, both families
	if f.HostAddr.Addr().IsValid() {
		addr = f.HostAddr.String()
	}
	lc := net.ListenConfig{}
	switch f.Network {
	case "tcp":
		l, err := lc.Listen(context.Background(), "tcp", addr)
		if err != nil {
			return nil, listenError(f, err)
		}
		return &tcpPort{l: l.(*net.TCPListener), guestPort: f.GuestPort, up: make(chan struct{}), prober: make(chan struct{}, 1)}, nil
	case "udp":
		c, err := lc.ListenPacket(context.Background(), "udp", addr)
		if err != nil {
			return nil, listenError(f, err)
		}
		return &udpPort{conn: c.(*net.UDPConn), guestPort: f.GuestPort}, nil
	}
	return nil, fmt.Errorf("usernet: cannot publish a port of network %q: give tcp or udp", f.Network)
}

// listenError says why a host port cannot be had, and what to do.
func listenError(f Forward, err error) error {
	what := fmt.Sprintf("%s port %d", f.Network, f.HostAddr.Port())
	if f.HostAddr.Addr().IsValid() {
		what += " of " + f.HostAddr.Addr().String()
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return hint.Errorf("stop what listens there (ss -lnp shows it), or publish another port",
			"%s is already in use on this host: %w", what, err)
	case errors.Is(err, unix.EACCES):
		return hint.Errorf("publish one from 1024 up, or lower the sysctl net.ipv4.ip_unprivileged_port_start",
			"%s may not be opened by this user: %w", what, err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return hint.Errorf("use one of the addresses that ip addr shows, or leave it out",
			"%s cannot be opened: this host does not have the address: %w", what, err)
	}
	return fmt.Errorf("%s cannot be opened: %w", what, err)
}

// tcpPort is a published TCP port. A connection made before the guest listens
// waits: its client has connected already and must not lose.
type tcpPort struct {
	l         *net.TCPListener
	guestPort uint16

	// up is closed when the guest has accepted for the first time. From then
	// on a refusal is a refusal.
	up     chan struct{}
	upOnce sync.Once
	// prober has room for one: of all that wait, one tries. The others would
	// only multiply the packets.
	prober chan struct{}
}

func (p *tcpPort) Close() error { return p.l.Close() }

func (p *tcpPort) addr() netip.AddrPort { return p.l.Addr().(*net.TCPAddr).AddrPort() }

func (p *tcpPort) serve(n *Network) {
	for n.ctx.Err() == nil {
		select { // no slot, no accept: the rest waits in the backlog
		case n.tcpSlots <- struct{}{}:
		case <-n.ctx.Done():
			return
		}
		host, err := p.l.AcceptTCP()
		if err != nil {
			<-n.tcpSlots
			if errors.Is(err, net.ErrClosed) {
				return
			}
			n.logOnce("accept", "usernet: cannot accept on a published port, trying again: %v", err)
			sleep(n.ctx, 50*time.Millisecond)
			continue
		}
		if !n.spawn(func() {
			defer func() { <-n.tcpSlots }()
			p.handle(n, host)
		}) {
			<-n.tcpSlots
			host.Close()
		}
	}
}

// handle serves one connection of the host's.
func (p *tcpPort) handle(n *Network, host *net.TCPConn) {
	if !n.track(host) {
		return
	}
	defer n.untrack(host)
	if g := p.dialGuest(n, host); g != nil {
		n.relay(host, g)
		return
	}
	reset(host)
}

// dialGuest returns a connection to the guest, or nil: refused after the guest
// has once listened, or client gone, or time over.
func (p *tcpPort) dialGuest(n *Network, host *net.TCPConn) *guestConn {
	if !p.isUp() {
		deadline := time.Now().Add(n.cfg.PublishWait)
		if g, decided := p.await(n, host, deadline); decided {
			return g
		}
	}
	g, res := n.attempt(p.guestPort, dialTimeout, nil)
	if res != connected {
		return nil
	}
	return g
}

func (p *tcpPort) isUp() bool {
	select {
	case <-p.up:
		return true
	default:
		return false
	}
}

// await waits for the guest to listen, as the prober if there is none yet.
// decided is false if the guest listens by now, and has to be dialled.
func (p *tcpPort) await(n *Network, host *net.TCPConn, deadline time.Time) (g *guestConn, decided bool) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.up:
			return nil, false
		case p.prober <- struct{}{}:
			defer func() { <-p.prober }()
			return p.probe(n, host, deadline), true
		case <-tick.C:
			if gone(host) || time.Now().After(deadline) {
				return nil, true
			}
		case <-n.ctx.Done():
			return nil, true
		}
	}
}

// probe tries until the guest accepts.
func (p *tcpPort) probe(n *Network, host *net.TCPConn, deadline time.Time) *guestConn {
	if p.isUp() { // between await's look and its turn
		g, _ := n.attempt(p.guestPort, dialTimeout, nil)
		return g
	}
	pace := newPacer(n.link.alive)
	for n.ctx.Err() == nil && time.Now().Before(deadline) && !gone(host) {
		timeout, nudge := pace.patience()
		g, res := n.attempt(p.guestPort, min(timeout, time.Until(deadline)), nudge)
		if res == connected {
			p.upOnce.Do(func() { close(p.up) })
			return g
		}
		if res == refused {
			sleep(n.ctx, pace.afterRefusal())
		}
	}
	return nil
}

// pacer sets the rhythm of attempts while the guest does not listen yet. The
// guest is booting: first it does not read, then it refuses for some
// milliseconds, then it listens. An attempt costs it little, so the rhythm is
// an eighth of the time it has taken so far, between 1 and 50 ms.
type pacer struct {
	alive   <-chan struct{} // closed at the guest's first frame
	began   time.Time       // of the guest's refusing
	started time.Time
}

func newPacer(alive <-chan struct{}) *pacer {
	return &pacer{alive: alive, started: time.Now()}
}

// patience returns how long to wait for an answer, and what shortens it. A SYN
// sent before the guest reads waits in the socket and is answered the moment
// it does; but a guest that reads and has no address yet drops it, so there
// must be another soon. An attempt given up costs nothing: the guest's late
// answer to it gets a reset.
func (p *pacer) patience() (time.Duration, <-chan struct{}) {
	elapsed := time.Since(p.started)
	select {
	case <-p.alive:
		return clamp(elapsed/4, 20*time.Millisecond, time.Second), nil
	default:
		return clamp(elapsed/8, 2*time.Millisecond, 100*time.Millisecond), p.alive
	}
}

func (p *pacer) afterRefusal() time.Duration {
	if p.began.IsZero() {
		p.began = time.Now()
	}
	return clamp(time.Since(p.began)/8, time.Millisecond, 50*time.Millisecond)
}

func clamp(d, lo, hi time.Duration) time.Duration { return max(lo, min(d, hi)) }

// sleep waits for d, or less if ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// attempt makes one connection to a port of the guest, from the gateway.
func (n *Network) attempt(port uint16, timeout time.Duration, nudge <-chan struct{}) (*guestConn, dialResult) {
	wq := new(waiter.Queue)
	ep, err := n.stack.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, wq)
	if err != nil {
		return nil, noAnswer
	}
	ep.SocketOptions().SetDelayOption(false)
	g := newGuestConn(ep, wq)
	if err := ep.Bind(tcpip.FullAddress{NIC: nicID, Addr: toTCPIP(gateway4)}); err != nil {
		n.logOnce("bind", "usernet: no free port towards the guest: %s", err)
		g.Close()
		return nil, noAnswer
	}
	res := g.connect(tcpip.FullAddress{NIC: nicID, Addr: toTCPIP(guest4), Port: port}, timeout, nudge, n.ctx.Done())
	if res != connected {
		g.abort()
		g.Close()
		return nil, res
	}
	return g, connected
}

// gone reports whether the client of a waiting connection has left: by a
// reset, or by closing before it sent anything. What it did send stays unread.
func gone(host *net.TCPConn) bool {
	raw, err := host.SyscallConn()
	if err != nil {
		return true
	}
	left := false
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		if _, err := unix.Poll(fds, 0); err == nil && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
			left = true
			return
		}
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		left = err == nil && n == 0 || err != nil && err != unix.EAGAIN && err != unix.EINTR
	})
	return left || err != nil
}
