// Package blkdev is the driver of a virtio block device (virtio 1.2 section 5.2)
// whose features and queue the starter, or the initialization of its transport,
// has set up already. It is a block.Device: a goroutine that waits for the disk
// parks, and others go on.
//
// See package request for how callers wait and what a device that lies brings
// about.
package blkdev

import (
	"encoding/binary"
	"errors"
	"sync"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/virtio/queue"
	"github.com/tailor-os/tailor/virtio/request"
)

// Config says how a device reaches the world.
type Config struct {
	// Origin is where guest-physical address 0 is mapped, see queue.Config.
	Origin unsafe.Pointer
	// Notify rings the doorbell.
	Notify func(value uint32)
	// Waiter parks a goroutine until a queue has something to reap.
	Waiter queue.Waiter
	// Yield lets other goroutines run, which may have requests to be sent with one
	// ring of the doorbell; nil: each rings for its own.
	Yield func()
}

// Errors for which a device is refused.
var (
	ErrNotBlock   = errors.New("blkdev: device is not a block device")
	ErrQueues     = errors.New("blkdev: block device without a queue")
	ErrVersion    = errors.New("blkdev: block device without VIRTIO_F_VERSION_1 is not supported")
	ErrCapacity   = errors.New("blkdev: block device with more sectors than have a number of bytes")
	ErrSectorSize = errors.New("blkdev: block device with a sector size that is not a power of two from 512 to 4096")
)

// parts is how many buffers a request has: header, data, status.
const parts = 3

// maxTransfer is the length in bytes of one request at the most. A longer read or
// write is several, in flight together.
const maxTransfer = 1 << 20

// maxDiscard is the length in bytes of a range to discard at the most.
const maxDiscard = 1 << 30

// A Device is a block device. Its methods may be called concurrently.
type Device struct {
	line     request.Line
	name     string
	size     int64
	sector   int
	transfer int
	readOnly bool
	yield    func()
	flush    bool  // flushes are known; else writes are durable when they are done
	discard  int64 // bytes of a range at the most; 0: none are

	mu    sync.Mutex
	heads []*head // not in use
}

// A head is what a request has beside its data: the device reads and writes it.
type head struct {
	head   [unsafe.Sizeof(abi.BlkHead{})]byte
	status [1]byte
	ranges [unsafe.Sizeof(abi.BlkRange{})]byte
}

var _ block.Device = (*Device)(nil)

// New takes over a device. It asks one that has no name in the table for its own.
func New(d *abi.Device, c Config) (*Device, error) {
	switch {
	case d.Type != abi.DeviceBlock:
		return nil, ErrNotBlock
	case d.NumQueues == 0:
		return nil, ErrQueues
	case d.Features&abi.FVersion1 == 0:
		return nil, ErrVersion
	}
	dev := &Device{
		sector: abi.BlkSector, transfer: maxTransfer, yield: c.Yield,
		readOnly: d.Features&abi.BlkFRO != 0,
		flush:    d.Features&abi.BlkFFlush != 0,
	}
	if err := dev.configure(d); err != nil {
		return nil, err
	}
	q := queue.Config{Origin: c.Origin, Notify: c.Notify, NoEventIdx: d.Features&abi.FEventIdx == 0}
	if err := dev.line.Init(&d.Queues[abi.BlkQueueRequest], q, c.Waiter, parts); err != nil {
		return nil, err
	}
	if dev.name = request.Text(d.Name[:]); dev.name == "" {
		dev.name = dev.id()
	}
	return dev, nil
}

// configure reads the configuration space.
func (d *Device) configure(dev *abi.Device) error {
	le := binary.LittleEndian
	if dev.Features&abi.BlkFBlkSize != 0 {
		d.sector = int(le.Uint32(dev.Config[abi.BlkConfigBlkSize:]))
	}
	if d.sector < abi.BlkSector || d.sector > abi.PageSize || d.sector&(d.sector-1) != 0 {
		return ErrSectorSize
	}
	if dev.Features&abi.BlkFSizeMax != 0 {
		most := le.Uint32(dev.Config[abi.BlkConfigSizeMax:])
		d.transfer = min(d.transfer, int(most)&^(d.sector-1))
		d.transfer = max(d.transfer, d.sector)
	}
	if dev.Features&abi.BlkFDiscard != 0 {
		most := int64(le.Uint32(dev.Config[abi.BlkConfigDiscards:])) * abi.BlkSector
		d.discard = min(maxDiscard, most) &^ int64(d.sector-1)
	}
	sectors := le.Uint64(dev.Config[abi.BlkConfigCapacity:])
	if sectors > 1<<63/abi.BlkSector-1 {
		return ErrCapacity
	}
	d.size = int64(sectors*abi.BlkSector) &^ int64(d.sector-1)
	return nil
}

// id asks the device for its name.
func (d *Device) id() string {
	b := make([]byte, abi.BlkIDLen)
	if d.call(abi.BlkGetID, 0, nil, b) != nil {
		return ""
	}
	return request.Text(b)
}

// DefaultName returns what the nth device without a name is called: as by Linux (virtblk_name_format),
// vda to vdz, vdaa and so on.
func DefaultName(n int) string {
	letters := ""
	for ; n >= 0; n = n/26 - 1 {
		letters = string(rune('a'+n%26)) + letters
	}
	return "vd" + letters
}

// Name returns what the device is called, "" if it has no name.
func (d *Device) Name() string { return d.name }

// Size implements block.Device.
func (d *Device) Size() int64 { return d.size }

// SectorSize implements block.Device.
func (d *Device) SectorSize() int { return d.sector }

// ReadOnly implements block.Device.
func (d *Device) ReadOnly() bool { return d.readOnly }

// ReadAt implements block.Device.
func (d *Device) ReadAt(p []byte, off int64) error {
	if err := block.Check(d, off, int64(len(p))); err != nil || len(p) == 0 {
		return err
	}
	return d.transferAll(abi.BlkIn, p, off)
}

// WriteAt implements block.Device.
func (d *Device) WriteAt(p []byte, off int64) error {
	if d.readOnly {
		return block.ErrReadOnly
	}
	if err := block.Check(d, off, int64(len(p))); err != nil || len(p) == 0 {
		return err
	}
	return d.transferAll(abi.BlkOut, p, off)
}

// Flush implements block.Device.
func (d *Device) Flush() error {
	switch {
	case d.readOnly:
		return block.ErrReadOnly
	case !d.flush:
		return nil
	}
	return d.call(abi.BlkFlush, 0, nil, nil)
}

// Discard implements block.Device.
func (d *Device) Discard(off, n int64) error {
	if d.readOnly {
		return block.ErrReadOnly
	}
	if err := block.Check(d, off, n); err != nil || n == 0 || d.discard == 0 {
		return err
	}
	for most := d.discard; n > 0; off, n = off+most, n-most {
		h := d.head()
		le := binary.LittleEndian
		le.PutUint64(h.ranges[0:], uint64(off/abi.BlkSector))
		le.PutUint32(h.ranges[8:], uint32(min(n, most)/abi.BlkSector))
		r := d.start(h, abi.BlkDiscard, 0, h.ranges[:], nil)
		d.line.Publish()
		// A hint that is not taken does no harm.
		if err := d.finish(&r); err != nil && err != errUnsupported {
			return err
		}
	}
	return nil
}

// errUnsupported is the device's answer to a request that it does not know.
var errUnsupported = errors.New("blkdev: the device does not know the request")

// inFlight is how many requests one caller has in flight at the most.
const inFlight = 8

// transferAll reads or writes p, whatever its length.
func (d *Device) transferAll(kind uint32, p []byte, off int64) (err error) {
	var running [inFlight]started
	for len(p) > 0 && err == nil {
		n := 0
		for n < inFlight && len(p) > 0 {
			part := p[:min(len(p), d.transfer)]
			running[n] = d.move(kind, part, off)
			n++
			p, off = p[len(part):], off+int64(len(part))
		}
		d.publish(running[:n])
		for i := range running[:n] {
			if e := d.finish(&running[i]); err == nil {
				err = e
			}
		}
	}
	return err
}

// publish shows the device requests of one caller, and those of others that can
// run: a ring of the doorbell costs far more than a turn of the scheduler. Where
// nobody else can run it is at once.
func (d *Device) publish(list []started) {
	last := &list[len(list)-1]
	if d.yield == nil || last.err != nil {
		d.line.Publish()
		return
	}
	d.yield()
	d.line.PublishFor(last.token)
}

// move starts the transfer of one part.
func (d *Device) move(kind uint32, p []byte, off int64) started {
	if kind == abi.BlkOut {
		return d.start(d.head(), kind, off, p, nil)
	}
	return d.start(d.head(), kind, off, nil, p)
}

// started is a request that the device may have.
type started struct {
	head  *head
	token uint32
	err   error
}

// start adds a request. The buffer out is read by the device, in written.
func (d *Device) start(h *head, kind uint32, off int64, out, in []byte) started {
	le := binary.LittleEndian
	le.PutUint32(h.head[0:], kind)
	le.PutUint64(h.head[8:], uint64(off/abi.BlkSector))
	h.status[0] = 0xff
	token, err := d.line.Start([][]byte{h.head[:], out}, [][]byte{in, h.status[:]})
	return started{h, token, err}
}

// finish waits for a request.
func (d *Device) finish(s *started) error {
	if s.err != nil {
		return s.err
	}
	if _, err := d.line.Await(s.token); err != nil {
		return err // the device may still write to the status
	}
	status := s.head.status[0]
	d.mu.Lock()
	d.heads = append(d.heads, s.head)
	d.mu.Unlock()
	switch status {
	case abi.BlkOK:
		return nil
	case abi.BlkUnsupp:
		return errUnsupported
	}
	return block.ErrIO
}

// call makes a request and waits for it.
func (d *Device) call(kind uint32, off int64, out, in []byte) error {
	s := d.start(d.head(), kind, off, out, in)
	d.line.Publish()
	err := d.finish(&s)
	if err == errUnsupported {
		return block.ErrIO
	}
	return err
}

// head returns one that is not in use.
func (d *Device) head() *head {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.heads); n > 0 {
		h := d.heads[n-1]
		d.heads = d.heads[:n-1]
		return h
	}
	return new(head)
}
