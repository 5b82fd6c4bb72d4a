// Package request is what drivers of devices have in common that answer requests:
// buffers that the device reads, then buffers that it writes. Goroutines make
// requests on a virtqueue, any number at once, and park until theirs is answered.
//
// A device that answers while it is being notified, as Tailor's monitor does for
// most requests, is waited for by nobody: the caller finds the reply in the ring
// when the doorbell returns. Only when it does not, a goroutine of the line's
// waits for the ring, and wakes the callers whose replies have come.
//
// The device is not trusted. What it says is checked by package queue (which
// buffers, how many bytes); after a lie the line is broken for good: every call,
// also of those that wait, fails with the error, and the queue is never touched
// again. A device that never answers makes its callers wait for ever, as a hung
// disk does.
package request

import (
	"errors"
	"sync"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/queue"
)

// ErrSize is for a queue that has no room for a single request.
var ErrSize = errors.New("virtio: the queue of a device has fewer entries than one request needs")

// A Line is one queue and those who wait for it. Its methods may be called
// concurrently. No buffer may be on a goroutine's stack.
type Line struct {
	waiter queue.Waiter
	parts  int // buffers of a request at the most

	mu      sync.Mutex
	q       *queue.Queue
	slots   []slot
	free    []uint32  // slots not in use
	waiting int       // callers who are parked
	room    sync.Cond // a request was answered
	work    sync.Cond // waiting is no longer 0
	pumping bool      // the goroutine was started
	err     error
}

// A slot is a request that the device has.
type slot struct {
	answered bool
	length   uint32
	done     func()        // of a cast
	wake     chan struct{} // has room for one
}

// Init makes a line of a queue, for requests of parts buffers at the most. It
// touches the rings only in later calls.
func (l *Line) Init(d *abi.Queue, c queue.Config, w queue.Waiter, parts int) error {
	q, err := queue.New(d, c)
	if err != nil {
		return err
	}
	if q.Size() < parts {
		return ErrSize
	}
	l.waiter, l.q, l.parts = w, q, parts
	l.room.L, l.work.L = &l.mu, &l.mu
	l.slots = make([]slot, q.Size())
	for i := range l.slots {
		l.free = append(l.free, uint32(len(l.slots)-1-i))
	}
	return nil
}

// Err returns what broke the line, nil if it works.
func (l *Line) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Outstanding returns how many requests the device has.
func (l *Line) Outstanding() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.slots) - len(l.free)
}

// Waiting returns how many callers are parked.
func (l *Line) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

// fail breaks the line and wakes all who wait. mu is held.
func (l *Line) fail(err error) {
	if l.err != nil {
		return
	}
	l.err = err
	for i := range l.slots {
		l.slots[i].signal()
	}
	l.room.Broadcast()
	l.work.Broadcast()
}

func (s *slot) signal() {
	if s.wake != nil {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// add puts a request into the ring, waiting for room, and returns its slot. mu
// is held, but for while it waits.
func (l *Line) add(out, in [][]byte, done func()) (uint32, error) {
	for l.err == nil {
		l.reap()
		if len(l.free) > 0 && l.q.Free() >= l.parts {
			break
		}
		l.q.Publish()
		if l.reap(); l.err == nil && (len(l.free) == 0 || l.q.Free() < l.parts) {
			l.park(&l.room)
		}
	}
	if l.err != nil {
		return 0, l.err
	}
	token := l.free[len(l.free)-1]
	if err := l.q.Add(out, in, token); err != nil {
		return 0, err
	}
	l.free = l.free[:len(l.free)-1]
	s := &l.slots[token]
	s.answered, s.done = false, done
	return token, nil
}

// reap takes what the device has answered. mu is held.
func (l *Line) reap() {
	if l.err != nil || !l.q.Pending() {
		return
	}
	var done [16]queue.Completion
	for {
		n, err := l.q.Reap(done[:])
		for _, c := range done[:n] {
			l.answered(&c)
		}
		if err != nil {
			l.fail(err)
			return
		}
		if n < len(done) {
			break
		}
	}
	l.room.Broadcast()
}

// answered notes a reply. A request that nobody waits for is through.
func (l *Line) answered(c *queue.Completion) {
	s := &l.slots[c.Token]
	if s.done != nil {
		s.done()
		s.done = nil
		l.free = append(l.free, c.Token)
		return
	}
	s.answered, s.length = true, c.Len
	s.signal()
}

// park waits for cond while the goroutine watches the ring. mu is held.
func (l *Line) park(cond *sync.Cond) {
	l.watch(1)
	cond.Wait()
	l.watch(-1)
}

// watch says that one more caller waits, or one fewer. mu is held.
func (l *Line) watch(n int) {
	if l.waiting += n; n > 0 {
		if !l.pumping {
			l.pumping = true
			go l.pump()
		}
		l.work.Signal()
	}
}

// pump is the goroutine that waits for the ring.
func (l *Line) pump() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.err == nil {
		if l.waiting == 0 {
			l.work.Wait()
			continue
		}
		if l.reap(); l.err != nil || l.q.Outstanding() == 0 {
			// What woke the callers is done; they have yet to run.
			if l.err == nil && l.waiting > 0 {
				l.work.Wait()
			}
			continue
		}
		w := *l.q.Waitable() // a caller may reap meanwhile
		l.mu.Unlock()
		l.waiter.Wait(&w)
		l.mu.Lock()
	}
}

// Start adds a request, which the device may not see before Publish, and returns
// what Await takes. It may park until there is room.
func (l *Line) Start(out, in [][]byte) (token uint32, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.add(out, in, nil)
}

// Publish shows the device the requests that were started.
func (l *Line) Publish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.q.Publish()
		l.reap()
	}
}

// PublishFor is Publish, unless the request of a token was answered meanwhile: who
// let others run before has had it published by one of them.
func (l *Line) PublishFor(token uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && !l.slots[token].answered {
		l.q.Publish()
		l.reap()
	}
}

// Await parks until a started request is answered, and returns the length of the
// reply in bytes. After an error the request's buffers must not be used for
// anything else: the device may write to them yet.
func (l *Line) Await(token uint32) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.finish(token)
}

// Call sends a request and parks until it is answered.
func (l *Line) Call(out, in [][]byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	token, err := l.add(out, in, nil)
	if err != nil {
		return 0, err
	}
	l.q.Publish()
	l.reap()
	return l.finish(token)
}

// finish waits for a slot and frees it. mu is held.
func (l *Line) finish(token uint32) (int, error) {
	s := &l.slots[token]
	for !s.answered && l.err == nil {
		l.await(s)
	}
	if !s.answered {
		return 0, l.err // the slot stays the device's
	}
	l.free = append(l.free, token)
	l.room.Signal()
	return int(s.length), nil
}

// await parks until a slot is answered, or the line breaks. mu is held.
func (l *Line) await(s *slot) {
	if s.wake == nil {
		s.wake = make(chan struct{}, 1)
	}
	l.watch(1)
	l.mu.Unlock()
	<-s.wake
	l.mu.Lock()
	l.watch(-1)
}

// Cast leaves a request for the device, and done is called when it is answered,
// or not at all when the device breaks; it must not call the line. The device is
// not notified before the next Publish or Call, unless the queue is full.
func (l *Line) Cast(out, in [][]byte, done func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.add(out, in, done)
	return err
}

// Forget sends a request that has no reply. The buffer is the device's from then
// on.
func (l *Line) Forget(out []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.add([][]byte{out}, nil, func() {})
	if err == nil {
		l.q.Publish()
	}
	return err
}

// Text returns the text of a field that is padded with NULs.
func Text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
