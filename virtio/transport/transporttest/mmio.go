package transporttest

import "fmt"

// MMIO has devices behind the registers of virtio-mmio, by their address; each
// takes 512 bytes. It is a transport.Memory.
type MMIO struct {
	Devices map[uint64]*Device
	Version uint32 // 0 for 2
	Magic   uint32 // 0 for the right one
	Wrong   []string
}

func (m *MMIO) at(addr uint64) (*Device, uint64) {
	base := addr &^ 511
	d := m.Devices[base]
	if d == nil {
		m.Wrong = append(m.Wrong, fmt.Sprintf("access to %#x", addr))
		return &Device{}, addr - base
	}
	return d, addr - base
}

// Load8 reads configuration space.
func (m *MMIO) Load8(addr uint64) uint8 {
	d, reg := m.at(addr)
	if reg < 0x100 {
		m.Wrong = append(m.Wrong, fmt.Sprintf("8 bits read at %#x", reg))
	}
	return d.configByte(reg - 0x100)
}

// Load16 reads configuration space.
func (m *MMIO) Load16(addr uint64) uint16 {
	return uint16(m.Load8(addr)) | uint16(m.Load8(addr+1))<<8
}

// Load32 reads a register, virtio 1.2 section 4.2.2.
func (m *MMIO) Load32(addr uint64) uint32 {
	d, reg := m.at(addr)
	switch reg {
	case 0x00:
		if m.Magic != 0 {
			return m.Magic
		}
		return 0x74726976
	case 0x04:
		if m.Version != 0 {
			return m.Version
		}
		return 2
	case 0x08:
		return d.Type
	case 0x10:
		return d.features()
	case 0x34:
		return d.queueMax()
	case 0x44:
		if d.queue().Ready {
			return 1
		}
		return 0
	case 0x70:
		return uint32(d.Status)
	case 0xfc:
		return d.generation
	}
	m.Wrong = append(m.Wrong, fmt.Sprintf("32 bits read at %#x", reg))
	return 0
}

// Store8 and Store16 are never right.
func (m *MMIO) Store8(addr uint64, _ uint8) {
	m.Wrong = append(m.Wrong, fmt.Sprintf("8 bits written at %#x", addr))
}

// Store16 is never right.
func (m *MMIO) Store16(addr uint64, _ uint16) {
	m.Wrong = append(m.Wrong, fmt.Sprintf("16 bits written at %#x", addr))
}

// Store32 writes a register.
func (m *MMIO) Store32(addr uint64, v uint32) {
	d, reg := m.at(addr)
	q := d.queue()
	switch reg {
	case 0x14:
		d.featuresSel = v
	case 0x20:
		d.take(v)
	case 0x24:
		d.takenSel = v
	case 0x30:
		d.queueSel = v
	case 0x38:
		q.Size = v
	case 0x44:
		d.enable(v == 1)
	case 0x70:
		d.setStatus(uint8(v))
	case 0x80, 0x84:
		half(&q.Desc, reg == 0x84, v)
	case 0x90, 0x94:
		half(&q.Avail, reg == 0x94, v)
	case 0xa0, 0xa4:
		half(&q.Used, reg == 0xa4, v)
	default:
		m.Wrong = append(m.Wrong, fmt.Sprintf("32 bits written at %#x", reg))
	}
}
