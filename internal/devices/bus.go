package devices

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
)

// A Bus joins the devices of one guest to its vCPU thread. Add the devices,
// then call Notify and Idle from the vCPU thread only; Wake, Err and Fail from
// any; Stop when the vCPU thread has made its last call.
//
// A guest that has a thread of its own ([NewBusFor]) runs at the same time as the
// one that calls Notify, Flush and Serve in the place of a vCPU's.
type Bus struct {
	mem   *virtq.Memory
	guest Guest // nil: the vCPU's
	park  *park
	// outer has the devices' file descriptors and the park in it, which is what to
	// wait on while a guest sleeps that has the same processor; -1 for others.
	outer  int
	bells  map[uint64]func() (more bool) // by abi.Queue.Notify
	rings  []uint64                      // bells that had more to do than was right at once
	polled []poller                      // what the vCPU thread's park watches, by tag
	stops  []func()

	onError func(error)
	once    sync.Once
	mu      sync.Mutex
	err     error
}

// A poller is a device that the idle vCPU thread works for.
type poller interface {
	flush()              // send what the guest has left without ringing
	ready(events uint32) // the file descriptor has events
}

// A Guest is one that has a thread of its own. Its methods may be called by any
// goroutine.
type Guest interface {
	Wake()         // ends its current or next sleep
	Asleep() bool  // it has nothing to do, and was not woken yet
	WantIdle(bool) // whether it shall ring when it goes to sleep, see Bus.Flush
}

// NewBusFor makes a bus for a guest with a thread of its own. listen, in memory
// shared with it, is the state of the thread that serves it (abi.Process.Listen).
func NewBusFor(mem *virtq.Memory, guest Guest, listen *uint32, onError func(error)) (*Bus, error) {
	b, err := NewBus(mem, onError)
	if err != nil {
		return nil, err
	}
	b.guest, b.park.state = guest, listen
	if !oneProcessor() {
		return b, nil // each device's own thread waits for its file descriptor
	}
	if b.outer, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		b.park.close()
		return nil, fmt.Errorf("devices: epoll_create1: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1}
	if err := unix.EpollCtl(b.outer, unix.EPOLL_CTL_ADD, b.park.ep, &ev); err != nil {
		b.park.close()
		unix.Close(b.outer)
		return nil, fmt.Errorf("devices: epoll_ctl: %w", err)
	}
	return b, nil
}

// NewBus makes a bus for devices on mem. onError is called once, on any
// goroutine, when the guest broke a ring or a device failed: the guest must
// then be stopped. It must not call the bus's Stop.
func NewBus(mem *virtq.Memory, onError func(error)) (*Bus, error) {
	keepReady()
	p, err := newPark()
	if err != nil {
		return nil, fmt.Errorf("devices: %w", err)
	}
	return &Bus{mem: mem, park: p, outer: -1, bells: map[uint64]func() bool{}, onError: onError}, nil
}

// keepReady sees to it that Go's scheduler has room for threads that are in the kernel
// without its knowledge or look at a queue: those of the vCPU and of the network's
// devices. Whoever comes back must go on at once, too.
var keepReady = sync.OnceFunc(func() { runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 4)) })

// queue makes the device side of one queue and registers its bell.
func (b *Bus) queue(d *abi.Device, i int, dir virtq.Direction, what string, bell func() bool) (*virtq.Queue, error) {
	q := &d.Queues[i]
	if _, taken := b.bells[uint64(q.Notify)]; taken {
		return nil, fmt.Errorf("devices: notify value %d is in use twice", q.Notify)
	}
	vq, err := virtq.New(b.mem, q, dir, deviceName(d)+" "+what)
	if err != nil {
		return nil, fmt.Errorf("devices: %w", err)
	}
	b.bells[uint64(q.Notify)] = bell
	return vq, nil
}

// deviceName returns the NUL-padded name of a device.
func deviceName(d *abi.Device) string {
	for i, c := range d.Name {
		if c == 0 {
			return string(d.Name[:i])
		}
	}
	return string(d.Name[:])
}

// need checks what the table says of a device.
func need(d *abi.Device, typ, queues uint32, features uint64) error {
	switch {
	case d.Type != typ:
		return fmt.Errorf("devices: %s is of type %d, not %d", deviceName(d), d.Type, typ)
	case d.NumQueues != queues:
		return fmt.Errorf("devices: %s has %d queues, not %d", deviceName(d), d.NumQueues, queues)
	case d.Features&features != features:
		return fmt.Errorf("devices: %s has features %#x and lacks %#x", deviceName(d), d.Features, features&^d.Features)
	}
	return nil
}

// Notify does what a store to [abi.BellNotify] asks for. A value that belongs
// to no queue is the guest's fault and fails the bus.
func (b *Bus) Notify(value uint64) {
	bell, ok := b.bells[value]
	if !ok {
		b.Fail(fmt.Errorf("devices: the guest notified queue %d, which does not exist", value))
		return
	}
	for bell() {
		if b.guest != nil && !slices.Contains(b.rings, value) {
			b.rings = append(b.rings, value)
		}
		if b.guest != nil {
			return // it runs meanwhile, and might never end
		}
	}
}

// Idle parks the calling vCPU thread until a device has something for the guest
// that the guest asked to be told of, Wake was called, or timeout has passed
// (negative: never). It returns at once when the bus has failed, and may return
// early for nothing. While parked, the thread serves the network itself.
func (b *Bus) Idle(timeout time.Duration) {
	var deadline time.Time
	if timeout >= 0 {
		deadline = time.Now().Add(timeout)
	}
	b.park.woken = false
	for _, p := range b.polled {
		p.flush()
	}
	for b.Err() == nil {
		for _, ev := range b.park.wait(timeout) {
			b.polled[ev.Fd].ready(ev.Events)
		}
		if b.park.woken {
			return
		}
		if timeout >= 0 {
			if timeout = time.Until(deadline); timeout <= 0 {
				return
			}
		}
	}
}

// Flush looks at the queues that a guest with a thread of its own has left when
// it went idle.
func (b *Bus) Flush() {
	for _, p := range b.polled {
		p.flush()
	}
}

// Serve does what Idle does for a guest with a thread of its own: it waits once
// for events, and serves them. It may return early.
func (b *Bus) Serve(timeout time.Duration) {
	if rings := b.rings; len(rings) > 0 {
		b.rings, timeout = nil, 0
		for _, value := range rings {
			b.Notify(value)
		}
	}
	if b.outer >= 0 && b.guest.Asleep() {
		for _, ev := range b.park.waitOn(b.outer, timeout) {
			b.polled[ev.Fd].ready(ev.Events)
		}
		timeout = 0
	}
	for _, ev := range b.park.wait(timeout) {
		b.polled[ev.Fd].ready(ev.Events)
	}
}

// Kick makes the current or next Serve return.
func (b *Bus) Kick() { b.park.wake() }

// Watch has Serve call ready when the file descriptor is readable, over and over
// unless each time is an event of its own (edge).
func (b *Bus) Watch(fd int, edge bool, ready func()) error {
	tag := len(b.polled)
	b.polled = append(b.polled, watched(ready))
	events := uint32(unix.EPOLLIN)
	if edge {
		events |= unix.EPOLLET
	}
	return b.park.watch(fd, events, int32(tag))
}

// watched is a poller that is none of the guest's.
type watched func()

func (watched) flush()         {}
func (w watched) ready(uint32) { w() }

// Wake makes the current or the next Idle return, or wakes a guest with a thread
// of its own.
func (b *Bus) Wake() {
	if b.guest != nil {
		b.guest.Wake()
		return
	}
	b.park.wake()
}

// awake reports whether the guest runs, or is about to be woken.
func (b *Bus) awake() bool {
	if b.guest != nil {
		return !b.guest.Asleep()
	}
	return b.park.due()
}

// woken reports whether the guest runs, or is to when the vCPU's thread returns.
func (b *Bus) woken() bool {
	if b.guest != nil {
		return b.awake()
	}
	return b.park.woken
}

// wantIdle says whether a guest with a thread of its own shall ring when it goes
// idle; a vCPU's thread is here then.
func (b *Bus) wantIdle(want bool) {
	if b.guest != nil {
		b.guest.WantIdle(want)
	}
}

// watch makes the idle vCPU thread serve a device's file descriptor. In the place
// of a vCPU's thread, it is served while the guest sleeps that has the same
// processor; else the device's own thread does that.
func (b *Bus) watch(fd int, p poller) error {
	tag := len(b.polled)
	b.polled = append(b.polled, p)
	const events = unix.EPOLLIN | unix.EPOLLET | unix.EPOLLEXCLUSIVE
	if b.guest == nil {
		return b.park.watch(fd, events, int32(tag))
	}
	if b.outer < 0 {
		return nil
	}
	ev := unix.EpollEvent{Events: events, Fd: int32(tag)}
	if err := unix.EpollCtl(b.outer, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: file descriptor %d: %w", fd, err)
	}
	return nil
}

// ErrStopped is what Err returns after Stop.
var ErrStopped = errors.New("devices: stopped")

// Err returns the error that the bus failed with, nil if it works.
func (b *Bus) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Fail stops all devices; the first error is reported to the error hook.
func (b *Bus) Fail(err error) {
	b.once.Do(func() {
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
		b.Wake()
		b.onError(err)
	})
}

// Stop ends the devices' threads and releases what they hold; file descriptors
// that were handed in stay open. When it returns nothing uses guest memory any
// more. The error hook is not called again.
func (b *Bus) Stop() {
	b.once.Do(func() {
		b.mu.Lock()
		b.err = ErrStopped
		b.mu.Unlock()
	})
	for _, stop := range b.stops {
		stop()
	}
	b.stops = nil
	b.park.close()
	if b.outer >= 0 {
		unix.Close(b.outer)
		b.outer = -1
	}
}
