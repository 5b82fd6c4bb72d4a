//go:build tailoros

package runtime

import (
	"Tailor/abi"
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
)
