//go:build tailoros && tailorvirtio

package runtime

import (
	"Tailor/abi"
	"internal/runtime/atomic"
	"internal/runtime/sys"
	"unsafe"
)

// Serial ports (16550): the first for what is printed while there is no console
// device, the second for who runs the hypervisor.

const (
	tailorCOM1 = 0x3f8
	tailorCOM2 = 0x2f8

	tailorUARTEnable  = 1 // interrupt enable register
	tailorUARTScratch = 7 // a byte that means nothing
	tailorUARTLine    = 3 // line control
	tailorUARTModem   = 4 // modem control
	tailorUARTStatus  = 5 // line status: bit 0 received, bit 5 room to send

	tailorCOM2Pin = 3 // of the I/O APIC
)

//go:nosplit
//go:nowritebarrierrec
func tailorSerialPut(port uintptr, b byte) {
	// A port that is not there is never ready.
	for i := 0; i < 100000 && tailor_in8(port+tailorUARTStatus)&0x20 == 0; i++ {
	}
	tailor_out8(port, b)
}

// tailorSerial writes to the first port.
//
//go:nosplit
//go:nowritebarrierrec
func tailorSerial(p, n uintptr) {
	for i := uintptr(0); i < n; i++ {
		tailorSerialPut(tailorCOM1, *(*byte)(unsafe.Pointer(p + i))) // SAFETY: the caller's bytes
	}
}

// tailorControlled says that the second port is a channel to who runs the
// hypervisor: it gets the exit status, and sends signals, a byte each.
var tailorControlled bool

func tailorControlOpen() {
	if v, _ := tailor_param("control"); v != "com2" || !tailor_openPorts(tailorCOM2, 8) {
		return
	}
	tailor_out8(tailorCOM2+tailorUARTLine, 3) // 8 bits
	tailor_out8(tailorCOM2+tailorUARTEnable, 1)
	tailor_out8(tailorCOM2+tailorUARTModem, 0x0b) // interrupts leave the chip
	tailorService(abi.ServiceUnmask, tailorCOM2Pin, 0, 0)
	tailorControlled = true
	tailorControl().Diverted |= 1 << tailorCOM2Pin
	tailorCommands(tailorControl()) // what came before holds the pin up, and a pin that is up makes no edge
}

// tailorInputEnded is set once whoever runs the hypervisor has no more standard
// input and the device has given us all of it: a console device has no word for
// that.
var tailorInputEnded bool

// tailorCommands takes signals from the channel, and 0 for the end of input.
//
//go:nosplit
//go:nowritebarrierrec
func tailorCommands(ctl *abi.Control) {
	for tailor_in8(tailorCOM2+tailorUARTStatus)&1 != 0 {
		switch s := tailor_in8(tailorCOM2); {
		case s == 0:
			tailorInputEnded = true
		case s < 65:
			ctl.SigPending |= 1 << (s - 1)
		}
	}
}

// tailorLookAround is called at each turn of the event loop. Signals that nobody
// catches end the program here: there is no monitor to do that.
func tailorLookAround(ctl *abi.Control) {
	if ctl.IRQs&(1<<tailorCOM2Pin) != 0 {
		atomic.And64(&ctl.IRQs, ^uint64(1<<tailorCOM2Pin))
		tailorCommands(ctl)
	}
	if in := &tailorInput; tailorInputEnded && in.buf != nil && !in.eof {
		tailorIRQs[in.irq].seen = in.rings.next - 2 // neither of what the device's index is: it fires
	}
	if ctl.SigPending == 0 {
		return
	}
	for pending := ctl.SigPending &^ ctl.SigCaught; pending != 0; pending &= pending - 1 {
		s := uint32(sys.TrailingZeros64(pending)) + 1
		ctl.SigPending &^= 1 << (s - 1)
		tailor_kill(s)
	}
}

// tailorReport tells how the program ended.
//
//go:nosplit
//go:nowritebarrierrec
func tailorReport(status uintptr) {
	if !tailorControlled {
		if status != 0 {
			tailorReportTo(tailorCOM1, "tailor: the program ended with exit code ", status)
		}
		return
	}
	text := "exit "
	if tailorControl().OutOfMemory != 0 {
		text = "memory\nexit "
	}
	tailorReportTo(tailorCOM2, text, status)
}

//go:nosplit
//go:nowritebarrierrec
func tailorReportTo(port uintptr, text string, status uintptr) {
	for i := 0; i < len(text); i++ {
		tailorSerialPut(port, text[i])
	}
	started := false
	for unit := uintptr(100); unit > 0; unit /= 10 {
		digit := status / unit % 10
		if started = started || digit > 0 || unit == 1; started {
			tailorSerialPut(port, byte('0'+digit))
		}
	}
	tailorSerialPut(port, '\n')
}
