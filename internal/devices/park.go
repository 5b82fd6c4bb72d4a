package devices

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
)

// A park is where one thread sleeps until another wakes it, a file descriptor
// has an event, or time is up.
//
// Wake leaves a token if the thread does not sleep, so that a wake-up just
// before going to sleep is not lost, and enters the kernel only if it does. The
// state may be in memory that a guest can write: then only its own wake-ups may
// be lost or come for nothing.
type park struct {
	state *uint32
	ep    int // epoll instance
	event int // eventfd, the sleeper's bell
	buf   [8]unix.EpollEvent
	woken bool // token taken by the last wait
	often bool // epollWait's
}

const (
	parkAwake  = abi.ParkAwake
	parkAsleep = abi.ParkAsleep
	parkToken  = abi.ParkToken
)

func newPark() (*park, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &park{state: new(uint32), ep: ep, event: event}
	// Edge-triggered: each write is an event, and the counter is never read.
	if err := p.watch(event, unix.EPOLLIN|unix.EPOLLET, -1); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// watch adds a file descriptor; wait reports its events under tag.
func (p *park) watch(fd int, events uint32, tag int32) error {
	ev := unix.EpollEvent{Events: events, Fd: tag}
	if err := unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: file descriptor %d: %w", fd, err)
	}
	return nil
}

// wake ends the current or the next wait. It may be called by any thread.
func (p *park) wake() {
	if atomic.SwapUint32(p.state, parkToken) == parkAsleep {
		one := [8]byte{1} // EAGAIN needs 2^64 wake-ups
		unix.Write(p.event, one[:])
	}
}

// due reports whether the next wait returns at once.
func (p *park) due() bool { return atomic.LoadUint32(p.state) == parkToken }

// wait sleeps until there are events, a wake-up (then p.woken is set) or
// timeout has passed; negative is for ever. It may return early with neither.
// All returned events must be acted upon: they are reported once.
func (p *park) wait(timeout time.Duration) []unix.EpollEvent { return p.waitOn(p.ep, timeout) }

// waitOn waits on another epoll instance, which has the park's own in it.
func (p *park) waitOn(ep int, timeout time.Duration) []unix.EpollEvent {
	if p.woken = !atomic.CompareAndSwapUint32(p.state, parkAwake, parkAsleep); p.woken {
		atomic.StoreUint32(p.state, parkAwake)
		timeout = 0 // still take the events there are
	}
	n := epollWait(ep, p.buf[:], timeout, &p.often)
	if atomic.SwapUint32(p.state, parkAwake) == parkToken {
		p.woken = true
	}
	// The eventfd's own events say nothing that the token does not.
	k := 0
	for _, ev := range p.buf[:n] {
		if ev.Fd >= 0 {
			p.buf[k] = ev
			k++
		}
	}
	return p.buf[:k]
}

func (p *park) close() {
	unix.Close(p.ep)
	unix.Close(p.event)
}
