//go:build tailoros

package libos

import (
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/entropy"
)

// In an image the hooks are functions of the runtime port (package machine).

// SAFETY: the boot parameters lie at an address that the starter gives, in memory
// that is never freed; other pointers are passed on for the time of a call.

//go:linkname tailorSetEnter runtime.tailor_setEnter
func tailorSetEnter(func(num, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr))

//go:linkname tailorSetPoll runtime.tailor_setPoll
func tailorSetPoll(open, close func(fd uintptr) uintptr)

//go:linkname tailorNow runtime.tailor_now
func tailorNow() int64

//go:linkname tailorWallNow runtime.tailor_wallNow
func tailorWallNow() int64

//go:linkname tailorSleep runtime.tailor_sleep
func tailorSleep(ns int64)

//go:linkname tailorYield runtime.tailor_yield
func tailorYield()

//go:linkname tailorArgs runtime.tailor_args
func tailorArgs() []string

//go:linkname tailorExit runtime.tailor_exit
func tailorExit(code int)

//go:linkname tailorKill runtime.tailor_kill
func tailorKill(sig uint32)

//go:linkname tailorConsoleWrite runtime.tailor_consoleWrite
//go:noescape
func tailorConsoleWrite(fd int, p unsafe.Pointer, n int) int

//go:linkname tailorConsoleRead runtime.tailor_consoleRead
//go:noescape
func tailorConsoleRead(p unsafe.Pointer, n int) int

//go:linkname tailorPollNotify runtime.tailor_pollNotify
func tailorPollNotify(fd uintptr, mode int32)

//go:linkname tailorMemory runtime.tailor_memory
func tailorMemory() (total, free uint64)

//go:linkname tailorBootInfo runtime.tailor_bootInfo
func tailorBootInfo() *abi.BootInfo

//go:linkname tailorHardwareRandom runtime.tailor_hardwareRandom
func tailorHardwareRandom() (uint64, bool)

// random is made at boot: the starter wipes the seed at the first VM exit.
var random *entropy.Generator

// MixRandom stirs the bytes of a further source into the guest's random source.
func MixRandom(p []byte) { random.Mix(p) }

func init() {
	random = entropy.New(&tailorBootInfo().Seed, tailorHardwareRandom)
	Hooks = HookSet{
		Now:          tailorNow,
		WallNow:      tailorWallNow,
		Sleep:        tailorSleep,
		Yield:        tailorYield,
		Random:       func(p []byte) { random.Read(p) },
		Args:         tailorArgs,
		Exit:         tailorExit,
		Kill:         func(sig int) Errno { tailorKill(uint32(sig)); return 0 },
		ConsoleRead:  func(p []byte) int { return tailorConsoleRead(unsafe.Pointer(unsafe.SliceData(p)), len(p)) },
		ConsoleWrite: func(fd int, p []byte) int { return tailorConsoleWrite(fd, unsafe.Pointer(unsafe.SliceData(p)), len(p)) },
		PollNotify:   tailorPollNotify,
		Memory:       tailorMemory,
		Unsupported:  func(uintptr) {},
	}
	if tailorBootInfo().Flags&abi.BootVerbose != 0 {
		Hooks.Unsupported = func(num uintptr) {
			msg := "tailor: system call " + CallName(num) + " is not supported\n"
			tailorConsoleWrite(2, unsafe.Pointer(unsafe.StringData(msg)), len(msg))
		}
	}
	info := tailorBootInfo()
	Boot(Params(unsafe.String((*byte)(unsafe.Pointer(uintptr(info.Params))), int(info.ParamsLen))))
	if tracing {
		traceOn = bootParams.Get("trace") == "syscalls"
	}
	tailorSetEnter(Enter)
	if complete {
		UseAll()
	}
}

// Fail ends the program before it begins, with the exit code that the tool has for
// failures of Tailor's.
func Fail(err error) {
	println("tailor: error:", err.Error())
	tailorExit(125)
}

// usePoll lets the runtime's netpoll wait for descriptors.
func usePoll() {
	tailorSetPoll(
		func(fd uintptr) uintptr { return uintptr(PollOpen(fd)) },
		func(fd uintptr) uintptr { return uintptr(PollClose(fd)) },
	)
}
