package spt

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/libos"
)

// SAFETY: each address passed to the kernel is that of the structure that the
// call is defined for, which outlives it.

const (
	futexWait  = 0
	futexWk    = 1
	itimerProf = 2
)

// futexWake wakes one that waits on a word that is shared between processes.
func futexWake(word *uint32) {
	unix.RawSyscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWk, 1)
}

// A notification is struct seccomp_notif.
type notification struct {
	id         uint64
	pid, flags uint32
	nr         int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

const notifRecv = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV

func receive(listener int) (n notification, err error) {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), notifRecv, uintptr(unsafe.Pointer(&n)))
	if errno != 0 {
		return n, errno
	}
	return n, nil
}

// String describes the call.
func (n notification) String() string {
	number := uint32(n.nr)
	name := libos.CallName(uintptr(number &^ x32Bit))
	if n.arch != unix.AUDIT_ARCH_X86_64 || name == "" {
		name = fmt.Sprintf("number %d", number&^x32Bit)
	}
	switch {
	case n.arch != unix.AUDIT_ARCH_X86_64:
		name += " of 32-bit programs"
	case number&x32Bit != 0:
		name += " of x32 programs"
	}
	args := make([]string, len(n.args))
	for i, a := range n.args {
		args[i] = fmt.Sprintf("%#x", a)
	}
	return fmt.Sprintf("%s(%s) at %#x", name, strings.Join(args, ", "), n.ip)
}

// hasAction reports whether the kernel knows what a filter may return.
func hasAction(action uint32) bool {
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	return errno == 0
}

// canListen reports whether the kernel can ask about calls that are not allowed.
var canListen = func() bool { return hasAction(unix.SECCOMP_RET_USER_NOTIF) }
