package qemu

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A spool is a file in memory that QEMU appends a guest's output to and from
// which it is copied on. QEMU drops what a console writes while a pipe or a socket
// is full (hw/char/virtio-console.c, flush_buf), so it gets something that never
// is: when too much waits, QEMU is stopped instead.
type spool struct {
	read *os.File
	wake *os.File // inotify, of changes

	mu     sync.Mutex
	closed bool
}

// Bounds of what waits in a spool, in bytes. QEMU is stopped above the first
// and goes on below the second.
const (
	spoolHigh = 8 << 20
	spoolLow  = 1 << 20
)

// newSpool makes a spool. QEMU writes to a file of its own that it opens by the
// path of read.
func newSpool() (s *spool, err error) {
	fd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	s = &spool{read: os.NewFile(uintptr(fd), "guest")}
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		s.wake = os.NewFile(uintptr(watch), "inotify")
		_, err = unix.InotifyAddWatch(watch, fmt.Sprintf("/proc/self/fd/%d", fd), unix.IN_MODIFY)
	}
	if err != nil {
		s.read.Close()
		return nil, os.NewSyscallError("inotify", err)
	}
	return s, nil
}

// end says that no more will be written: QEMU has ended.
func (s *spool) end() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wake.SetReadDeadline(time.Now())
}

func (s *spool) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// copyTo copies what is written to w until the end. hold is called with true
// when too much waits, and with false when it does no longer; begun when something
// is there.
func (s *spool) copyTo(w io.Writer, hold func(bool), begun func()) error {
	defer s.read.Close()
	defer s.wake.Close()
	var at int64
	var buf [64 << 10]byte
	held := false
	for {
		last := s.ended()
		n, err := s.read.ReadAt(buf[:], at)
		if n > 0 {
			begun()
			if _, err := w.Write(buf[:n]); err != nil {
				w = io.Discard // nobody looks any more; the guest goes on
			}
			at += int64(n)
			s.forget(at)
		}
		if waits := s.waiting(at); held && waits < spoolLow || !held && waits > spoolHigh {
			held = !held
			hold(held)
		}
		switch {
		case n > 0:
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case last:
			return nil
		default:
			s.wake.Read(buf[:]) // until something is written, or the end
		}
	}
}

// waiting returns how many bytes are behind at.
func (s *spool) waiting(at int64) int64 {
	info, err := s.read.Stat()
	if err != nil {
		return 0
	}
	return info.Size() - at
}

// forget gives the memory of what is before at back.
func (s *spool) forget(at int64) {
	unix.Fallocate(int(s.read.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, at)
}
