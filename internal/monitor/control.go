package monitor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/devices"
)

// A stopper ends the vCPU's loop from another goroutine.
type stopper struct {
	mu      sync.Mutex
	stopped bool
	status  int
	err     error
	tid     int // of the vCPU's thread
	cpu     *vcpu
	bus     *devices.Bus
}

// state returns how the guest was stopped, if it was.
func (s *stopper) state() (status int, err error, stopped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status, s.err, s.stopped
}

// fail stops the guest because of an error, which may be its own fault.
func (s *stopper) fail(err error) { s.end(0, &guestError{err.Error()}) }

// end stops the guest; the first call counts.
func (s *stopper) end(status int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped, s.status, s.err = true, status, err
	s.kickLocked()
	s.bus.Wake()
}

const (
	// noticeTime is how long a guest may take to notice a signal before it is
	// interrupted for it: its event loop runs, unless it computes.
	noticeTime = 20 * time.Millisecond
	// quitGrace is how long it may take to print its goroutines then.
	quitGrace = 10 * time.Second
)

// control starts what stops the guest from outside: the end of ctx and
// signals. The returned function ends it and must be called.
func (m *machine) control(ctx context.Context) (end func()) {
	m.stop.mu.Lock()
	m.stop.tid = unix.Gettid()
	m.stop.mu.Unlock()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		sent := 0
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				m.stop.end(0, ErrCanceled)
				return
			case sig, ok := <-m.cfg.Signals:
				if !ok {
					return
				}
				m.signal(sig, sent)
				if sig == unix.SIGINT || sig == unix.SIGTERM {
					sent++
				}
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
		m.stop.mu.Lock()
		m.stop.tid, m.stop.stopped = 0, true
		m.stop.mu.Unlock()
	}
}

// signal hands a signal to the guest, or ends the guest: if it does not catch
// the signal, or on SIGINT or SIGTERM if it was sent one before.
func (m *machine) signal(sig unix.Signal, sent int) {
	ctl := at[abi.Control](m.mem, abi.ControlAddr)
	caught := atomic.LoadUint64(&ctl.SigCaught)&bit(sig) != 0
	again := sent > 0 && (sig == unix.SIGINT || sig == unix.SIGTERM)
	if again {
		fmt.Fprintln(m.cfg.Stderr, "tailor: second signal: the guest was stopped at once")
	}
	if again || !caught && sig != unix.SIGQUIT && sig != unix.SIGABRT {
		m.stop.end(128+int(sig), nil)
		return
	}
	atomic.OrUint64(&ctl.SigPending, bit(sig))
	m.bus.Wake()
	if !caught {
		time.AfterFunc(noticeTime, func() { m.insist(sig) })
	}
}

// insist interrupts a guest that has not noticed a signal that shall end it, and
// in the end stops it.
func (m *machine) insist(sig unix.Signal) {
	m.stop.mu.Lock()
	defer m.stop.mu.Unlock()
	if m.stop.tid == 0 {
		return // it has ended, and its memory is gone
	}
	ctl := at[abi.Control](m.mem, abi.ControlAddr)
	if atomic.AndUint64(&ctl.SigPending, ^bit(sig))&bit(sig) != 0 {
		m.ints.posted.Or(bit(sig))
		m.stop.kickLocked()
	}
	time.AfterFunc(quitGrace, func() { m.stop.end(2, nil) })
}
