// Package mmio is the transport of virtio devices that are given by address:
// virtio-mmio version 2, virtio 1.2 section 4.2.
package mmio

import (
	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/transport"
)

// Offsets of the registers, virtio 1.2 section 4.2.2.
const (
	regMagic          = 0x000
	regVersion        = 0x004
	regDeviceID       = 0x008
	regFeatures       = 0x010
	regFeaturesSel    = 0x014
	regDrvFeatures    = 0x020
	regDrvFeaturesSel = 0x024
	regQueueSel       = 0x030
	regQueueMax       = 0x034
	regQueueSize      = 0x038
	regQueueReady     = 0x044
	regNotify         = 0x050
	regIRQStatus      = 0x060
	regIRQAck         = 0x064
	regStatus         = 0x070
	regQueueDesc      = 0x080
	regQueueAvail     = 0x090
	regQueueUsed      = 0x0a0
	regGeneration     = 0x0fc
	regConfig         = 0x100
)

const (
	magic   = 0x74726976 // "virt"
	version = 2

	// MinSize is how many bytes of registers a device has at the least.
	MinSize = regConfig
)

// Errors of [Open].
const (
	// ErrNone: there is room for a device here, and none in it. That is usual.
	ErrNone = transport.Error("is not there")
	// ErrNotVirtio: what is there does not say that it is a virtio device.
	ErrNotVirtio = transport.Error("is no virtio device")
	// ErrLegacy: QEMU's devices are of version 1 unless told otherwise.
	ErrLegacy = transport.Error("speaks virtio-mmio version 1, version 2 is needed" +
		" (QEMU: -global virtio-mmio.force-legacy=false)")
	ErrVersion = transport.Error("speaks an unknown version of virtio-mmio")
)

// A Device is the registers of one device; it is a [transport.Transport].
type Device struct {
	mem  transport.Memory
	base uint64
	size uint64
	typ  uint32
}

// Open looks at what is at an address. The size is in bytes, at least MinSize.
func Open(mem transport.Memory, base, size uint64) (*Device, error) {
	d := &Device{mem: mem, base: base, size: size}
	if d.load(regMagic) != magic {
		return nil, ErrNotVirtio
	}
	// The version first: a legacy device that is not there has one, too.
	v := d.load(regVersion)
	d.typ = d.load(regDeviceID)
	switch {
	case d.typ == 0:
		return nil, ErrNone
	case v == 1:
		return nil, ErrLegacy
	case v != version:
		return nil, ErrVersion
	}
	return d, nil
}

// Ack returns the addresses for an interrupt of this device: what says which
// it was, and where to write that so that it ends.
func (d *Device) Ack() (status, ack uint64) { return d.base + regIRQStatus, d.base + regIRQAck }

func (d *Device) load(reg uint64) uint32     { return d.mem.Load32(d.base + reg) }
func (d *Device) store(reg uint64, v uint32) { d.mem.Store32(d.base+reg, v) }

// Type implements [transport.Transport], as the following methods do.
func (d *Device) Type() uint32 { return d.typ }

// Features reads the device's features, 32 bits at a time.
func (d *Device) Features() uint64 {
	d.store(regFeaturesSel, 1)
	high := d.load(regFeatures)
	d.store(regFeaturesSel, 0)
	return uint64(high)<<32 | uint64(d.load(regFeatures))
}

// SetFeatures writes the driver's.
func (d *Device) SetFeatures(f uint64) {
	d.store(regDrvFeaturesSel, 1)
	d.store(regDrvFeatures, uint32(f>>32))
	d.store(regDrvFeaturesSel, 0)
	d.store(regDrvFeatures, uint32(f))
}

// Status returns the device's status; what does not fit a byte is nonsense.
func (d *Device) Status() uint8 {
	if s := d.load(regStatus); s < 256 {
		return uint8(s)
	}
	return 0xff
}

// SetStatus changes it.
func (d *Device) SetStatus(s uint8) { d.store(regStatus, uint32(s)) }

// Config reads 1 or 2 bytes.
func (d *Device) Config(offset, width uint32) (uint16, bool) {
	at := regConfig + uint64(offset)
	switch {
	case at+uint64(width) > d.size:
		return 0, false
	case width == 2:
		return d.mem.Load16(d.base + at), true
	}
	return uint16(d.mem.Load8(d.base + at)), true
}

// Generation is of the configuration.
func (d *Device) Generation() uint32 { return d.load(regGeneration) }

// QueueMax selects a queue. One that is in use after a reset is none.
func (d *Device) QueueMax(n uint32) uint32 {
	d.store(regQueueSel, n)
	if d.load(regQueueReady) != 0 {
		return 0
	}
	return d.load(regQueueMax)
}

// SetQueue gives the device a queue, section 4.2.3.2.
func (d *Device) SetQueue(n uint32, q *abi.Queue) (transport.Bell, error) {
	d.store(regQueueSel, n)
	d.store(regQueueSize, q.Size)
	d.store64(regQueueDesc, q.Desc)
	d.store64(regQueueAvail, q.Avail)
	d.store64(regQueueUsed, q.Used)
	d.store(regQueueReady, 1)
	if d.load(regQueueReady) != 1 {
		return transport.Bell{}, transport.ErrStart
	}
	return transport.Bell{Addr: d.base + regNotify, Value: n, Width: 4}, nil
}

func (d *Device) store64(reg, v uint64) {
	d.store(reg, uint32(v))
	d.store(reg+4, uint32(v>>32))
}

// Start has nothing to do: such a device may always reach memory.
func (d *Device) Start() {}
