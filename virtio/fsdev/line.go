package fsdev

import (
	"sync"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/queue"
)

// A line is one queue and those who wait for it.
type line struct {
	waiter queue.Waiter

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

func (l *line) init(d *abi.Queue, c queue.Config, w queue.Waiter) error {
	q, err := queue.New(d, c)
	if err != nil {
		return err
	}
	if q.Size() < parts {
		return ErrSize
	}
	l.waiter, l.q = w, q
	l.room.L, l.work.L = &l.mu, &l.mu
	l.slots = make([]slot, q.Size())
	for i := range l.slots {
		l.free = append(l.free, uint32(len(l.slots)-1-i))
	}
	return nil
}

// fail breaks the line and wakes all who wait. mu is held.
func (l *line) fail(err error) {
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
func (l *line) add(out, in [2][]byte, done func()) (uint32, error) {
	for l.err == nil {
		l.reap()
		if len(l.free) > 0 && l.q.Free() >= parts {
			break
		}
		l.q.Publish()
		if l.reap(); l.err == nil && (len(l.free) == 0 || l.q.Free() < parts) {
			l.park(&l.room)
		}
	}
	if l.err != nil {
		return 0, l.err
	}
	token := l.free[len(l.free)-1]
	if err := l.q.Add(out[:], in[:], token); err != nil {
		return 0, err
	}
	l.free = l.free[:len(l.free)-1]
	s := &l.slots[token]
	s.answered, s.done = false, done
	return token, nil
}

// reap takes what the device has answered. mu is held.
func (l *line) reap() {
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
func (l *line) answered(c *queue.Completion) {
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
func (l *line) park(cond *sync.Cond) {
	l.watch(1)
	cond.Wait()
	l.watch(-1)
}

// watch says that one more caller waits, or one fewer. mu is held.
func (l *line) watch(n int) {
	if l.waiting += n; n > 0 {
		if !l.pumping {
			l.pumping = true
			go l.pump()
		}
		l.work.Signal()
	}
}

// pump is the goroutine that waits for the ring.
func (l *line) pump() {
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

func (l *line) call(out, in [2][]byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	token, err := l.add(out, in, nil)
	if err != nil {
		return 0, err
	}
	l.q.Publish()
	l.reap()
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
func (l *line) await(s *slot) {
	if s.wake == nil {
		s.wake = make(chan struct{}, 1)
	}
	l.watch(1)
	l.mu.Unlock()
	<-s.wake
	l.mu.Lock()
	l.watch(-1)
}

func (l *line) cast(out, in []byte, done func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.add([2][]byte{out}, [2][]byte{in}, done)
	return err
}

func (l *line) forget(out []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.add([2][]byte{out}, [2][]byte{}, func() {})
	if err == nil {
		l.q.Publish()
	}
	return err
}
