package spt

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/image"
)

// An attempt is a system call that a guest makes, in the language of the machine.
type attempt struct {
	number uint64
	args   [6]uint64
	int80  bool // by the 32-bit gate
}

// code makes the call and then exits with the status.
func (c attempt) code(status byte) []byte {
	var a x86
	regs := []struct{ rex, op byte }{{0x48, 0xbf}, {0x48, 0xbe}, {0x48, 0xba}, {0x49, 0xba}, {0x49, 0xb8}, {0x49, 0xb9}}
	for i, r := range regs { // MOV RDI, RSI, RDX, R10, R8, R9
		a.emit(r.rex, r.op)
		a.imm64(c.args[i])
	}
	a.emit(0x48, 0xb8) // MOV RAX
	a.imm64(c.number)
	if c.int80 {
		a.emit(0xcd, 0x80)
	} else {
		a.emit(0x0f, 0x05)
	}
	a.emit(0xbf, status, 0, 0, 0, 0xb8) // MOV EDI, status; MOV EAX, exit_group
	a.imm32(unix.SYS_EXIT_GROUP)
	a.emit(0x0f, 0x05, 0x0f, 0x0b)
	return a.code
}

// imageOf makes an image of one page of code, with a page of data behind it.
func imageOf(t *testing.T, code []byte) *image.Image {
	t.Helper()
	le := binary.LittleEndian
	b := append([]byte("\x7fELF"), 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 62)
	b = le.AppendUint32(b, 1)
	for _, v := range []uint64{abi.ImageBase + 0x1000, elfHeader, 0} {
		b = le.AppendUint64(b, v)
	}
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{elfHeader, progHeader, 2, 64, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	for _, s := range []struct {
		flags            uint32
		off, vaddr, size uint64
	}{{5, 0, abi.ImageBase, 0x2000}, {6, 0x2000, abi.ImageBase + 0x2000, 0x1000}} {
		b = le.AppendUint32(b, 1)
		b = le.AppendUint32(b, s.flags)
		for _, v := range []uint64{s.off, s.vaddr, s.vaddr, s.size, s.size, 4096} {
			b = le.AppendUint64(b, v)
		}
	}
	b = append(b, make([]byte, 0x1000-len(b))...)
	b = append(b, code...)
	b = append(b, make([]byte, 0x3000-len(b))...)
	note := image.Note{Format: 1, Tailor: "test", ABI: abi.Version, Target: "spt", Arch: "amd64", Go: "none", Main: "test",
		Devices: []image.Device{{Type: "console"}}}
	b, err := image.AddNote(b, note)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "test.img")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	img, err := image.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	return img
}

// configOf says how to run code as a guest.
func configOf(t *testing.T, code []byte) *guest.Config {
	return &guest.Config{Image: imageOf(t, code), Args: []string{"test"}, Memory: 8 << 20, Stdout: os.Stdout, Stderr: os.Stderr}
}

// runCode runs code as a guest.
func runCode(t *testing.T, code []byte) (int, error) {
	t.Helper()
	if err := Check(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return Run(ctx, *configOf(t, code), func(what string) { t.Log(what) })
}

const (
	textAddr = abi.ImageBase + 0x1000
	dataAddr = abi.ImageBase + 0x2000
)

func processField(off uintptr) uint64 {
	var c abi.Control
	return abi.ControlAddr + uint64(unsafe.Offsetof(c.Process)+off)
}

var (
	process0  abi.Process
	info0     abi.BootInfo
	parkAddr  = processField(unsafe.Offsetof(process0.Park))
	timeAddr  = processField(unsafe.Offsetof(process0.Timeout))
	countAddr = abi.BootAddr + uint64(unsafe.Offsetof(info0.BellCount))
)

// What a guest must not do: everything but what package abi lists.
var forbidden = []struct {
	name string
	attempt
}{
	{"read", attempt{unix.SYS_READ, [6]uint64{0, dataAddr, 8}, false}},
	{"write to another descriptor", attempt{unix.SYS_WRITE, [6]uint64{1, countAddr, 8}, false}},
	{"write of something else", attempt{unix.SYS_WRITE, [6]uint64{0, dataAddr, 8}, false}},
	{"write of more", attempt{unix.SYS_WRITE, [6]uint64{0, countAddr, 16}, false}},
	{"write with high bits set", attempt{unix.SYS_WRITE, [6]uint64{1 << 32, countAddr, 8}, false}},
	{"writev", attempt{unix.SYS_WRITEV, [6]uint64{0, dataAddr, 1}, false}},
	{"openat", attempt{unix.SYS_OPENAT, [6]uint64{^uint64(99), textAddr, 0}, false}},
	{"open", attempt{unix.SYS_OPEN, [6]uint64{textAddr}, false}},
	{"execve", attempt{unix.SYS_EXECVE, [6]uint64{textAddr}, false}},
	{"execveat", attempt{unix.SYS_EXECVEAT, [6]uint64{0, textAddr, 0, 0, 0x1000}, false}},
	{"fork", attempt{unix.SYS_FORK, [6]uint64{}, false}},
	{"clone", attempt{unix.SYS_CLONE, [6]uint64{0x11}, false}},
	{"clone3", attempt{unix.SYS_CLONE3, [6]uint64{dataAddr, 88}, false}},
	{"mmap", attempt{unix.SYS_MMAP, [6]uint64{0, 4096, 7, 0x22, ^uint64(0), 0}, false}},
	{"mprotect", attempt{unix.SYS_MPROTECT, [6]uint64{dataAddr, 4096, 7}, false}},
	{"munmap", attempt{unix.SYS_MUNMAP, [6]uint64{dataAddr, 4096}, false}},
	{"mremap", attempt{unix.SYS_MREMAP, [6]uint64{dataAddr, 4096, 8192, 1}, false}},
	{"brk", attempt{unix.SYS_BRK, [6]uint64{}, false}},
	{"pkey_mprotect", attempt{unix.SYS_PKEY_MPROTECT, [6]uint64{dataAddr, 4096, 7, ^uint64(0)}, false}},
	{"ptrace", attempt{unix.SYS_PTRACE, [6]uint64{}, false}},
	{"process_vm_readv", attempt{unix.SYS_PROCESS_VM_READV, [6]uint64{1}, false}},
	{"prctl", attempt{unix.SYS_PRCTL, [6]uint64{unix.PR_SET_DUMPABLE, 1}, false}},
	{"arch_prctl", attempt{unix.SYS_ARCH_PRCTL, [6]uint64{0x1002, 0}, false}},
	{"seccomp", attempt{unix.SYS_SECCOMP, [6]uint64{unix.SECCOMP_SET_MODE_FILTER, 0, dataAddr}, false}},
	{"socket", attempt{unix.SYS_SOCKET, [6]uint64{2, 1, 0}, false}},
	{"connect", attempt{unix.SYS_CONNECT, [6]uint64{3}, false}},
	{"sendmsg", attempt{unix.SYS_SENDMSG, [6]uint64{3, dataAddr, 0}, false}},
	{"dup", attempt{unix.SYS_DUP, [6]uint64{0}, false}},
	{"close", attempt{unix.SYS_CLOSE, [6]uint64{0}, false}},
	{"fcntl", attempt{unix.SYS_FCNTL, [6]uint64{0, 4, 0}, false}},
	{"ioctl", attempt{unix.SYS_IOCTL, [6]uint64{0, 0x5401}, false}},
	{"kill", attempt{unix.SYS_KILL, [6]uint64{1, 9}, false}},
	{"tgkill", attempt{unix.SYS_TGKILL, [6]uint64{1, 1, 9}, false}},
	{"rt_sigaction", attempt{unix.SYS_RT_SIGACTION, [6]uint64{11, 0, 0, 8}, false}},
	{"sigaltstack", attempt{unix.SYS_SIGALTSTACK, [6]uint64{}, false}},
	{"setrlimit", attempt{unix.SYS_SETRLIMIT, [6]uint64{7, dataAddr}, false}},
	{"unshare", attempt{unix.SYS_UNSHARE, [6]uint64{unix.CLONE_NEWUSER}, false}},
	{"chroot", attempt{unix.SYS_CHROOT, [6]uint64{textAddr}, false}},
	{"mount", attempt{unix.SYS_MOUNT, [6]uint64{}, false}},
	{"io_uring_setup", attempt{unix.SYS_IO_URING_SETUP, [6]uint64{1, dataAddr}, false}},
	{"bpf", attempt{unix.SYS_BPF, [6]uint64{}, false}},
	{"userfaultfd", attempt{unix.SYS_USERFAULTFD, [6]uint64{}, false}},
	{"exit", attempt{unix.SYS_EXIT, [6]uint64{3}, false}},
	{"futex wake", attempt{unix.SYS_FUTEX, [6]uint64{parkAddr, 1, 1, timeAddr}, false}},
	{"futex on another word", attempt{unix.SYS_FUTEX, [6]uint64{dataAddr, 0, 1, timeAddr}, false}},
	{"futex with another time", attempt{unix.SYS_FUTEX, [6]uint64{parkAddr, 0, 1, dataAddr}, false}},
	{"a number that is none", attempt{100000, [6]uint64{}, false}},
	{"x32 write", attempt{x32Bit | unix.SYS_WRITE, [6]uint64{0, countAddr, 8}, false}},
	{"x32 execve", attempt{x32Bit | 520, [6]uint64{textAddr}, false}},
	{"32-bit exit", attempt{1, [6]uint64{}, true}},
	{"32-bit write", attempt{4, [6]uint64{}, true}},
	{"32-bit execve", attempt{11, [6]uint64{}, true}},
}

// Each dies for it, before the kernel does anything, and is told apart.
func TestForbidden(t *testing.T) {
	for _, tt := range forbidden {
		status, err := runCode(t, tt.code(42))
		var denied *Denied
		if status != 128+31 || !errors.As(err, &denied) {
			t.Errorf("%s: status %d, %v", tt.name, status, err)
			continue
		}
		word, _, _ := strings.Cut(tt.name, " ")
		switch {
		case tt.int80:
			word = "of 32-bit programs"
		case tt.number >= x32Bit:
			word = "of x32 programs"
		case word == "a":
			word = "100000"
		}
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Nor can it do once more what the launcher did when the first filter was there,
// with just the same arguments: the second filter kills for it.
func TestForbiddenAgain(t *testing.T) {
	if err := Check(); err != nil {
		t.Skip(err)
	}
	if !canListen() {
		t.Skip("this kernel does not ask, and one filter is enough")
	}
	p, err := newProcess(configOf(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	l := &launcher{}
	p.plan(l, true)
	first := slices.IndexFunc(l.steps, func(s step) bool { return s.number == unix.SYS_SECCOMP })
	again := l.steps[first+1:]
	if len(again) != 3 {
		t.Errorf("%d steps after the first filter", len(again))
	}
	for _, s := range again {
		status, err := runCode(t, attempt{number: s.number, args: s.args}.code(42))
		if status != 128+31 || err == nil || !strings.Contains(err.Error(), "system call") {
			t.Errorf("%s: status %d, %v", s.what, status, err)
		}
	}
}

// Without a kernel that asks, the kernel kills.
func TestForbiddenKills(t *testing.T) {
	defer func(old func() bool) { canListen = old }(canListen)
	canListen = func() bool { return false }
	for _, tt := range forbidden {
		status, err := runCode(t, tt.code(42))
		if status != 128+31 || err == nil || !strings.Contains(err.Error(), "system call") {
			t.Errorf("%s: status %d, %v", tt.name, status, err)
		}
	}
	if status, err := runCode(t, attempt{number: unix.SYS_EXIT_GROUP, args: [6]uint64{7}}.code(42)); status != 7 || err != nil {
		t.Errorf("exit: status %d, %v", status, err)
	}
}

// What package abi lists can be done.
func TestAllowed(t *testing.T) {
	for _, tt := range []struct {
		name string
		attempt
		status int
	}{
		{"write", attempt{unix.SYS_WRITE, [6]uint64{0, countAddr, 8}, false}, 42},
		{"futex", attempt{unix.SYS_FUTEX, [6]uint64{parkAddr, 0, abi.ParkAsleep, timeAddr}, false}, 42},
		{"restart_syscall", attempt{unix.SYS_RESTART_SYSCALL, [6]uint64{}, false}, 42},
		{"exit_group", attempt{unix.SYS_EXIT_GROUP, [6]uint64{9}, false}, 9},
	} {
		if status, err := runCode(t, tt.code(42)); status != tt.status || err != nil {
			t.Errorf("%s: status %d, %v", tt.name, status, err)
		}
	}
}

// The calls of SYSCALL instructions that are answered by the guest arrive at its
// handler, if they come from its text.
func TestInstructionCalls(t *testing.T) {
	for _, number := range abi.InstructionCalls {
		// MOV RAX, handler; MOV [SignalEntry], RAX
		var a x86
		a.emit(0x48, 0xb8)
		at := len(a.code)
		a.imm64(0)
		a.emit(0x48, 0xa3)
		a.imm64(processField(unsafe.Offsetof(process0.SignalEntry)))
		a.code = append(a.code, attempt{number: uint64(number)}.code(42)...)
		binary.LittleEndian.PutUint64(a.code[at:], textAddr+uint64(len(a.code)))
		// The handler exits with the signal's number.
		a.emit(0xb8)
		a.imm32(unix.SYS_EXIT_GROUP)
		a.emit(0x0f, 0x05)
		if status, err := runCode(t, a.code); status != 31 || err != nil {
			t.Errorf("call %d: status %d, %v", number, status, err)
		}
	}
}

// A guest that has no handler for its exception ends with SIGSEGV.
func TestNoHandler(t *testing.T) {
	status, err := runCode(t, []byte{0x0f, 0x0b}) // UD2
	if status != 128+int(unix.SIGSEGV) || err == nil {
		t.Errorf("status %d, %v", status, err)
	}
}

// Every allowed call has its arguments checked but those that have none, and
// exit_group's.
func TestRules(t *testing.T) {
	args := map[uint32]int{unix.SYS_FUTEX: 6, unix.SYS_SETITIMER: 3, unix.SYS_WRITE: 3, unix.SYS_RT_SIGRETURN: 0, unix.SYS_RESTART_SYSCALL: 0, unix.SYS_EXIT_GROUP: 0}
	if n := len(calls()); n != len(args) {
		t.Errorf("%d system calls", n)
	}
	for _, r := range calls() {
		if n, ok := args[r.number]; !ok || len(r.args) != n {
			t.Errorf("call %d: %d arguments are checked, %v", r.number, len(r.args), r.args)
		}
		for i, a := range r.args {
			if a.index != i {
				t.Errorf("call %d: argument %d is checked in the place of %d", r.number, a.index, i)
			}
		}
	}
	prog := newFilter(unix.SECCOMP_RET_KILL_PROCESS, calls(), abi.InstructionCalls[:], text{textAddr, dataAddr})
	if len(prog) > 4096 {
		t.Errorf("%d instructions", len(prog))
	}
}
