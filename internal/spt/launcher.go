package spt

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// The launcher is the program that becomes the guest: an executable made for one
// start, of a loop that makes the system calls of a table, and then jumps to the
// image. It uses no stack and writes no memory, so that its one mapping can be
// code and data, and stay: it also holds where signals arrive and return.

// launcherAddr is where it is, far above any guest's memory and below where the
// kernel puts stacks and libraries.
const launcherAddr = 0x7e00_0000_0000

// Descriptors of the launcher's. Only the first is left to the guest.
const (
	fdBell   = 0 // eventfd
	fdMemory = 1 // memfd
	fdImage  = 2 // the image's file
	fdReport = 3 // socket: see stepRecord
	fdListen = 4 // the filter's listener, the lowest one that is free
)

// How a step's failure is taken.
const (
	must    = 0 // the launcher reports and exits
	may     = 1 // it reports and goes on
	nonzero = 2 // it must not return zero either
)

// exitLaunch is the launcher's exit status when a step has failed.
const exitLaunch = 127

// A step is one system call of the launcher.
type step struct {
	what   string // for messages
	kind   uint8
	number uint64
	args   [6]uint64
}

// A step as the launcher reads it has 64 bytes: number, arguments, and
//
//	56  its index
//	57  its kind
//
// A failed one is reported as a message on fdReport: as many bytes from 56 on as
// the error's number says.
const (
	stepSize  = 64
	stepIndex = 56
	stepKind  = 57
)

// A launcher is the executable under construction. Data comes first, so that
// steps can refer to it.
type launcher struct {
	data  []byte // from launcherAddr+headSize on
	steps []step
}

const (
	elfHeader  = 64
	progHeader = 56
	headSize   = elfHeader + progHeader
)

// put adds data, aligned to 8 bytes, and returns its address.
func (l *launcher) put(b []byte) uint64 {
	for len(l.data)%8 != 0 {
		l.data = append(l.data, 0)
	}
	at := launcherAddr + headSize + uint64(len(l.data))
	l.data = append(l.data, b...)
	return at
}

// words adds data of 64-bit words.
func (l *launcher) words(list ...uint64) uint64 {
	var b []byte
	for _, w := range list {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return l.put(b)
}

func (l *launcher) call(what string, kind uint8, number uint64, args ...uint64) {
	s := step{what: what, kind: kind, number: number}
	copy(s.args[:], args)
	l.steps = append(l.steps, s)
}

// x86 is a few lines of assembler.
type x86 struct{ code []byte }

func (a *x86) emit(b ...byte) { a.code = append(a.code, b...) }

func (a *x86) imm32(v uint32) { a.code = binary.LittleEndian.AppendUint32(a.code, v) }
func (a *x86) imm64(v uint64) { a.code = binary.LittleEndian.AppendUint64(a.code, v) }

// Where signals arrive and return: see signalCode.
func (l *launcher) signals(entryAt uint64) (handler, restorer uint64) {
	var a x86
	a.emit(0xff, 0x24, 0x25) // JMP [entryAt]
	a.imm32(uint32(entryAt))
	handler = l.put(a.code)
	a.code = nil
	a.emit(0xb8) // MOV EAX, rt_sigreturn
	a.imm32(unix.SYS_RT_SIGRETURN)
	a.emit(0x0f, 0x05) // SYSCALL
	return handler, l.put(a.code)
}

// loop assembles the loop over a table, which then enters the image.
func loop(table uint64, steps int, entry, sp uint64) []byte {
	var a x86
	a.emit(0x48, 0xbb) // MOV RBX, table
	a.imm64(table)
	a.emit(0x49, 0xbe) // MOV R14, end
	a.imm64(table + uint64(steps)*stepSize)
	top := len(a.code)
	a.emit(0x48, 0x8b, 0x03)       // MOV RAX, [RBX]
	a.emit(0x48, 0x8b, 0x7b, 8)    // MOV RDI, [RBX+8]
	a.emit(0x48, 0x8b, 0x73, 16)   // MOV RSI, [RBX+16]
	a.emit(0x48, 0x8b, 0x53, 24)   // MOV RDX, [RBX+24]
	a.emit(0x4c, 0x8b, 0x53, 32)   // MOV R10, [RBX+32]
	a.emit(0x4c, 0x8b, 0x43, 40)   // MOV R8, [RBX+40]
	a.emit(0x4c, 0x8b, 0x4b, 48)   // MOV R9, [RBX+48]
	a.emit(0x0f, 0x05)             // SYSCALL
	a.emit(0x48, 0x3d)             // CMP RAX, -4095
	a.imm32(0xfffff001)            //
	jumpFailed := a.jump(0x73)     // JAE failed
	a.emit(0xf6, 0x43, stepKind)   // TEST BYTE [RBX+kind], nonzero
	a.emit(nonzero)                //
	jumpNext := a.jump(0x74)       // JZ next
	a.emit(0x48, 0x85, 0xc0)       // TEST RAX, RAX
	jumpZero := a.jump(0x74)       // JZ gone
	next := len(a.code)            // next:
	a.emit(0x48, 0x83, 0xc3, 64)   // ADD RBX, 64
	a.emit(0x4c, 0x39, 0xf3)       // CMP RBX, R14
	a.back(0x75, top)              // JNE top
	jumpDone := a.jump(0xeb)       // JMP done
	failed := len(a.code)          // failed:
	a.emit(0x48, 0xf7, 0xd8)       // NEG RAX
	a.emit(0x48, 0x89, 0xc2)       // MOV RDX, RAX
	a.emit(0xbf)                   // MOV EDI, fdReport
	a.imm32(fdReport)              //
	a.emit(0x48, 0x8d, 0x73)       // LEA RSI, [RBX+index]
	a.emit(stepIndex)              //
	a.emit(0xb8)                   // MOV EAX, write
	a.imm32(unix.SYS_WRITE)        //
	a.emit(0x0f, 0x05)             // SYSCALL
	a.emit(0xf6, 0x43, stepKind)   // TEST BYTE [RBX+kind], may
	a.emit(may)                    //
	a.back(0x75, next)             // JNZ next
	gone := len(a.code)            // gone:
	a.emit(0xbf)                   // MOV EDI, exitLaunch
	a.imm32(exitLaunch)            //
	a.emit(0xb8)                   // MOV EAX, exit_group
	a.imm32(unix.SYS_EXIT_GROUP)   //
	a.emit(0x0f, 0x05, 0x0f, 0x0b) // SYSCALL; UD2
	done := len(a.code)            // done:
	a.enter(entry, sp)
	for at, to := range map[int]int{jumpFailed: failed, jumpNext: next, jumpZero: gone, jumpDone: done} {
		a.code[at-1] = byte(to - at)
	}
	return a.code
}

// jump emits a jump forward, and returns where it counts from.
func (a *x86) jump(op byte) int {
	a.emit(op, 0)
	return len(a.code)
}

// back emits a conditional jump to what is there already.
func (a *x86) back(op byte, to int) { a.emit(op, byte(to-len(a.code)-2)) }

// enter jumps to entry with the stack sp, and with nothing in the registers.
func (a *x86) enter(entry, sp uint64) {
	a.emit(0x48, 0xbc) // MOV RSP, sp
	a.imm64(sp)
	for _, modrm := range []byte{0xc0, 0xdb, 0xc9, 0xd2, 0xf6, 0xff, 0xed} {
		a.emit(0x31, modrm) // XOR EAX, EAX; EBX; ECX; EDX; ESI; EDI; EBP
	}
	for _, modrm := range []byte{0xc0, 0xc9, 0xd2, 0xe4, 0xed, 0xf6, 0xff} {
		a.emit(0x45, 0x31, modrm) // XOR R8D, R8D; R9D; R10D; R12D to R15D
	}
	a.emit(0x49, 0xbb) // MOV R11, entry
	a.imm64(entry)
	a.emit(0x41, 0xff, 0xe3) // JMP R11
}

// elf returns the executable, which enters the image at entry with the stack sp.
func (l *launcher) elf(entry, sp uint64) []byte {
	le := binary.LittleEndian
	var table []byte
	for i, s := range l.steps {
		table = le.AppendUint64(table, s.number)
		for _, a := range s.args {
			table = le.AppendUint64(table, a)
		}
		table = append(table, byte(i), s.kind, 0, 0, 0, 0, 0, 0)
	}
	tableAt := l.put(table)
	l.put(make([]byte, 256)) // what a report may be longer than the table
	start := l.put(nil)
	l.data = append(l.data, loop(tableAt, len(l.steps), entry, sp)...)

	b := append([]byte("\x7fELF"), 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint16(b, 2)  // ET_EXEC
	b = le.AppendUint16(b, 62) // EM_X86_64
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, start)
	b = le.AppendUint64(b, elfHeader) // program headers
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{elfHeader, progHeader, 1, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	size := headSize + uint64(len(l.data))
	b = le.AppendUint32(b, 1) // PT_LOAD
	b = le.AppendUint32(b, 5) // R-X
	for _, v := range []uint64{0, launcherAddr, launcherAddr, size, size, 4096} {
		b = le.AppendUint64(b, v)
	}
	return append(b, l.data...)
}

// launcherRoom is more than a launcher ever has, in bytes.
const launcherRoom = 64 << 10

// reserve makes room for a program of n instructions and returns the address of
// its struct sock_fprog.
func (l *launcher) reserve(n int) uint64 {
	at := l.put(make([]byte, 8*n))
	return l.words(uint64(n), at)
}

// fill puts the program where reserve has made room for it.
func (l *launcher) fill(fprog uint64, prog []unix.SockFilter) {
	copy(l.data[fprog-launcherAddr-headSize-uint64(8*len(prog)):], programBytes(prog))
}

// program adds a program and returns the address of its struct sock_fprog.
func (l *launcher) program(prog []unix.SockFilter) uint64 {
	at := l.reserve(len(prog))
	l.fill(at, prog)
	return at
}

// rights adds a struct msghdr that sends a file descriptor with one byte, and
// returns its address.
func (l *launcher) rights(fd uint64) uint64 {
	iov := l.words(l.put([]byte("L")), 1)
	const header = unix.SOL_SOCKET | unix.SCM_RIGHTS<<32
	control := l.words(unix.SizeofCmsghdr+4, header, fd)
	return l.words(0, 0, iov, 1, control, unix.SizeofCmsghdr+8, 0)
}
