package libos

// Listen implements Socket (unix_listen).
func (s *unixSocket) Listen(backlog int) Errno {
	unixNet.mu.Lock()
	defer unlockUnix()
	switch {
	case !s.connects():
		return EOPNOTSUPP
	case s.name == nil, s.state == unixConnected:
		return EINVAL
	}
	s.backlog = int(min(uint32(backlog), maxBacklog))
	s.state, s.peerCred = unixListening, ownCred
	unixNet.changed.Broadcast()
	return 0
}

// Connect implements Socket.
func (s *unixSocket) Connect(addr []byte) Errno {
	if !s.connects() && len(addr) >= 2 && addr[0] == 0 && addr[1] == 0 { // AF_UNSPEC
		unixNet.mu.Lock()
		defer unlockUnix()
		s.setPeer(nil)
		return 0
	}
	n, key, errno := s.lookUp(addr)
	if errno != 0 {
		return errno
	}
	unixNet.mu.Lock()
	defer unlockUnix()
	if s.connects() {
		return s.connectStream(n, key)
	}
	to, errno := unixNet.find(n, key, s.typ)
	if errno == 0 && !to.maySend(s) {
		errno = EPERM
	}
	if errno == 0 {
		s.setPeer(to)
	}
	return errno
}

// maySend reports whether s takes messages of from: one that is connected takes
// them of its peer only.
func (s *unixSocket) maySend(from *unixSocket) bool { return s.peer == nil || s.peer == from }

// setPeer connects a datagram socket, or disconnects it. What it had received is
// lost then, and an old peer that was connected to it gets an error.
func (s *unixSocket) setPeer(to *unixSocket) {
	old := s.peer
	s.peer, s.state = to, unixClosed
	if to != nil {
		s.state = unixConnected
	}
	if old == nil || old == to {
		return
	}
	delete(old.full, s)
	if len(s.queue) > 0 {
		s.purge()
		if !old.dead && old.peer == s {
			old.err = ECONNRESET
			old.tell(ReadyErr)
		}
	}
	s.tell(ReadyOut)
}

// connectStream makes a connection to a listening socket, whose backlog it
// waits for (unix_stream_connect).
func (s *unixSocket) connectStream(n Node, key abstractName) Errno {
	w := s.newWait(0, s.sendTime)
	defer w.done()
	for {
		to, errno := unixNet.find(n, key, s.typ)
		if errno != 0 {
			return errno
		}
		if to.state != unixListening || to.shutdown&rcvShutdown != 0 {
			return ECONNREFUSED
		}
		if len(to.pending) <= to.backlog {
			return s.meet(to)
		}
		if errno := w.park(); errno != 0 {
			return errno
		}
	}
}

// meet puts a new connection into the backlog of to.
func (s *unixSocket) meet(to *unixSocket) Errno {
	switch s.state {
	case unixConnected:
		return EISCONN
	case unixListening:
		return EINVAL
	}
	far := newUnixSocket(s.typ)
	far.name, far.passCred = to.name, to.passCred
	far.peer, s.peer, far.unaccepted = s, far, true
	far.state, s.state = unixConnected, unixConnected
	far.peerCred, s.peerCred = ownCred, to.peerCred
	to.pending = append(to.pending, far)
	to.tell(ReadyIn)
	s.tell(ReadyOut)
	return 0
}

// Accept implements Socket (unix_accept).
func (s *unixSocket) Accept() (Socket, []byte, Errno) {
	unixNet.mu.Lock()
	defer unlockUnix()
	if !s.connects() {
		return nil, nil, EOPNOTSUPP
	}
	w := s.newWait(0, s.recvTime)
	defer w.done()
	for {
		if s.state != unixListening {
			return nil, nil, EINVAL
		}
		if len(s.pending) > 0 {
			break
		}
		if s.shutdown&rcvShutdown != 0 && !w.nonblock {
			return nil, nil, EINVAL
		}
		if errno := w.park(); errno != 0 {
			return nil, nil, errno
		}
	}
	conn := s.pending[0]
	conn.unaccepted = false
	s.pending = append([]*unixSocket(nil), s.pending[1:]...)
	unixNet.changed.Broadcast() // who waits for the backlog
	return conn, conn.peer.address(), 0
}

// Shutdown implements Socket (unix_shutdown).
func (s *unixSocket) Shutdown(how int) Errno {
	unixNet.mu.Lock()
	defer unlockUnix()
	mode := uint8(how + 1)
	s.shutdown |= mode
	s.tell(ReadyIn | ReadyOut | s.hangUp())
	if p := s.peer; p != nil && s.connects() {
		p.shutdown |= mode>>1&rcvShutdown | mode<<1&sndShutdown
		p.tell(ReadyIn | ReadyOut | p.hangUp())
	}
	return 0
}

// hangUp is ReadyHup once both directions are shut.
func (s *unixSocket) hangUp() uint32 {
	if s.shutdown == shutdownAll {
		return ReadyHup
	}
	return 0
}

// Close implements File (unix_release_sock).
func (s *unixSocket) Close() Errno {
	unixNet.mu.Lock()
	defer unlockUnix()
	s.release()
	return 0
}

// release ends a socket. A connection that nobody accepted has no name of its
// own, only its listener's.
func (s *unixSocket) release() {
	s.unname()
	s.dead, s.shutdown, s.state = true, shutdownAll, unixClosed
	if p := s.peer; p != nil {
		delete(p.full, s)
		if s.connects() {
			p.shutdown = shutdownAll
			if s.unreadLeft() || s.unaccepted {
				p.err = ECONNRESET
			}
			p.tell(ReadyIn | ReadyOut | ReadyHup | ReadyErr)
		}
	}
	s.purge()
	pending := s.pending
	s.pending = nil
	for _, c := range pending {
		c.release()
	}
	unixNet.changed.Broadcast()
}

// unreadLeft reports whether a peer must learn that what it sent is lost. Linux
// does not count an empty message at the head of the queue.
func (s *unixSocket) unreadLeft() bool {
	q := s.queue
	if len(q) > 0 && len(q[0].data) == 0 {
		q = q[1:]
	}
	return len(q) > 0
}

// purge throws away what was received, and tells who waited for room.
func (s *unixSocket) purge() {
	queue := s.queue
	s.queue = nil
	for _, m := range queue {
		m.drop()
	}
	s.tellFull()
}

// tellFull tells the senders that found the queue full.
func (s *unixSocket) tellFull() {
	for from := range s.full {
		from.tell(ReadyOut)
	}
	clear(s.full)
}
