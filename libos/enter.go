package libos

//go:generate go run gen_sysnum.go

import (
	"sync/atomic"
	"unsafe"
)

// args are the arguments of a system call. Those that are pointers for the call
// are in p (nil for a null or an impossible pointer), and all of them are in i.
//
// A pointer may lead into the caller's stack, which moves when it grows: the
// runtime then corrects p, but not i, and corrects nothing that lies in the
// heap. So p, and slices made from it, live in locals only. They are never
// stored in a heap object or captured by a closure that escapes, not even for
// the time of the call, and never given to another goroutine.
type args struct {
	i [6]uintptr
	p [6]unsafe.Pointer
}

// A call is what Enter knows of one system call.
type call struct {
	// ptrs has bit n set when argument n is a pointer.
	ptrs uint8
	// fn carries out the call. nil is ENOSYS, reported by Hooks.Unsupported.
	fn func(a args) (uintptr, Errno)
}

// The bounds of what can be a pointer: the first page is never mapped, and
// user space ends here (Documentation/arch/x86/x86_64/mm.rst).
const (
	minPointer = 4096
	maxPointer = 1 << 47
)

// Enter carries out the Linux system call num as the SYSCALL instruction
// would, on the calling goroutine, which may park. It returns what the kernel
// returns in r1, or errno with r1 all ones. Any number of goroutines may call
// it at once.
//
// Pointers among the arguments may lead into the caller's stack. Nothing may
// grow the stack while they are plain integers, hence nosplit.
//
//go:nosplit
func Enter(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr) {
	var a args
	a.i = [6]uintptr{a1, a2, a3, a4, a5, a6}
	if m := pointerMask(num, a1, a2); m != 0 {
		convert(&a, m)
	}
	r, e := dispatch(num, a)
	if e != 0 {
		return ^uintptr(0), 0, uintptr(e)
	}
	return r, 0, 0
}

// convert fills a.p with the arguments that m says are pointers.
//
//go:nosplit
func convert(a *args, m uint8) {
	for n := range a.i {
		if m&(1<<n) != 0 && a.i[n] >= minPointer && a.i[n] < maxPointer {
			// SAFETY: the caller vouches for its pointer as it would to the
			// kernel, and its stack has not moved since it made the integer.
			a.p[n] = *(*unsafe.Pointer)(unsafe.Pointer(&a.i[n]))
		}
	}
}

// pointerMask returns which arguments of call num are pointers. Of fcntl,
// ioctl and prctl the command decides.
//
//go:nosplit
func pointerMask(num, a1, a2 uintptr) uint8 {
	if num >= uintptr(len(table)) {
		return 0
	}
	switch num {
	case nr_fcntl:
		return fcntlMask(a2)
	case nr_ioctl:
		return ioctlMask(a2)
	case nr_prctl:
		return prctlMask(a1)
	}
	return table[num].ptrs
}

// dispatch carries out call num. From here on the stack may grow.
func dispatch(num uintptr, a args) (uintptr, Errno) {
	if tracing && traceOn {
		return traced(num, a)
	}
	return perform(num, a)
}

// perform calls the handler of num.
func perform(num uintptr, a args) (uintptr, Errno) {
	if num < uintptr(len(table)) {
		if fn := table[num].fn; fn != nil {
			return fn(a)
		}
	}
	reportUnsupported(num)
	return 0, ENOSYS
}

// reported has a bit for each number that Hooks.Unsupported was told of; the
// last word stands for all numbers above maxCall.
var reported [maxCall/32 + 2]atomic.Uint32

// reportUnsupported tells the hook of num, once for each number.
func reportUnsupported(num uintptr) {
	word := min(num/32, uintptr(len(reported)-1))
	bit := uint32(1) << (num % 32)
	if reported[word].Or(bit)&bit == 0 {
		Hooks.Unsupported(num)
	}
}

// CallName returns the name of system call num, such as "openat", or "" for a
// number that Linux does not have.
func CallName(num uintptr) string {
	at, rest := uintptr(0), callNames
	for rest != "" {
		word := rest
		rest = ""
		for i := range word {
			if word[i] == ' ' {
				word, rest = word[:i], word[i+1:]
				break
			}
		}
		if word[0] <= '9' {
			at = uintptr(parseUint(word))
			continue
		}
		if at == num {
			return word
		}
		at++
	}
	return ""
}
