package guest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
)

// A Supervisor ends a guest from outside and hands it signals. Its fields are
// set before any method is called.
type Supervisor struct {
	Cfg  *Config
	Ints *Interrupts
	// Kick makes the guest's thread look for what was posted, or for State. It is
	// called only between Start and its end, and by one goroutine at a time.
	Kick func()
	// Wake wakes an idle guest. A thread that only serves it needs Kick.
	Wake func()
	// Control is the guest's, mapped between Start and its end.
	Control *abi.Control

	mu      sync.Mutex
	running bool
	stopped bool
	flag    atomic.Bool // stopped, for who has the lock already
	status  int
	err     error
}

// State returns how the guest was stopped, if it was.
func (s *Supervisor) State() (status int, err error, stopped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status, s.err, s.stopped
}

// Stopped reports whether the guest was stopped. Kick may call it.
func (s *Supervisor) Stopped() bool { return s.flag.Load() }

// Fail stops the guest because of an error, which may be its own fault.
func (s *Supervisor) Fail(err error) { s.End(0, &Error{err.Error()}) }

// End stops the guest; the first call counts.
func (s *Supervisor) End(status int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped, s.status, s.err = true, status, err
	s.flag.Store(true)
	s.kickLocked()
	s.Wake()
}

// Nudge calls Kick, if the guest is running.
func (s *Supervisor) Nudge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kickLocked()
}

func (s *Supervisor) kickLocked() {
	if s.running {
		s.Kick()
	}
}

const (
	// noticeTime is how long a guest may take to notice a signal before it is
	// interrupted for it: its event loop runs, unless it computes.
	noticeTime = 20 * time.Millisecond
	// quitGrace is how long it may take to print its goroutines then.
	quitGrace = 10 * time.Second
)

// Start begins with what stops the guest from outside: the end of ctx and
// signals. The returned function ends it and must be called.
func (s *Supervisor) Start(ctx context.Context) (end func()) {
	s.mu.Lock()
	s.running = true
	s.mu.Unlock()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		sent := 0
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				s.End(0, ErrCanceled)
				return
			case sig, ok := <-s.Cfg.Signals:
				if !ok {
					return
				}
				s.signal(sig, sent)
				if sig == unix.SIGINT || sig == unix.SIGTERM {
					sent++
				}
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
		s.mu.Lock()
		s.running, s.stopped = false, true
		s.mu.Unlock()
	}
}

// ErrCanceled is how a guest ends that its context has stopped.
var ErrCanceled = context.Canceled

// signal hands a signal to the guest, or ends the guest: if it does not catch
// the signal, or on SIGINT or SIGTERM if it was sent one before.
func (s *Supervisor) signal(sig unix.Signal, sent int) {
	caught := atomic.LoadUint64(&s.Control.SigCaught)&bit(sig) != 0
	again := sent > 0 && (sig == unix.SIGINT || sig == unix.SIGTERM)
	if again {
		fmt.Fprintln(s.Cfg.Stderr, "tailor: second signal: the guest was stopped at once")
	}
	if again || !caught && sig != unix.SIGQUIT && sig != unix.SIGABRT {
		s.End(128+int(sig), nil)
		return
	}
	atomic.OrUint64(&s.Control.SigPending, bit(sig))
	s.Wake()
	if !caught {
		time.AfterFunc(noticeTime, func() { s.insist(sig) })
	}
}

// insist interrupts a guest that has not noticed a signal that shall end it, and
// in the end stops it.
func (s *Supervisor) insist(sig unix.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return // it has ended, and its memory is gone
	}
	if atomic.AndUint64(&s.Control.SigPending, ^bit(sig))&bit(sig) != 0 {
		s.Ints.Post(sig)
		s.kickLocked()
	}
	time.AfterFunc(quitGrace, func() { s.End(2, nil) })
}
