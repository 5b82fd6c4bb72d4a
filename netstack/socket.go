package netstack

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// A socket is an AF_INET or AF_INET6 socket: an endpoint of the stack and its
// wait queue, with Linux's manners. It implements [libos.Socket].
type socket struct {
	st     *Stack
	ep     tcpip.Endpoint
	wq     *waiter.Queue
	family int
	typ    int
	proto  int

	nonblock atomic.Bool
	closed   atomic.Bool
	sndtimeo atomic.Int64 // nanoseconds, 0: none
	rcvtimeo atomic.Int64
	stamp    atomic.Bool // SO_TIMESTAMP

	// inherited are the options that connections accepted on this socket get.
	optionMu  sync.Mutex
	inherited []optionCall

	notifyMu sync.Mutex
	notify   *waiter.Entry

	inMu  sync.Mutex
	in    inState
	outMu sync.Mutex
	out   outState
}

// Socket makes a socket; see [libos.Network]. The one family beyond IP is
// netlink's, for dumps of interfaces, addresses and routes.
func (s *Stack) Socket(domain, typ, protocol int) (libos.Socket, libos.Errno) {
	switch domain {
	case afInet, afInet6:
		return s.ipSocket(domain, typ, protocol)
	case afNetlink:
		return s.netlinkSocket(typ, protocol)
	}
	return nil, libos.EAFNOSUPPORT
}

func (s *Stack) ipSocket(domain, typ, protocol int) (libos.Socket, libos.Errno) {
	proto, trans, e := transport(domain, typ, protocol)
	if e != 0 {
		return nil, e
	}
	net := ipv4.ProtocolNumber
	if domain == afInet6 {
		net = ipv6.ProtocolNumber
	}
	var (
		wq  waiter.Queue
		ep  tcpip.Endpoint
		err tcpip.Error
	)
	if typ == sockRaw {
		ep, err = s.ip.NewRawEndpoint(trans, net, &wq, trans != 0)
	} else {
		ep, err = s.ip.NewEndpoint(trans, net, &wq)
	}
	if err != nil {
		return nil, errno(err)
	}
	return s.newSocket(ep, &wq, domain, typ, proto), 0
}

func (s *Stack) newSocket(ep tcpip.Endpoint, wq *waiter.Queue, family, typ, proto int) *socket {
	return &socket{st: s, ep: ep, wq: wq, family: family, typ: typ, proto: proto}
}

// transport chooses the protocol of a socket, with socket(2)'s errors. A raw
// socket of protocol 255 sends whole packets and receives none (raw(7)).
func transport(domain, typ, protocol int) (int, tcpip.TransportProtocolNumber, libos.Errno) {
	switch typ {
	case sockStream:
		if protocol == 0 || protocol == protoTCP {
			return protoTCP, tcp.ProtocolNumber, 0
		}
	case sockDgram:
		return datagramTransport(domain, protocol)
	case sockRaw:
		return rawTransport(protocol)
	default:
		return 0, 0, libos.ESOCKTNOSUPPORT
	}
	return 0, 0, libos.EPROTONOSUPPORT
}

func datagramTransport(domain, protocol int) (int, tcpip.TransportProtocolNumber, libos.Errno) {
	switch {
	case protocol == 0 || protocol == protoUDP:
		return protoUDP, udp.ProtocolNumber, 0
	case protocol == protoICMP && domain == afInet:
		return protoICMP, header.ICMPv4ProtocolNumber, 0
	case protocol == protoICMPv6 && domain == afInet6:
		return protoICMPv6, header.ICMPv6ProtocolNumber, 0
	}
	return 0, 0, libos.EPROTONOSUPPORT
}

func rawTransport(protocol int) (int, tcpip.TransportProtocolNumber, libos.Errno) {
	switch protocol {
	case protoRaw:
		return protoRaw, 0, 0
	case protoICMP, protoICMPv6, protoTCP, protoUDP:
		return protocol, tcpip.TransportProtocolNumber(protocol), 0
	}
	return 0, 0, libos.EPROTONOSUPPORT
}

// errno is the package's errno for an operation on this socket: after the
// network card broke, what fails because of that is ENETDOWN.
func (s *socket) errno(err tcpip.Error) libos.Errno {
	e := errno(err)
	if !s.st.down.Load() || s.isLocal() {
		return e
	}
	switch e {
	case libos.EPIPE, libos.ECONNABORTED, libos.ETIMEDOUT, libos.EHOSTUNREACH, libos.ENETUNREACH:
		return libos.ENETDOWN
	}
	return e
}

// failure is errno for an error that ends a connection. The stack keeps such an
// error twice, Linux once: what one call has reported, the next must not.
func (s *socket) failure(err tcpip.Error) libos.Errno {
	if err == nil {
		return 0
	}
	e := s.errno(err)
	if s.typ == sockStream && e != libos.EAGAIN {
		_ = s.ep.LastError()
	}
	return e
}

// isLocal reports whether the socket is bound to a loopback address.
func (s *socket) isLocal() bool {
	a, err := s.ep.GetLocalAddress()
	return err == nil && isLoopback(a.Addr)
}

// SetNonblock implements [libos.Poller].
func (s *socket) SetNonblock(v bool) { s.nonblock.Store(v) }

// pollEvents are the events of the stack that matter to poll(2).
const pollEvents = waiter.ReadableEvents | waiter.WritableEvents | waiter.EventErr | waiter.EventHUp | waiter.EventRdHUp

// readyBits turns events of the stack into those of [libos.Poller].
func readyBits(m waiter.EventMask) uint32 {
	r := uint32(m) & (libos.ReadyIn | libos.ReadyOut | libos.ReadyErr | libos.ReadyHup)
	if m&waiter.EventRdHUp != 0 {
		r |= libos.ReadyIn
	}
	return r
}

// Ready implements [libos.Poller].
func (s *socket) Ready() uint32 {
	r := readyBits(s.ep.Readiness(pollEvents))
	if s.typ != sockStream {
		return r
	}
	switch tcp.EndpointState(s.ep.State()) {
	case tcp.StateInitial, tcp.StateBound:
		r |= libos.ReadyOut
	case tcp.StateClosing, tcp.StateLastAck:
		r |= libos.ReadyHup // both directions are shut down
	case tcp.StateClose, tcp.StateTimeWait:
		r &^= libos.ReadyErr // the stack says it of every closed connection
	}
	return r
}

// SetNotify implements [libos.Poller]. The stack calls back while it holds the
// wait queue's lock and maybe its endpoint's, none of which Ready takes.
func (s *socket) SetNotify(f func(ready uint32)) {
	s.notifyMu.Lock()
	defer s.notifyMu.Unlock()
	if s.notify != nil {
		s.wq.EventUnregister(s.notify)
		s.notify = nil
	}
	if f == nil {
		return
	}
	e := waiter.NewFunctionEntry(pollEvents, func(m waiter.EventMask) { f(readyBits(m)) })
	s.notify = &e
	s.wq.EventRegister(s.notify)
}

// block calls try until it does not answer EAGAIN, and parks between the calls,
// for no longer than timeout nanoseconds; 0 is for ever.
func (s *socket) block(timeout int64, events waiter.EventMask, try func() libos.Errno) libos.Errno {
	entry, ch := waiter.NewChannelEntry(events | waiter.EventErr | waiter.EventHUp)
	s.wq.EventRegister(&entry)
	defer s.wq.EventUnregister(&entry)
	var late <-chan time.Time
	if timeout > 0 {
		t := time.NewTimer(time.Duration(timeout))
		defer t.Stop()
		late = t.C
	}
	for {
		if e := try(); e != libos.EAGAIN {
			return e
		}
		select {
		case <-ch:
		case <-late:
			return libos.EAGAIN
		}
	}
}

// Close implements [libos.File]. With SO_LINGER and a time it waits, as Linux
// does, until the peer has acknowledged everything or the time is over.
func (s *socket) Close() libos.Errno {
	if s.closed.Swap(true) {
		return libos.EBADF
	}
	s.SetNotify(nil)
	l := s.ep.SocketOptions().GetLinger()
	if s.typ != sockStream || !l.Enabled || l.Timeout == 0 {
		s.ep.Close()
		s.st.orphans.add(s.ep)
		return 0
	}
	entry, ch := waiter.NewChannelEntry(waiter.EventHUp | waiter.EventErr)
	s.wq.EventRegister(&entry)
	defer s.wq.EventUnregister(&entry)
	s.ep.Close()
	if st := tcp.EndpointState(s.ep.State()); st == tcp.StateClose || st == tcp.StateError || st == tcp.StateFinWait2 || st == tcp.StateTimeWait {
		return 0
	}
	t := time.NewTimer(l.Timeout)
	defer t.Stop()
	select {
	case <-ch:
	case <-t.C:
	}
	return 0
}
