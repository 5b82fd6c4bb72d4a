package usernet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// maxDatagram is the size in bytes of the largest UDP payload there is.
const maxDatagram = 65535 - 8

var datagramBufs = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// handleUDP begins a flow of the guest's. It runs on the link's reader, so it
// must not wait. false makes the stack answer "port unreachable".
func (n *Network) handleUDP(r *udp.ForwarderRequest) bool {
	id := r.ID()
	to, ok := hostAddr(fromTCPIP(id.LocalAddress), !n.cfg.NoHostLoopback)
	if !ok {
		return false
	}
	host, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, id.LocalPort)))
	if err != nil {
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
			n.logOnce("descriptors", "usernet: out of file descriptors: a datagram of the guest is dropped; raise the limit (ulimit -n)")
		}
		return false
	}
	wq := new(waiter.Queue)
	ep, terr := r.CreateEndpoint(wq)
	if terr != nil {
		host.Close()
		return true
	}
	g := newGuestConn(ep, wq)
	key := flowKey{src: netip.AddrPortFrom(fromTCPIP(id.RemoteAddress), id.RemotePort),
		dst: netip.AddrPortFrom(fromTCPIP(id.LocalAddress), id.LocalPort)}
	f := newFlow(key, func() { host.Close() })
	n.startFlow(&n.udp, f, g, func(p []byte) {
		if _, err := host.Write(p); errors.Is(err, unix.ECONNREFUSED) {
			n.unreachable(key)
		}
	}, func() { n.fromHost(f, g, host) })
	return true
}

// startFlow runs a flow with its two directions: datagrams of the guest go to
// send, and back does the rest until the flow ends.
func (n *Network) startFlow(t *flowTable, f *flow, g *guestConn, send func([]byte), back func()) bool {
	if !n.track(f) {
		g.Close()
		return false
	}
	t.add(f)
	return n.spawn(func() {
		var wg sync.WaitGroup
		wg.Go(func() { fromGuest(f, g, send) })
		back()
		f.Close()
		wg.Wait()
		g.Close()
		t.remove(f)
		n.untrack(f)
	})
}

// fromGuest passes the guest's datagrams to send until the flow ends.
func fromGuest(f *flow, g *guestConn, send func([]byte)) {
	for g.waitPacket(f.done) {
		buf := datagramBufs.Get().(*[maxDatagram]byte)
		size, _, ok := g.readPacket(buf[:], f.done)
		if ok {
			f.touch()
			send(buf[:size])
		}
		datagramBufs.Put(buf)
		if !ok {
			break
		}
	}
	f.Close()
}

// fromHost passes the answers of a connected socket to the guest, until the
// flow has been idle for long enough.
func (n *Network) fromHost(f *flow, g *guestConn, host *net.UDPConn) {
	raw, err := host.SyscallConn()
	if err != nil {
		return
	}
	for {
		host.SetReadDeadline(time.Now().Add(n.cfg.UDPIdle - f.idle()))
		err := readDatagram(raw, func(p []byte) {
			f.touch()
			g.writePacket(p, nil)
		})
		switch {
		case err == nil:
		case errors.Is(err, unix.ECONNREFUSED):
			n.unreachable(f.key)
		case errors.Is(err, os.ErrDeadlineExceeded):
			if f.idle() >= n.cfg.UDPIdle {
				return
			}
		case errors.Is(err, net.ErrClosed):
			return
		default: // another ICMP error (host unreachable, message size): as lost
			sleep(n.ctx, time.Millisecond)
		}
	}
}

// readDatagram waits for one datagram and passes it to got. The buffer is
// taken only when there is one: most flows are idle most of the time.
func readDatagram(raw interface {
	Read(func(uintptr) bool) error
}, got func([]byte)) (err error) {
	rerr := raw.Read(func(fd uintptr) (done bool) {
		buf := datagramBufs.Get().(*[maxDatagram]byte)
		defer datagramBufs.Put(buf)
		var n int
		n, err = unix.Read(int(fd), buf[:])
		if err == unix.EAGAIN || err == unix.EINTR {
			return false
		}
		if err == nil {
			got(buf[:n])
		}
		return true
	})
	if rerr != nil {
		return rerr
	}
	return err
}

// udpPort is a published UDP port. Each source has a flow of its own, with a
// port of the gateway's, so that the guest's answers find their way back.
type udpPort struct {
	conn      *net.UDPConn
	guestPort uint16
}

func (p *udpPort) Close() error { return p.conn.Close() }

func (p *udpPort) addr() netip.AddrPort { return p.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (p *udpPort) serve(n *Network) {
	buf := new([maxDatagram]byte)
	for {
		size, from, err := p.conn.ReadFromUDPAddrPort(buf[:])
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // an ICMP error about an answer
			sleep(n.ctx, time.Millisecond)
			continue
		}
		key := flowKey{src: from, port: p}
		f := n.udp.get(key)
		if f == nil {
			if f = p.newFlow(n, key); f == nil {
				continue
			}
		}
		f.touch()
		f.send(buf[:size])
	}
}

func (p *udpPort) newFlow(n *Network, key flowKey) *flow {
	wq := new(waiter.Queue)
	ep, err := n.stack.NewEndpoint(udp.ProtocolNumber, ipv4.ProtocolNumber, wq)
	if err != nil {
		return nil
	}
	g := newGuestConn(ep, wq)
	if ep.Bind(tcpip.FullAddress{NIC: nicID, Addr: toTCPIP(gateway4)}) != nil ||
		ep.Connect(tcpip.FullAddress{NIC: nicID, Addr: toTCPIP(guest4), Port: p.guestPort}) != nil {
		g.Close()
		return nil
	}
	f := newFlow(key, nil)
	f.send = func(b []byte) { g.writePacket(b, nil) }
	ok := n.startFlow(&n.udp, f, g,
		func(b []byte) { p.conn.WriteToUDPAddrPort(b, key.src) },
		func() { n.waitIdle(f) })
	if !ok {
		return nil
	}
	return f
}

// waitIdle waits until the flow has been idle for long enough, or has ended.
func (n *Network) waitIdle(f *flow) {
	for {
		left := n.cfg.UDPIdle - f.idle()
		if left <= 0 {
			return
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-f.done:
			t.Stop()
			return
		}
	}
}
