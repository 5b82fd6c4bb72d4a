package libos

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	pipeSize = 64 << 10 // bytes a pipe holds (pipe(7), "Pipe capacity")
	pipeBuf  = 4096     // bytes that are written in one piece (PIPE_BUF)
)

// A notifier is the SetNotify part of a Poller.
type notifier struct{ fn atomic.Pointer[func(uint32)] }

// SetNotify implements Poller.
func (n *notifier) SetNotify(fn func(ready uint32)) {
	if fn == nil {
		n.fn.Store(nil)
		return
	}
	n.fn.Store(&fn)
}

func (n *notifier) tell(ready uint32) {
	if fn := n.fn.Load(); fn != nil {
		(*fn)(ready)
	}
}

// A pipe is a bounded queue of bytes between a reader and a writer.
type pipe struct {
	mu       sync.Mutex
	changed  sync.Cond // data, room, or an end closed
	buf      []byte    // ring, grown on demand up to pipeSize
	start, n int       // first byte, and how many there are
	noReader bool
	noWriter bool

	reader, writer notifier
}

func newPipe() *pipe {
	p := new(pipe)
	p.changed.L = &p.mu
	return p
}

// read takes up to len(b) bytes; 0 is the end.
func (p *pipe) read(b []byte, nonblock bool) (int, Errno) {
	if len(b) == 0 {
		return 0, 0
	}
	p.mu.Lock()
	for p.n == 0 && !p.noWriter && !nonblock {
		p.changed.Wait()
	}
	if p.n == 0 {
		defer p.mu.Unlock()
		if p.noWriter {
			return 0, 0
		}
		return 0, EAGAIN
	}
	n := p.take(b)
	p.changed.Broadcast()
	p.mu.Unlock()
	p.writer.tell(ReadyOut)
	return n, 0
}

// take copies bytes out of the ring.
func (p *pipe) take(b []byte) int {
	n := 0
	for n < len(b) && p.n > 0 {
		end := min(p.start+p.n, len(p.buf))
		k := copy(b[n:], p.buf[p.start:end])
		n += k
		p.n -= k
		p.start = (p.start + k) % len(p.buf)
	}
	return n
}

// write puts b in, waiting for room unless nonblock. What is no longer than
// pipeBuf goes in as one piece.
func (p *pipe) write(b []byte, nonblock bool) (int, Errno) {
	if len(b) == 0 {
		return 0, 0
	}
	done := 0
	for done < len(b) {
		n, errno := p.writeSome(b[done:], nonblock)
		if errno != 0 && done == 0 {
			return 0, errno
		}
		done += n
		if errno != 0 || nonblock {
			break
		}
	}
	return done, 0
}

// writeSome waits for room and puts in as much of b as fits.
func (p *pipe) writeSome(b []byte, nonblock bool) (int, Errno) {
	need := 1
	if len(b) <= pipeBuf {
		need = len(b)
	}
	p.mu.Lock()
	for !p.broken() && pipeSize-p.n < need && !nonblock {
		p.changed.Wait()
	}
	if p.broken() || pipeSize-p.n < need {
		defer p.mu.Unlock()
		if p.broken() {
			return 0, EPIPE
		}
		return 0, EAGAIN
	}
	n := p.store(b)
	p.changed.Broadcast()
	p.mu.Unlock()
	p.reader.tell(ReadyIn)
	return n, 0
}

// broken reports whether writing is in vain. An end that a socket has shut down
// is still open. p.mu is held.
func (p *pipe) broken() bool { return p.noReader || p.noWriter }

// store copies bytes into the ring.
func (p *pipe) store(b []byte) int {
	b = b[:min(len(b), pipeSize-p.n)]
	p.reserve(p.n + len(b))
	n := 0
	for n < len(b) {
		at := (p.start + p.n) % len(p.buf)
		end := len(p.buf)
		if at < p.start {
			end = p.start
		}
		k := copy(p.buf[at:end], b[n:])
		n += k
		p.n += k
	}
	return n
}

// reserve makes the ring at least size bytes long.
func (p *pipe) reserve(size int) {
	if size <= len(p.buf) {
		return
	}
	grown := max(2*len(p.buf), pipeBuf)
	for grown < size {
		grown *= 2
	}
	buf := make([]byte, grown)
	n := p.take(buf)
	p.buf, p.start, p.n = buf, 0, n
}

// closeReader and closeWriter shut one side.
func (p *pipe) closeReader() {
	p.mu.Lock()
	p.noReader = true
	p.buf, p.start, p.n = nil, 0, 0
	p.changed.Broadcast()
	p.mu.Unlock()
	p.writer.tell(ReadyOut | ReadyErr)
}

func (p *pipe) closeWriter() {
	p.mu.Lock()
	p.noWriter = true
	p.changed.Broadcast()
	p.mu.Unlock()
	p.reader.tell(ReadyIn | ReadyHup)
}

// readReady and writeReady return the Ready* bits of one side.
func (p *pipe) readReady() (ready uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n > 0 {
		ready |= ReadyIn
	}
	if p.noWriter {
		ready |= ReadyHup
	}
	return ready
}

func (p *pipe) writeReady() (ready uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pipeSize-p.n >= pipeBuf || p.noReader {
		ready |= ReadyOut
	}
	if p.noReader {
		ready |= ReadyErr
	}
	return ready
}

// A pipeEnd is the File of one side of a pipe.
type pipeEnd struct {
	p        *pipe
	writes   bool
	nonblock atomic.Bool
}

func (e *pipeEnd) Read(b []byte) (int, Errno) {
	if e.writes {
		return 0, EBADF
	}
	return e.p.read(b, e.nonblock.Load())
}

func (e *pipeEnd) Write(b []byte) (int, Errno) {
	if !e.writes {
		return 0, EBADF
	}
	return e.p.write(b, e.nonblock.Load())
}

func (e *pipeEnd) Close() Errno {
	if e.writes {
		e.p.closeWriter()
	} else {
		e.p.closeReader()
	}
	return 0
}

func (e *pipeEnd) SetNonblock(on bool) { e.nonblock.Store(on) }

func (e *pipeEnd) Ready() uint32 {
	if e.writes {
		return e.p.writeReady()
	}
	return e.p.readReady()
}

func (e *pipeEnd) SetNotify(fn func(ready uint32)) {
	if e.writes {
		e.p.writer.SetNotify(fn)
	} else {
		e.p.reader.SetNotify(fn)
	}
}

func (e *pipeEnd) unread() int { return e.p.unread() }

func (p *pipe) unread() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

func (e *pipeEnd) capacity() int { return pipeSize }

func (e *pipeEnd) fileMode() uint32 { return ModeFIFO | 0o600 }

func sysPipe(a args) (uintptr, Errno) { return makePipe(a.p[0], 0) }

func sysPipe2(a args) (uintptr, Errno) { return makePipe(a.p[0], uint32(a.i[1])) }

func makePipe(out unsafe.Pointer, flags uint32) (uintptr, Errno) {
	if flags&^(oCLOEXEC|oNONBLOCK|oDIRECT) != 0 {
		return 0, EINVAL
	}
	if out == nil {
		return 0, EFAULT
	}
	p := newPipe()
	status := flags & (oNONBLOCK | oDIRECT)
	pair, errno := addPair(
		newDesc(&pipeEnd{p: p}, oRDONLY|status),
		newDesc(&pipeEnd{p: p, writes: true}, oWRONLY|status),
		flags&oCLOEXEC != 0)
	if errno != 0 {
		return 0, errno
	}
	return 0, put(out, pair)
}

// addPair gives both descriptions a descriptor, or closes both.
func addPair(x, y *desc, cloexec bool) (pair [2]int32, errno Errno) {
	a, errno := fds.add(x, 0, cloexec)
	if errno != 0 {
		y.put()
		return pair, errno
	}
	b, errno := fds.add(y, 0, cloexec)
	if errno != 0 {
		fds.closeFD(a)
		return pair, errno
	}
	return [2]int32{int32(a), int32(b)}, 0
}
