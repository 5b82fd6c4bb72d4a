package libos

// Flags of send and recv (include/linux/socket.h).
const (
	msgOOB         = 0x1
	msgPeek        = 0x2
	msgCtrunc      = 0x8
	msgTrunc       = 0x20
	msgEOR         = 0x80
	msgWaitAll     = 0x100
	msgNoSignal    = 0x4000
	msgCmsgCloexec = 0x40000000
)

// streamPart is the number of bytes of a stream that are kept in one piece, as on
// Linux (SKB_MAX_HEAD(0) + UNIX_SKB_FRAGS_SZ): a read ends with the piece that
// descriptors came with.
const streamPart = 3776 + 32<<10

// Read implements File.
func (s *unixSocket) Read(p []byte) (int, Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	var m message
	m.one(p)
	r, errno := s.Recv(m.slices(), nil, 0)
	return r.N, errno
}

// Write implements File.
func (s *unixSocket) Write(p []byte) (int, Errno) {
	var m message
	m.one(p)
	return s.Send(m.slices(), nil, nil, 0)
}

// Send implements Socket.
func (s *unixSocket) Send(parts [][]byte, oob, to []byte, flags int) (int, Errno) {
	if s.typ == sockSeqpacket {
		if errno := s.sequenced(); errno != 0 {
			return 0, errno
		}
	}
	c, errno := parseControl(oob)
	if errno != 0 {
		return 0, errno
	}
	n, errno := s.send(parts, &c, to, flags)
	c.drop() // those that no message took
	return n, errno
}

// sequenced tells why a socket of type SOCK_SEQPACKET cannot send.
func (s *unixSocket) sequenced() Errno {
	unixNet.mu.Lock()
	defer unlockUnix()
	if s.err != 0 {
		return s.takeError()
	}
	if s.state != unixConnected {
		return ENOTCONN
	}
	return 0
}

func (s *unixSocket) send(parts [][]byte, c *control, to []byte, flags int) (int, Errno) {
	if flags&msgOOB != 0 {
		return 0, EOPNOTSUPP
	}
	if s.typ == sockDgram && len(to) > 0 {
		if name, _, errno := unixAddress(to); errno != 0 || name == "" {
			return 0, EINVAL
		}
		if errno := s.beforeLookUp(sizeOf(parts)); errno != 0 {
			return 0, errno
		}
		n, key, errno := s.lookUp(to)
		if errno != 0 {
			return 0, errno
		}
		return s.sendDatagram(parts, c, flags, n, key)
	}
	if s.typ != sockStream {
		if errno := s.nameForCred(); errno != 0 {
			return 0, errno
		}
	}
	if s.typ == sockStream {
		return s.sendStream(parts, c, len(to) > 0, flags)
	}
	return s.sendDatagram(parts, c, flags, nil, abstractName{})
}

// receiver returns where a datagram goes: to what lookUp found, or the peer.
func (s *unixSocket) receiver(n Node, key abstractName) (*unixSocket, Errno) {
	if n != nil || key.name != "" {
		return unixNet.find(n, key, s.typ)
	}
	return s.connectedPeer()
}

// beforeLookUp tells what Linux finds wrong before it looks for the receiver.
func (s *unixSocket) beforeLookUp(size int) Errno {
	if errno := s.nameForCred(); errno != 0 {
		return errno
	}
	unixNet.mu.Lock()
	defer unlockUnix()
	if size > s.sendBuffer-32 {
		return EMSGSIZE
	}
	if errno := s.mayQueue(); errno != EAGAIN {
		return errno
	}
	return 0
}

// connectedPeer returns the peer of a datagram socket. One that is closed is
// forgotten.
func (s *unixSocket) connectedPeer() (*unixSocket, Errno) {
	p := s.peer
	switch {
	case p == nil:
		return nil, ENOTCONN
	case p.dead && !s.connects():
		s.setPeer(nil)
		return nil, ECONNREFUSED
	}
	return p, 0
}

// sendDatagram sends one message (unix_dgram_sendmsg).
func (s *unixSocket) sendDatagram(parts [][]byte, c *control, flags int, n Node, key abstractName) (int, Errno) {
	unixNet.mu.Lock()
	defer unlockUnix()
	size := sizeOf(parts)
	if size > s.sendBuffer-32 {
		return 0, EMSGSIZE
	}
	w := s.newWait(flags, s.sendTime)
	defer w.done()
	for {
		if errno := s.mayQueue(); errno != 0 && errno != EAGAIN {
			return 0, errno
		} else if errno == 0 {
			to, errno := s.receiver(n, key)
			switch {
			case errno != 0:
				return 0, errno
			case !to.maySend(s):
				return 0, EPERM
			case to.shutdown&rcvShutdown != 0:
				return 0, EPIPE
			case s.connects() || s == to || !to.refuses(s):
				s.deliver(to, gather(parts, 0, size), c)
				return size, 0
			}
		}
		if errno := w.park(); errno != 0 {
			return 0, errno
		}
	}
}

// mayQueue tells whether the socket has room for a message: EAGAIN when the
// buffer is full (sock_alloc_send_pskb).
func (s *unixSocket) mayQueue() Errno {
	switch {
	case s.err != 0:
		return s.takeError()
	case s.shutdown&sndShutdown != 0:
		return EPIPE
	case s.sent >= s.sendBuffer:
		return EAGAIN
	}
	return 0
}

// sendStream sends a run of bytes (unix_stream_sendmsg).
func (s *unixSocket) sendStream(parts [][]byte, c *control, named bool, flags int) (int, Errno) {
	unixNet.mu.Lock()
	defer unlockUnix()
	switch {
	case named && s.state == unixConnected:
		return 0, EISCONN
	case named:
		return 0, EOPNOTSUPP
	case s.peer == nil:
		return 0, ENOTCONN
	case s.shutdown&sndShutdown != 0:
		return 0, EPIPE
	}
	w := s.newWait(flags, s.sendTime)
	defer w.done()
	size, done := sizeOf(parts), 0
	for done < size {
		errno := s.mayQueue()
		if errno == 0 && (s.peer.dead || s.peer.shutdown&rcvShutdown != 0) {
			errno = EPIPE
		}
		if errno == EAGAIN {
			if errno = w.park(); errno == 0 {
				continue
			}
		}
		if errno != 0 && done > 0 {
			break
		}
		if errno != 0 {
			return 0, errno
		}
		n := min(size-done, streamPart, s.sendBuffer/2-64)
		s.deliver(s.peer, gather(parts, done, n), c)
		done += n
	}
	return done, 0
}

// deliver puts a message into the queue of to. It takes c's descriptors.
func (s *unixSocket) deliver(to *unixSocket, data []byte, c *control) {
	if !c.withCred && !s.passCred && !to.passCred && !to.unaccepted {
		c.cred = nobody
	}
	m := &unixMessage{
		data: data, from: s, cred: c.cred, files: c.files,
		charge: trueSize(len(data), s.typ == sockStream),
	}
	c.files = nil
	unixNet.inFlight += len(m.files)
	s.sent += m.charge
	to.queue = append(to.queue, m)
	to.tell(ReadyIn)
}

// trueSize is what Linux counts for a message: its head, which is a power of
// two with bookkeeping at its end, and pages for the rest (alloc_skb_with_frags).
func trueSize(size int, stream bool) int {
	const skb, shared = 256, 320
	maxHead := 4*pageSize - shared // SKB_MAX_ALLOC
	if stream {
		maxHead = pageSize - shared // SKB_MAX_HEAD(0)
	}
	pages := min(int(roundPage(uintptr(max(size-maxHead, 0)))), size)
	head := 512
	for head < size-pages+shared {
		head *= 2
	}
	return skb + head + pages
}

// settle gives the sender of a message its room back.
func (m *unixMessage) settle() {
	unixNet.inFlight -= len(m.files)
	m.from.sent -= m.charge
	if m.from.sent*4 <= m.from.sendBuffer {
		m.from.tell(ReadyOut)
	}
	unixNet.changed.Broadcast()
}

// drop throws a message away.
func (m *unixMessage) drop() {
	m.settle()
	unixNet.dropped = append(unixNet.dropped, m.files...)
}

// Recv implements Socket.
func (s *unixSocket) Recv(parts [][]byte, oob []byte, flags int) (r Received, errno Errno) {
	var c control
	if s.typ == sockStream {
		r, errno = s.recvStream(parts, &c, flags)
	} else {
		r, errno = s.recvDatagram(parts, &c, flags)
	}
	if errno != 0 {
		return r, errno
	}
	r.Flags |= flags & msgCmsgCloexec
	r.OOBN, r.Flags = c.put(oob, r.Flags)
	return r, 0
}

// recvStream receives bytes up to where the sender or the descriptors change
// (unix_stream_read_generic).
func (s *unixSocket) recvStream(parts [][]byte, c *control, flags int) (r Received, errno Errno) {
	unixNet.mu.Lock()
	defer unlockUnix()
	switch {
	case s.state != unixConnected:
		return r, EINVAL
	case flags&msgOOB != 0:
		return r, EINVAL
	}
	c.cred, c.withCred = ucred{}, s.passCred
	w := s.newWait(flags, s.recvTime)
	defer w.done()
	target := 1
	if flags&msgWaitAll != 0 {
		target = max(sizeOf(parts), 1)
	}
	skip := 0 // bytes of the queue that a peek has passed
	for {
		more := s.takeStream(parts, c, flags, &r, &skip)
		if !more || r.N >= target {
			return r, 0
		}
		if s.err != 0 {
			if errno := s.takeError(); r.N == 0 {
				return r, errno
			}
			return r, 0 // Linux forgets the error, too
		}
		if s.shutdown&rcvShutdown != 0 {
			return r, 0
		}
		if errno := w.park(); errno != 0 {
			if r.N > 0 {
				errno = 0
			}
			return r, errno
		}
	}
}

// takeStream takes what is there. It returns false when nothing more may be
// added to what was taken.
func (s *unixSocket) takeStream(parts [][]byte, c *control, flags int, r *Received, skip *int) bool {
	if flags&msgPeek != 0 {
		return s.peekStream(parts, c, r, skip)
	}
	size := sizeOf(parts)
	for len(s.queue) > 0 {
		m := s.queue[0]
		if s.passCred && r.N > 0 && c.cred != m.cred {
			return false
		}
		files := len(m.files) > 0
		n := m.receive(parts, 0, c, r, s.passCred, false)
		if m.off += n; m.off == len(m.data) {
			s.remove()
		}
		if files || r.N == size {
			return false
		}
	}
	return true
}

// receive adds what of m lies behind skip bytes to r.
func (m *unixMessage) receive(parts [][]byte, skip int, c *control, r *Received, cred, peek bool) int {
	n := scatterAt(parts, r.N, m.data[m.off+skip:])
	r.N += n
	r.From = m.from.name
	c.take(m, cred, peek)
	return n
}

// peekStream is takeStream for a peek, from skip bytes on. Like Linux it looks
// at one message more when the parts are full, and so tells of its descriptors.
func (s *unixSocket) peekStream(parts [][]byte, c *control, r *Received, skip *int) bool {
	passed, taken := *skip, false
	for _, m := range s.queue {
		if rest := len(m.data) - m.off; passed >= rest {
			passed -= rest
			continue
		}
		if s.passCred && taken && c.cred != m.cred {
			return false
		}
		*skip += m.receive(parts, passed, c, r, s.passCred, true)
		passed, taken = 0, true
		if len(m.files) > 0 {
			return false
		}
	}
	return !taken || r.N < sizeOf(parts)
}

// remove takes the first message out of the queue.
func (s *unixSocket) remove() {
	m := s.queue[0]
	s.queue[0] = nil
	s.queue = s.queue[1:]
	if len(s.queue) == 0 {
		s.queue = nil
	}
	m.settle()
	if len(s.queue) <= s.backlog {
		s.tellFull()
	}
}

// recvDatagram receives one message (__unix_dgram_recvmsg).
func (s *unixSocket) recvDatagram(parts [][]byte, c *control, flags int) (r Received, errno Errno) {
	unixNet.mu.Lock()
	defer unlockUnix()
	switch {
	case s.typ == sockSeqpacket && s.state != unixConnected:
		return r, ENOTCONN
	case flags&msgOOB != 0:
		return r, EOPNOTSUPP
	}
	w := s.newWait(flags, s.recvTime)
	defer w.done()
	for len(s.queue) == 0 || s.err != 0 {
		switch {
		case s.err != 0:
			return r, s.takeError()
		case s.shutdown&rcvShutdown != 0 && (!w.nonblock || s.connects()):
			return r, 0
		}
		if errno := w.park(); errno != 0 {
			return r, errno
		}
	}
	m := s.queue[0]
	r.N = scatterAt(parts, 0, m.data)
	r.From = m.from.name
	if r.N < len(m.data) {
		r.Flags = msgTrunc
	}
	if flags&msgTrunc != 0 {
		r.N = len(m.data)
	}
	c.take(m, s.passCred, flags&msgPeek != 0)
	if flags&msgPeek == 0 {
		s.remove()
	}
	return r, 0
}

// unread implements sizer: all of a connection, or the next message.
func (s *unixSocket) unread() int {
	unixNet.mu.Lock()
	defer unlockUnix()
	if s.state == unixListening {
		return -1
	}
	n := 0
	for _, m := range s.queue {
		n += len(m.data) - m.off
		if !s.connects() {
			break
		}
	}
	return n
}

// unsent is what SIOCOUTQ tells.
func (s *unixSocket) unsent() int {
	unixNet.mu.Lock()
	defer unlockUnix()
	return s.sent
}

func sizeOf(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}

// gather returns a copy of n bytes of the parts, from off on.
func gather(parts [][]byte, off, n int) []byte {
	b := make([]byte, 0, n)
	for _, p := range parts {
		if off >= len(p) {
			off -= len(p)
			continue
		}
		p = p[off:]
		off = 0
		b = append(b, p[:min(len(p), n-len(b))]...)
	}
	return b
}

// scatterAt copies b into the parts, from off on, and returns how much fitted.
func scatterAt(parts [][]byte, off int, b []byte) (n int) {
	for _, p := range parts {
		if off >= len(p) {
			off -= len(p)
			continue
		}
		n += copy(p[off:], b[n:])
		off = 0
	}
	return n
}
