package abi

// What a boot stub finds and offers where no monitor of Tailor's has laid out
// the guest (target virtio). The addresses of the package comment hold there too;
// there is no doorbell, the clock page is the guest's own to write, and BootInfo
// names no devices: the guest looks for them.

// Where the boot stub puts what it found, in the pages of the boot info.
const (
	PlatformAddr  = BootAddr + 0x1000 // Platform
	MemoryMapAddr = BootAddr + 0x2000 // [MaxMemoryRanges]MemoryRange
	CmdLineAddr   = BootAddr + 0x3000

	MaxMemoryRanges = 128
	MaxCmdLine      = 16 << 10 // bytes
)

// Where the boot stub is loaded: the guard below the image, which it leaves
// unmapped for the guest.
const (
	BootStubAddr = RingEnd
	BootStubEnd  = ImageBase
)

// Platform is the machine as the loader describes it. The guest cannot write it.
type Platform struct {
	Protocol   uint32   // BootPVH or BootLinux
	NumMemory  uint32   // of the MemoryRange at MemoryMapAddr
	CmdLineLen uint32   // bytes at CmdLineAddr, without a NUL
	Truncated  uint32   // what of the loader's had no room, TruncatedCmdLine and so on
	RSDP       uint64   // address of ACPI's root pointer, 0 if the loader names none
	Name       [64]byte // NUL-padded, what the program is called; written at build time
}

// Values of [Platform.Protocol].
const (
	BootPVH   = 1 // the x86/HVM direct boot ABI: Xen's docs/misc/pvh.pandoc
	BootLinux = 2 // the 64-bit boot protocol: Linux's Documentation/arch/x86/boot.rst
)

// Bits of [Platform.Truncated].
const (
	TruncatedCmdLine = 1 << 0
	TruncatedMemory  = 1 << 1 // the memory map
)

// MemoryRange is an entry of the memory map. Type is as in the ACPI
// specification, section 15: 1 is memory, all else is not to be used.
type MemoryRange struct {
	Addr, Size uint64
	Type       uint32
	_          uint32
}

// Ring-0 services: what ring 3 asks of the boot stub's resident part with the
// instruction INT $ServiceVector, the number in RAX, arguments in RDI, RSI and
// RDX, the result in RAX. They clobber RAX, RCX, RDX and R11. Those that would let a
// program widen its own reach are refused after ServiceSeal.
const (
	ServiceVector = 0x40

	// ServiceIdle halts the processor until an interrupt, of which the timer's
	// comes after RDI counts of the local APIC's timer; 0 is for ever.
	ServiceIdle = 0
	// ServiceMap maps RSI bytes at the physical address RDI, whole pages, to the
	// same addresses: read-only if RDX is 0, else for a device's registers. RAX
	// is 0, or 1 if that is refused: memory of the guest, the interrupt
	// controllers, no more room for page tables.
	ServiceMap = 1
	// ServicePorts lets ring 3 use the RSI I/O ports from RDI on.
	ServicePorts = 2
	// ServiceSeal ends ServiceMap, ServicePorts and ServiceClock.
	ServiceSeal = 3
	// ServiceCalibrate lets RDI counts of the local APIC's timer pass and
	// returns how far the time stamp counter went meanwhile, and in RDX how many
	// counts it were.
	ServiceCalibrate = 4
	// ServiceClock writes RSI, an address in the clock page, to KVM's clock MSR:
	// of the system time (MSR_KVM_SYSTEM_TIME_NEW) if RDI is 0, of the wall
	// clock (MSR_KVM_WALL_CLOCK_NEW) if it is 1.
	ServiceClock = 5
	// ServiceReset resets the machine by a triple fault.
	ServiceReset = 6
	// ServiceFS sets the base of segment FS to RDI, for processors without the
	// instruction for it.
	ServiceFS = 7
	// ServiceUnmask lets pin RDI of the I/O APICs interrupt.
	ServiceUnmask = 8
	// ServiceResume continues with the registers of Control.Interrupt.
	ServiceResume = 9
	// ServiceTimer makes the local APIC's timer interrupt after RDI counts; with 0
	// it does not.
	ServiceTimer = 10
)

// Interrupt vectors. An interrupt does nothing but set a bit of [Control.IRQs]
// and end ServiceIdle, unless it is diverted.
const (
	VectorTimer = 0x50 // the local APIC's timer
	VectorMSI   = 0x60 // for message-signalled interrupts of any device
	VectorPin   = 0x70 // plus the number of the I/O APICs' pin, edge-triggered
	VectorEnd   = VectorPin + NumPins

	NumPins = 48 // of the I/O APIC at 0xfec00000, and of a second one at 0xfec10000

	IRQMSI   = 1 << 62 // bit of Control.IRQs; pin n has bit n
	IRQTimer = 1 << 63
)
