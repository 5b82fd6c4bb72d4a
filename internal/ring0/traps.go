// Package ring0 makes what runs in a guest above ring 3: descriptor tables and
// trap stubs, and for the virtio target the boot stub with its few resident
// services. Nothing written in Go runs there, and the guest's pages for it grant
// ring 3 nothing.
//
// The stubs of traps are assembled by a few lines of Go. The virtio target's
// code is nasm source (boot.asm, resident.asm); its machine code is committed
// beside it, so that only who changes it needs nasm, and a test that has one
// assembles it again and compares.
package ring0

import (
	"encoding/binary"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
)

// Where ring 0 is in a guest's memory: see package abi.
const (
	GDTAddr       = abi.SystemAddr
	TSSAddr       = abi.SystemAddr + 0x100 // of a guest under Tailor's monitor
	IDTAddr       = abi.SystemAddr + 0x1000
	StubAddr      = abi.SystemAddr + 0x2000
	TrapStackLow  = abi.SystemAddr + 0x3000
	TrapStackHigh = abi.SystemAddr + 0x4000

	NumVectors = 32 // of exceptions
	stubSize   = 16 // bytes of each vector's own stub
)

// Segment selectors. They are those of Linux, so that a hypervisor which runs
// ring 3 on the host's own descriptors finds them there.
const (
	SelKernelCode = 0x10
	SelKernelData = 0x18
	SelUserData   = 0x28 | 3
	SelUserCode   = 0x30 | 3
	SelTSS        = 0x40
	GDTSize       = 0x50
	TSSSize       = 0x68
)

// Bits of RFLAGS.
const (
	rflagsFixed     = 1 << 1
	rflagsInterrupt = 1 << 9
)

// Types of a task state segment: KVM wants the one that is in use, LTR one that
// is not.
const (
	tssAvailable = 0x89
	tssBusy      = 0x8b
)

// WriteMonitorTables writes the tables of a guest under Tailor's monitor into its
// memory: the global descriptor table, the task state segment and the interrupt
// descriptor table. AMD APM volume 2, chapters 4 and 8.
func WriteMonitorTables(mem []byte) {
	writeGDT(mem[GDTAddr:], TSSAddr, TSSSize-1, tssBusy)
	writeTSS(mem[TSSAddr:], TSSSize) // no I/O permission map
	writeExceptionGates(mem[IDTAddr:])
}

func writeGDT(gdt []byte, tss, limit, kind uint64) {
	le := binary.LittleEndian
	le.PutUint64(gdt[SelKernelCode:], 0x00af9b000000ffff)
	le.PutUint64(gdt[SelKernelData:], 0x00cf93000000ffff)
	le.PutUint64(gdt[SelUserData&^3:], 0x00cff3000000ffff)
	le.PutUint64(gdt[SelUserCode&^3:], 0x00affb000000ffff)
	le.PutUint64(gdt[SelTSS:], limit|tss<<16|kind<<40)
}

// writeTSS writes the stack of ring 0 and where the I/O permission map begins.
func writeTSS(tss []byte, ioMap uint16) {
	le := binary.LittleEndian
	le.PutUint64(tss[4:], TrapStackHigh) // RSP0
	le.PutUint16(tss[102:], ioMap)
}

func writeExceptionGates(idt []byte) {
	for v := range NumVectors {
		ring := 0
		if v == 3 || v == 4 { // INT3 and INTO may be executed in ring 3
			ring = 3
		}
		writeGate(idt, v, StubAddr+uint64(v)*stubSize, ring)
	}
}

// writeGate writes an interrupt gate that ring may use by an instruction.
func writeGate(idt []byte, vector int, addr uint64, ring int) {
	kind := uint64(0x8e | ring<<5) // present, interrupt gate
	le := binary.LittleEndian
	gate := idt[16*vector:]
	le.PutUint64(gate, addr&0xffff|SelKernelCode<<16|kind<<40|addr>>16&0xffff<<48)
	le.PutUint64(gate[8:], addr>>32)
}

// x86 is a few lines of assembler for the stubs. Every memory operand is an
// absolute 32-bit address.
type x86 struct{ code []byte }

func (a *x86) emit(b ...byte) { a.code = append(a.code, b...) }

func (a *x86) emit32(v uint32) { a.code = binary.LittleEndian.AppendUint32(a.code, v) }

// Register numbers of the encoding.
const (
	rax = iota
	rcx
	rdx
	rbx
	rsp
	rbp
	rsi
	rdi
)

func (a *x86) movAbs(op byte, reg int, addr uint32) {
	a.emit(0x48|byte(reg>>3)<<2, op, byte(reg&7)<<3|4, 0x25)
	a.emit32(addr)
}

func (a *x86) store(reg int, addr uint32) { a.movAbs(0x89, reg, addr) } // MOV [addr], reg
func (a *x86) load(reg int, addr uint32)  { a.movAbs(0x8b, reg, addr) } // MOV reg, [addr]
func (a *x86) pop(addr uint32)            { a.emit(0x58); a.store(rax, addr) }

// cmpZero emits CMP QWORD [addr], 0.
func (a *x86) cmpZero(addr uint32) {
	a.emit(0x48, 0x83, 0x3c, 0x25)
	a.emit32(addr)
	a.emit(0)
}

// Conditions of jump, the second byte of its code.
const (
	ifEqual    = 0x84
	ifNotEqual = 0x85
)

// jump emits a conditional jump whose target is not known yet, and returns where
// the next instruction begins.
func (a *x86) jump(condition byte) (at int) {
	a.emit(0x0f, condition)
	a.emit32(0)
	return len(a.code)
}

// here makes the jumps lead to what is emitted next.
func (a *x86) here(jumps []int) {
	for _, at := range jumps {
		binary.LittleEndian.PutUint32(a.code[at-4:], uint32(len(a.code)-at))
	}
}

// pushesError reports whether the processor pushes an error code for a vector.
func pushesError(v int) bool {
	switch v {
	case 8, 10, 11, 12, 13, 14, 17, 21, 29, 30:
		return true
	}
	return false
}

// MonitorStubs assembles the stubs of a guest under Tailor's monitor, where what
// ring 3 cannot take rings BellTrap.
func MonitorStubs() []byte {
	return trapStubs(rflagsFixed, func(a *x86) {
		var control abi.Control
		a.emit(0x48, 0x8b, 0x4c, 0x24, 16) // MOV RCX, [RSP+16]: RIP
		a.store(rcx, uint32(abi.ControlAddr+unsafe.Offsetof(control.Trap)+unsafe.Offsetof(control.Trap.RIP)))
		a.emit(0x48, 0x8b, 0x04, 0x24) // MOV RAX, [RSP]: vector
		a.store(rax, abi.DoorbellAddr+abi.BellTrap)
		a.emit(0xf4, 0xeb, 0xfd) // HLT; JMP back to it
	})
}

// trapStubs assembles the stubs. Each vector's own stub makes the stack uniform
// (vector, error code, RIP, CS, RFLAGS, RSP, SS) and jumps to the common part,
// which saves ring 3's registers where the guest can read them and returns to
// the guest's handler in ring 3. An exception in ring 0, or while the guest
// has not taken the last one, or before it has a handler, goes on at fatal. The guest's handler begins with the
// given flags.
func trapStubs(flags uint32, fatalCode func(*x86)) []byte {
	var control abi.Control
	ctl := func(off uintptr) uint32 { return uint32(abi.ControlAddr + off) }
	frame := func(off uintptr) uint32 { return ctl(unsafe.Offsetof(control.Trap) + off) }
	busy := frame(unsafe.Offsetof(control.Trap.Busy))

	var a x86
	for v := range NumVectors {
		if !pushesError(v) {
			a.emit(0x6a, 0) // PUSH 0
		}
		a.emit(0x6a, byte(v), 0xe9) // PUSH vector; JMP common
		a.emit32(uint32(NumVectors*stubSize - (len(a.code) + 4)))
		for len(a.code)%stubSize != 0 {
			a.emit(0xcc)
		}
	}

	var fatal []int
	a.emit(0xf6, 0x44, 0x24, 24, 3) // TEST BYTE [RSP+24], 3: from ring 3?
	fatal = append(fatal, a.jump(ifEqual))
	a.cmpZero(busy)
	fatal = append(fatal, a.jump(ifNotEqual))
	a.cmpZero(ctl(unsafe.Offsetof(control.TrapEntry)))
	fatal = append(fatal, a.jump(ifEqual))
	// abi.TrapFrame's order.
	for i, reg := range []int{8, 9, 10, 11, 12, 13, 14, 15, rdi, rsi, rbp, rbx, rdx, rax, rcx} {
		a.store(reg, frame(uintptr(i)*8))
	}
	a.emit(0x0f, 0x20, 0xd0) // MOV RAX, CR2
	a.store(rax, frame(unsafe.Offsetof(control.Trap.CR2)))
	a.pop(frame(unsafe.Offsetof(control.Trap.Vector)))
	a.pop(frame(unsafe.Offsetof(control.Trap.Error)))
	a.pop(frame(unsafe.Offsetof(control.Trap.RIP)))
	a.emit(0x58) // POP: CS
	a.pop(frame(unsafe.Offsetof(control.Trap.RFlags)))
	a.pop(frame(unsafe.Offsetof(control.Trap.RSP)))
	// SS is left on the stack as the first word of the frame to return with.
	a.load(rax, ctl(unsafe.Offsetof(control.TrapStack)))
	a.store(rax, busy) // a stack's address is not zero
	a.emit(0x50)       // PUSH RAX: RSP
	a.emit(0x68)       // PUSH: RFLAGS
	a.emit32(flags)
	a.emit(0x6a, SelUserCode) // PUSH CS
	a.load(rax, ctl(unsafe.Offsetof(control.TrapEntry)))
	a.emit(0x50)       // PUSH RAX: RIP
	a.emit(0x48, 0xcf) // IRETQ

	a.here(fatal)
	fatalCode(&a)
	return a.code
}
