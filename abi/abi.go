// Package abi is the contract between a guest (the image) and whoever starts
// it (the monitor, later the process sandbox and a boot stub).
//
// It is the only package that both sides import. It holds layouts and
// constants, no behaviour beyond trivial accessors, and imports nothing, so
// that it can be compiled into Go's own runtime package's dependencies.
//
// # Address space
//
// Guest-virtual addresses equal guest-physical ones. The starter builds the
// page tables once, before the guest runs; the guest runs in ring 3 and can
// neither see nor change them. Everything below [ImageBase] is laid out by
// this package:
//
//	0x00000  unmapped                      a nil dereference faults
//	0x10000  doorbell   no memory behind   a store is a call to the monitor
//	0x11000  clock      guest R--          [Clock]
//	0x12000  control    guest RW-          [Control]
//	0x13000  boot info  guest R--          [BootInfo], device table, parameters
//	0x20000  system     no guest access    descriptor tables, trap stubs
//	0x30000  guard      unmapped
//	0x31000  boot stack guest RW-          argc, argv, envp, auxv at its top
//	0x60000  rings      guest RW-          the virtqueues the device table names
//	0x100000 guard      unmapped
//	0x110000 image      per ELF segment    R-X, R--, RW-; never W and X
//	         heap       guest RW-          up to BootInfo.MemEnd
//	         files      guest R--          at BootInfo.Files: [FilesHead]
//
// # Versions
//
// A change that an older peer would misread increments [Version]. Fields are
// only ever added in reserved space, where zero means "not offered".
package abi

// Version is the version of this contract. It is recorded in the image's note
// and in [BootInfo]; both sides refuse another one.
const Version = 2

// PageSize is the size in bytes of the smallest page the starter maps.
const PageSize = 4096

// The address-space layout, in bytes. See the package comment.
const (
	DoorbellAddr = 0x10000
	ClockAddr    = 0x11000
	ControlAddr  = 0x12000
	BootAddr     = 0x13000
	BootEnd      = 0x20000
	SystemAddr   = 0x20000
	SystemEnd    = 0x30000
	StackGuard   = 0x30000
	StackLow     = 0x31000
	StackHigh    = 0x60000
	RingAddr     = 0x60000
	RingEnd      = 0x100000
	ImageBase    = 0x110000
)

// MaxArgBytes bounds argv, envp and their strings together, in bytes. The rest
// of the boot stack is the scheduler's (g0) stack.
const MaxArgBytes = 64 << 10

// Doorbell registers: offsets from [DoorbellAddr] of 8-byte stores. A store
// returns when the monitor has done what it asks for.
const (
	// BellExit ends the guest. The low 8 bits of the value are its status.
	BellExit = 0x00
	// BellIdle parks the vCPU until a device notifies, a signal is pending or
	// the deadline passes: the value is in nanoseconds of the guest's monotonic
	// clock, all ones for none. It may return early. It also is a notification
	// of each network queue that may need one.
	BellIdle = 0x08
	// BellNotify tells the device side that the virtqueue whose
	// [Queue.Notify] is the value has new buffers.
	BellNotify = 0x10
	// BellTrap is rung by the trap stubs for an exception that cannot be
	// handed to the guest's own handler (one inside the stubs, or before a
	// handler is set); the value is the vector. The monitor stops the guest.
	BellTrap = 0x18
	// BellProfile asks for a SIGPROF interrupt each time the guest has run for
	// as many nanoseconds as the value says; zero ends that. The monitor may
	// take a longer period than a very short one. Offered with BootInterrupts.
	BellProfile = 0x20
	// BellResume ends the handling of an interrupt: the guest continues with the
	// registers in [Control.Interrupt]. Offered with BootInterrupts.
	BellResume = 0x28
)

// Clock is the page that lets the guest compute time from its time stamp
// counter without an exit. The monitor rewrites it while the guest is parked
// or running; Seq is odd during a write, and a reader retries when it was odd
// or changed.
//
//	mono = MonoBase + (tsc-TSCBase)*Mult>>32
//	wall = mono + WallOffset
type Clock struct {
	Seq        uint32
	_          uint32
	TSCBase    uint64 // time stamp counter at the last update
	MonoBase   int64  // monotonic time at TSCBase, nanoseconds since boot
	WallOffset int64  // nanoseconds from monotonic time to Unix time
	Mult       uint64 // nanoseconds per count, 32.32 fixed point
}

// Control is the page that the guest writes and the starter reads, and the
// other way round where said so.
type Control struct {
	// SigPending has bit n-1 set when signal n waits for the guest. The
	// monitor sets bits atomically, the guest clears them by exchange.
	SigPending uint64
	// SigCaught has bit n-1 set while the program handles signal n
	// (os/signal). The monitor ends the guest on a signal not caught.
	SigCaught uint64
	// LoopCount is incremented by the guest each time its event loop runs, so
	// that a guest that computes without yielding can be told from an idle one.
	LoopCount uint64
	// TrapEntry and TrapStack are where the trap stubs continue in ring 3.
	// Zero TrapEntry means that no handler is set yet.
	TrapEntry uint64
	TrapStack uint64
	// TrapLow is the lowest address of the stack whose top is TrapStack. Only
	// the guest reads it.
	TrapLow uint64
	// OutOfMemory is the size in bytes of the last request for memory that the
	// guest could not meet, zero if there was none.
	OutOfMemory uint64
	// Trap is what the stubs saved of the interrupted code. Trap.Busy is set
	// by the stubs and cleared by the guest when it has copied the frame.
	Trap TrapFrame
	// InterruptEntry is where an interrupt continues in ring 3, with the stack
	// pointer at TrapStack. Zero means that the guest takes none: only a starter
	// that says BootInterrupts makes any.
	InterruptEntry uint64
	// Masked are ranges of stack addresses: while the guest's stack pointer is
	// in one of them, an interrupt is put off.
	Masked [2]Range
	// Interrupt is what the monitor saved of the interrupted code, in the order
	// of a trap: Vector is the signal's number, Error its si_code and CR2 an
	// argument. The guest writes what BellResume shall continue with.
	Interrupt TrapFrame
	// IRQs has a bit set for each interrupt since the guest last cleared it, on
	// machines with interrupts: see VectorMSI. Those of Diverted, if they come
	// while ring 3 runs and does not mask them, are handed to InterruptEntry, with
	// the bit's number as Interrupt.Vector; Interrupt.Busy is set until
	// ServiceResume.
	IRQs, Diverted uint64
	// Process takes the place of the doorbell where BootProcess is set.
	Process Process
}

// Range is the addresses from Low up to, but not including, High.
type Range struct{ Low, High uint64 }

// TrapFrame is the state of ring 3 at an exception. The general registers are
// in the order of Linux's sigcontext, so that the guest can copy them as one.
type TrapFrame struct {
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	RDI, RSI, RBP, RBX, RDX, RAX, RCX, RSP uint64
	RIP, RFlags                            uint64
	Vector, Error, CR2                     uint64
	Busy                                   uint64
}

// BootMagic is the value of [BootInfo.Magic]: "TAILOR\x00\x01".
const BootMagic = 0x0100524f4c494154

// BootInfo lies at [BootAddr], followed by the device table and the strings it
// points to. The guest cannot write it.
type BootInfo struct {
	Magic      uint64
	Version    uint32
	NumDevices uint32
	MemEnd     uint64 // first address after the memory the guest may use
	ImageEnd   uint64 // first address after the image's last segment, page aligned
	Devices    uint64 // address of [NumDevices]Device
	Params     uint64 // address of the system's boot parameters, "ip=... gw=..."
	ParamsLen  uint64 // bytes
	// Seed is entropy from the starter's own source, different for each start.
	// The starter wipes it at the first VM exit, by when the guest has used it.
	Seed [32]byte
	// Flags is a set of Boot* bits.
	Flags uint64
	// Files is the address of the image's files, on a page of its own above
	// the guest's memory, and FilesLen their bytes. Both are zero if the image
	// has none.
	Files, FilesLen uint64
	// Platform is the address of a [Platform], zero under a monitor of Tailor's.
	Platform uint64
	// BellCount is what a guest that is a process writes to its bell: 1.
	BellCount uint64
}

// Bits of [BootInfo.Flags].
const (
	// BootVerbose asks the guest to report what it does not support (-v).
	BootVerbose = 1 << 0
	// BootInterrupts says that the starter interrupts a running guest
	// ([Control.InterruptEntry]) and answers BellProfile and BellResume.
	BootInterrupts = 1 << 1
	// BootProcess says that the guest is a Linux process: see process.go.
	BootProcess = 1 << 2
)

// Virtio device types, virtio 1.2 section 5.
const (
	DeviceNet     = 1
	DeviceBlock   = 2
	DeviceConsole = 3
	DeviceRNG     = 4
	DeviceFS      = 26
)

// MaxQueues is the number of virtqueues of one device at the most.
const MaxQueues = 4

// Device describes one virtio device whose features and queues the starter has
// already set up: the guest's driver takes it as it is (virtio 1.2 section 3.1
// with the steps up to DRIVER_OK done by the starter).
type Device struct {
	Type      uint32
	NumQueues uint32
	Features  uint64 // negotiated feature bits
	Queues    [MaxQueues]Queue
	Config    [64]byte // the device's configuration space, a snapshot
	Name      [32]byte // NUL-padded; what --net or --volume called it
}

// Queue describes one split virtqueue (virtio 1.2 section 2.7).
type Queue struct {
	Desc, Avail, Used uint64 // guest-physical addresses, aligned as the spec says
	Size              uint32 // entries, a power of two
	Notify            uint32 // value to store to BellNotify
}

// Virtio feature bits in use, virtio 1.2 sections 5.1.3 and 6.
const (
	NetFCsum      = 1 << 0  // device takes packets with partial checksum
	NetFGuestCsum = 1 << 1  // driver takes packets with partial checksum
	NetFMTU       = 1 << 3  // mtu field is valid
	NetFMAC       = 1 << 5  // mac field is valid
	NetFGuestTSO4 = 1 << 7  // driver takes TSOv4
	NetFGuestTSO6 = 1 << 8  // driver takes TSOv6
	NetFHostTSO4  = 1 << 11 // device takes TSOv4
	NetFHostTSO6  = 1 << 12 // device takes TSOv6
	NetFMrgRxBuf  = 1 << 15 // driver can merge receive buffers

	FEventIdx = 1 << 29 // used_event and avail_event are in use
	FVersion1 = 1 << 32 // virtio 1.x layouts
)

// Queue indexes of a network device, of a console and of a file system (virtio
// 1.2 section 5.11.2, with one request queue).
const (
	NetQueueRX     = 0
	NetQueueTX     = 1
	ConsoleQueueRX = 0
	ConsoleQueueTX = 1
	FSQueueHiPrio  = 0
	FSQueueRequest = 1
)

// FSTagLen is the length in bytes of a file system's tag, NUL-padded, at the
// start of its configuration space; behind it is the number of request queues
// as a le32 (virtio 1.2 section 5.11.4).
const FSTagLen = 36
