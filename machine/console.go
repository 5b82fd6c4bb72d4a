//go:build tailoros

package runtime

import (
	"Tailor/abi"
	"internal/runtime/atomic"
	"unsafe"
)

// SAFETY: the rings lie at addresses that the starter gives, outside the Go heap;
// entries are indexed modulo their size. Buffers are the caller's for the time of
// the call, or the static one of tailorInput.

// tailorOutput is the driver of one transmit queue of the console. It is
// synchronous: one descriptor is outstanding at a time and points straight at
// the caller's bytes, so that a throw can print with no memory left.
type tailorOutput struct {
	desc  uintptr // addresses of the rings
	avail uintptr
	used  uintptr
	size  uint32
	bell  uint32
	next  uint16
}

var tailorOutputs [2]tailorOutput // standard output, standard error

// tailorVirtqDesc is struct virtq_desc, virtio 1.2 section 2.7.5.
type tailorVirtqDesc struct {
	addr  uint64
	len   uint32
	flags uint16
	next  uint16
}

// open makes o the driver of a queue; false if that is not there.
//
//go:noinline
//go:nosplit
func (o *tailorOutput) open(d *abi.Device, queue uint32) bool {
	if d == nil || queue >= d.NumQueues {
		return false
	}
	q := &d.Queues[queue]
	o.desc = uintptr(q.Desc)
	o.avail = uintptr(q.Avail)
	o.used = uintptr(q.Used)
	o.size = q.Size
	o.bell = q.Notify
	return true
}

// taken reports whether the device has used all that it was given.
//
//go:nosplit
func (o *tailorOutput) taken() bool {
	return uint16(atomic.Load((*uint32)(unsafe.Pointer(o.used)))>>16) == o.next
}

// tailorConsoleWrite writes n bytes at p to descriptor 1 or 2 and returns when
// the device has taken them.
//
//go:nosplit
//go:nowritebarrierrec
func tailorConsoleWrite(fd, p, n uintptr) int {
	if fd != 1 && fd != 2 {
		return -tailorEBADF
	}
	d, queue, driver := tailorOutputQueue(fd)
	o := &tailorOutputs[driver]
	if n == 0 {
		return 0
	}
	if o.desc == 0 && !o.open(d, queue) {
		tailorSerial(p, n)
		return int(n)
	}
	*(*tailorVirtqDesc)(unsafe.Pointer(o.desc)) = tailorVirtqDesc{addr: uint64(p), len: uint32(n)}
	slot := uintptr(o.next) & uintptr(o.size-1)
	*(*uint16)(unsafe.Pointer(o.avail + 4 + 2*slot)) = 0
	o.next++
	// No notification: the device is done when the doorbell returns, but for that
	// of a process. The field lies behind the available ring's entries, virtio 1.2
	// section 2.7.6.
	event := o.next + 0x7fff
	if tailorBootInfo().Flags&abi.BootProcess != 0 {
		event = o.next - 1
	}
	*(*uint16)(unsafe.Pointer(o.avail + 4 + 2*uintptr(o.size))) = event
	// The index is published together with avail.flags, which stay zero.
	atomic.Store((*uint32)(unsafe.Pointer(o.avail)), uint32(o.next)<<16)
	tailorBell(abi.BellNotify, uintptr(o.bell))
	tailorConsoleSpin(o)
	for !o.taken() {
		tailorBell(abi.BellIdle, uintptr(tailorMono()+1e6))
	}
	return int(n)
}

// tailorCrash collects a line of what the runtime prints on its way down. It
// prints word by word, and a write is a VM exit: a thousand goroutines' traces
// would take many seconds.
var tailorCrash struct {
	buf [512]byte
	n   uintptr
}

//go:nosplit
//go:nowritebarrierrec
func tailorCrashWrite(p, n uintptr) uintptr {
	c := &tailorCrash
	for i := uintptr(0); i < n; i++ {
		b := *(*byte)(unsafe.Pointer(p + i))
		c.buf[c.n] = b
		if c.n++; b == '\n' || c.n == uintptr(len(c.buf)) {
			tailorCrashFlush()
		}
	}
	return n
}

//go:nosplit
//go:nowritebarrierrec
func tailorCrashFlush() {
	n := tailorCrash.n
	tailorCrash.n = 0
	tailorConsoleWrite(2, uintptr(unsafe.Pointer(&tailorCrash.buf)), n)
}

// tailorInput is the driver of the console's receive queue: one buffer, posted
// when a program first reads.
var tailorInput struct {
	rings  tailorOutput
	irq    int
	buf    *[4096]byte
	start  uint32 // bytes of buf [start, end) are waiting to be read
	end    uint32
	posted bool
	eof    bool
}

const tailorDescWrite = 2 // VIRTQ_DESC_F_WRITE

// tailor_consoleRead reads standard input, parking until there is some. Zero
// is its end.
//
//go:linkname tailor_consoleRead
func tailor_consoleRead(p unsafe.Pointer, n int) int {
	in := &tailorInput
	if in.buf == nil && !tailorInputOpen() {
		return 0
	}
	for in.start == in.end && !in.eof {
		tailorInputFill()
	}
	n = min(n, int(in.end-in.start))
	memmove(p, unsafe.Pointer(&in.buf[in.start]), uintptr(n))
	in.start += uint32(n)
	return n
}

func tailorInputOpen() bool {
	in := &tailorInput
	if !in.rings.open(tailorDevice(abi.DeviceConsole, 0), abi.ConsoleQueueRX) {
		return false
	}
	event := (*uint16)(unsafe.Pointer(in.rings.avail + 4 + 2*uintptr(in.rings.size)))
	in.irq = tailor_irqRegister((*uint32)(unsafe.Pointer(in.rings.used)), event)
	if in.irq < 0 {
		return false
	}
	in.buf = new([4096]byte)
	return true
}

// tailorInputFill posts the buffer, unless another reader has, and waits until
// the device has put something into it.
func tailorInputFill() {
	in := &tailorInput
	r := &in.rings
	if !in.posted {
		*(*tailorVirtqDesc)(unsafe.Pointer(r.desc)) = tailorVirtqDesc{
			addr: uint64(uintptr(unsafe.Pointer(in.buf))), len: uint32(len(in.buf)), flags: tailorDescWrite}
		slot := uintptr(r.next) & uintptr(r.size-1)
		*(*uint16)(unsafe.Pointer(r.avail + 4 + 2*slot)) = 0
		r.next++
		in.posted = true
		atomic.Store((*uint32)(unsafe.Pointer(r.avail)), uint32(r.next)<<16)
		tailorBell(abi.BellNotify, uintptr(r.bell))
	}
	if !tailorInputEnded {
		tailor_irqWait(in.irq, r.next-1, true, nil, 0)
	}
	if !in.posted || uint16(atomic.Load((*uint32)(unsafe.Pointer(r.used)))>>16) != r.next {
		in.eof = in.posted && tailorInputEnded
		return // woken early, or another reader took it
	}
	in.posted = false
	// The used element's length, bounded: the device is not trusted.
	slot := uintptr(r.next-1) & uintptr(r.size-1)
	n := *(*uint32)(unsafe.Pointer(r.used + 4 + 8*slot + 4))
	in.start, in.end = 0, min(n, uint32(len(in.buf)))
	in.eof = in.end == 0
}
