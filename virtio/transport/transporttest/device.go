// Package transporttest has virtio devices for tests of what takes them into use:
// honest ones behind the registers of virtio-mmio and of PCI, with faults to be
// switched on, and one that answers every access with bytes of a fuzzer's.
package transporttest

import "github.com/tailor-os/tailor/abi"

// A Device is what is behind the registers, however they are reached.
type Device struct {
	Type     uint32
	Offered  uint64
	Config   []byte
	QueueMax []uint32

	// What the driver has made of it.
	Taken  uint64
	Status uint8
	Queues [8]Queue
	Master func() bool // whether it may reach memory; nil for always
	Faults []string    // what the driver did wrong

	// What is wrong with it.
	NoReset, NoFeatures, NoStart, Restless, NoVector, NoReady bool

	featuresSel, takenSel, queueSel, generation uint32
}

// A Queue is one that the driver has set up.
type Queue struct {
	Size              uint32
	Desc, Avail, Used uint64
	Ready             bool
	Vector            uint16
}

func (d *Device) fault(what string) { d.Faults = append(d.Faults, what) }

func (d *Device) features() uint32 {
	if d.featuresSel > 1 {
		return 0
	}
	return uint32(d.Offered >> (32 * d.featuresSel))
}

func (d *Device) take(v uint32) {
	if d.Status&8 != 0 {
		d.fault("features written after FEATURES_OK")
	}
	shift := 32 * (d.takenSel & 1)
	d.Taken = d.Taken&^(0xffffffff<<shift) | uint64(v)<<shift
}

// setStatus follows virtio 1.2 sections 2.1 and 3.1.1.
func (d *Device) setStatus(s uint8) {
	if s == 0 {
		if !d.NoReset {
			*d = Device{Type: d.Type, Offered: d.Offered, Config: d.Config, QueueMax: d.QueueMax, Master: d.Master,
				Faults: d.Faults, NoFeatures: d.NoFeatures, NoStart: d.NoStart, Restless: d.Restless,
				NoVector: d.NoVector, NoReady: d.NoReady}
		}
		return
	}
	if s&128 == 0 && s&d.Status != d.Status {
		d.fault("a status bit was cleared")
	}
	if s&8 != 0 && d.Status&8 == 0 && (d.NoFeatures || d.Taken&^d.Offered != 0 || d.Taken&abi.FVersion1 == 0) {
		s &^= 8
	}
	if s&4 != 0 {
		if s&11 != 11 {
			d.fault("DRIVER_OK before FEATURES_OK")
		}
		if d.Master != nil && !d.Master() {
			d.fault("DRIVER_OK before it may reach memory")
		}
		if d.NoStart {
			s |= 64
		}
	}
	d.Status = s
}

// queue is the selected one.
func (d *Device) queue() *Queue { return &d.Queues[d.queueSel%uint32(len(d.Queues))] }

func (d *Device) queueMax() uint32 {
	if d.queueSel < uint32(len(d.QueueMax)) {
		return d.QueueMax[d.queueSel]
	}
	return 0
}

func (d *Device) enable(on bool) {
	if d.Status&8 == 0 || d.Status&4 != 0 {
		d.fault("queue set up at the wrong time")
	}
	d.queue().Ready = on && !d.NoReady
}

func (d *Device) configByte(i uint64) uint8 {
	if d.Restless {
		d.generation++
	}
	if i < uint64(len(d.Config)) {
		return d.Config[i]
	}
	return 0xff
}

func half(a *uint64, high bool, v uint32) {
	if high {
		*a = *a&0xffffffff | uint64(v)<<32
	} else {
		*a = *a&^0xffffffff | uint64(v)
	}
}
