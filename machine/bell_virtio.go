//go:build tailoros && tailorvirtio

package runtime

import (
	"Tailor/abi"
	"internal/runtime/atomic"
	_ "unsafe" // for go:linkname
)

// What a guest has whose devices are on a bus, not in a table of the starter's:
// they are found by package boot/platform, which tells what it has found here.

// tailorIdleNotifies says that going idle tells the network device as well.
const tailorIdleNotifies = false

// tailorUnordered says that no instruction is a fence for the devices: to QEMU's
// emulation, which runs a lone processor beside them, an atomic exchange is a
// load and a store (CF_PARALLEL in its tcg; before version 8, MFENCE is nothing).
// A write to a port takes a lock, and is one: here to a byte that means nothing.
var tailorUnordered bool

//go:linkname tailor_unordered
func tailor_unordered() bool { return tailorUnordered }

// tailorDeviceFence keeps the stores before it before the loads behind it, as
// devices see them.
func tailorDeviceFence() {
	atomic.Xchg(&tailorFence, 1)
	if tailorUnordered {
		tailor_out8(tailorCOM1+tailorUARTScratch, 0)
	}
}

// tailorMemoryIsZero says that nobody has written to the memory behind the image:
// UEFI has, and so has a program before a warm reset.
const tailorMemoryIsZero = false

// tailorTakeSignals says where signals go in a process, which this is not.
//
//go:nosplit
func tailorTakeSignals(ctl *abi.Control) {}

// tailorBell does what a doorbell register does under Tailor's monitor.
//
//go:nosplit
//go:nowritebarrierrec
func tailorBell(register, value uintptr) {
	tailorRung[register/8]++
	switch register {
	case abi.BellNotify:
		if value < uintptr(len(tailorNotify)) {
			tailorNotify[value].store()
		}
	case abi.BellIdle:
		tailorIdle(value)
	case abi.BellExit:
		tailorOff(value)
	case abi.BellProfile:
		tailorProfilePeriod(int64(value))
	}
}

// tailorRegister is a value and where to write it: to an I/O port or, if memory
// is set, to an address. A width of 0 is none.
type tailorRegister struct {
	memory bool
	width  uint8 // bytes
	value  uint32
	addr   uintptr
}

//go:nosplit
//go:nowritebarrierrec
func (r *tailorRegister) store() {
	switch {
	case r.memory && r.width == 1:
		tailor_store8(r.addr, uint8(r.value))
	case r.memory && r.width == 2:
		tailor_store16(r.addr, uint16(r.value))
	case r.memory && r.width == 4:
		tailor_store32(r.addr, r.value)
	case r.width == 1:
		tailor_out8(r.addr, uint8(r.value))
	case r.width == 2:
		tailor_out16(r.addr, uint16(r.value))
	case r.width == 4:
		tailor_out32(r.addr, r.value)
	}
}

// tailorNotify are the devices' own doorbells, by abi.Queue.Notify.
var tailorNotify [64]tailorRegister

// tailor_setNotify says what BellNotify does for a queue: a store of value, 2 or
// 4 bytes wide, at addr.
//
//go:linkname tailor_setNotify
func tailor_setNotify(queue uint32, addr uintptr, value, width uint32) {
	tailorNotify[queue] = tailorRegister{true, uint8(width), value, addr}
}

// tailorDevices are the devices there are.
var tailorDevices struct {
	list [24]abi.Device // boot/platform takes no more
	n    int
}

// tailor_addDevice adds a device; false if there are too many.
//
//go:linkname tailor_addDevice
func tailor_addDevice(d *abi.Device) bool {
	t := &tailorDevices
	if t.n == len(t.list) {
		return false
	}
	t.list[t.n] = *d
	t.n++
	return true
}

// tailorDevice returns the nth device of a type, or nil.
//
//go:nosplit
func tailorDevice(typ uint32, n int) *abi.Device {
	for i := range tailorDevices.list[:tailorDevices.n] {
		if d := &tailorDevices.list[i]; d.Type == typ {
			if n == 0 {
				return d
			}
			n--
		}
	}
	return nil
}

// tailorOutputQueue returns the device and the queue of descriptor fd, and which
// of tailorOutputs drives it: the first console is standard output, a second
// one standard error.
//
//go:nosplit
func tailorOutputQueue(fd uintptr) (d *abi.Device, queue uint32, driver uintptr) {
	driver = fd - 1
	d = tailorDevice(abi.DeviceConsole, int(driver))
	if d == nil {
		driver = 0
		d = tailorDevice(abi.DeviceConsole, 0)
	}
	return d, abi.ConsoleQueueTX, driver
}

// tailorConsoleSpin waits a moment for a device to take output: most do so when
// they are notified.
//
//go:nosplit
//go:nowritebarrierrec
func tailorConsoleSpin(o *tailorOutput) {
	for i := 0; i < 1000; i++ {
		if o.taken() {
			return
		}
		procyield(10)
	}
}

// tailorAck says how an interrupt of each pin is acknowledged: what is read at
// status is written to ack (virtio 1.2 section 4.2.2, InterruptStatus).
var tailorAck [abi.NumPins]struct{ status, ack uintptr }

// tailor_setAck lets a pin interrupt.
//
//go:linkname tailor_setAck
func tailor_setAck(pin uint32, status, ack uintptr) {
	if pin >= abi.NumPins {
		return
	}
	tailorAck[pin].status, tailorAck[pin].ack = status, ack
	tailorService(abi.ServiceUnmask, uintptr(pin), 0, 0)
}

// tailorIdle halts the processor until an interrupt or the deadline.
//
//go:nosplit
//go:nowritebarrierrec
func tailorIdle(deadline uintptr) {
	counts := uintptr(0)
	if deadline != ^uintptr(0) {
		ns := int64(deadline) - tailorMono()
		if ns <= 0 {
			return
		}
		counts = tailorTimerCounts(ns)
	}
	tailorTickRests()
	tailorService(abi.ServiceIdle, counts, 0, 0)
	ctl := tailorControl()
	irqs := atomic.Xchg64(&ctl.IRQs, 0)
	commands := irqs&(1<<tailorCOM2Pin) != 0
	for pin := uintptr(0); pin < abi.NumPins && irqs<<(64-abi.NumPins) != 0; pin++ {
		if a := &tailorAck[pin]; irqs&(1<<pin) != 0 && a.status != 0 {
			tailor_store32(a.ack, tailor_load32(a.status))
		}
		irqs &^= 1 << pin
	}
	if commands {
		tailorCommands(ctl)
	}
	tailorTick()
}

// How the machine is switched off, or reset if that is what there is.
var tailorPowerOff, tailorReset tailorRegister

// tailor_setPowerOff says how the machine is switched off: by a store to memory
// if kind is 1, else to a port.
//
//go:linkname tailor_setPowerOff
func tailor_setPowerOff(kind, addr uintptr, value, width uint32) {
	tailorPowerOff = tailorRegister{kind == 1, uint8(width), value, addr}
}

// tailor_setReset says how the machine is reset.
//
//go:linkname tailor_setReset
func tailor_setReset(kind, addr uintptr, value, width uint32) {
	tailorReset = tailorRegister{kind == 1, uint8(width), value, addr}
}

// tailorOff ends the machine. What is tried first need not be there; the last,
// a triple fault, always is.
//
//go:nosplit
//go:nowritebarrierrec
func tailorOff(status uintptr) {
	tailorReport(status)
	tailorPowerOff.store()
	if tailorPowerOff.width != 0 {
		for end := tailorMono() + 100e6; tailorMono() < end; { // any interrupt ends one call
			tailorIdle(uintptr(end))
		}
	}
	tailorReset.store()
	tailorService(abi.ServiceReset, 0, 0, 0)
}
