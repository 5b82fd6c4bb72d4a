package abi

// A guest that is a process (target spt, BootProcess) has the address space of
// the package comment, but for two things: nothing is mapped at DoorbellAddr,
// and of the system's pages the upper ones are its signal stack. Instead of the doorbell it uses
// [Control.Process] and these system calls, with exactly these arguments; its
// starter lets it make no others:
//
//	write(ProcessBell, &BootInfo.BellCount, 8)     wakes the monitor
//	futex(&Process.Park, FUTEX_WAIT, v, &Process.Timeout, 0, 0)
//	setitimer(ITIMER_PROF, &Process.Profile, 0)    for a CPU profile
//	exit_group(status)
//	rt_sigreturn, restart_syscall
//
// The numbers of InstructionCalls, made by a SYSCALL instruction of the image's
// own, come back as SIGSYS, so that the guest answers them itself.

// ProcessBell is the guest's only file descriptor.
const ProcessBell = 0

// The signal stack of a process, with a guard on either side.
const (
	SignalStackLow  = SystemAddr + 0x4000
	SignalStackHigh = SystemEnd
)

// Process is what a guest that is a process and its monitor do in the place of
// the doorbell. The monitor believes none of it: whatever is written here, only
// the guest itself can be kept waiting.
type Process struct {
	// SignalEntry is where signals arrive, with Linux's calling convention for
	// handlers; zero: nowhere yet. The guest writes it.
	SignalEntry uint64
	// Bells has bit n set for a queue whose Notify is n, and BellBit* for other
	// things that the monitor shall look at. The guest sets bits atomically, then
	// exchanges Listen for ParkToken, and writes to ProcessBell if that was
	// ParkAsleep. The monitor clears them by exchange.
	Bells uint64
	// Listen is the monitor's park, Park the guest's. Who goes to sleep changes
	// ParkAwake into ParkAsleep; who wakes the other exchanges for ParkToken, and
	// enters the kernel only if that was ParkAsleep.
	Listen uint32
	Park   uint32
	// Timeout is how long the guest sleeps, as a struct timespec.
	Timeout [2]int64
	// Profile is a struct itimerval: the period of a CPU profile, in place of
	// BellProfile. Its SIGPROF is the kernel's own.
	Profile [4]int64
	// IdleBell is set by the monitor while it wants BellBitIdle when the guest
	// goes idle. A guest that has left notifications for then rings in any case.
	IdleBell uint32
	_        uint32
}

// States of a park.
const (
	ParkAwake  = 0
	ParkAsleep = 1
	ParkToken  = 2
)

// MaxBells is how many queues a guest has at the most: each has a bit in
// [Process.Bells].
const MaxBells = 56

// BellBitIdle is a bit of [Process.Bells] beyond those of the queues: the guest goes
// idle, so that the network's are to be looked at.
const BellBitIdle = 1 << 63

// InstructionCalls are the system calls that golang.org/x/sys/unix makes by an
// instruction in its own assembly (SyscallNoError, RawSyscallNoError) and that
// name no file: getpid, umask, getuid, getgid, geteuid, getegid, getppid,
// getresuid, getresgid, sync, gettid.
var InstructionCalls = [...]uint16{39, 95, 102, 104, 107, 108, 110, 118, 120, 162, 186}
