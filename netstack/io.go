package netstack

import (
	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Read implements [libos.File].
func (s *socket) Read(p []byte) (int, libos.Errno) {
	if len(p) == 0 && s.typ == sockStream {
		return 0, 0
	}
	s.readMu.Lock()
	s.dstOne[0] = p
	r, e := s.readInto(&s.dst, s.dstOne[:], 0, tcpip.ReadOptions{})
	s.dstOne[0] = nil
	s.readMu.Unlock()
	if e == libos.EAGAIN && !s.nonblock.Load() {
		r, e = s.readWait([][]byte{p}, 0, tcpip.ReadOptions{})
	}
	return r.Count, e
}

// Recv implements [libos.Socket].
func (s *socket) Recv(parts [][]byte, oob []byte, flags int) (libos.Received, libos.Errno) {
	switch {
	case flags&msgErrqueue != 0:
		return libos.Received{}, libos.EAGAIN
	case flags&msgOOB != 0:
		return libos.Received{}, libos.EINVAL
	case s.typ == sockStream && total(parts) == 0:
		return libos.Received{}, 0
	}
	opts := tcpip.ReadOptions{Peek: flags&msgPeek != 0, NeedRemoteAddr: s.typ != sockStream}
	r, e := s.receive(parts, opts, flags)
	if e != 0 {
		return libos.Received{}, e
	}
	out := libos.Received{N: r.Count}
	if s.typ != sockStream {
		s.describe(&out, &r, oob, flags)
	}
	return out, 0
}

// describe fills in what recvmsg says about a datagram beside its bytes.
func (s *socket) describe(out *libos.Received, r *tcpip.ReadResult, oob []byte, flags int) {
	if r.Total > r.Count {
		out.Flags |= msgTrunc
		if flags&msgTrunc != 0 {
			out.N = r.Total
		}
	}
	if r.RemoteAddr != (tcpip.FullAddress{}) {
		out.From = encodeSockaddr(s.family, r.RemoteAddr)
	}
	s.encodeControl(out, oob, &r.ControlMessages)
}

// receive reads into parts, parking as mode and flags say.
func (s *socket) receive(parts [][]byte, opts tcpip.ReadOptions, flags int) (tcpip.ReadResult, libos.Errno) {
	s.readMu.Lock()
	r, e := s.readInto(&s.dst, parts, 0, opts)
	s.readMu.Unlock()
	if flags&msgDontwait != 0 || s.nonblock.Load() {
		return r, e
	}
	if e == libos.EAGAIN {
		r, e = s.readWait(parts, 0, opts)
	}
	if e == 0 && flags&msgWaitall != 0 && !opts.Peek && s.typ == sockStream {
		s.receiveAll(&r, parts)
	}
	return r, e
}

// receiveAll goes on, for MSG_WAITALL, until the parts are full or the stream
// gives no more.
func (s *socket) receiveAll(r *tcpip.ReadResult, parts [][]byte) {
	for want := total(parts); r.Count > 0 && r.Count < want; {
		more, e := s.readWait(parts, r.Count, tcpip.ReadOptions{})
		if e != 0 || more.Count == 0 {
			return
		}
		r.Count += more.Count
	}
}

// readWait reads into parts behind their first skip bytes, and parks until
// there is something.
func (s *socket) readWait(parts [][]byte, skip int, opts tcpip.ReadOptions) (r tcpip.ReadResult, e libos.Errno) {
	w := new(partsWriter)
	e = s.block(s.rcvtimeo.Load(), waiter.ReadableEvents, func() (e libos.Errno) {
		r, e = s.readInto(w, parts, skip, opts)
		return e
	})
	return r, e
}

// readInto makes one attempt at reading. The end of a stream is no error and
// no bytes.
func (s *socket) readInto(w *partsWriter, parts [][]byte, skip int, opts tcpip.ReadOptions) (tcpip.ReadResult, libos.Errno) {
	w.reset(parts, skip)
	r, err := s.ep.Read(w, opts)
	w.parts = nil
	switch err.(type) {
	case nil:
	case *tcpip.ErrClosedForReceive:
		if s.typ != sockStream && s.nonblock.Load() {
			return tcpip.ReadResult{}, libos.EAGAIN // shut down, yet a datagram socket
		}
		return tcpip.ReadResult{}, 0
	case *tcpip.ErrBadBuffer: // a datagram that met an empty buffer
		r.Count = 0
	default:
		return tcpip.ReadResult{}, s.failure(err)
	}
	if s.typ == sockStream && !opts.Peek && r.Count > 0 {
		s.ep.ModerateRecvBuf(r.Count)
	}
	return r, 0
}

// Write implements [libos.File].
func (s *socket) Write(p []byte) (int, libos.Errno) {
	if len(p) == 0 && s.typ == sockStream {
		return 0, 0
	}
	s.writeMu.Lock()
	s.srcOne[0] = p
	n, e := s.writeFrom(&s.src, s.srcOne[:], tcpip.WriteOptions{})
	s.srcOne[0] = nil
	s.writeMu.Unlock()
	if s.nonblock.Load() || !s.unfinished(n, len(p), e) {
		return n, e
	}
	return s.writeWait([][]byte{p}, n, tcpip.WriteOptions{})
}

// Send implements [libos.Socket].
func (s *socket) Send(parts [][]byte, oob, to []byte, flags int) (int, libos.Errno) {
	if flags&msgOOB != 0 {
		return 0, libos.EOPNOTSUPP
	}
	opts := tcpip.WriteOptions{More: flags&msgMore != 0}
	if s.typ != sockStream {
		if e := s.sendOptions(&opts, oob, to); e != 0 {
			return 0, e
		}
	} else if total(parts) == 0 {
		return 0, 0
	}
	s.writeMu.Lock()
	n, e := s.writeFrom(&s.src, parts, opts)
	s.writeMu.Unlock()
	if flags&msgDontwait != 0 || s.nonblock.Load() || !s.unfinished(n, total(parts), e) {
		return n, e
	}
	return s.writeWait(parts, n, opts)
}

// sendOptions decodes the address and ancillary data of a datagram.
func (s *socket) sendOptions(opts *tcpip.WriteOptions, oob, to []byte) libos.Errno {
	if len(to) > 0 {
		a, e := s.destination(to, false)
		if e != 0 {
			return e
		}
		opts.To = &a
	}
	if len(oob) > 0 {
		return s.decodeControl(opts, oob)
	}
	return 0
}

// unfinished reports whether a blocking socket has to go on after an attempt
// that took n of want bytes.
func (s *socket) unfinished(n, want int, e libos.Errno) bool {
	return e == libos.EAGAIN || e == 0 && s.typ == sockStream && n < want
}

// writeWait writes parts behind their first sent bytes, and parks until they
// are all taken. An error after some progress is reported by the next call.
func (s *socket) writeWait(parts [][]byte, sent int, opts tcpip.WriteOptions) (int, libos.Errno) {
	src := new(partsReader)
	for want := total(parts); ; {
		e := s.block(s.sndtimeo.Load(), waiter.WritableEvents, func() libos.Errno {
			n, e := s.writeSkip(src, parts, sent, opts)
			sent += n
			return e
		})
		switch {
		case e != 0 && sent > 0:
			return sent, 0
		case e != 0 || sent >= want || s.typ != sockStream:
			return sent, e
		}
	}
}

// writeFrom makes one attempt at writing parts.
func (s *socket) writeFrom(src *partsReader, parts [][]byte, opts tcpip.WriteOptions) (int, libos.Errno) {
	return s.writeSkip(src, parts, 0, opts)
}

func (s *socket) writeSkip(src *partsReader, parts [][]byte, skip int, opts tcpip.WriteOptions) (int, libos.Errno) {
	src.reset(parts, skip)
	n, err := s.ep.Write(src, opts)
	src.parts = nil
	return int(n), s.failure(err)
}
