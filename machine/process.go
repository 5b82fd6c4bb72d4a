//go:build tailoros && !tailorvirtio

package runtime

import (
	"Tailor/abi"
	goabi "internal/abi"
	"unsafe"
)

// A guest that is a Linux process: package abi says which system calls it may
// make, and what they are for. The rest is in process_amd64.s.

// tailorSignal is where signals arrive in a process.
func tailorSignal()

// tailorTakeSignals says where signals go, in case that the guest is a process.
//
//go:nosplit
//go:nowritebarrierrec
func tailorTakeSignals(ctl *abi.Control) {
	ctl.Process.SignalEntry = uint64(goabi.FuncPCABI0(tailorSignal))
}

// Addresses of the contract, for the assembly (go_asm.h).
const (
	tailorBootFlags     = abi.BootAddr + unsafe.Offsetof(abi.BootInfo{}.Flags)
	tailorBootProcess   = abi.BootProcess
	tailorBellCount     = abi.BootAddr + unsafe.Offsetof(abi.BootInfo{}.BellCount)
	tailorProcess       = abi.ControlAddr + unsafe.Offsetof(abi.Control{}.Process)
	tailorProcessBells  = unsafe.Offsetof(abi.Process{}.Bells)
	tailorProcessListen = unsafe.Offsetof(abi.Process{}.Listen)
	tailorProcessPark   = unsafe.Offsetof(abi.Process{}.Park)
	tailorProcessTime   = unsafe.Offsetof(abi.Process{}.Timeout)
	tailorProcessTimer  = unsafe.Offsetof(abi.Process{}.Profile)
	tailorProcessIdle   = unsafe.Offsetof(abi.Process{}.IdleBell)

	tailorBellNotify  = abi.BellNotify
	tailorBellIdle    = abi.BellIdle
	tailorBellProfile = abi.BellProfile
	tailorParkAsleep  = abi.ParkAsleep
	tailorParkToken   = abi.ParkToken
	tailorProcessBell = abi.ProcessBell
)
