// Package blocktest is devices for tests of what stands on package block.
package blocktest

import (
	"sync"

	"github.com/tailor-os/tailor/block"
)

// Mem is a device in memory. It counts requests, and fails those that Fail
// says. Several goroutines may use it at once.
type Mem struct {
	// Sector is the size of a sector in bytes; 0 stands for 512.
	Sector int
	// RO makes it read-only.
	RO bool
	// Fail is asked before each request and may be nil: op is "read", "write",
	// "flush" or "discard".
	Fail func(op string, off, n int64) error

	mu sync.Mutex
	// Data is the contents, whole sectors. It may be looked at while no
	// request is under way.
	Data []byte
	// Requests counts those that were not refused.
	Requests int
}

// New returns a device of size bytes.
func New(size int64) *Mem { return &Mem{Data: make([]byte, size)} }

// Of returns a device with the bytes of data, filled up to whole sectors.
func Of(data []byte) *Mem {
	m := New(int64(len(data)+511) &^ 511)
	copy(m.Data, data)
	return m
}

// Size implements block.Device.
func (m *Mem) Size() int64 { return int64(len(m.Data)) }

// SectorSize implements block.Device.
func (m *Mem) SectorSize() int {
	if m.Sector == 0 {
		return 512
	}
	return m.Sector
}

// ReadOnly implements block.Device.
func (m *Mem) ReadOnly() bool { return m.RO }

func (m *Mem) begin(op string, off, n int64) error {
	if m.RO && op != "read" {
		return block.ErrReadOnly
	}
	if err := block.Check(m, off, n); err != nil {
		return err
	}
	m.Requests++
	if m.Fail != nil {
		return m.Fail(op, off, n)
	}
	return nil
}

// ReadAt implements block.Device.
func (m *Mem) ReadAt(p []byte, off int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("read", off, int64(len(p))); err != nil {
		return err
	}
	copy(p, m.Data[off:])
	return nil
}

// WriteAt implements block.Device.
func (m *Mem) WriteAt(p []byte, off int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("write", off, int64(len(p))); err != nil {
		return err
	}
	copy(m.Data[off:], p)
	return nil
}

// Flush implements block.Device.
func (m *Mem) Flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.begin("flush", 0, 0)
}

// Discard implements block.Device. The bytes become 0xDD, so that nobody comes
// to rely on zeros.
func (m *Mem) Discard(off, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("discard", off, n); err != nil {
		return err
	}
	for i := range m.Data[off : off+n] {
		m.Data[off+int64(i)] = 0xDD
	}
	return nil
}
