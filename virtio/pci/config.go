// Package pci is the transport of virtio devices on the PCI bus: those of
// virtio 1.0 and up, and transitional ones in the same way (virtio 1.2 section
// 4.1). Configuration space is reached by mechanism #1, the I/O ports that each
// hypervisor with a PCI bus has (PCI Local Bus 3.0 section 3.2.2.3.2).
//
// Addresses are as the firmware, or a hypervisor without any, has assigned them.
// Interrupts are message-signalled (MSI-X); a device without is refused.
//
// The device is not trusted: lists are bounded, and what a capability says must
// lie within the memory that the device takes.
package pci

// Ports are the I/O ports that reach configuration space.
type Ports interface {
	In32(port uint16) uint32
	Out32(port uint16, v uint32)
}

// The ports of mechanism #1.
const (
	PortAddress = 0xcf8
	PortData    = 0xcfc
	NumPorts    = 8 // from PortAddress on
)

// Offsets in configuration space, PCI Local Bus 3.0 section 6.1, and of a
// bridge, PCI-to-PCI Bridge 1.2 section 3.2.
const (
	cfgID         = 0x00
	cfgCommand    = 0x04 // and status, in the upper half
	cfgHeader     = 0x0c // the third byte
	cfgBAR        = 0x10
	cfgBuses      = 0x18
	cfgSubsystem  = 0x2c
	cfgCapability = 0x34
)

const (
	commandMemory    = 1 << 1
	commandBusMaster = 1 << 2
	commandNoINTx    = 1 << 10
	statusHasList    = 1 << (16 + 4)

	headerDevice   = 0
	headerBridge   = 1
	headerMulti    = 0x80
	enableConfig   = 1 << 31
	numBARs        = 6
	barIO          = 1
	bar64          = 4
	barTypeMask    = 6
	barFlags       = 15
	capVendor      = 0x09
	capMSIX        = 0x11
	firstCap       = 0x40
	maxCaps        = 48 // (256 - 64) / 4
	vendorVirtio   = 0x1af4
	idTransitional = 0x1000
	idModern       = 0x1040
	idEnd          = 0x1080
)

// A Function is one function of a PCI device, by its place.
type Function struct {
	Bus, Device, Number uint8
	// ID is the vendor in the low half, the device in the upper one.
	ID    uint32
	ports Ports
}

// read reads the aligned 32-bit word of configuration space around an offset.
func (f *Function) read(offset uint8) uint32 {
	f.choose(offset)
	return f.ports.In32(PortData)
}

func (f *Function) write(offset uint8, v uint32) {
	f.choose(offset)
	f.ports.Out32(PortData, v)
}

func (f *Function) choose(offset uint8) {
	f.ports.Out32(PortAddress, enableConfig|uint32(f.Bus)<<16|uint32(f.Device)<<11|
		uint32(f.Number)<<8|uint32(offset&^3))
}

func (f *Function) read8(offset uint8) uint8 { return uint8(f.read(offset) >> (offset & 3 * 8)) }

// command changes bits of the command register. Zeros leave the status, which
// shares its word, alone.
func (f *Function) command(clear, set uint32) {
	f.write(cfgCommand, f.read(cfgCommand)&0xffff&^clear|set)
}

// VirtioType returns the type of virtio device that a function is, 0 if none.
func (f *Function) VirtioType() uint32 {
	id := f.ID >> 16
	switch {
	case f.ID&0xffff != vendorVirtio || id < idTransitional || id >= idEnd:
		return 0
	case id >= idModern:
		return id - idModern
	}
	return f.read(cfgSubsystem) >> 16
}

// Scan calls found for each function on bus 0 and behind bridges, and reports
// whether the machine has a PCI bus at all.
func Scan(ports Ports, found func(f *Function)) bool {
	// A machine without the port does not give back what is written to it.
	old := ports.In32(PortAddress)
	ports.Out32(PortAddress, enableConfig)
	present := ports.In32(PortAddress) == enableConfig
	ports.Out32(PortAddress, old)
	if !present {
		return false
	}
	// Buses to be visited, each once: bridges may lie.
	var queued [256]bool
	buses := append(make([]uint8, 0, 8), 0)
	queued[0] = true
	for len(buses) > 0 {
		bus := buses[0]
		buses = buses[1:]
		scanBus(ports, bus, func(f *Function, header uint8) {
			if header == headerBridge {
				if next := f.read8(cfgBuses + 1); !queued[next] {
					queued[next] = true
					buses = append(buses, next)
				}
				return
			}
			if header == headerDevice {
				found(f)
			}
		})
	}
	return true
}

func scanBus(ports Ports, bus uint8, found func(f *Function, header uint8)) {
	for device := range uint8(32) {
		for number := range uint8(8) {
			f := &Function{Bus: bus, Device: device, Number: number, ports: ports}
			f.ID = f.read(cfgID)
			if f.ID&0xffff == 0xffff || f.ID == 0 {
				if number == 0 {
					break
				}
				continue
			}
			header := f.read8(cfgHeader + 2)
			found(f, header&^headerMulti)
			if number == 0 && header&headerMulti == 0 {
				break
			}
		}
	}
}

// bar returns the address and size in bytes of a memory region of the device; a
// size of 0 if there is none. The device does not answer there while its size
// is asked for (PCI Local Bus 3.0 section 6.2.5.1), so it must not be in use.
func (f *Function) bar(n uint8) (addr, size uint64) {
	at := cfgBAR + 4*n
	low := f.read(at)
	if n >= numBARs || low&barIO != 0 || low&barTypeMask == bar64 && n == numBARs-1 {
		return 0, 0
	}
	f.write(at, ^uint32(0))
	mask := uint64(f.read(at) &^ barFlags)
	f.write(at, low)
	addr = uint64(low &^ barFlags)
	if low&barTypeMask == bar64 {
		high := f.read(at + 4)
		f.write(at+4, ^uint32(0))
		mask |= uint64(f.read(at+4)) << 32
		f.write(at+4, high)
		addr |= uint64(high) << 32
	}
	size = mask & -mask // its lowest bit
	if addr&(size-1) != 0 {
		return 0, 0
	}
	return addr, size
}
