package devices

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
)

// A Bus joins the devices of one guest to its vCPU thread. Add the devices,
// then call Notify and Idle from the vCPU thread only; Wake, Err and Fail from
// any; Stop when the vCPU thread has made its last call.
type Bus struct {
	mem    *virtq.Memory
	park   *park
	bells  map[uint64]func() // by abi.Queue.Notify
	polled []poller          // what the vCPU thread's park watches, by tag
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

// NewBus makes a bus for devices on mem. onError is called once, on any
// goroutine, when the guest broke a ring or a device failed: the guest must
// then be stopped. It must not call the bus's Stop.
func NewBus(mem *virtq.Memory, onError func(error)) (*Bus, error) {
	p, err := newPark()
	if err != nil {
		return nil, fmt.Errorf("devices: %w", err)
	}
	return &Bus{mem: mem, park: p, bells: map[uint64]func(){}, onError: onError}, nil
}

// queue makes the device side of one queue and registers its bell.
func (b *Bus) queue(d *abi.Device, i int, dir virtq.Direction, what string, bell func()) (*virtq.Queue, error) {
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
	bell()
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

// Wake makes the current or the next Idle return.
func (b *Bus) Wake() { b.park.wake() }

// watch makes the idle vCPU thread serve a device's file descriptor.
func (b *Bus) watch(fd int, p poller) error {
	tag := len(b.polled)
	b.polled = append(b.polled, p)
	return b.park.watch(fd, unix.EPOLLIN|unix.EPOLLET|unix.EPOLLEXCLUSIVE, int32(tag))
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
}
