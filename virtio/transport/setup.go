package transport

import (
	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
)

// A Field is a place in the configuration space, of 1 or 2 bytes.
type Field struct {
	Offset, Width uint32
	Feature       uint64 // it is there only with this one; 0 for always
}

// Wants is what a driver has a use for.
type Wants struct {
	// Features returns those that it takes of the ones offered; abi.FVersion1 is
	// taken besides.
	Features func(offered uint64) uint64
	Queues   uint32 // that it uses, from queue 0 on; at most abi.MaxQueues
	MaxSize  uint32 // entries of a queue at the most, a power of two
	Config   []Field
	// Alloc returns the address of that many zeroed bytes, which the device may
	// use for ever, or 0.
	Alloc func(bytes, align uint64) uint64
}

// A Ready is a device in use. Queues[i].Notify is i: the caller numbers its
// notifications.
type Ready struct {
	Device abi.Device
	Bells  [abi.MaxQueues]Bell
}

// Bounds of what a device makes us wait for, in reads of a register, each of
// which takes from one to some tens of microseconds where a hypervisor answers.
const (
	resetReads  = 100000
	configReads = 16
)

// ringAlign keeps what the two sides write on cache lines of their own.
const ringAlign = 64

// Setup takes a device into use, or tells it that it is given up.
func Setup(t Transport, w *Wants) (*Ready, error) {
	r, err := setup(t, w)
	if err != nil {
		t.SetStatus(StatusFailed)
	}
	return r, err
}

func setup(t Transport, w *Wants) (*Ready, error) {
	if err := reset(t); err != nil {
		return nil, err
	}
	status := uint8(StatusAcknowledge)
	t.SetStatus(status)
	status |= StatusDriver
	t.SetStatus(status)
	r := &Ready{Device: abi.Device{Type: t.Type(), NumQueues: w.Queues}}
	if err := r.negotiate(t, w, status); err != nil {
		return nil, err
	}
	status |= StatusFeaturesOK
	if err := r.snapshot(t, w.Config); err != nil {
		return nil, err
	}
	for i := range w.Queues {
		if err := r.queue(t, w, i); err != nil {
			return nil, err
		}
	}
	t.Start()
	status |= StatusDriverOK
	t.SetStatus(status)
	if t.Status() != status {
		return nil, ErrStart
	}
	return r, nil
}

// reset resets the device and waits until it has (section 2.4.1).
func reset(t Transport) error {
	t.SetStatus(0)
	for range resetReads {
		if t.Status() == 0 {
			return nil
		}
	}
	return ErrReset
}

// negotiate takes of the device's features those that the driver wants.
func (r *Ready) negotiate(t Transport, w *Wants, status uint8) error {
	offered := t.Features()
	if offered&abi.FVersion1 == 0 {
		return ErrLegacy
	}
	r.Device.Features = offered & (w.Features(offered) | abi.FVersion1)
	t.SetFeatures(r.Device.Features)
	t.SetStatus(status | StatusFeaturesOK)
	switch {
	case t.Status() == status|StatusFeaturesOK:
		return nil
	case offered&FAccessPlatform != 0:
		return ErrPlatform
	}
	return ErrFeatures
}

// snapshot reads the fields of the configuration, all of one generation
// (section 2.5.3).
func (r *Ready) snapshot(t Transport, fields []Field) error {
	for range configReads {
		before := t.Generation()
		for _, f := range fields {
			if f.Feature&^r.Device.Features != 0 {
				continue
			}
			v, ok := t.Config(f.Offset, f.Width)
			if !ok || f.Offset+f.Width > uint32(len(r.Device.Config)) {
				return ErrConfig
			}
			r.Device.Config[f.Offset] = byte(v)
			if f.Width == 2 {
				r.Device.Config[f.Offset+1] = byte(v >> 8)
			}
		}
		if t.Generation() == before {
			return nil
		}
	}
	return ErrConfig
}

// queue sets queue n up: as large as both sides want, in memory of its own.
func (r *Ready) queue(t Transport, w *Wants, n uint32) error {
	limit := t.QueueMax(n)
	if limit == 0 {
		return ErrNoQueue
	}
	q := &r.Device.Queues[n]
	for q.Size = w.MaxSize; q.Size > limit; q.Size /= 2 {
	}
	if q.Size < virtio.MinQueueSize {
		return ErrQueueSize
	}
	avail := align(virtio.DescBytes(q.Size))
	used := avail + align(virtio.AvailBytes(q.Size))
	q.Desc = w.Alloc(used+align(virtio.UsedBytes(q.Size)), ringAlign)
	if q.Desc == 0 {
		return ErrNoMemory
	}
	q.Avail, q.Used = q.Desc+avail, q.Desc+used
	q.Notify = n
	if err := virtio.CheckQueue(q); err != nil {
		return err
	}
	var err error
	r.Bells[n], err = t.SetQueue(n, q)
	return err
}

func align(n uint64) uint64 { return (n + ringAlign - 1) &^ (ringAlign - 1) }
