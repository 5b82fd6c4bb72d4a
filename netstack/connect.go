package netstack

import (
	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// destination decodes an address to connect or send to, and to bind when exact
// is set: then the family must be the socket's own.
func (s *socket) destination(sa []byte, exact bool) (tcpip.FullAddress, libos.Errno) {
	a, family, e := parseSockaddr(sa)
	switch {
	case e != 0:
		return a, e
	case family == afInet6 && s.opts().GetV6Only() && header.IsV4MappedAddress(a.Addr):
		if exact {
			return a, libos.EINVAL
		}
		return a, libos.ENETUNREACH
	case family == s.family:
	case exact:
		return a, libos.EAFNOSUPPORT
	case s.family == afInet6 && s.typ == sockStream && len(sa) < sizeInet6NoScope:
		return a, libos.EINVAL
	case s.family != afInet6 || s.typ == sockStream:
		return a, libos.EAFNOSUPPORT
	case s.opts().GetV6Only():
		return a, libos.ENETUNREACH
	case a.Addr.Len() == 0:
		a.Addr = mappedAny
	}
	if !exact && !isLoopback(a.Addr) {
		s.st.await()
	}
	if s.typ == sockRaw || s.proto == protoICMP || s.proto == protoICMPv6 {
		if !exact {
			a.Port = 0
		}
	}
	return a, 0
}

// Bind implements [libos.Socket].
func (s *socket) Bind(sa []byte) libos.Errno {
	a, e := s.destination(sa, true)
	if e != 0 {
		return e
	}
	err := s.ep.Bind(a)
	if _, ok := err.(*tcpip.ErrNoPortAvailable); ok {
		return libos.EADDRINUSE
	}
	return s.errno(err)
}

// Listen implements [libos.Socket].
func (s *socket) Listen(backlog int) libos.Errno {
	if s.typ != sockStream {
		return libos.EOPNOTSUPP
	}
	return s.errno(s.ep.Listen(min(max(backlog, 0), maxBacklog)))
}

// maxBacklog bounds a listener's queue of connections, as somaxconn does.
const maxBacklog = 4096

// Accept implements [libos.Socket].
func (s *socket) Accept() (libos.Socket, []byte, libos.Errno) {
	if s.typ != sockStream {
		return nil, nil, libos.EOPNOTSUPP
	}
	var (
		peer tcpip.FullAddress
		ep   tcpip.Endpoint
		wq   *waiter.Queue
	)
	try := func() libos.Errno {
		var err tcpip.Error
		ep, wq, err = s.ep.Accept(&peer)
		return s.errno(err)
	}
	e := try()
	if e == libos.EAGAIN && !s.nonblock.Load() {
		e = s.block(s.rcvtimeo.Load(), waiter.ReadableEvents, try)
	}
	if e != 0 {
		return nil, nil, e
	}
	c := s.st.newSocket(ep, wq, s.family, s.typ, s.proto)
	c.inherit(s)
	return c, encodeSockaddr(s.family, peer), 0
}

// Connect implements [libos.Socket].
func (s *socket) Connect(sa []byte) libos.Errno {
	if family, e := sockaddrFamily(sa); e != 0 {
		return e
	} else if family == afUnspec {
		return s.disconnect()
	}
	a, e := s.destination(sa, false)
	if e != 0 {
		return e
	}
	if s.typ == sockStream && tcp.EndpointState(s.ep.State()) == tcp.StateListen {
		return libos.EISCONN
	}
	if a.NIC == 0 {
		// The stack looks at it when a datagram is sent to somewhere only.
		a.NIC = tcpip.NICID(s.opts().GetBindToDevice())
	}
	if s.typ != sockStream || s.nonblock.Load() {
		return s.connectErrno(s.ep.Connect(a))
	}
	return s.connectAndWait(a)
}

// disconnect dissolves a datagram socket's association (connect(2)).
func (s *socket) disconnect() libos.Errno {
	if s.typ == sockStream {
		return libos.EAFNOSUPPORT
	}
	return errno(s.ep.Disconnect())
}

// connectAndWait is connect(2) on a blocking socket: the second call of Connect
// asks for the outcome of the first.
func (s *socket) connectAndWait(a tcpip.FullAddress) libos.Errno {
	entry, ch := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	s.wq.EventRegister(&entry)
	defer s.wq.EventUnregister(&entry)
	err := s.ep.Connect(a)
	if !isPending(err) {
		return s.connectErrno(err)
	}
	for {
		<-ch
		if st := tcp.EndpointState(s.ep.State()); st != tcp.StateSynSent && st != tcp.StateConnecting {
			break
		}
	}
	if e := s.errno(s.ep.LastError()); e != 0 {
		return e
	}
	return s.connectErrno(s.ep.Connect(a))
}

func isPending(err tcpip.Error) bool {
	switch err.(type) {
	case *tcpip.ErrConnectStarted, *tcpip.ErrAlreadyConnecting:
		return true
	}
	return false
}

// connectErrno is errno for connect, where running out of ports differs.
func (s *socket) connectErrno(err tcpip.Error) libos.Errno {
	if _, ok := err.(*tcpip.ErrNoPortAvailable); ok && s.typ == sockStream {
		return libos.EADDRNOTAVAIL
	}
	return s.errno(err)
}

// Shutdown implements [libos.Socket].
func (s *socket) Shutdown(how int) libos.Errno {
	switch how {
	case 0:
		return s.errno(s.ep.Shutdown(tcpip.ShutdownRead))
	case 1:
		return s.errno(s.ep.Shutdown(tcpip.ShutdownWrite))
	case 2:
		return s.errno(s.ep.Shutdown(tcpip.ShutdownRead | tcpip.ShutdownWrite))
	}
	return libos.EINVAL
}

// LocalAddr implements [libos.Socket].
func (s *socket) LocalAddr() ([]byte, libos.Errno) {
	a, err := s.ep.GetLocalAddress()
	if err != nil {
		return nil, s.errno(err)
	}
	return encodeSockaddr(s.family, a), 0
}

// RemoteAddr implements [libos.Socket].
func (s *socket) RemoteAddr() ([]byte, libos.Errno) {
	a, err := s.ep.GetRemoteAddress()
	if err != nil {
		return nil, s.errno(err)
	}
	return encodeSockaddr(s.family, a), 0
}
