package spt

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/hint"
)

// A child is the process of a guest.
type child struct {
	pid, pidfd int
	listener   int // of its filter, -1 for none
	ended      bool
	reaped     bool
}

var noChild = child{pid: -1, pidfd: -1, listener: -1}

// kill ends the child, if it has not ended.
func (c *child) kill() {
	if c.pidfd >= 0 {
		unix.PidfdSendSignal(c.pidfd, unix.SIGKILL, nil, 0)
	}
}

// wait reaps the child.
func (c *child) wait() (ws unix.WaitStatus, err error) {
	for {
		_, err = unix.Wait4(c.pid, &ws, 0, nil)
		if err != unix.EINTR {
			c.reaped = err == nil
			return ws, err
		}
	}
}

// close ends and reaps the child, and releases what is known of it.
func (c *child) close() {
	if c.pid > 0 && !c.reaped {
		c.kill()
		c.wait()
	}
	for _, fd := range []int{c.pidfd, c.listener} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	*c = noChild
}

// launch starts the guest's process and waits until it has locked itself in.
func (p *process) launch(note func(string)) error {
	if note == nil {
		note = func(string) {}
	}
	l := &launcher{}
	p.plan(l, canListen())
	reports, err := p.spawn(l, note)
	if err != nil {
		return err
	}
	defer unix.Close(reports)
	if err := p.fill(); err != nil {
		return err
	}
	p.begin = time.Now()
	// A launcher that has ended has left a report.
	if _, err := unix.Write(reports, []byte{1}); err != nil && err != unix.EPIPE {
		return fmt.Errorf("start the process: %w", err)
	}
	if err := p.hear(reports, l, note); err != nil {
		return err
	}
	return p.watch()
}

// spawn starts the launcher, and returns the monitor's end of its reports.
func (p *process) spawn(l *launcher, note func(string)) (reports int, err error) {
	exe, err := executable(l.elf(p.cfg.Image.Entry, p.sp))
	if err != nil {
		return -1, err
	}
	defer unix.Close(exe)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socketpair: %w", err)
	}
	defer unix.Close(pair[1])
	img := p.mem.FD // for an image without a file, any
	if f := p.cfg.Image.File(); f != nil {
		img = int(f.Fd())
	}
	attr := &syscall.ProcAttr{
		Files: []uintptr{fdBell: uintptr(p.bell), fdMemory: uintptr(p.mem.FD), fdImage: uintptr(img), fdReport: uintptr(pair[1])},
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &p.child.pidfd},
	}
	if err := p.fork(exe, attr, note); err != nil {
		unix.Close(pair[0])
		return -1, err
	}
	return pair[0], nil
}

// fork starts the executable, for root in a process ID namespace of its own. For
// others that takes a user namespace from the start, and then a copy of the tool's
// address space, half a millisecond: there is no call that names a process anyway.
func (p *process) fork(exe int, attr *syscall.ProcAttr, note func(string)) error {
	path := "/proc/self/fd/" + strconv.Itoa(exe)
	attr.Sys.Cloneflags = syscall.CLONE_NEWPID
	pid, err := syscall.ForkExec(path, []string{p.name()}, attr)
	if err != nil {
		note("no process IDs of its own: " + err.Error())
		attr.Sys.Cloneflags = 0
		pid, err = syscall.ForkExec(path, []string{p.name()}, attr)
	}
	if err != nil {
		return fmt.Errorf("start a process: %w", err)
	}
	p.child.pid = pid
	if p.child.pidfd < 0 {
		return hint.Errorf("update the kernel, or use another target with -t", "target spt needs Linux 5.9 or newer")
	}
	return nil
}

// executable makes a file of a program, above the descriptors that the child will
// have.
func executable(program []byte) (fd int, err error) {
	if len(program) > launcherRoom {
		return -1, fmt.Errorf("the launcher has %d bytes", len(program))
	}
	const mfdExec = 0x10 // MFD_EXEC, since Linux 6.3
	f, err := unix.MemfdCreate("tailor-launcher", unix.MFD_CLOEXEC|mfdExec)
	if err == unix.EINVAL {
		f, err = unix.MemfdCreate("tailor-launcher", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	defer unix.Close(f)
	if _, err := unix.Write(f, program); err != nil {
		return -1, fmt.Errorf("write the launcher: %w", err)
	}
	return unix.FcntlInt(uintptr(f), unix.F_DUPFD_CLOEXEC, fdListen+1)
}

// hear reads the launcher's reports until it has locked itself in or ended.
func (p *process) hear(fd int, l *launcher, note func(string)) error {
	var buf [256]byte
	oob := make([]byte, unix.CmsgSpace(4))
	for {
		n, noob, _, _, err := unix.Recvmsg(fd, buf[:], oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		// It is a reset once if the launcher has ended without reading all; its
		// reports are behind that.
		case err == unix.EINTR, err == unix.ECONNRESET:
		case err != nil:
			return fmt.Errorf("hear of the process: %w", err)
		case noob > 0:
			p.child.listener = rightsOf(oob[:noob])
		case n <= 0:
			return nil
		case int(buf[0]) < len(l.steps):
			s := l.steps[buf[0]]
			err := fmt.Errorf("%s: %w", s.what, unix.Errno(n))
			if s.kind&may == 0 {
				return launchError(s, err)
			}
			note(err.Error())
		}
	}
}

// launchError adds what to do about it.
func launchError(s step, err error) error {
	err = fmt.Errorf("the process cannot lock itself in: %w", err)
	if errors.Is(err, unix.ENOSYS) {
		return hint.With(err, "target spt needs Linux 5.9 or newer: update the kernel, or use another target with -t")
	}
	return hint.With(err, "another sandbox may forbid it (a container's): use another target with -t")
}

// rightsOf returns the file descriptor in a control message, -1 for none.
func rightsOf(oob []byte) int {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(list) == 0 {
		return -1
	}
	fds, err := unix.ParseUnixRights(&list[0])
	if err != nil || len(fds) == 0 {
		return -1
	}
	return fds[0]
}

// watch has the loop notice the end of the child, and what it must not do.
func (p *process) watch() error {
	if err := p.bus.Watch(p.child.pidfd, true, func() { p.child.ended = true }); err != nil {
		return err
	}
	if p.child.listener < 0 {
		return nil
	}
	return p.bus.Watch(p.child.listener, true, p.deny)
}

// A Denied is a system call that a guest was stopped for.
type Denied struct {
	Call string // name and arguments
}

func (e *Denied) Error() string {
	return "the guest was stopped: it made the system call " + e.Call + ", which it must not make"
}

// Hint is the remedy.
func (e *Denied) Hint() string {
	return "assembly of the program's that makes system calls itself works with -t hvt"
}

// deny ends a guest for the call that it waits in.
func (p *process) deny() {
	n, err := receive(p.child.listener)
	if err != nil {
		return // it has ended
	}
	p.child.kill()
	p.denied = &Denied{n.String()}
}
