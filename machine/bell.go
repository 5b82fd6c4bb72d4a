//go:build tailoros && !tailorvirtio

package runtime

import (
	"Tailor/abi"
	"internal/runtime/atomic"
	"unsafe"
)

// What a guest under Tailor's own monitor has: a doorbell, and devices in a table
// that the monitor has made. The files named virtio are of the other kind.

// tailorIdleNotifies says that going idle tells the network device as well.
const tailorIdleNotifies = true

// tailorDeviceFence keeps the stores before it before the loads behind it, as
// devices see them. An atomic exchange does that.
func tailorDeviceFence() { atomic.Xchg(&tailorFence, 1) }

// tailorMemoryIsZero says that nobody has written to the memory behind the image.
const tailorMemoryIsZero = true

// tailorStack is how many bytes of stack a new goroutine gets.
func tailorStack() int32 { return stackMin }

// tailorBell stores value to a doorbell register, one VM exit, or does what that
// stands for in a process. It is assembly so that the compiler keeps every other
// memory access on its side of it.
//
//go:noescape
func tailorBell(register, value uintptr)

// tailorDevice returns the nth device of a type, or nil.
//
//go:nosplit
func tailorDevice(typ uint32, n int) *abi.Device {
	info := tailorBootInfo()
	for i := uintptr(0); i < uintptr(info.NumDevices); i++ {
		// SAFETY: the table lies where the starter says, outside the Go heap.
		d := (*abi.Device)(unsafe.Pointer(uintptr(info.Devices) + i*unsafe.Sizeof(abi.Device{})))
		if d.Type == typ {
			if n == 0 {
				return d
			}
			n--
		}
	}
	return nil
}

// tailorOutputQueue returns the device and the queue of descriptor fd, and which
// of tailorOutputs drives it.
//
//go:nosplit
func tailorOutputQueue(fd uintptr) (d *abi.Device, queue uint32, driver uintptr) {
	return tailorDevice(abi.DeviceConsole, 0), uint32(fd), fd - 1
}

// tailorOSInit is called when the runtime starts.
func tailorOSInit() {}

// tailorArgs and tailorEnvs set the program's arguments and environment if the
// starter has not put them on the stack.
func tailorArgs() bool { return false }
func tailorEnvs() bool { return false }

// tailorConsoleSpin waits a moment for a device to take output.
//
//go:nosplit
func tailorConsoleSpin(o *tailorOutput) {}

// tailorSerial writes where there is no console device; here there is nothing.
//
//go:nosplit
func tailorSerial(p, n uintptr) {}

// tailorInputEnded is for where the console device cannot tell the end of input.
const tailorInputEnded = false

// tailorClockAdjust returns 1: the clock is the starter's to keep.
//
//go:nosplit
func tailorClockAdjust(step, rate int64) uintptr { return 1 }

// tailorBattery is the battery-backed clock, which is not the guest's.
func tailorBattery() int64 { return 0 }

// tailorLookAround is called at each turn of the event loop.
func tailorLookAround(ctl *abi.Control) {}
