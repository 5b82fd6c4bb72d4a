package main

import (
	"fmt"
	"math/rand/v2"
	"time"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
)

// SAFETY: none. This file is a hostile guest: it forges pointers to the control
// page and to the doorbell, to see what the monitor makes of it.

func controlPage() *abi.Control {
	addr := uintptr(abi.ControlAddr)
	return *(**abi.Control)(unsafe.Pointer(&addr))
}

// ringBell stores to a doorbell register.
//
//go:noinline
func ringBell(register uintptr, value uint64) {
	addr := abi.DoorbellAddr + register
	**(**uint64)(unsafe.Pointer(&addr)) = value
}

// computeFor computes, so that interrupts come.
func computeFor(d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
		for i := range 1000 {
			sink = i
		}
	}
}

func init() {
	resume := func(name string, rip uint64) {
		register(name, func([]string) {
			controlPage().Interrupt = abi.TrapFrame{RIP: rip, RSP: 0x40000}
			ringBell(abi.BellResume, 0)
			fmt.Println("SURVIVED")
		})
	}
	resume("resume-system", abi.SystemAddr+0x2000)
	resume("resume-high", 1<<63)
	resume("resume-null", 0)
	resume("resume-doorbell", abi.DoorbellAddr)
	entry := func(name string, entry, stack uint64) {
		register(name, func([]string) {
			c := controlPage()
			c.Masked = [2]abi.Range{}
			c.InterruptEntry, c.TrapStack = entry, stack
			ringBell(abi.BellProfile, 1)
			computeFor(3 * time.Second)
			fmt.Println("SURVIVED")
		})
	}
	entry("interrupt-system", abi.SystemAddr+0x2000, 0x40000)
	entry("interrupt-null", 0x10, 0x50000)
	entry("interrupt-high", 1<<63, 1<<63)
	// An exception whose handler faults at once: nobody is left to take that.
	register("trap-nowhere", func([]string) {
		c := controlPage()
		c.TrapStack, c.TrapLow = 8, 8
		var p *int
		*p = 1
		fmt.Println("SURVIVED")
	})
	// Every period is too short, and the program goes on all the same.
	register("profile-flood", func([]string) {
		ringBell(abi.BellProfile, 1)
		computeFor(time.Second)
		ringBell(abi.BellProfile, 1<<63)
		ringBell(abi.BellProfile, 0)
		fmt.Println("done")
	})
	// It never takes an interrupt.
	register("mask-all", func([]string) {
		controlPage().Masked[0] = abi.Range{Low: 0, High: ^uint64(0)}
		ringBell(abi.BellProfile, 1)
		fmt.Println("ready")
		computeFor(time.Hour)
	})
	register("interrupt-random", func([]string) {
		random := func() uint64 { return rand.Uint64() >> rand.UintN(64) }
		ringBell(abi.BellProfile, 1)
		for range 1000 {
			c := controlPage()
			for _, p := range []*uint64{
				&c.InterruptEntry, &c.TrapStack, &c.Trap.Busy, &c.Masked[0].Low, &c.Masked[0].High,
				&c.Interrupt.RIP, &c.Interrupt.RSP, &c.Interrupt.RFlags, &c.LoopCount, &c.SigPending, &c.SigCaught,
			} {
				if rand.UintN(3) == 0 {
					*p = random()
				}
			}
			computeFor(time.Millisecond)
			ringBell([]uintptr{abi.BellProfile, abi.BellResume}[rand.UintN(2)], random())
		}
	})
}
