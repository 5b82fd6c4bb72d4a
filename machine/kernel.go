//go:build tailoros

// Package machine holds the guest's side of the border: what Go's runtime runs
// on when there is no Linux beneath it. Its files are compiled into package
// runtime (that is why they say so), where internal/port puts them; the import
// path Tailor/abi is this repository's package abi.
//
// Nothing here allocates, and what the runtime calls without a P or on the
// system stack is nosplit and free of write barriers.
package runtime

import (
	"Tailor/abi"
	"internal/runtime/atomic"
	"unsafe"
)

// SAFETY: addresses are fixed by the contract (package abi), or the arguments of
// system calls that the runtime makes with pointers of its own.

// Linux system call numbers that the runtime itself makes (the library's go to
// Tailor/libos, through package syscall).
const (
	tailorSysWrite        = 1
	tailorSysRtSigaction  = 13
	tailorSysSchedYield   = 24
	tailorSysMadvise      = 28
	tailorSysNanosleep    = 35
	tailorSysSetitimer    = 38
	tailorSysGetpid       = 39
	tailorSysExit         = 60
	tailorSysKill         = 62
	tailorSysFcntl        = 72
	tailorSysGettimeofday = 96
	tailorSysRtProcmask   = 14
	tailorSysUmask        = 95
	tailorSysGetuid       = 102
	tailorSysGetgid       = 104
	tailorSysGeteuid      = 107
	tailorSysGetegid      = 108
	tailorSysGetppid      = 110
	tailorSysSigaltstack  = 131
	tailorSysGettid       = 186
	tailorSysFutex        = 202
	tailorSysGetaffinity  = 204
	tailorSysExitGroup    = 231
	tailorSysTgkill       = 234
	tailorSysOpenat       = 257
	tailorSysClock        = 1 << 20 // none of Linux's: tailorClockAdjust
)

const (
	tailorENOENT = 2
	tailorEBADF  = 9
	tailorENOSYS = 38
	tailorPid    = 1
)

func tailorControl() *abi.Control {
	return (*abi.Control)(unsafe.Pointer(uintptr(abi.ControlAddr)))
}

func tailorBootInfo() *abi.BootInfo {
	return (*abi.BootInfo)(unsafe.Pointer(uintptr(abi.BootAddr)))
}

// tailorClock is clock_gettime with the vDSO's calling convention; the runtime
// finds it in vdsoClockgettimeSym.
func tailorClock()

// tailorCall is what the SYSCALL instruction became, in package syscall's
// assembly too.
//
//go:linkname tailorCall
func tailorCall()

// tailorKernel answers the system calls that the runtime itself makes. Every
// SYSCALL instruction of the runtime's assembly is a call of tailorCall, which
// comes here, on a stack of its own; the result is negative for an errno, as the
// kernel's is. ok is false for a call that is not the runtime's.
//
//go:nosplit
//go:nowritebarrierrec
func tailorKernel(num, a1, a2, a3, a4, a5, a6 uintptr) (r uintptr, ok bool) {
	switch num {
	case tailorSysWrite:
		if a1 == 2 && panicking.Load() != 0 {
			return tailorCrashWrite(a2, a3), true
		}
		return uintptr(tailorConsoleWrite(a1, a2, a3)), true
	case tailorSysExit, tailorSysExitGroup:
		tailorEnd(a1 & 0xff)
	case tailorSysKill:
		tailorEnd(128 + a2&0x7f)
	case tailorSysTgkill:
		tailorEnd(128 + a3&0x7f)
	case tailorSysFutex:
		return tailorFutex((*uint32)(unsafe.Pointer(a1)), a2, uint32(a3), (*timespec)(unsafe.Pointer(a4))), true
	case tailorSysNanosleep:
		tailorSleepUntil(tailorMono() + tailorNanoseconds((*timespec)(unsafe.Pointer(a1))))
	case tailorSysGettid, tailorSysGetpid:
		return tailorPid, true
	case tailorSysGetaffinity:
		*(*uint64)(unsafe.Pointer(a3)) = 1
		return 8, true
	case tailorSysSigaltstack:
		tailorSigaltstack((*stackt)(unsafe.Pointer(a1)), (*stackt)(unsafe.Pointer(a2)))
	case tailorSysRtSigaction:
		if a3 != 0 {
			*(*sigactiont)(unsafe.Pointer(a3)) = sigactiont{}
		}
	case tailorSysRtProcmask:
		if a3 != 0 {
			*(*sigset)(unsafe.Pointer(a3)) = sigset{}
		}
	case tailorSysGettimeofday:
		sec, nsec := tailorWall()
		*(*[2]int64)(unsafe.Pointer(a1)) = [2]int64{sec, nsec / 1000}
	case tailorSysUmask:
		return 0o22, true
	case tailorSysGetppid, tailorSysGetuid, tailorSysGeteuid, tailorSysGetgid, tailorSysGetegid:
		// Zero: root, and nobody's child.
	case tailorSysSetitimer:
		tailorProfile(a1, (*itimerval)(unsafe.Pointer(a2)))
	case tailorSysClock:
		return tailorClockAdjust(int64(a1), int64(a2)), true
	case tailorSysSchedYield, tailorSysMadvise:
		// Nothing to do: one thread, fixed memory.
	case tailorSysOpenat:
		return ^uintptr(tailorENOENT - 1), true
	default:
		return 0, false
	}
	return 0, true
}

// tailorEnd ends the guest.
//
//go:nosplit
//go:nowritebarrierrec
func tailorEnd(status uintptr) {
	tailorCrashFlush()
	tailorBell(abi.BellExit, status)
}

// tailorEnter is libos.Enter. It is a variable because the runtime cannot
// import the library OS, which imports the runtime.
var tailorEnter func(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)

// tailor_setEnter is called by the library OS when it is initialized.
//
//go:linkname tailor_setEnter
func tailor_setEnter(enter func(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)) {
	tailorEnter = enter
}

// tailorLibrary hands a call that came as an instruction (getuid in package
// syscall, golang.org/x/sys/unix) to the library OS, which needs a goroutine.
//
//go:nosplit
func tailorLibrary(num, a1, a2, a3, a4, a5, a6 uintptr) uintptr {
	gp := getg()
	if tailorEnter == nil || gp.m == nil || gp != gp.m.curg || gp.m.locks != 0 || gp.throwsplit {
		if num == tailorSysFcntl {
			return 0 // the runtime makes sure that descriptors 0 to 2 are open
		}
		return ^uintptr(tailorENOSYS - 1)
	}
	r1, _, errno := tailorEnter(num, a1, a2, a3, a4, a5, a6)
	if errno != 0 {
		return -errno
	}
	return r1
}

//go:nosplit
func tailorNanoseconds(ts *timespec) int64 { return ts.tv_sec*1e9 + ts.tv_nsec }

// tailorMono returns the monotonic time in nanoseconds.
func tailorMono() int64

// tailorWall returns Unix time.
func tailorWall() (sec, nsec int64)

// tailorSleepUntil parks the vCPU until the deadline, in nanoseconds of
// nanotime. Devices that notify meanwhile are left for the next poll.
//
//go:nosplit
func tailorSleepUntil(deadline int64) {
	for tailorMono() < deadline {
		tailorBell(abi.BellIdle, uintptr(deadline))
	}
}

// tailorFutex is the wait and wake of a machine with one thread: a wait whose
// word has not changed can only end by its timeout, since nobody else runs.
//
//go:nosplit
//go:nowritebarrierrec
func tailorFutex(addr *uint32, op uintptr, val uint32, ts *timespec) uintptr {
	if op&^_FUTEX_PRIVATE_FLAG != 0 { // FUTEX_WAKE
		return 0
	}
	if atomic.Load(addr) != val {
		return 0
	}
	if ts == nil {
		tailorBell(abi.BellIdle, ^uintptr(0))
		return 0
	}
	tailorSleepUntil(tailorMono() + tailorNanoseconds(ts))
	return 0
}
