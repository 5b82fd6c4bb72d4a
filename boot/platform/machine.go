//go:build tailoros

package platform

import (
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/rngdev"
	"github.com/tailor-os/tailor/virtio/transport"
)

//go:linkname bootInfo runtime.tailor_bootInfo
func bootInfo() *abi.BootInfo

//go:linkname load8 runtime.tailor_load8
func load8(addr uintptr) uint8

//go:linkname load16 runtime.tailor_load16
func load16(addr uintptr) uint16

//go:linkname load32 runtime.tailor_load32
func load32(addr uintptr) uint32

//go:linkname store8 runtime.tailor_store8
func store8(addr uintptr, v uint8)

//go:linkname store16 runtime.tailor_store16
func store16(addr uintptr, v uint16)

//go:linkname store32 runtime.tailor_store32
func store32(addr uintptr, v uint32)

//go:linkname in32 runtime.tailor_in32
func in32(port uintptr) uint32

//go:linkname out32 runtime.tailor_out32
func out32(port uintptr, v uint32)

//go:linkname persistent runtime.tailor_persistent
func persistent(bytes, align uintptr) unsafe.Pointer

//go:linkname addDevice runtime.tailor_addDevice
func addDevice(d *abi.Device) bool

//go:linkname device runtime.tailor_device
func device(typ uint32, n int) *abi.Device

//go:linkname unordered runtime.tailor_unordered
func unordered() bool

//go:linkname setNotify runtime.tailor_setNotify
func setNotify(queue uint32, addr uintptr, value, width uint32)

//go:linkname setAck runtime.tailor_setAck
func setAck(pin uint32, status, ack uintptr)

// A machine is the one that the guest runs on; it is a [Machine].
type machine struct{ verbose bool }

func (machine) Load8(addr uint64) uint8       { return load8(uintptr(addr)) }
func (machine) Load16(addr uint64) uint16     { return load16(uintptr(addr)) }
func (machine) Load32(addr uint64) uint32     { return load32(uintptr(addr)) }
func (machine) Store8(addr uint64, v uint8)   { store8(uintptr(addr), v) }
func (machine) Store16(addr uint64, v uint16) { store16(uintptr(addr), v) }
func (machine) Store32(addr uint64, v uint32) { store32(uintptr(addr), v) }
func (machine) In32(port uint16) uint32       { return in32(uintptr(port)) }
func (machine) Out32(port uint16, v uint32)   { out32(uintptr(port), v) }
func (machine) Map(addr, bytes uint64) bool   { return mapDevice(pages(addr, bytes)) }
func (machine) Alloc(bytes, align uint64) uint64 {
	return uint64(uintptr(persistent(uintptr(bytes), uintptr(align))))
}

func (machine) SetBell(queue uint32, b transport.Bell) {
	setNotify(queue, uintptr(b.Addr), b.Value, b.Width)
}

func (machine) SetAck(pin uint32, status, ack uint64) { setAck(pin, uintptr(status), uintptr(ack)) }

// Add gives a device to the machine. The entropy device is used right here.
func (m machine) Add(d *abi.Device) {
	if d.Type == abi.DeviceRNG {
		var err error
		if asked, err = rngdev.Ask(d, rngdev.Config{Notify: bell}); err != nil {
			m.Say(err.Error())
		}
		return
	}
	if unordered() {
		// What a device asks for comes too late to be seen: it is always notified.
		d.Features &^= abi.FEventIdx
	}
	addDevice(d)
}

func (machine) Say(line string) { println("tailor: " + line) }

func (m machine) Note(line string) {
	if m.verbose {
		m.Say(line)
	}
}
