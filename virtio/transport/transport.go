// Package transport takes virtio devices into use: the initialization sequence
// of virtio 1.2 section 3.1 over whatever carries a device's registers, which
// is virtio-mmio or PCI (packages mmio and pci).
//
// The result is an [abi.Device], just as a monitor of Tailor's lays them out, so
// that drivers need not know where one comes from.
//
// The device is not trusted. Every wait is bounded, every value is checked
// against what it may be before it is used, and a device that answers nonsense
// is refused with an [Error]; it is told so (status FAILED) and left alone.
package transport

import "github.com/tailor-os/tailor/abi"

// Memory reaches registers by their physical address, with exactly one access
// of the width that the name says, in bits.
type Memory interface {
	Load8(addr uint64) uint8
	Load16(addr uint64) uint16
	Load32(addr uint64) uint32
	Store8(addr uint64, v uint8)
	Store16(addr uint64, v uint16)
	Store32(addr uint64, v uint32)
}

// A Transport is the registers of one device. Queues are numbered from 0.
type Transport interface {
	// Type is the kind of device, one of abi.Device* if it is one known here.
	Type() uint32
	// Features are those that the device offers, SetFeatures those the driver
	// takes.
	Features() uint64
	SetFeatures(uint64)
	Status() uint8
	SetStatus(uint8)
	// Config reads 1 or 2 bytes of the device's configuration space; false if
	// there are none. Generation changes when its contents do.
	Config(offset, width uint32) (v uint16, ok bool)
	Generation() uint32
	// QueueMax is the largest size of a queue in entries, 0 if there is none.
	QueueMax(n uint32) uint32
	// SetQueue gives the device a queue, whose interrupts from then on arrive,
	// and tells how the device is notified of it.
	SetQueue(n uint32, q *abi.Queue) (Bell, error)
	// Start lets the device reach memory: the last step before DRIVER_OK.
	Start()
}

// A Bell says how a queue's device is notified: by storing Value at a physical
// address, Width bytes wide, 2 or 4 (virtio 1.2 section 4.1.5.2 and 4.2.3.3).
type Bell struct {
	Addr         uint64
	Value, Width uint32
}

// Device status bits, virtio 1.2 section 2.1.
const (
	StatusAcknowledge = 1
	StatusDriver      = 2
	StatusDriverOK    = 4
	StatusFeaturesOK  = 8
	StatusFailed      = 128
)

// FAccessPlatform is a feature bit that only Setup has to know, virtio 1.2
// section 6.
const FAccessPlatform = 1 << 33

// An Error says what a device did that it must not, or what it cannot do.
type Error string

func (e Error) Error() string { return string(e) }

// Ways in which a device is refused.
const (
	ErrReset     = Error("does not reset")
	ErrLegacy    = Error("offers no virtio 1.0 (VIRTIO_F_VERSION_1)")
	ErrPlatform  = Error("refuses the features taken: it is behind an IOMMU")
	ErrFeatures  = Error("refuses the features taken")
	ErrConfig    = Error("keeps changing its configuration, or has none")
	ErrNoQueue   = Error("lacks a queue")
	ErrQueueSize = Error("has a queue too small to be used")
	ErrNoMemory  = Error("finds no memory for its queues")
	ErrStart     = Error("fails as it is started")
)
