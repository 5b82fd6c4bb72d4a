package pci

import (
	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/transport"
)

// Offsets in struct virtio_pci_common_cfg, virtio 1.2 section 4.1.4.3.
const (
	regFeaturesSel    = 0x00
	regFeatures       = 0x04
	regDrvFeaturesSel = 0x08
	regDrvFeatures    = 0x0c
	regConfigVector   = 0x10
	regNumQueues      = 0x12
	regStatus         = 0x14
	regGeneration     = 0x15
	regQueueSel       = 0x16
	regQueueSize      = 0x18
	regQueueVector    = 0x1a
	regQueueEnable    = 0x1c
	regQueueNotifyOff = 0x1e
	regQueueDesc      = 0x20
	regQueueAvail     = 0x28
	regQueueUsed      = 0x30
)

// MSI-X, PCI Local Bus 3.0 section 6.8.2: an entry of the table, and bits of
// the capability's first word.
const (
	msixEntry    = 16
	msixEnable   = 1 << 31
	msixMaskAll  = 1 << 30
	noVector     = 0xffff
	vector       = 0 // all queues of a device use entry 0
	localAPIC    = 0xfee00000
	msixUnmasked = 0
)

// A Device is the registers of one device; it is a [transport.Transport].
type Device struct {
	f   *Function
	mem transport.Memory
	typ uint32
	layout
}

// Open gets at a virtio device's registers. mapMemory makes registers reachable
// through mem. The device's own interrupts are MSI-X, with abi.VectorMSI.
func (f *Function) Open(mem transport.Memory, mapMemory func(addr, bytes uint64) bool) (*Device, error) {
	d := &Device{f: f, mem: mem, typ: f.VirtioType()}
	// It neither answers nor acts while its registers are looked for.
	f.command(commandMemory|commandBusMaster, commandNoINTx)
	var err error
	if d.layout, err = f.capabilities(); err != nil {
		return nil, err
	}
	if err = d.place(f, mapMemory); err != nil {
		return nil, err
	}
	f.command(0, commandMemory)
	d.interrupts()
	return d, nil
}

// interrupts sends those of the table's first entry to the first processor.
func (d *Device) interrupts() {
	d.f.write(d.msix, d.msixWord|msixEnable|msixMaskAll)
	e := d.regions[kindMSIX].base
	d.mem.Store32(e, localAPIC)
	d.mem.Store32(e+4, 0)
	d.mem.Store32(e+8, abi.VectorMSI)
	d.mem.Store32(e+12, msixUnmasked)
	d.f.write(d.msix, d.msixWord&^msixMaskAll|msixEnable)
}

func (d *Device) common(reg uint64) uint64 { return d.regions[kindCommon].base + reg }

func (d *Device) load16(reg uint64) uint16     { return d.mem.Load16(d.common(reg)) }
func (d *Device) store16(reg uint64, v uint16) { d.mem.Store16(d.common(reg), v) }
func (d *Device) load32(reg uint64) uint32     { return d.mem.Load32(d.common(reg)) }
func (d *Device) store32(reg uint64, v uint32) { d.mem.Store32(d.common(reg), v) }

// Type implements [transport.Transport], as the following methods do.
func (d *Device) Type() uint32 { return d.typ }

// Features reads the device's features, 32 bits at a time.
func (d *Device) Features() uint64 {
	d.store32(regFeaturesSel, 1)
	high := d.load32(regFeatures)
	d.store32(regFeaturesSel, 0)
	return uint64(high)<<32 | uint64(d.load32(regFeatures))
}

// SetFeatures writes the driver's.
func (d *Device) SetFeatures(f uint64) {
	d.store32(regDrvFeaturesSel, 1)
	d.store32(regDrvFeatures, uint32(f>>32))
	d.store32(regDrvFeaturesSel, 0)
	d.store32(regDrvFeatures, uint32(f))
}

// Status returns the device's status.
func (d *Device) Status() uint8 { return d.mem.Load8(d.common(regStatus)) }

// SetStatus changes it.
func (d *Device) SetStatus(s uint8) { d.mem.Store8(d.common(regStatus), s) }

// Config reads 1 or 2 bytes.
func (d *Device) Config(offset, width uint32) (uint16, bool) {
	r := &d.regions[kindDevice]
	switch {
	case uint64(offset)+uint64(width) > r.size:
		return 0, false
	case width == 2:
		return d.mem.Load16(r.base + uint64(offset)), true
	}
	return uint16(d.mem.Load8(r.base + uint64(offset))), true
}

// Generation is of the configuration.
func (d *Device) Generation() uint32 { return uint32(d.mem.Load8(d.common(regGeneration))) }

// QueueMax selects a queue.
func (d *Device) QueueMax(n uint32) uint32 {
	if n >= uint32(d.load16(regNumQueues)) {
		return 0
	}
	d.store16(regQueueSel, uint16(n))
	return uint32(d.load16(regQueueSize))
}

// SetQueue gives the device a queue, section 4.1.5.1.3.
func (d *Device) SetQueue(n uint32, q *abi.Queue) (transport.Bell, error) {
	d.store16(regConfigVector, noVector)
	d.store16(regQueueSel, uint16(n))
	d.store16(regQueueSize, uint16(q.Size))
	d.store16(regQueueVector, vector)
	if d.load16(regQueueVector) != vector {
		return transport.Bell{}, ErrVector
	}
	d.store64(regQueueDesc, q.Desc)
	d.store64(regQueueAvail, q.Avail)
	d.store64(regQueueUsed, q.Used)
	offset := uint64(d.load16(regQueueNotifyOff)) * uint64(d.multiplier)
	r := &d.regions[kindNotify]
	if offset&1 != 0 || offset+2 > r.size {
		return transport.Bell{}, ErrNotify
	}
	d.store16(regQueueEnable, 1)
	return transport.Bell{Addr: r.base + offset, Value: n, Width: 2}, nil
}

// store64 stores a queue's address; two halves are allowed (section 4.1.3.1).
func (d *Device) store64(reg, v uint64) {
	d.store32(reg, uint32(v))
	d.store32(reg+4, uint32(v>>32))
}

// Start makes the device a bus master.
func (d *Device) Start() { d.f.command(0, commandBusMaster) }
