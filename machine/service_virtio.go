//go:build tailoros && tailorvirtio

package runtime

import (
	"Tailor/abi"
	"unsafe"
)

// What ring 0 does for a guest on a machine whose devices are its own, and the
// instructions for such devices, under the names that other packages link to.

const (
	tailorServiceVector = abi.ServiceVector
	tailorServiceFS     = abi.ServiceFS
	tailorServiceResume = abi.ServiceResume
)

// tailorService asks ring 0.
//
//go:noescape
func tailorService(number, a, b, c uintptr) (r, count uintptr)

// tailorFloatInit sets the floating-point control register to its default.
func tailorFloatInit()

// tailorTSC returns the time stamp counter.
func tailorTSC() uint64

// tailor_in8 and the like read an I/O port, tailor_out8 and the like write one.
// A port that was not opened is a fault.
//
//go:linkname tailor_in8
func tailor_in8(port uintptr) uint8

//go:linkname tailor_in32
func tailor_in32(port uintptr) uint32

//go:linkname tailor_out8
func tailor_out8(port uintptr, v uint8)

//go:linkname tailor_out16
func tailor_out16(port uintptr, v uint16)

//go:linkname tailor_out32
func tailor_out32(port uintptr, v uint32)

// tailor_load8 and the like are one access of a device's register.
//
//go:linkname tailor_load8
func tailor_load8(addr uintptr) uint8

//go:linkname tailor_load16
func tailor_load16(addr uintptr) uint16

//go:linkname tailor_load32
func tailor_load32(addr uintptr) uint32

//go:linkname tailor_store8
func tailor_store8(addr uintptr, v uint8)

//go:linkname tailor_store16
func tailor_store16(addr uintptr, v uint16)

//go:linkname tailor_store32
func tailor_store32(addr uintptr, v uint32)

// tailor_mapDevice maps the registers of a device, whole pages, to their physical
// addresses.
//
//go:linkname tailor_mapDevice
func tailor_mapDevice(phys, bytes uintptr) bool {
	r, _ := tailorService(abi.ServiceMap, phys, bytes, 1)
	return r == 0
}

// tailor_mapFirmware does the same with what firmware has left, read-only.
//
//go:linkname tailor_mapFirmware
func tailor_mapFirmware(phys, bytes uintptr) bool {
	r, _ := tailorService(abi.ServiceMap, phys, bytes, 0)
	return r == 0
}

// tailor_openPorts lets the guest use n I/O ports.
//
//go:linkname tailor_openPorts
func tailor_openPorts(first, n uintptr) bool {
	r, _ := tailorService(abi.ServicePorts, first, n, 0)
	return r == 0
}

// tailor_seal ends mapping and opening.
//
//go:linkname tailor_seal
func tailor_seal() { tailorService(abi.ServiceSeal, 0, 0, 0) }

// tailor_platform returns what the boot stub has found; it is read-only memory.
//
//go:linkname tailor_platform
func tailor_platform() *abi.Platform {
	return (*abi.Platform)(unsafe.Pointer(uintptr(abi.PlatformAddr))) // SAFETY: the contract's address
}

// tailor_persistent returns zeroed memory that is never freed.
//
//go:linkname tailor_persistent
func tailor_persistent(bytes, align uintptr) unsafe.Pointer {
	return persistentalloc(bytes, align, &memstats.other_sys)
}
