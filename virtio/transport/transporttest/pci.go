package transporttest

import (
	"encoding/binary"
	"fmt"
)

// A Bus is a machine's PCI buses with virtio devices and others. It is the ports
// of package pci and a transport.Memory.
type Bus struct {
	Functions map[[3]uint8]*Function // by bus, device and function
	Absent    bool                   // the machine has no PCI
	Mapped    [][2]uint64            // address and bytes
	Wrong     []string
	address   uint32
}

// A Function is a function on the bus, as a rule a virtio device with its
// registers in BAR 4: common at 0, configuration at 0x2000, notification at
// 0x3000, and the MSI-X table in BAR 1. In a function with BAR 0, all are there,
// the table at 0x8000.
type Function struct {
	Space   [256]byte
	BarSize [6]uint64
	Device  *Device
	MSIX    [64]byte
}

// NewFunction returns a modern device, its 64-bit BAR 4 at an address and BAR 1
// 64 KiB behind.
func NewFunction(d *Device, addr uint64) *Function {
	f := &Function{Device: d, BarSize: [6]uint64{1: 0x1000, 4: 0x4000}}
	f.put16(0, 0x1af4)
	f.put16(2, uint16(0x1040+d.Type))
	f.put16(6, 1<<4)
	f.put32(0x14, uint32(addr+0x10000))
	f.put32(0x20, uint32(addr)|4)
	f.put32(0x24, uint32(addr>>32))
	f.Space[0x34] = 0x98
	f.Cap(0x98, 0x11, 0x40, 0x03, 0x00)
	f.put32(0x9c, 1)
	f.VirtioCap(0x40, 0x50, 1, 4, 0, 0x1000)
	f.VirtioCap(0x50, 0x60, 3, 4, 0x1000, 0x1000)
	f.VirtioCap(0x60, 0x70, 4, 4, 0x2000, 0x1000)
	f.VirtioCap(0x70, 0x84, 2, 4, 0x3000, 0x1000)
	f.Space[0x72] = 20
	f.put32(0x80, 4)
	f.VirtioCap(0x84, 0, 5, 0, 0, 0)
	return f
}

func (f *Function) put16(at int, v uint16) { binary.LittleEndian.PutUint16(f.Space[at:], v) }
func (f *Function) put32(at int, v uint32) { binary.LittleEndian.PutUint32(f.Space[at:], v) }

// Cap writes the first word of a capability.
func (f *Function) Cap(at uint8, id, next, b2, b3 uint8) {
	copy(f.Space[at:], []byte{id, next, b2, b3})
}

// VirtioCap writes a capability of virtio's.
func (f *Function) VirtioCap(at, next, kind, bar uint8, offset, length uint32) {
	f.Cap(at, 0x09, next, 16, kind)
	f.Space[at+4] = bar
	f.put32(int(at)+8, offset)
	f.put32(int(at)+12, length)
}

// command is the command register.
func (f *Function) command() uint16 { return binary.LittleEndian.Uint16(f.Space[4:]) }

// Master reports whether the function may reach memory.
func (f *Function) Master() bool { return f.command()&4 != 0 }

func (b *Bus) selected() (*Function, int) {
	a := b.address
	if a>>31 == 0 {
		return nil, 0
	}
	return b.Functions[[3]uint8{uint8(a >> 16), uint8(a>>11) & 31, uint8(a>>8) & 7}], int(a & 0xfc)
}

// In32 reads a port.
func (b *Bus) In32(port uint16) uint32 {
	switch f, at := b.selected(); {
	case b.Absent:
	case port == 0xcf8:
		return b.address
	case port == 0xcfc && f != nil:
		return binary.LittleEndian.Uint32(f.Space[at:])
	}
	return 0xffffffff
}

// Out32 writes a port.
func (b *Bus) Out32(port uint16, v uint32) {
	if port == 0xcf8 {
		b.address = v
		return
	}
	f, at := b.selected()
	switch {
	case f == nil:
	case at == 4:
		f.put16(4, uint16(v))
	case at >= 0x10 && at < 0x28:
		b.writeBAR(f, at, v)
	case f.Space[at] == 0x11: // MSI-X: the upper two bits
		f.Space[at+3] = f.Space[at+3]&0x3f | byte(v>>24)&0xc0
	default:
		b.wrong("configuration written at %#x", at)
	}
}

// writeBAR keeps of a BAR's address the bits above its size.
func (b *Bus) writeBAR(f *Function, at int, v uint32) {
	if f.command()&2 != 0 {
		b.wrong("BAR at %#x written while the device answers there", at)
	}
	n := (at - 0x10) / 4
	size, high := f.BarSize[n], false
	if n > 0 && f.Space[at-4]&6 == 4 {
		size, high = f.BarSize[n-1], true
	}
	switch {
	case size == 0:
		v = 0
	case high:
		v &= uint32(^(size - 1) >> 32)
	default:
		v = v&uint32(^(size-1)) | uint32(f.Space[at]&15)
	}
	f.put32(at, v)
}

func (b *Bus) wrong(format string, args ...any) {
	b.Wrong = append(b.Wrong, fmt.Sprintf(format, args...))
}

// Map notes what was mapped.
func (b *Bus) Map(addr, n uint64) bool {
	b.Mapped = append(b.Mapped, [2]uint64{addr, n})
	return true
}

// at returns what is at an address: a function, a BAR and an offset.
func (b *Bus) at(addr uint64, width uint64) (*Function, int, uint64) {
	mapped := false
	for _, m := range b.Mapped {
		mapped = mapped || addr >= m[0] && addr+width <= m[0]+m[1]
	}
	if !mapped {
		b.wrong("access to %#x, which is not mapped", addr)
	}
	for _, f := range b.Functions {
		for n, size := range f.BarSize {
			base := uint64(binary.LittleEndian.Uint32(f.Space[0x10+4*n:]))
			if base&4 != 0 {
				base |= uint64(binary.LittleEndian.Uint32(f.Space[0x14+4*n:])) << 32
			}
			if base &^= 15; f.Device == nil || f.command()&2 == 0 || addr < base || addr >= base+size {
				continue
			}
			switch at := addr - base; {
			case n == 0 && at >= 0x8000: // all in one BAR: the MSI-X table
				return f, 1, at - 0x8000
			case n == 0:
				return f, 4, at
			default:
				return f, n, at
			}
		}
	}
	b.wrong("access to %#x, where nothing is", addr)
	return &Function{Device: &Device{}}, 4, 0
}
