// Package rngdev is the driver of a virtio entropy device (virtio 1.2 section
// 5.4) whose features and queue the starter has set up already. It is asked
// once, when the guest starts.
//
// The device is not trusted: what it gives is stirred into what there is.
package rngdev

import (
	"errors"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/queue"
)

// Errors for which a device is refused, or of [Request.Bytes].
var (
	ErrNotRNG = errors.New("rngdev: device is not an entropy device")
	ErrQueue  = errors.New("rngdev: entropy device lacks its queue or virtio 1.0")
	ErrEmpty  = errors.New("rngdev: entropy device gives no bytes")
)

// Config says how a device reaches the world.
type Config struct {
	// Origin is where guest-physical address 0 is mapped, see queue.Config.
	Origin unsafe.Pointer
	// Notify rings the doorbell.
	Notify func(value uint32)
}

// size is how many bytes are asked for.
const size = 32

// A Request is a question that the device has yet to answer, or has.
type Request struct {
	q   *queue.Queue
	buf []byte // the device's until it has answered
}

// Ask takes over a device and asks it for bytes.
func Ask(d *abi.Device, c Config) (*Request, error) {
	switch {
	case d.Type != abi.DeviceRNG:
		return nil, ErrNotRNG
	case d.NumQueues < 1 || d.Features&abi.FVersion1 == 0:
		return nil, ErrQueue
	}
	q, err := queue.New(&d.Queues[0], queue.Config{
		Origin: c.Origin, Notify: c.Notify, NoEventIdx: d.Features&abi.FEventIdx == 0,
	})
	if err != nil {
		return nil, err
	}
	r := &Request{q: q, buf: make([]byte, size)}
	if err := q.Add(nil, [][]byte{r.buf}, 0); err != nil {
		return nil, err
	}
	q.Publish()
	return r, nil
}

// Answered reports whether Bytes has something to return. It does not block.
func (r *Request) Answered() bool { return r.q.Pending() }

// Bytes returns what the device has given, which may be less than was asked for.
// It is called once, when Answered is true.
func (r *Request) Bytes() ([]byte, error) {
	var done [1]queue.Completion
	n, err := r.q.Reap(done[:])
	if err != nil {
		return nil, err
	}
	if n == 0 || done[0].Len == 0 {
		return nil, ErrEmpty
	}
	return r.buf[:done[0].Len], nil
}
