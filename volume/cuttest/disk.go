// Package cuttest tests what a power cut leaves of a file system: a disk in memory
// that records what was written and when it was flushed, and the states that the
// disk may be in if the power fails at any moment.
package cuttest

import (
	"sync"

	"github.com/tailor-os/tailor/block"
)

// A Disk is a block device in memory. It may be used by several goroutines.
type Disk struct {
	mu     sync.Mutex
	data   []byte
	sector int
	log    []Event
	record bool
	base   []byte // the contents when recording began

	// Yield, if it is set, is called before each request, when others may use
	// the disk.
	Yield func()
	// Fail, if it is set, is asked before each request; what it returns is the
	// request's error, and the request is not done. op is "read", "write",
	// "flush" or "discard".
	Fail func(op string, off int64, n int) error
	// Requests counts requests.
	Requests struct{ Reads, Writes, Flushes, BytesRead, BytesWritten int64 }
}

// An Event is a write, or a flush if Data is nil.
type Event struct {
	Off  int64
	Data []byte
}

// New returns a disk of size bytes with sectors of 512.
func New(size int64) *Disk { return &Disk{data: make([]byte, size), sector: 512} }

// From returns a disk that has data, which it takes over.
func From(data []byte) *Disk { return &Disk{data: data, sector: 512} }

// Bytes returns the contents. They change with what is written.
func (d *Disk) Bytes() []byte { return d.data }

// Record begins a log of what is written.
func (d *Disk) Record() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.base, d.log, d.record = append([]byte(nil), d.data...), nil, true
}

// Log returns the contents when recording began and what was done since.
func (d *Disk) Log() (base []byte, log []Event) { return d.base, d.log }

// Events returns how many events the log has.
func (d *Disk) Events() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

// Size implements block.Device.
func (d *Disk) Size() int64 { return int64(len(d.data)) }

// SectorSize implements block.Device.
func (d *Disk) SectorSize() int { return d.sector }

// ReadOnly implements block.Device.
func (d *Disk) ReadOnly() bool { return false }

func (d *Disk) ask(op string, off int64, n int) error {
	if err := block.Check(d, off, int64(n)); err != nil {
		return err
	}
	if d.Fail != nil {
		return d.Fail(op, off, n)
	}
	return nil
}

func (d *Disk) yield() {
	if d.Yield != nil {
		d.Yield()
	}
}

// ReadAt implements block.Device.
func (d *Disk) ReadAt(p []byte, off int64) error {
	d.yield()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.ask("read", off, len(p)); err != nil {
		return err
	}
	d.Requests.Reads++
	d.Requests.BytesRead += int64(len(p))
	copy(p, d.data[off:])
	return nil
}

// WriteAt implements block.Device.
func (d *Disk) WriteAt(p []byte, off int64) error {
	d.yield()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.ask("write", off, len(p)); err != nil {
		return err
	}
	d.Requests.Writes++
	d.Requests.BytesWritten += int64(len(p))
	copy(d.data[off:], p)
	if d.record {
		d.log = append(d.log, Event{Off: off, Data: append([]byte{}, p...)})
	}
	return nil
}

// Flush implements block.Device.
func (d *Disk) Flush() error {
	d.yield()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.ask("flush", 0, 0); err != nil {
		return err
	}
	d.Requests.Flushes++
	if d.record {
		d.log = append(d.log, Event{})
	}
	return nil
}

// Discard implements block.Device: what is discarded is overwritten, so that who
// relies on it is found.
func (d *Disk) Discard(off, n int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.ask("discard", off, int(n)); err != nil {
		return err
	}
	p := make([]byte, n)
	for i := range p {
		p[i] = 0xDD
	}
	copy(d.data[off:], p)
	if d.record {
		d.log = append(d.log, Event{Off: off, Data: p})
	}
	return nil
}
