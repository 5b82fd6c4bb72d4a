package transporttest

import "encoding/binary"

// Load8 reads a register or configuration space, virtio 1.2 section 4.1.4.3.
func (b *Bus) Load8(addr uint64) uint8 {
	f, bar, at := b.at(addr, 1)
	switch {
	case bar == 4 && at == 0x14:
		return f.Device.Status
	case bar == 4 && at == 0x15:
		return uint8(f.Device.generation)
	case bar == 4 && at >= 0x2000 && at < 0x3000:
		return f.Device.configByte(at - 0x2000)
	}
	b.wrong("8 bits read at %#x", addr)
	return 0
}

// Load16 reads a register or configuration space.
func (b *Bus) Load16(addr uint64) uint16 {
	f, bar, at := b.at(addr, 2)
	d := f.Device
	switch {
	case bar == 4 && at >= 0x2000 && at < 0x3000:
		return uint16(d.configByte(at-0x2000)) | uint16(d.configByte(at-0x1fff))<<8
	case bar != 4:
	case at == 0x12:
		return uint16(len(d.QueueMax))
	case at == 0x18:
		return uint16(d.queueMax())
	case at == 0x1a:
		return d.queue().Vector
	case at == 0x1e:
		return uint16(d.queueSel)
	}
	if bar != 4 || at != 0x12 {
		b.wrong("16 bits read at %#x", addr)
	}
	return 0
}

// Load32 reads a register.
func (b *Bus) Load32(addr uint64) uint32 {
	f, bar, at := b.at(addr, 4)
	if bar != 4 || at != 4 {
		b.wrong("32 bits read at %#x", addr)
	}
	return f.Device.features()
}

// Store8 writes the status.
func (b *Bus) Store8(addr uint64, v uint8) {
	f, bar, at := b.at(addr, 1)
	if bar != 4 || at != 0x14 {
		b.wrong("8 bits written at %#x", addr)
	}
	f.Device.setStatus(v)
}

// Store16 writes a register.
func (b *Bus) Store16(addr uint64, v uint16) {
	f, bar, at := b.at(addr, 2)
	d := f.Device
	switch {
	case bar == 4 && at == 0x10:
	case bar == 4 && at == 0x16:
		d.queueSel = uint32(v)
	case bar == 4 && at == 0x18:
		d.queue().Size = uint32(v)
	case bar == 4 && at == 0x1a:
		if d.NoVector {
			v = 0xffff
		}
		d.queue().Vector = v
	case bar == 4 && at == 0x1c:
		d.enable(v == 1)
	default:
		b.wrong("16 bits written at %#x", addr)
	}
}

// Store32 writes a register, or the MSI-X table in BAR 1.
func (b *Bus) Store32(addr uint64, v uint32) {
	f, bar, at := b.at(addr, 4)
	d := f.Device
	q := d.queue()
	switch {
	case bar == 1 && at < 64:
		binary.LittleEndian.PutUint32(f.MSIX[at:], v)
	case bar != 4:
		b.wrong("32 bits written at %#x", addr)
	case at == 0x00:
		d.featuresSel = v
	case at == 0x08:
		d.takenSel = v
	case at == 0x0c:
		d.take(v)
	case at&^4 == 0x20:
		half(&q.Desc, at&4 != 0, v)
	case at&^4 == 0x28:
		half(&q.Avail, at&4 != 0, v)
	case at&^4 == 0x30:
		half(&q.Used, at&4 != 0, v)
	default:
		b.wrong("32 bits written at %#x", addr)
	}
}
