package devices

import (
	"sync"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
)

// fsQueues is the number of queues of a file system device: one for requests
// that must not wait for others, and one for all others.
const fsQueues = 2

// A FileServer answers requests of the FUSE protocol, as hostfs.Server does.
type FileServer interface {
	// Handle answers the request in out by a reply in in, of n bytes. For a
	// request that may take long it returns a function instead, which does the
	// work on another goroutine and returns the reply. It is called by one
	// goroutine at a time, and keeps neither out nor in.
	Handle(out, in [][]byte) (n int, later func() []byte)
}

// An fs is the back end of a file system device (virtio 1.2 section 5.11).
//
// The vCPU thread answers requests itself when the guest rings: what the page
// cache has is there two to four times as soon as from another thread, which
// would have to be woken and then wake the guest. What is sure to wait for a
// disk (fsync) is done by a goroutine, one after the other, and the guest goes on
// meanwhile. A read or write that the page cache does not take at once keeps the
// guest waiting for at most 1 MiB of it, as a page fault would.
type fs struct {
	bus    *Bus
	server FileServer
	queues [fsQueues]*virtq.Queue // guarded by mu

	mu      sync.Mutex
	chain   virtq.Chain // scratch
	work    chan fsWork // nil until the first
	stopped bool
}

// fsWork is a request that takes long.
type fsWork struct {
	queue *virtq.Queue
	head  uint16
	in    [][]byte
	do    func() []byte
}

// AddFS adds a file system device, whose requests server answers. What server
// holds is the caller's to free after [Bus.Stop]; work that it is still doing
// then may go on, but guest memory is not touched any more.
func (b *Bus) AddFS(d *abi.Device, server FileServer) error {
	if err := need(d, abi.DeviceFS, fsQueues, abi.FVersion1|abi.FEventIdx); err != nil {
		return err
	}
	f := &fs{bus: b, server: server}
	for i, what := range [fsQueues]string{abi.FSQueueHiPrio: "priority", abi.FSQueueRequest: "request"} {
		q, err := b.queue(d, i, virtq.Both, what, func() bool { return f.bell(i) })
		if err != nil {
			return err
		}
		f.queues[i] = q
	}
	b.stops = append(b.stops, f.stop)
	return nil
}

// bell is rung by the vCPU thread. It answers a queue full of requests at the
// most, and reports whether there may be more.
func (f *fs) bell(i int) (more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.queues[i]
	for n := 0; !f.stopped; n++ {
		if n == fsQueueSize {
			more = true
			break
		}
		ok, err := q.Pop(&f.chain)
		if err != nil {
			f.bus.Fail(err)
			return false
		}
		if ok {
			f.serve(q)
		} else if !q.Arm() {
			break
		}
	}
	f.flush(q)
	return more
}

// serve answers the request in f.chain, or leaves it to the goroutine.
func (f *fs) serve(q *virtq.Queue) {
	n, later := f.server.Handle(f.chain.Out, f.chain.In)
	if later == nil {
		q.Push(f.chain.Head, n)
		return
	}
	if f.work == nil {
		// No more requests are outstanding than the queues have entries.
		f.work = make(chan fsWork, fsQueueSize+fsHiPrioSize)
		go f.run(f.work)
	}
	f.work <- fsWork{q, f.chain.Head, append([][]byte{}, f.chain.In...), later}
}

// run does what takes long.
func (f *fs) run(work <-chan fsWork) {
	for w := range work {
		f.finish(&w, w.do())
	}
}

// finish gives a reply to the guest, if it still is there.
func (f *fs) finish(w *fsWork, reply []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return
	}
	n := 0
	for _, b := range w.in {
		n += copy(b, reply[n:])
	}
	w.queue.Push(w.head, n)
	f.flush(w.queue)
}

// flush shows the guest what was answered.
func (f *fs) flush(q *virtq.Queue) {
	if q.Flush() {
		f.bus.Wake()
	}
}

// stop keeps the goroutine, which may be waiting for a disk, from guest memory.
func (f *fs) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	if f.work != nil {
		close(f.work)
	}
}
