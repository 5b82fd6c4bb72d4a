//go:build tailoros

package runtime

import (
	"Tailor/abi"
	"internal/runtime/atomic"
	"internal/runtime/sys"
	"unsafe"
)

// This file stands in the place of the runtime's netpoll_epoll.go: the
// scheduler's netpoll is the operating system's event loop.
//
// A driver's goroutine waits for its virtqueue with tailor_irqWait. Whenever
// the scheduler looks for work, tailorPoll compares each awaited used index
// with the one its driver has seen: a few loads, no exit. Only when nothing is
// runnable does netpoll arm the devices' notifications and park the vCPU.

// SAFETY: pointers are only converted to pass them through gopark, which hands
// them back to the function beside it.

// tailorIRQ is one virtqueue's wait: there are no interrupts, the name is
// what drivers call the thing they wait for.
type tailorIRQ struct {
	used  *uint32 // virtq_used.flags and .idx; the index is the upper half
	event *uint16 // virtq_avail.used_event: notify at this index plus one
	gp    guintptr
	seen  uint16

	// If looking is not nil, the device looks at the queue by itself until the lower
	// half of that has reached published: it is its virtq_used.avail_event.
	published uint16
	looking   *uint32
}

const tailorMaxIRQs = 64

var (
	tailorIRQs    [tailorMaxIRQs]tailorIRQ
	tailorNumIRQs int
)

func (q *tailorIRQ) fired() bool {
	return uint16(atomic.Load(q.used)>>16) != q.seen
}

// tailor_irqRegister adds a virtqueue to the event loop, given the addresses of
// its used ring and of its used_event field, and returns its number, negative
// when there are too many.
//
//go:linkname tailor_irqRegister
func tailor_irqRegister(used *uint32, event *uint16) int {
	n := tailorNumIRQs
	if n == tailorMaxIRQs {
		return -1
	}
	netpollGenericInit()
	tailorIRQs[n].used = used
	tailorIRQs[n].event = event
	tailorNumIRQs++
	return n
}

// tailor_irqWait parks the goroutine until the used index of queue n is not
// seen. With foreground set, a program that waits for nothing else is not
// deadlocked (the console's input, as against a network with no connection).
// looking and published are as in tailorIRQ.
//
//go:linkname tailor_irqWait
func tailor_irqWait(n int, seen uint16, foreground bool, looking *uint32, published uint16) {
	q := &tailorIRQs[n]
	q.seen, q.looking, q.published = seen, looking, published
	if q.fired() {
		return
	}
	if foreground {
		netpollAdjustWaiters(1)
	} else {
		tailor_worker()
	}
	gopark(tailorIRQCommit, unsafe.Pointer(q), waitReasonIOWait, traceBlockNet, 1)
	if foreground {
		netpollAdjustWaiters(-1)
	}
}

func tailorIRQCommit(gp *g, q unsafe.Pointer) bool {
	(*tailorIRQ)(q).gp.set(gp)
	return true
}

// tailor_block and tailor_unblock bracket a wait inside a system call for
// something that comes from outside, so that it is not taken for a deadlock.
//
//go:linkname tailor_block
func tailor_block() { netpollGenericInit(); netpollAdjustWaiters(1) }

//go:linkname tailor_unblock
func tailor_unblock() { netpollAdjustWaiters(-1) }

// tailorPollDescs maps descriptors to the runtime's poll descriptors, which
// live outside the heap.
var tailorPollDescs []*pollDesc

func netpollinit() {}

func netpollIsPollDescriptor(fd uintptr) bool { return false }

func netpollopen(fd uintptr, pd *pollDesc) uintptr {
	for uintptr(len(tailorPollDescs)) <= fd {
		tailorPollDescs = append(tailorPollDescs, nil)
	}
	tailorPollDescs[fd] = pd
	errno := tailor_pollOpen(fd)
	if errno != 0 {
		tailorPollDescs[fd] = nil
	}
	return errno
}

func netpollclose(fd uintptr) uintptr {
	if fd < uintptr(len(tailorPollDescs)) {
		tailorPollDescs[fd] = nil
	}
	return tailor_pollClose(fd)
}

// tailor_pollOpen and tailor_pollClose are libos.PollOpen and PollClose. They
// are variables because a program need not link the library OS to use timers.
var (
	tailorPollOpen  func(fd uintptr) uintptr
	tailorPollClose func(fd uintptr) uintptr
)

//go:linkname tailor_setPoll
func tailor_setPoll(open, close func(fd uintptr) uintptr) {
	tailorPollOpen, tailorPollClose = open, close
}

func tailor_pollOpen(fd uintptr) uintptr {
	if tailorPollOpen == nil {
		return tailorENOSYS
	}
	return tailorPollOpen(fd)
}

func tailor_pollClose(fd uintptr) uintptr {
	if tailorPollClose == nil {
		return 0
	}
	return tailorPollClose(fd)
}

// tailor_pollNotify makes the goroutines runnable that wait for fd to become
// readable ('r'), writable ('w') or both ('r'+'w'). It is called on a
// goroutine.
//
//go:linkname tailor_pollNotify
func tailor_pollNotify(fd uintptr, mode int32) {
	if fd >= uintptr(len(tailorPollDescs)) || tailorPollDescs[fd] == nil {
		return
	}
	var list gList
	delta := netpollready(&list, tailorPollDescs[fd], mode)
	for !list.empty() {
		goready(list.pop(), 1)
	}
	netpollAdjustWaiters(delta)
}

func netpollarm(pd *pollDesc, mode int) {
	throw("runtime: unused")
}

// netpollBreak interrupts a netpoll that waits; with one thread there is none.
func netpollBreak() {}

// tailorWorkers are the goroutines of the network and its drivers, by number.
// They do not compute, so a doorbell of theirs need not ring before they park:
// if nothing else can run then, going idle tells the device as well, and one
// exit does for both.
var tailorWorkers struct {
	ids [8]uint64
	n   int
}

// tailor_worker makes the calling goroutine one of tailorWorkers, if there is
// room.
//
//go:linkname tailor_worker
func tailor_worker() {
	w := &tailorWorkers
	if w.n < len(w.ids) && !tailorIsWorker() {
		w.ids[w.n] = getg().goid
		w.n++
	}
}

func tailorIsWorker() bool {
	w := &tailorWorkers
	for _, id := range w.ids[:w.n] {
		if id == getg().goid {
			return true
		}
	}
	return false
}

// tailorBells has bit n set for a queue whose notify value is n, which is to be
// notified before another goroutine runs.
var tailorBells uint64

// tailor_bellNotify notifies a queue.
//
//go:linkname tailor_bellNotify
func tailor_bellNotify(queue uint32) { tailorBell(abi.BellNotify, uintptr(queue)) }

// tailor_bellNetwork notifies a queue of the network's, if the calling goroutine
// is one of tailorWorkers later.
//
//go:linkname tailor_bellNetwork
func tailor_bellNetwork(queue uint32) {
	if queue < 64 && tailorIsWorker() {
		tailorBells |= 1 << queue
		return
	}
	tailorBell(abi.BellNotify, uintptr(queue))
}

// tailorQuiet is the goroutine that waits for a moment when no other can run.
var tailorQuiet struct {
	gp    guintptr
	since uint64 // Control.LoopCount when it began to wait
}

// tailorQuietLoops is for how many turns of the event loop it waits at most.
const tailorQuietLoops = 1000

// tailor_quiet parks the calling goroutine until no other can run, or for a
// while if there always is one.
//
//go:linkname tailor_quiet
func tailor_quiet() {
	tailorQuiet.since = tailorControl().LoopCount
	gopark(tailorQuietCommit, nil, waitReasonZero, traceBlockGeneric, 1)
}

func tailorQuietCommit(gp *g, _ unsafe.Pointer) bool {
	tailorQuiet.gp.set(gp)
	return true
}

// tailorRunnable reports whether a goroutine can run.
func tailorRunnable() bool {
	return !runqempty(getg().m.p.ptr()) || !sched.runq.empty()
}

// tailorRing notifies the queues of tailorBells, unless nothing can run: then
// netpoll is about to go idle.
func tailorRing() {
	if tailorRunnable() || gcBlackenEnabled != 0 {
		tailorRingAll()
	}
}

func tailorRingAll() {
	for tailorBells != 0 {
		queue := sys.TrailingZeros64(tailorBells)
		tailorBells &^= 1 << queue
		tailorBell(abi.BellNotify, uintptr(queue))
	}
}

// tailorPoll is the event loop's turn: it makes runnable what devices and
// signals have been waited for. findRunnable calls it each time, with a P, after
// the timers.
func tailorPoll() {
	ctl := tailorControl()
	ctl.LoopCount++
	if tailorStalled != 0 {
		tailorStallOver()
	}
	tailorLookAround(ctl)
	for i := range tailorIRQs[:tailorNumIRQs] {
		q := &tailorIRQs[i]
		if q.gp != 0 && q.fired() {
			gp := q.gp.ptr()
			q.gp = 0
			ready(gp, 0, false)
		}
	}
	tailorSignals(ctl)
	for i := range tailorNotes {
		w := &tailorNotes[i]
		if w.gp != 0 && w.n.key != 0 {
			gp := w.gp.ptr()
			w.gp = 0
			ready(gp, 0, true)
		}
	}
	if q := &tailorQuiet; q.gp != 0 && (!tailorRunnable() || ctl.LoopCount-q.since >= tailorQuietLoops) {
		gp := q.gp.ptr()
		q.gp = 0
		ready(gp, 0, true)
	}
	if tailorIdled || ctl.LoopCount%1024 == 0 {
		// As sysmon does where there is one: has nothing been collected for long?
		tailorIdled = false
		t := gcTrigger{kind: gcTriggerTime, now: tailorMono()}
		if t.test() && forcegc.idle.Load() {
			forcegc.idle.Store(false)
			ready(forcegc.g, 0, false)
		}
	}
	if tailorBells != 0 {
		tailorRing()
	}
}

// tailorIdled is set by netpoll for tailorPoll: the vCPU may have been idle long.
var tailorIdled bool

// tailorPending reports whether tailorPoll would find something.
func tailorPending() bool {
	for i := range tailorIRQs[:tailorNumIRQs] {
		if q := &tailorIRQs[i]; q.gp != 0 && q.fired() {
			return true
		}
	}
	return atomic.Load64(&tailorControl().SigPending) != 0
}

// netpoll waits for devices. It returns no goroutines: the caller goes back to
// the top of findRunnable, where tailorPoll, which has a P, readies them.
//
//	delay < 0: blocks indefinitely
//	delay == 0: does not block
//	delay > 0: blocks for up to that many nanoseconds
func netpoll(delay int64) (gList, int32) {
	if delay == 0 {
		return gList{}, 0
	}
	begin := tailorMono()
	// As sysmon does, it looks twice in a period whether to collect.
	limit := forcegcperiod / 2
	if delay > 0 {
		limit = min(limit, delay)
	}
	tailorIdled = true
	deadline := uintptr(begin + limit)
	if tailorBells == 0 && tailorSpinning(begin, deadline) {
		return gList{}, 0
	}
	for i := range tailorIRQs[:tailorNumIRQs] {
		if q := &tailorIRQs[i]; q.gp != 0 {
			*q.event = q.seen
		}
	}
	// The device reads used_event after it has moved its index.
	tailorDeviceFence()
	if !tailorPending() {
		if !tailorIdleNotifies {
			tailorRingAll()
		}
		tailorBell(abi.BellIdle, deadline)
		tailorBells = 0 // the device has looked at its queues when the guest went idle
	}
	waited := tailorMono() - begin
	tailorWaited += (waited - tailorWaited) / 8
	tailorIdleTime += waited
	return gList{}, 0
}

var tailorFence uint32

// tailorIdleTime is how long netpoll has waited so far, in nanoseconds.
var tailorIdleTime int64

// tailorSpin is how long netpoll looks at the rings before it parks, when what
// it waited for lately came sooner than an exit and the way back take. It is
// about what those cost where they are dear.
const tailorSpin = 25000 // nanoseconds

// tailorSpinLong is the same while a device is at work for which the monitor has a
// processor to spare: what it copies at once is a megabyte at the most.
const tailorSpinLong = 4 * tailorSpin

// tailorWaited is a running mean of how long netpoll waited, in nanoseconds.
var tailorWaited int64 = 1e9

// tailorExpects reports whether a device looks at its queue by itself of which an
// answer is waited for.
func tailorExpects() bool {
	for i := range tailorIRQs[:tailorNumIRQs] {
		q := &tailorIRQs[i]
		if q.gp != 0 && q.looking != nil && int16(uint16(atomic.Load(q.looking))-q.published) < 0 {
			return true
		}
	}
	return false
}

// tailorSpinning looks for something to do for a moment, while no notification
// is armed, and reports whether there is.
func tailorSpinning(begin int64, deadline uintptr) bool {
	// Where the monitor wants to hear of each idle moment, it has no processor of
	// its own to do something with this one.
	if tailorNumIRQs == 0 || tailorControl().Process.IdleBell != 0 {
		return false
	}
	spin := int64(tailorSpin)
	if tailorWaited > 2*tailorSpin {
		spin = 0
	}
	end, late := min(uintptr(begin+spin), deadline), min(uintptr(begin+tailorSpinLong), deadline)
	for now := uintptr(begin); now < end || now < late && tailorExpects(); now = uintptr(tailorMono()) {
		for range 8 {
			if tailorPending() {
				tailorWaited += (tailorMono() - begin - tailorWaited) / 8
				return true
			}
			procyield(4)
		}
	}
	return false
}
