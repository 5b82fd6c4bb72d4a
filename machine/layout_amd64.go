//go:build tailoros

package runtime

import (
	"Tailor/abi"
	"internal/cpu"
	"unsafe"
)

// Addresses and offsets of the contract, for the assembly (go_asm.h).
const (
	tailorDoorbellAddr = abi.DoorbellAddr
	tailorClockAddr    = abi.ClockAddr
	tailorControlAddr  = abi.ControlAddr

	tailorClockSeq        = unsafe.Offsetof(abi.Clock{}.Seq)
	tailorClockTSCBase    = unsafe.Offsetof(abi.Clock{}.TSCBase)
	tailorClockMonoBase   = unsafe.Offsetof(abi.Clock{}.MonoBase)
	tailorClockWallOffset = unsafe.Offsetof(abi.Clock{}.WallOffset)
	tailorClockMult       = unsafe.Offsetof(abi.Clock{}.Mult)

	tailorControlTrapStack = unsafe.Offsetof(abi.Control{}.TrapStack)
	tailorControlTrapLow   = unsafe.Offsetof(abi.Control{}.TrapLow)
	tailorControlTrap      = unsafe.Offsetof(abi.Control{}.Trap)
	tailorTrapRSP          = unsafe.Offsetof(abi.TrapFrame{}.RSP)
	tailorTrapRIP          = unsafe.Offsetof(abi.TrapFrame{}.RIP)
	tailorTrapVector       = unsafe.Offsetof(abi.TrapFrame{}.Vector)
	tailorTrapError        = unsafe.Offsetof(abi.TrapFrame{}.Error)
	tailorTrapCR2          = unsafe.Offsetof(abi.TrapFrame{}.CR2)
	tailorTrapBusy         = unsafe.Offsetof(abi.TrapFrame{}.Busy)

	tailorUcontextSize = unsafe.Sizeof(ucontext{})
	tailorUcontextRegs = unsafe.Offsetof(ucontext{}.uc_mcontext)
	tailorSiginfoSize  = unsafe.Sizeof(siginfo{})

	tailorBellResume        = abi.BellResume
	tailorControlInterrupt  = unsafe.Offsetof(abi.Control{}.Interrupt)
	tailorControlMaskedLow  = unsafe.Offsetof(abi.Control{}.Masked) + unsafe.Sizeof(abi.Range{})
	tailorControlMaskedHigh = tailorControlMaskedLow + 8
	tailorHasOSXSAVE        = unsafe.Offsetof(cpu.X86.HasOSXSAVE)

	// What an interrupt saves of the vector registers lies above siginfo and
	// ucontext. The standard form of XSAVE with the components of
	// tailorXSaveMask (x87, SSE, AVX, AVX-512: what Go code uses) takes 2,688
	// bytes (Intel SDM volume 1, section 13.4), FXSAVE 512.
	tailorXSaveOffset = (tailorSiginfoSize + tailorUcontextSize + 63) &^ 63
	tailorXSaveSize   = 2688
	tailorXSaveMask   = 0xe7
)
