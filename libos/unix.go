package libos

import (
	"sync"
	"sync/atomic"
)

// The sockets of AF_UNIX follow net/unix/af_unix.c: what it does in an unusual
// case, and in which order it looks, is what programs see.

// unixNet is all there is of AF_UNIX. One lock guards every socket, so that the
// two ends of a connection never have to be locked in order; nothing waits
// under it but for the lock itself.
var unixNet unixDomain

type unixDomain struct {
	mu       sync.Mutex
	changed  sync.Cond // any socket changed: goroutines in blocking calls look again
	bound    map[Node]*unixSocket
	abstract map[abstractName]*unixSocket
	auto     uint32 // the last name given by autobind
	inFlight int    // descriptors in messages

	// What is to be done once the lock is free.
	notices []notice
	dropped []*desc
}

// A notice is a call of a socket's notify function.
type notice struct {
	s     *unixSocket
	ready uint32
}

func init() { unixNet.changed.L = &unixNet.mu }

// unlockUnix frees the lock, and then tells and closes what there is to.
func unlockUnix() {
	u := &unixNet
	var few [4]notice
	list := few[:copy(few[:], u.notices)]
	if len(list) < len(u.notices) {
		list, u.notices = u.notices, nil
	}
	u.notices = u.notices[:0]
	dropped := u.dropped
	u.dropped = nil
	u.mu.Unlock()
	for _, n := range list {
		n.s.notifier.tell(n.ready)
	}
	for _, d := range dropped {
		d.put()
	}
}

// Shutdown flags of a socket.
const (
	rcvShutdown = 1
	sndShutdown = 2
	shutdownAll = rcvShutdown | sndShutdown
)

type unixState uint8

const (
	unixClosed unixState = iota // not connected
	unixListening
	unixConnected
)

// Sizes of net/core/sock.c and net/unix/sysctl_net_unix.c, in bytes and messages.
const (
	defaultSendBuffer = 212992
	minSendBuffer     = 4608
	maxDatagrams      = 10 // net.unix.max_dgram_qlen
	maxBacklog        = 4096
)

// A unixSocket is a socket of AF_UNIX. unixNet.mu guards all of it but the
// notifier and nonblock.
type unixSocket struct {
	notifier
	nonblock atomic.Bool

	typ   int
	state unixState
	dead  bool

	unaccepted bool // still in the backlog
	shutdown   uint8
	err        Errno // SO_ERROR
	name       []byte
	key        abstractName // if the name is abstract
	node       Node         // if the name is a file's
	peer       *unixSocket

	queue   []*unixMessage
	backlog int
	pending []*unixSocket            // connections not yet accepted
	full    map[*unixSocket]struct{} // senders that found the queue full

	sent       int // bytes of messages not yet received
	sendBuffer int
	recvBuffer int
	sendTime   int64 // SO_SNDTIMEO in nanoseconds, 0 for none
	recvTime   int64
	passCred   bool
	peerCred   ucred
	flags      uint64 // options that are only remembered, by number
}

// A unixMessage is a datagram, or a part of a stream. Its descriptors come with
// its first byte.
type unixMessage struct {
	data   []byte
	off    int // bytes received
	from   *unixSocket
	cred   ucred
	files  []*desc
	charge int
}

// ucred is struct ucred.
type ucred struct {
	pid      int32
	uid, gid uint32
}

var (
	ownCred = ucred{pid: processID}
	noCred  = ucred{0, 1<<32 - 1, 1<<32 - 1}
	nobody  = ucred{0, 65534, 65534} // of a message that nobody wanted them of
)

func newUnixSocket(typ int) *unixSocket {
	return &unixSocket{
		typ: typ, sendBuffer: defaultSendBuffer, recvBuffer: defaultSendBuffer,
		backlog: maxDatagrams, peerCred: noCred,
	}
}

// unixSocketOf answers socket(2) for AF_UNIX. SOCK_RAW is SOCK_DGRAM there.
func unixSocketOf(typ, protocol int) (*unixSocket, Errno) {
	if protocol != 0 && protocol != afUnix {
		return nil, EPROTONOSUPPORT
	}
	switch typ {
	case sockStream, sockDgram, sockSeqpacket:
		return newUnixSocket(typ), 0
	case sockRaw:
		return newUnixSocket(sockDgram), 0
	}
	return nil, ESOCKTNOSUPPORT
}

// newSocketPair returns two connected sockets.
func newSocketPair(typ int) (x, y *unixSocket) {
	x, y = newUnixSocket(typ), newUnixSocket(typ)
	x.peer, y.peer = y, x
	x.peerCred, y.peerCred = ownCred, ownCred
	x.state, y.state = unixConnected, unixConnected
	return x, y
}

// connected says whether the socket is of a kind that has connections.
func (s *unixSocket) connects() bool { return s.typ != sockDgram }

// tell notes that bits of ready may have become true. unixNet.mu is held.
func (s *unixSocket) tell(ready uint32) {
	unixNet.changed.Broadcast()
	if s.notifier.fn.Load() != nil {
		unixNet.notices = append(unixNet.notices, notice{s, ready})
	}
}

// SetNonblock implements Poller.
func (s *unixSocket) SetNonblock(on bool) { s.nonblock.Store(on) }

// Ready implements Poller (unix_poll and unix_dgram_poll).
func (s *unixSocket) Ready() (ready uint32) {
	unixNet.mu.Lock()
	defer unlockUnix()
	if s.err != 0 {
		ready |= ReadyErr
	}
	if s.shutdown == shutdownAll || s.connects() && s.state == unixClosed {
		ready |= ReadyHup
	}
	if s.shutdown&rcvShutdown != 0 || len(s.queue) > 0 || len(s.pending) > 0 {
		ready |= ReadyIn
	}
	if s.writable() {
		ready |= ReadyOut
	}
	return ready
}

// writable reports whether a quarter of the buffer at most is in use, and a
// datagram would find room.
func (s *unixSocket) writable() bool {
	if s.state == unixListening || s.sent*4 > s.sendBuffer {
		return false
	}
	return s.connects() || s.peer == nil || !s.peer.refuses(s)
}

// refuses reports whether the queue is too long for a message of from, who is
// remembered to be told when it is not. A socket takes any number from the one
// it is connected to, which has a buffer that bounds them.
func (s *unixSocket) refuses(from *unixSocket) bool {
	if s.peer == from || len(s.queue) <= s.backlog {
		return false
	}
	if s.full == nil {
		s.full = make(map[*unixSocket]struct{})
	}
	s.full[from] = struct{}{}
	return true
}

// A unixWait is the waiting of one call.
type unixWait struct {
	nonblock bool
	limit    int64 // nanoseconds, 0 for none
	until    int64
	stop     func()
}

// newWait returns the waiting of a call with these flags of send and recv.
func (s *unixSocket) newWait(flags int, limit int64) unixWait {
	return unixWait{nonblock: s.nonblock.Load() || flags&msgDontWait != 0, limit: limit}
}

// park waits for a change of any socket; unixNet.mu is held. EAGAIN says that
// the call must not wait, or no longer.
func (w *unixWait) park() Errno {
	switch {
	case w.nonblock:
		return EAGAIN
	case w.limit > 0 && w.stop == nil:
		w.until = addTime(Hooks.Now(), w.limit)
		w.stop = afterFunc(w.limit, wakeUnix)
	case w.limit > 0 && Hooks.Now() >= w.until:
		return EAGAIN
	}
	if len(unixNet.notices)+len(unixNet.dropped) > 0 {
		unlockUnix()
		unixNet.mu.Lock()
		return 0 // things may have changed meanwhile
	}
	unixNet.changed.Wait()
	return 0
}

// done ends the waiting.
func (w *unixWait) done() {
	if w.stop != nil {
		w.stop()
	}
}

func wakeUnix() {
	unixNet.mu.Lock()
	unixNet.changed.Broadcast()
	unixNet.mu.Unlock()
}

// takeError returns the socket's error, which is told once.
func (s *unixSocket) takeError() Errno {
	e := s.err
	s.err = 0
	return e
}
