package acpi

import "github.com/tailor-os/tailor/virtio/mmio"

// hardwareID is what virtio-mmio devices are called: QEMU's microvm, Firecracker
// and Linux's drivers/virtio/virtio_mmio.c agree on it.
const hardwareID = "LNRO0005"

// Resource descriptors, sections 6.4.3.4 and 6.4.3.6: what they begin with.
const (
	memory32    = "\x86\x09\x00" // then flags, base, length
	interrupt   = "\x89\x06\x00" // then flags, how many, number
	memorySize  = 12
	intrSize    = 9
	deviceBytes = 256 // that a device takes at the most, from its name on
	maxDevices  = 64
)

// devices finds the virtio-mmio devices of a DSDT.
func devices(dsdt []byte) (list []mmio.Place) {
	for len(list) < maxDevices {
		i := index(dsdt, hardwareID)
		if i < 0 {
			break
		}
		dsdt = dsdt[i+len(hardwareID):]
		body := dsdt[:min(len(dsdt), deviceBytes)]
		if next := index(body, hardwareID); next >= 0 {
			body = body[:next]
		}
		if p, ok := resources(body); ok {
			list = append(list, p)
		}
	}
	return list
}

// resources reads where a device is from its current settings.
func resources(b []byte) (p mmio.Place, ok bool) {
	i := index(b, memory32)
	if i < 0 || i+memorySize > len(b) {
		return p, false
	}
	p.Base, p.Size = uint64(le32(b[i+4:])), uint64(le32(b[i+8:]))
	b = b[i+memorySize:]
	i = index(b, interrupt)
	if i < 0 || i+intrSize > len(b) || b[i+4] != 1 {
		return p, false
	}
	p.IRQ = le32(b[i+5:])
	return p, p.Valid()
}

// index returns where s first is in b, or -1.
func index(b []byte, s string) int {
	for i := 0; i+len(s) <= len(b); i++ {
		if b[i] == s[0] && string(b[i:i+len(s)]) == s {
			return i
		}
	}
	return -1
}
