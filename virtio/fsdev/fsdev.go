// Package fsdev is the driver of a virtio file system device (virtio 1.2 section
// 5.11) whose features and queues the starter has set up already. It carries
// requests and replies of the FUSE protocol, and does not look into them.
//
// See package request for how callers wait and what a device that lies brings
// about.
package fsdev

import (
	"errors"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/queue"
	"github.com/tailor-os/tailor/virtio/request"
)

// Config says how a device reaches the world.
type Config struct {
	// Origin is where guest-physical address 0 is mapped, see queue.Config.
	Origin unsafe.Pointer
	// Notify rings the doorbell.
	Notify func(value uint32)
	// Waiter parks a goroutine until a queue has something to reap. It is given
	// a copy of the queue's Waitable, and may return early.
	Waiter queue.Waiter
}

// Errors for which a device is refused.
var (
	ErrNotFS    = errors.New("fsdev: device is not a file system device")
	ErrQueues   = errors.New("fsdev: file system device lacks a priority or a request queue")
	ErrVersion  = errors.New("fsdev: file system device without VIRTIO_F_VERSION_1 is not supported")
	ErrEventIdx = errors.New("fsdev: file system device without VIRTIO_F_EVENT_IDX is not supported")
)

// parts is how many buffers a request has at the most: header and contents, out
// and in.
const parts = 4

// A Device is a running file system device. Its methods may be called
// concurrently.
type Device struct {
	tag      string
	requests request.Line
	priority request.Line
}

// New takes over a device. It touches the rings only in the calls.
func New(d *abi.Device, c Config) (*Device, error) {
	switch {
	case d.Type != abi.DeviceFS:
		return nil, ErrNotFS
	case d.NumQueues < 2:
		return nil, ErrQueues
	case d.Features&abi.FVersion1 == 0:
		return nil, ErrVersion
	case d.Features&abi.FEventIdx == 0:
		return nil, ErrEventIdx
	}
	dev := &Device{tag: request.Text(d.Config[:abi.FSTagLen])}
	qc := queue.Config{Origin: c.Origin, Notify: c.Notify}
	if err := dev.priority.Init(&d.Queues[abi.FSQueueHiPrio], qc, c.Waiter, parts); err != nil {
		return nil, err
	}
	return dev, dev.requests.Init(&d.Queues[abi.FSQueueRequest], qc, c.Waiter, parts)
}

// Tag returns the device's name.
func (d *Device) Tag() string { return d.tag }

// Call sends a request, whose bytes are those of out, one buffer after the
// other, and parks until the reply is in the buffers of in. It returns the
// length of the reply in bytes. Empty buffers are left out; none may be on a
// goroutine's stack. After an error the buffers of in must not be used for
// anything else: the device may write to them yet.
func (d *Device) Call(out, in [2][]byte) (int, error) { return d.requests.Call(out[:], in[:]) }

// Cast leaves a request for the device, and done is called when its reply is in
// the buffer in, or not at all when the device breaks; it must not call the
// device. The device is not
// notified before the next Call, unless the queue is full.
func (d *Device) Cast(out, in []byte, done func()) error {
	return d.requests.Cast([][]byte{out}, [][]byte{in}, done)
}

// Forget sends a request that has no reply by the priority queue, and notifies
// the device. The buffer is the device's from then on.
func (d *Device) Forget(out []byte) error { return d.priority.Forget(out) }
