//go:build tailoros

package runtime

import (
	"Tailor/abi"
	goabi "internal/abi"
	"internal/runtime/atomic"
	"unsafe"
)

// SAFETY: pointers are converted to pass them through gopark, which hands them
// back to the function beside it, and to addresses of the signal stack, which is
// never freed.

// tailorNotes are the goroutines in notetsleepg: the receiver of os/signal and
// the reader of a CPU profile are the only ones there are.
var tailorNotes [4]struct {
	n  *note
	gp guintptr
}

// notetsleepg waits on the user stack for a note. With one thread the
// goroutine parks; the event loop looks at the note.
func notetsleepg(n *note, ns int64) bool {
	if ns >= 0 {
		return tailorNoteTimed(n, nanotime()+ns)
	}
	for n.key == 0 {
		w := tailorNoteSlot()
		w.n = n
		tailor_block()
		gopark(tailorNoteCommit, unsafe.Pointer(w), waitReasonZero, traceBlockGeneric, 1)
		tailor_unblock()
		w.n = nil
	}
	return true
}

func tailorNoteTimed(n *note, deadline int64) bool {
	for n.key == 0 && nanotime() < deadline {
		timeSleep(min(1e6, deadline-nanotime()))
	}
	return n.key != 0
}

func tailorNoteSlot() *struct {
	n  *note
	gp guintptr
} {
	for i := range tailorNotes {
		if tailorNotes[i].n == nil {
			return &tailorNotes[i]
		}
	}
	throw("too many goroutines in notetsleepg")
	return nil
}

func tailorNoteCommit(gp *g, w unsafe.Pointer) bool {
	(*struct {
		n  *note
		gp guintptr
	})(w).gp.set(gp)
	return true
}

// tailorSignals hands signals that the starter has posted to os/signal, and
// tells the starter which ones the program takes: it ends the guest on others.
func tailorSignals(ctl *abi.Control) {
	caught := uint64(atomic.Load(&sig.wanted[0])) | uint64(atomic.Load(&sig.wanted[1]))<<32
	caught |= uint64(atomic.Load(&sig.ignored[0])) | uint64(atomic.Load(&sig.ignored[1]))<<32
	ctl.SigCaught = caught >> 1
	if atomic.Load64(&ctl.SigPending) == 0 {
		return
	}
	pending := atomic.Xchg64(&ctl.SigPending, 0)
	for s := uint32(1); s < _NSIG && pending != 0; s++ {
		if pending&1 != 0 && !sigsend(s) && !signal_ignored(s) && s == _SIGQUIT {
			tailorQuit(_SIGQUIT)
		}
		pending >>= 1
	}
}

// tailorQuit is what SIGQUIT, and others that end a program loudly, do to one
// that does not catch it.
func tailorQuit(s uint32) {
	panicking.Add(1) // for tailorCrashWrite
	print(sigtable[s].name, "\n\n")
	tracebackothers(getg())
	exit(2)
}

// tailorSigaltstack records where exceptions are handled. The runtime sets the
// stack of the one thread there is when it starts; from then on a trap is a
// signal.
//
//go:nosplit
//go:nowritebarrierrec
func tailorSigaltstack(new, old *stackt) {
	ctl := tailorControl()
	if old != nil {
		// That of a process, which the runtime takes each time it finds itself there.
		setSignalstackSP(old, abi.SignalStackLow)
		old.ss_flags, old.ss_size = 0, abi.SignalStackHigh-abi.SignalStackLow
	}
	if new != nil && new.ss_flags&_SS_DISABLE == 0 {
		ctl.TrapStack = uint64(uintptr(unsafe.Pointer(new.ss_sp)) + new.ss_size)
		ctl.TrapLow = uint64(uintptr(unsafe.Pointer(new.ss_sp)))
		ctl.TrapEntry = uint64(goabi.FuncPCABI0(tailorTrap))
		tailorTakeSignals(ctl)
		tailorTakeInterrupts(ctl)
	}
}

// tailorTrap is where exceptions arrive.
func tailorTrap()
