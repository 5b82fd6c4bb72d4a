package devices

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
)

// maxRead bounds the bytes that are read from the input at a time.
const maxRead = 64 << 10

// An input feeds the console's input queue from a file. The queue belongs to
// its goroutine, which starts when the guest first asks for input.
type input struct {
	bus   *Bus
	q     *virtq.Queue
	file  *os.File
	event int           // eventfd, readable once stop was called
	kick  chan struct{} // the guest has posted buffers; closed by stop
	start sync.Once
	done  chan struct{}
}

func newInput(b *Bus, d *abi.Device, f *os.File) (*input, error) {
	in := &input{bus: b, file: f, kick: make(chan struct{}, 1), done: make(chan struct{})}
	q, err := b.queue(d, ConsoleIn, virtq.In, "input", in.bell)
	if err != nil {
		return nil, err
	}
	in.q = q
	if in.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("devices: eventfd: %w", err)
	}
	return in, nil
}

// bell is rung by the vCPU thread.
func (in *input) bell() (more bool) {
	in.start.Do(func() { go in.run() })
	select {
	case in.kick <- struct{}{}:
	default:
	}
	return false
}

// stop ends the goroutine, also one that waits for input.
func (in *input) stop() {
	in.start.Do(func() { close(in.done) })
	one := [8]byte{1}
	unix.Write(in.event, one[:])
	close(in.kick)
	<-in.done
	unix.Close(in.event)
}

// run serves posted buffers until stop.
func (in *input) run() {
	defer close(in.done)
	buf := make([]byte, maxRead)
	var c virtq.Chain
	for {
		ok, err := in.q.Pop(&c)
		switch {
		case err != nil:
			in.bus.Fail(err)
			return
		case ok:
			n, ok := in.read(buf[:min(len(buf), c.InLen)])
			if !ok {
				return
			}
			in.give(&c, buf[:n])
		case in.q.Arm():
		default:
			if _, ok := <-in.kick; !ok {
				return
			}
		}
	}
}

// give puts p into a chain. Zero bytes are the end of the file.
func (in *input) give(c *virtq.Chain, p []byte) {
	n := len(p)
	for _, b := range c.In {
		p = p[copy(b, p):]
	}
	in.q.Push(c.Head, n)
	if in.q.Flush() {
		in.bus.Wake()
	}
}

// read reads from the file; 0 bytes is its end, or an error, which a guest is
// told of in the same way. ok is false after stop.
func (in *input) read(p []byte) (n int, ok bool) {
	if in.file == nil {
		return 0, true
	}
	raw, err := in.file.SyscallConn()
	if err != nil {
		return 0, true
	}
	// Control, not Read: the descriptor may be a blocking one, and only a poll
	// together with the eventfd can be ended by stop.
	err = raw.Control(func(fd uintptr) { n, ok = in.pollRead(int(fd), p) })
	return n, ok || err != nil
}

// pollRead is read on the file's descriptor.
func (in *input) pollRead(fd int, p []byte) (int, bool) {
	fds := []unix.PollFd{{Fd: int32(in.event), Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		} else if err != nil {
			return 0, true
		}
		if fds[0].Revents != 0 {
			return 0, false
		}
		n, err := unix.Read(fd, p)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		return max(n, 0), true
	}
}
