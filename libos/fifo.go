package libos

import (
	"sync"
	"sync/atomic"
)

// A memFifo is a named pipe: a pipe that open joins and the last close empties
// (fifo(7)).
type memFifo struct {
	memNode
	mu      sync.Mutex
	changed sync.Cond // readers or writers
	p       *pipe
	open    map[*fifoFile]struct{}
	readers fifoSide
	writers fifoSide
}

// A fifoSide is who reads, or who writes. came counts them since the beginning,
// so that who waits for one notices one that has left again.
type fifoSide struct{ there, came int }

func newFifo() node {
	f := &memFifo{p: newPipe(), open: make(map[*fifoFile]struct{})}
	f.changed.L = &f.mu
	f.p.noReader, f.p.noWriter = true, true
	f.p.reader.SetNotify(func(ready uint32) { f.tell(false, ready) })
	f.p.writer.SetNotify(func(ready uint32) { f.tell(true, ready) })
	return f
}

// Open implements Node as fifo_open does (fs/pipe.c): each side waits for the
// other, but for O_RDWR, which is both, and for O_NONBLOCK.
func (f *memFifo) Open(flags uint32) (File, Errno) {
	mode := flags & oACCMODE
	o := &fifoFile{f: f, reads: mode != oWRONLY, writes: mode == oWRONLY || mode == oRDWR}
	nonblock := flags&oNONBLOCK != 0
	f.mu.Lock()
	if !o.reads && nonblock && f.readers.there == 0 {
		f.mu.Unlock()
		return nil, ENXIO
	}
	f.join(o)
	f.mu.Unlock()
	if !nonblock && o.reads != o.writes {
		f.await(o)
	}
	return o, 0
}

// join counts o. f.mu is held.
func (f *memFifo) join(o *fifoFile) {
	if o.reads {
		f.readers.there++
		f.readers.came++
	}
	if o.writes {
		f.writers.there++
		f.writers.came++
	}
	if o.reads && f.writers.there == 0 {
		o.lonely = f.writers.came + 1
	}
	f.open[o] = struct{}{}
	f.p.setEnds(f.readers.there > 0, f.writers.there > 0)
	f.changed.Broadcast()
}

// await waits until the other side is there, or was since o joined.
func (f *memFifo) await(o *fifoFile) {
	other := &f.readers
	if o.reads {
		other = &f.writers
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for came := other.came; other.there == 0 && other.came == came; {
		f.changed.Wait()
	}
}

// leave is the opposite of join. What nobody has read is lost with the last.
func (f *memFifo) leave(o *fifoFile) {
	f.mu.Lock()
	delete(f.open, o)
	if o.reads {
		f.readers.there--
	}
	if o.writes {
		f.writers.there--
	}
	readers, writers := f.readers.there > 0, f.writers.there > 0
	f.p.setEnds(readers, writers)
	if !readers && !writers {
		f.p.empty()
	}
	f.mu.Unlock()
	if !readers {
		f.tell(true, ReadyOut|ReadyErr)
	}
	if !writers {
		f.tell(false, ReadyIn|ReadyHup)
	}
}

// tell notifies those who read or write.
func (f *memFifo) tell(writes bool, ready uint32) {
	f.mu.Lock()
	var list []*fifoFile
	for o := range f.open {
		if writes && o.writes || !writes && o.reads {
			list = append(list, o)
		}
	}
	f.mu.Unlock()
	for _, o := range list {
		o.tell(ready)
	}
}

// neverWritten reports whether no writer has come since o was opened without
// one: that is not yet an end (pipe_poll in fs/pipe.c).
func (f *memFifo) neverWritten(o *fifoFile) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return o.lonely == f.writers.came+1
}

// setEnds says whether there are readers and writers.
func (p *pipe) setEnds(reader, writer bool) {
	p.mu.Lock()
	p.noReader, p.noWriter = !reader, !writer
	p.changed.Broadcast()
	p.mu.Unlock()
}

// empty drops what is in the pipe.
func (p *pipe) empty() {
	p.mu.Lock()
	p.buf, p.start, p.n = nil, 0, 0
	p.mu.Unlock()
}

// A fifoFile is an open named pipe.
type fifoFile struct {
	notifier
	f             *memFifo
	reads, writes bool
	lonely        int // f.writers.came + 1 when opened without a writer, else 0
	nonblock      atomic.Bool
}

func (o *fifoFile) Read(b []byte) (int, Errno) { return o.f.p.read(b, o.nonblock.Load()) }

func (o *fifoFile) Write(b []byte) (int, Errno) { return o.f.p.write(b, o.nonblock.Load()) }

func (o *fifoFile) Close() Errno {
	o.f.leave(o)
	return 0
}

func (o *fifoFile) SetNonblock(on bool) { o.nonblock.Store(on) }

// Ready implements Poller.
func (o *fifoFile) Ready() (ready uint32) {
	if o.reads {
		ready = o.f.p.readReady()
		if ready&ReadyHup != 0 && o.f.neverWritten(o) {
			ready &^= ReadyHup
		}
	}
	if o.writes {
		ready |= o.f.p.writeReady()
	}
	return ready
}

func (o *fifoFile) unread() int { return o.f.p.unread() }

func (o *fifoFile) capacity() int { return pipeSize }
