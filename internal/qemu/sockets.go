package qemu

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// inherited are the files that QEMU is started with, from descriptor 3 on.
type inherited struct {
	list, own []*os.File
}

// add returns the descriptor that f is to have.
func (h *inherited) add(f *os.File) int {
	h.list = append(h.list, f)
	return 2 + len(h.list)
}

// socket makes a socket, sets backend to what -chardev takes for one end, and
// returns the other one.
func (h *inherited) socket(backend *string) (*net.UnixConn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	theirs, ours := os.NewFile(uintptr(fds[0]), "qemu"), os.NewFile(uintptr(fds[1]), "guest")
	defer ours.Close()
	h.own = append(h.own, theirs)
	*backend = fmt.Sprintf("socket,fd=%d", h.add(theirs))
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// path is what QEMU opens to get a file that it was started with.
func (h *inherited) path(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", h.add(f)) }

// spool makes a spool, sets backend to what -chardev takes for it, and returns
// it.
func (h *inherited) spool(backend *string) (*spool, error) {
	s, err := newSpool()
	if err != nil {
		return nil, err
	}
	*backend = "file,path=" + h.path(s.read)
	return s, nil
}

// console makes a spool and a pipe for a device with input and output. The only
// backend of QEMU's that takes a file for one and a pipe for the other wants two
// names, NAME.in and NAME.out: links in a folder, which is to be removed.
func (h *inherited) console(backend *string) (s *spool, input *os.File, dir string, err error) {
	if s, err = newSpool(); err != nil {
		return nil, nil, "", err
	}
	r, input, err := os.Pipe()
	if err != nil {
		return nil, nil, "", err
	}
	h.own = append(h.own, r)
	if dir, err = os.MkdirTemp("", "tailor-qemu-"); err != nil {
		return nil, nil, "", err
	}
	name := filepath.Join(dir, "console")
	err = errors.Join(os.Symlink(h.path(r), name+".in"), os.Symlink(h.path(s.read), name+".out"))
	*backend = "pipe,path=" + strings.ReplaceAll(name, ",", ",,")
	return s, input, dir, err
}

// close closes the sockets' ends of QEMU's, which has its own copies.
func (h *inherited) close() {
	for _, f := range h.own {
		f.Close()
	}
}

// Bounds of how often drained looks.
const (
	drainMin = time.Millisecond
	drainMax = 50 * time.Millisecond
)

// drained waits until the other end of a pipe has read everything, and reports
// whether it has. QEMU reads no more than it can give to the guest at once.
func drained(w *os.File) bool {
	raw, err := w.SyscallConn()
	if err != nil {
		return false
	}
	for wait := drainMin; ; wait = min(2*wait, drainMax) {
		queued, failed := 0, error(nil)
		if err := raw.Control(func(fd uintptr) { queued, failed = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }); err != nil || failed != nil {
			return false
		}
		if queued == 0 {
			return true
		}
		time.Sleep(wait)
	}
}
