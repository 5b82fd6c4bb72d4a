package spt

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// The system call filter, a program of classic BPF over struct seccomp_data
// (Linux Documentation/userspace-api/seccomp_filter.rst).

// Offsets in struct seccomp_data.
const (
	dataNumber = 0
	dataArch   = 4
	dataIP     = 8
	dataArgs   = 16
)

// x32Bit is set in the numbers of x32's calls, which have the same architecture.
const x32Bit = 0x40000000

// A rule allows one system call with certain arguments.
type rule struct {
	number uint32
	args   []arg
}

// An arg is what an argument must be.
type arg struct {
	index int
	value uint64
}

// is makes rules easy to read: the arguments must be these, from the first one on.
func is(values ...uint64) (args []arg) {
	for i, v := range values {
		args = append(args, arg{i, v})
	}
	return args
}

// A filter is a program under construction.
type filter struct {
	prog []unix.SockFilter
	deny uint32 // what happens to a call that is not allowed
}

func (f *filter) emit(code uint16, k uint32, jt, jf uint8) {
	f.prog = append(f.prog, unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k})
}

func (f *filter) load(offset uint32) { f.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset, 0, 0) }
func (f *filter) ret(action uint32)  { f.emit(unix.BPF_RET|unix.BPF_K, action, 0, 0) }

// unless emits action for a word that is not k.
func (f *filter) unless(k, action uint32) {
	f.emit(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, k, 1, 0)
	f.ret(action)
}

// begin denies other architectures' calls. Their numbers mean something else.
func (f *filter) begin() {
	f.load(dataArch)
	f.unless(unix.AUDIT_ARCH_X86_64, f.deny)
	f.load(dataNumber)
	f.emit(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, x32Bit, 0, 1)
	f.ret(f.deny)
}

// block emits code for one number: what body does, with that number only. The
// accumulator has the number before and, if it is another one, after it.
func (f *filter) block(number uint32, body func()) {
	at := len(f.prog)
	f.emit(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, number, 0, 0)
	body()
	f.prog[at].Jf = uint8(len(f.prog) - at - 1)
}

// match emits code for a call with certain arguments, and for the same call with
// others.
func (f *filter) match(r rule, then, otherwise uint32) {
	f.block(r.number, func() {
		for _, a := range r.args {
			f.load(dataArgs + 8*uint32(a.index))
			f.unless(uint32(a.value), otherwise)
			f.load(dataArgs + 8*uint32(a.index) + 4)
			f.unless(uint32(a.value>>32), otherwise)
		}
		f.ret(then)
	})
}

// trap hands a call that an instruction of code has made to the
// guest's handler. Images are below 4 GiB.
func (f *filter) trap(number uint16, code text) {
	f.block(uint32(number), func() {
		f.load(dataIP + 4)
		f.unless(0, f.deny)
		f.load(dataIP)
		f.emit(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, uint32(code.low), 1, 0)
		f.ret(f.deny)
		f.emit(unix.BPF_JMP|unix.BPF_JGT|unix.BPF_K, uint32(code.high), 0, 1)
		f.ret(f.deny)
		f.ret(unix.SECCOMP_RET_TRAP)
	})
}

// A text is the addresses of a guest's instructions.
type text struct{ low, high uint64 }

// newFilter returns the program that allows rules, and traps for instructions.
func newFilter(deny uint32, rules []rule, instructions []uint16, code text) []unix.SockFilter {
	f := &filter{deny: deny}
	f.begin()
	for _, r := range rules {
		f.match(r, unix.SECCOMP_RET_ALLOW, deny)
	}
	for _, number := range instructions {
		f.trap(number, code)
	}
	f.ret(deny)
	return f.prog
}

// newKiller returns the program that kills for exactly these calls.
func newKiller(rules []rule) []unix.SockFilter {
	f := &filter{}
	f.load(dataNumber)
	for _, r := range rules {
		f.match(r, unix.SECCOMP_RET_KILL_PROCESS, unix.SECCOMP_RET_ALLOW)
	}
	f.ret(unix.SECCOMP_RET_ALLOW)
	return f.prog
}

// bytes returns the program as the kernel reads it.
func programBytes(prog []unix.SockFilter) (b []byte) {
	for _, i := range prog {
		b = binary.LittleEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.LittleEndian.AppendUint32(b, i.K)
	}
	return b
}
