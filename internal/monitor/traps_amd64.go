package monitor

import (
	"encoding/binary"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
)

// The ring-0 part of a guest: descriptor tables and trap stubs, all that runs
// or is looked at above ring 3. The guest's pages for it grant ring 3 nothing.
const (
	gdtAddr       = abi.SystemAddr
	tssAddr       = abi.SystemAddr + 0x100
	idtAddr       = abi.SystemAddr + 0x1000
	stubAddr      = abi.SystemAddr + 0x2000
	trapStackLow  = abi.SystemAddr + 0x3000
	trapStackHigh = abi.SystemAddr + 0x4000

	numVectors = 32
	stubSize   = 16 // bytes of each vector's own stub
)

// Segment selectors. They are those of Linux, so that a hypervisor which runs
// ring 3 on the host's own descriptors finds them there.
const (
	selKernelCode = 0x10
	selKernelData = 0x18
	selUserData   = 0x28 | 3
	selUserCode   = 0x30 | 3
	selTSS        = 0x40
	gdtSize       = 0x50
	tssSize       = 0x68
)

// writeDescriptorTables writes the global descriptor table, the task state
// segment and the interrupt descriptor table. AMD APM volume 2, chapters 4
// and 8.
func writeDescriptorTables(mem []byte) {
	le := binary.LittleEndian
	gdt := mem[gdtAddr:]
	le.PutUint64(gdt[selKernelCode:], 0x00af9b000000ffff)
	le.PutUint64(gdt[selKernelData:], 0x00cf93000000ffff)
	le.PutUint64(gdt[selUserData&^3:], 0x00cff3000000ffff)
	le.PutUint64(gdt[selUserCode&^3:], 0x00affb000000ffff)
	const tssBusy = 0x8b
	le.PutUint64(gdt[selTSS:], tssSize-1|tssAddr<<16|tssBusy<<40)

	tss := mem[tssAddr:]
	le.PutUint64(tss[4:], trapStackHigh) // RSP0
	le.PutUint16(tss[102:], tssSize)     // no I/O permission map

	for v := range uint64(numVectors) {
		gate := mem[idtAddr+16*v:]
		addr := stubAddr + v*stubSize
		kind := uint64(0x8e)  // present, interrupt gate
		if v == 3 || v == 4 { // INT3 and INTO may be executed in ring 3
			kind |= 3 << 5
		}
		le.PutUint64(gate, addr&0xffff|selKernelCode<<16|kind<<40|addr>>16&0xffff<<48)
		le.PutUint64(gate[8:], addr>>32)
	}
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

// jumpFatal emits a two-byte conditional jump whose target patch sets.
func (a *x86) jumpFatal(op byte) (at int) {
	a.emit(op, 0)
	return len(a.code)
}

// pushesError reports whether the processor pushes an error code for a vector.
func pushesError(v int) bool {
	switch v {
	case 8, 10, 11, 12, 13, 14, 17, 21, 29, 30:
		return true
	}
	return false
}

// trapStubs assembles the stubs. Each vector's own stub makes the stack uniform
// (vector, error code, RIP, CS, RFLAGS, RSP, SS) and jumps to the common part,
// which saves ring 3's registers where the guest can read them and returns to
// the guest's handler in ring 3. An exception in ring 0, or while the guest
// has not taken the last one, or before it has a handler, rings BellTrap.
func trapStubs() []byte {
	var control abi.Control
	ctl := func(off uintptr) uint32 { return uint32(abi.ControlAddr + off) }
	frame := func(off uintptr) uint32 { return ctl(unsafe.Offsetof(control.Trap) + off) }
	busy := frame(unsafe.Offsetof(control.Trap.Busy))

	var a x86
	for v := range numVectors {
		if !pushesError(v) {
			a.emit(0x6a, 0) // PUSH 0
		}
		a.emit(0x6a, byte(v), 0xe9) // PUSH vector; JMP common
		a.emit32(uint32(numVectors*stubSize - (len(a.code) + 4)))
		for len(a.code)%stubSize != 0 {
			a.emit(0xcc)
		}
	}

	var fatal []int
	a.emit(0xf6, 0x44, 0x24, 24, 3) // TEST BYTE [RSP+24], 3: from ring 3?
	fatal = append(fatal, a.jumpFatal(0x74))
	a.cmpZero(busy)
	fatal = append(fatal, a.jumpFatal(0x75))
	a.cmpZero(ctl(unsafe.Offsetof(control.TrapEntry)))
	fatal = append(fatal, a.jumpFatal(0x74))
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
	a.store(rax, busy)        // a stack's address is not zero
	a.emit(0x50)              // PUSH RAX: RSP
	a.emit(0x6a, 2)           // PUSH 2: RFLAGS
	a.emit(0x6a, selUserCode) // PUSH CS
	a.load(rax, ctl(unsafe.Offsetof(control.TrapEntry)))
	a.emit(0x50)       // PUSH RAX: RIP
	a.emit(0x48, 0xcf) // IRETQ

	for _, at := range fatal {
		a.code[at-1] = byte(len(a.code) - at)
	}
	a.emit(0x48, 0x8b, 0x4c, 0x24, 16) // MOV RCX, [RSP+16]: RIP
	a.store(rcx, frame(unsafe.Offsetof(control.Trap.RIP)))
	a.emit(0x48, 0x8b, 0x04, 0x24) // MOV RAX, [RSP]: vector
	a.store(rax, abi.DoorbellAddr+abi.BellTrap)
	a.emit(0xf4, 0xeb, 0xfd) // HLT; JMP back to it
	return a.code
}
