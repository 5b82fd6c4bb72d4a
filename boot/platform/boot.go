//go:build tailoros

package platform

import (
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/boot/acpi"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/mmio"
	"github.com/tailor-os/tailor/virtio/pci"
	"github.com/tailor-os/tailor/virtio/rngdev"
)

//go:linkname platformInfo runtime.tailor_platform
func platformInfo() *abi.Platform

//go:linkname setPowerOff runtime.tailor_setPowerOff
func setPowerOff(kind, addr uintptr, value, width uint32)

//go:linkname setReset runtime.tailor_setReset
func setReset(kind, addr uintptr, value, width uint32)

//go:linkname mapFirmware runtime.tailor_mapFirmware
func mapFirmware(phys, bytes uintptr) bool

//go:linkname mapDevice runtime.tailor_mapDevice
func mapDevice(phys, bytes uintptr) bool

//go:linkname openPorts runtime.tailor_openPorts
func openPorts(first, n uintptr) bool

//go:linkname seal runtime.tailor_seal
func seal()

//go:linkname hardwareRandom runtime.tailor_hardwareRandom
func hardwareRandom() (uint64, bool)

//go:linkname now runtime.tailor_now
func now() int64

//go:linkname bell runtime.tailor_bellNotify
func bell(queue uint32)

func init() {
	m := machine{verbose: bootInfo().Flags&abi.BootVerbose != 0}
	f := NewFinder(m)
	f.MMIO(named(m), false)
	t := acpi.Read(firmware, platformInfo().RSDP)
	f.MMIO(t.Devices, true)
	if openPorts(pci.PortAddress, pci.NumPorts) {
		f.PCI()
	}
	ways(&t)
	seal()
	checkParams() // now that there is a console to say it on
	collect(m, f.Have(abi.DeviceRNG) > 0)
	for n := 0; device(abi.DeviceNet, n) != nil; n++ {
		setMAC(device(abi.DeviceNet, n), libos.Hooks.Random) // which collect has made random
	}
}

// named returns the devices of the boot parameters.
func named(m machine) (list []mmio.Place) {
	const key = "virtio_mmio.device"
	for _, word := range libos.BootParams().All(key) {
		p, ok := mmio.Parse(word)
		if !ok {
			m.Say(key + "=" + word + " is not of the form SIZE@ADDRESS:IRQ")
			continue
		}
		list = append(list, p)
	}
	return list
}

// firmware maps and returns bytes of an ACPI table.
func firmware(addr uint64, n uint32) []byte {
	if first, bytes := pages(addr, uint64(n)); addr == 0 || addr+uint64(n) < addr || !mapFirmware(first, bytes) {
		return nil
	}
	// SAFETY: these bytes are mapped now, for good, and are no memory of Go's.
	return unsafe.Slice((*byte)(unsafe.Pointer(uintptr(addr))), n)
}

// pages returns the whole pages that hold n bytes at an address.
func pages(addr, n uint64) (first, bytes uintptr) {
	end := (addr + n + abi.PageSize - 1) &^ (abi.PageSize - 1)
	addr &^= abi.PageSize - 1
	return uintptr(addr), uintptr(end - addr)
}

// ways tells the machine how it is switched off and reset.
func ways(t *acpi.Tables) {
	if w := reach(&t.PowerOff); w != nil {
		setPowerOff(uintptr(w.Kind), uintptr(w.Addr), w.Value, w.Width)
	}
	if w := reach(&t.Reset); w != nil {
		setReset(uintptr(w.Kind), uintptr(w.Addr), w.Value, w.Width)
	}
}

// reach makes a register reachable; nil if that cannot be.
func reach(w *acpi.Write) *acpi.Write {
	ok := w.Width != 0
	if ok && w.Kind == acpi.Port {
		ok = openPorts(uintptr(w.Addr), uintptr(w.Width))
	} else if ok {
		ok = mapDevice(pages(w.Addr, uint64(w.Width)))
	}
	if !ok {
		return nil
	}
	return w
}

// asked is a request that the entropy device has not answered yet, whose buffer
// it may still write.
var asked *rngdev.Request

// patience is for how long the entropy device is waited for, in nanoseconds,
// where there is no other source.
const patience = 200e6

// collect takes what the entropy device gives. With a source of the processor's
// it is not waited for.
func collect(m machine, present bool) {
	_, hardware := hardwareRandom()
	if asked == nil {
		if !hardware && !present {
			m.Say("no source of random numbers: neither RDRAND nor a virtio entropy device (QEMU: -cpu max, or -device virtio-rng-pci)")
		}
		return
	}
	for end := now() + patience; !asked.Answered(); {
		if hardware {
			return
		}
		if now() > end {
			m.Say("the entropy device does not answer, and the processor has no RDRAND: random numbers can be guessed")
			return
		}
	}
	p, err := asked.Bytes()
	if err != nil {
		m.Say(err.Error())
		return
	}
	libos.MixRandom(p)
	asked = nil
}
