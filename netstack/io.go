package netstack

import (
	"bytes"

	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// An inState and an outState are what the first attempt of each read and write
// uses, under their locks: what the TCP/IP stack sees as an interface would else
// be allocated each time.
type inState struct {
	w     partsWriter
	parts [][]byte // room for heapParts
}

type outState struct {
	r     partsReader
	parts [][]byte
}

// Read implements [libos.File].
func (s *socket) Read(p []byte) (int, libos.Errno) {
	switch {
	case len(p) == 0 && s.typ == sockStream:
		return 0, 0
	case onTheStack(p):
		h := make([]byte, len(p))
		n, e := s.read(h)
		copy(p, h[:n])
		return n, e
	}
	return s.read(p)
}

// read is Read with a buffer in the heap.
func (s *socket) read(p []byte) (int, libos.Errno) {
	s.inMu.Lock()
	s.in.parts = append(s.in.parts[:0], p)
	r, e := s.readInto(&s.in.w, s.in.parts, 0, tcpip.ReadOptions{})
	clear(s.in.parts)
	s.inMu.Unlock()
	if e == libos.EAGAIN && !s.nonblock.Load() {
		r, e = s.readWait([][]byte{p}, r, tcpip.ReadOptions{}, false)
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
	if s.typ == sockStream && total(parts) == 0 {
		return tcpip.ReadResult{}, 0
	}
	s.inMu.Lock()
	safe, replaced := heapParts(s.in.parts[:0], parts, false)
	r, e := s.readInto(&s.in.w, safe, 0, opts)
	if replaced && e == 0 {
		copyBack(parts, safe, r.Count)
	}
	clear(safe)
	s.in.parts = safe
	s.inMu.Unlock()
	if flags&msgDontwait != 0 || s.nonblock.Load() {
		return r, e
	}
	all := flags&msgWaitall != 0 && !opts.Peek && s.typ == sockStream && r.Count < total(parts)
	if e == libos.EAGAIN || e == 0 && r.Count > 0 && all {
		safe, _ := heapParts(nil, parts, true)
		r, e = s.readWait(safe, r, opts, all)
		copyBack(parts, safe, r.Count)
	}
	return r, e
}

// readWait goes on with a read of which r is done already: it parks until there
// is something, or until all of parts, which lie in the heap, is full.
func (s *socket) readWait(parts [][]byte, r tcpip.ReadResult, opts tcpip.ReadOptions, all bool) (tcpip.ReadResult, libos.Errno) {
	w := new(partsWriter)
	for want := total(parts); ; {
		done := r.Count
		var more tcpip.ReadResult
		e := s.block(s.rcvtimeo.Load(), waiter.ReadableEvents, func() (e libos.Errno) {
			more, e = s.readInto(w, parts, done, opts)
			return e
		})
		if e != 0 && done > 0 {
			return r, 0 // the error comes again with the next call
		}
		r = more
		r.Count += done
		if e != 0 || more.Count == 0 || !all || r.Count == want {
			return r, e
		}
	}
}

// readInto makes one attempt at reading into parts, which lie in the heap. The
// end of a stream is no error and no bytes.
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
	return r, 0
}

// Write implements [libos.File].
func (s *socket) Write(p []byte) (int, libos.Errno) {
	switch {
	case len(p) == 0 && s.typ == sockStream:
		return 0, 0
	case onTheStack(p):
		return s.write(bytes.Clone(p))
	}
	return s.write(p)
}

// write is Write with a buffer in the heap.
func (s *socket) write(p []byte) (int, libos.Errno) {
	s.outMu.Lock()
	s.out.parts = append(s.out.parts[:0], p)
	n, e := s.writeFrom(&s.out.r, s.out.parts, 0, tcpip.WriteOptions{})
	clear(s.out.parts)
	s.outMu.Unlock()
	if !s.nonblock.Load() && s.unfinished(n, len(p), e) {
		return s.writeWait([][]byte{p}, n, tcpip.WriteOptions{})
	}
	return n, e
}

// unfinished reports whether a blocking socket has to go on after an attempt
// that took n of want bytes.
func (s *socket) unfinished(n, want int, e libos.Errno) bool {
	return e == libos.EAGAIN || e == 0 && s.typ == sockStream && n < want
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
	}
	return s.transmit(parts, opts, flags)
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

// transmit writes parts, parking as mode and flags say.
func (s *socket) transmit(parts [][]byte, opts tcpip.WriteOptions, flags int) (int, libos.Errno) {
	size := total(parts)
	if s.typ == sockStream && size == 0 {
		return 0, 0
	}
	s.outMu.Lock()
	safe, _ := heapParts(s.out.parts[:0], parts, true)
	n, e := s.writeFrom(&s.out.r, safe, 0, opts)
	clear(safe)
	s.out.parts = safe
	s.outMu.Unlock()
	if flags&msgDontwait != 0 || s.nonblock.Load() {
		return n, e
	}
	if s.unfinished(n, size, e) {
		safe, _ := heapParts(nil, parts, true)
		return s.writeWait(safe, n, opts)
	}
	return n, e
}

// writeWait writes parts, which lie in the heap, behind their first sent bytes,
// and parks until they are all taken. An error after some progress is reported
// by the next call.
func (s *socket) writeWait(parts [][]byte, sent int, opts tcpip.WriteOptions) (int, libos.Errno) {
	src := new(partsReader)
	for want := total(parts); ; {
		e := s.block(s.sndtimeo.Load(), waiter.WritableEvents, func() libos.Errno {
			n, e := s.writeFrom(src, parts, sent, opts)
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

// writeFrom makes one attempt at writing parts, which lie in the heap, behind
// their first skip bytes.
func (s *socket) writeFrom(src *partsReader, parts [][]byte, skip int, opts tcpip.WriteOptions) (int, libos.Errno) {
	src.reset(parts, skip)
	n, err := s.ep.Write(src, opts)
	src.parts = nil
	return int(n), s.failure(err)
}
