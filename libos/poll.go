package libos

import "unsafe"

// Bits of poll(2) that Ready does not have.
const (
	pollNval   = 0x20
	pollRdNorm = 0x40
	pollWrNorm = 0x100
)

// pollFD is struct pollfd.
type pollFD struct {
	fd              int32
	events, revents uint16
}

// A parker waits for a wake-up or a deadline. It lives in the heap, for
// watchers call wake.
type parker struct {
	ch    chan struct{}
	stop  func()
	until int64 // monotonic nanoseconds, or forever
}

const forever = maxInt64

// newParker returns a parker with a timeout in nanoseconds, negative for none.
func newParker(timeout int64) *parker {
	p := &parker{ch: make(chan struct{}, 1), until: forever}
	if timeout > 0 {
		p.until = addTime(Hooks.Now(), timeout)
		p.stop = afterFunc(timeout, p.wake)
	}
	return p
}

// addTime returns a+b, at most forever.
func addTime(a, b int64) int64 {
	if b > forever-a {
		return forever
	}
	return a + b
}

func (p *parker) wake() {
	select {
	case p.ch <- struct{}{}:
	default:
	}
}

func (p *parker) expired() bool { return p.until != forever && Hooks.Now() >= p.until }

func (p *parker) done() {
	if p.stop != nil {
		p.stop()
	}
}

// readiness returns what of events is ready in a file; regular files always
// are. The second result is nil for a file that need not be waited for.
func (d *desc) readiness() (uint32, Poller) {
	p, ok := d.file.(Poller)
	if !ok {
		return ReadyIn | ReadyOut, nil
	}
	return p.Ready(), p
}

// pollEvents turns Ready bits into the revents for the events asked for.
func pollEvents(ready uint32, events uint16) uint16 {
	got := uint16(ready)
	if got&ReadyIn != 0 {
		got |= pollRdNorm
	}
	if got&ReadyOut != 0 {
		got |= pollWrNorm
	}
	return got & (events | ReadyErr | ReadyHup)
}

// scan fills in revents and returns how many are not zero.
func scan(list []pollFD) int {
	n := 0
	for i := range list {
		p := &list[i]
		p.revents = 0
		if p.fd < 0 {
			continue
		}
		d, errno := fds.get(int(p.fd))
		if errno != 0 {
			p.revents = pollNval
		} else {
			ready, _ := d.readiness()
			p.revents = pollEvents(ready, p.events)
			d.put()
		}
		if p.revents != 0 {
			n++
		}
	}
	return n
}

// watched is the descriptions that a poll watches.
type watched struct {
	w    watcher
	list []*desc
}

// watchAll adds w to every description of list that can be waited for.
func (s *watched) watchAll(list []pollFD) {
	for i := range list {
		if list[i].fd < 0 {
			continue
		}
		d, errno := fds.get(int(list[i].fd))
		if errno != 0 {
			continue
		}
		if _, p := d.readiness(); p != nil {
			d.addWatcher(p, &s.w)
			s.list = append(s.list, d)
			continue
		}
		d.put()
	}
}

func (s *watched) release() {
	for _, d := range s.list {
		d.removeWatcher(func(w *watcher) bool { return w == &s.w })
		d.put()
	}
}

// pollWait waits until one of list is ready or timeout nanoseconds have passed
// (negative: for ever) and returns how many are.
func pollWait(list []pollFD, timeout int64) int {
	n := scan(list)
	if n > 0 || timeout == 0 {
		return n
	}
	p := newParker(timeout)
	defer p.done()
	s := &watched{w: watcher{fd: -1, notify: func(uint32) { p.wake() }}}
	s.watchAll(list)
	defer s.release()
	for {
		if n := scan(list); n > 0 || p.expired() {
			return n
		}
		<-p.ch
	}
}

// pollList returns the pollfd array of n entries at p.
func pollList(p unsafe.Pointer, n uintptr) ([]pollFD, Errno) {
	if n > maxFDs {
		return nil, EINVAL
	}
	if n > 0 && p == nil {
		return nil, EFAULT
	}
	// SAFETY: the caller gives n entries at p.
	return unsafe.Slice((*pollFD)(p), n), 0
}

func sysPoll(a args) (uintptr, Errno) {
	list, errno := pollList(a.p[0], a.i[1])
	if errno != 0 {
		return 0, errno
	}
	timeout := int64(a.int(2))
	if timeout > 0 {
		timeout *= 1e6
	}
	return uintptr(pollWait(list, timeout)), 0
}

func sysPpoll(a args) (uintptr, Errno) {
	list, errno := pollList(a.p[0], a.i[1])
	if errno != 0 {
		return 0, errno
	}
	timeout, errno := timeoutArg(&a, 2)
	if errno != 0 {
		return 0, errno
	}
	return uintptr(pollWait(list, timeout)), 0
}

// timeoutArg returns the struct timespec at argument n in nanoseconds, -1 for a
// null pointer.
func timeoutArg(a *args, n int) (int64, Errno) {
	if a.i[n] == 0 {
		return -1, 0
	}
	t, errno := load[Time](a.p[n])
	if errno != 0 {
		return 0, errno
	}
	return t.duration()
}

// fdSetMax is FD_SETSIZE rounded up to what select looks at.
const fdSetMax = 1024

// fdSet is an fd_set of the caller, nil for a null pointer.
type fdSet []uint64

func setArg(a *args, n int, nfds int) (fdSet, Errno) {
	if a.i[n] == 0 {
		return nil, 0
	}
	if a.p[n] == nil {
		return nil, EFAULT
	}
	// SAFETY: the caller gives an fd_set of nfds bits, in whole longs.
	return unsafe.Slice((*uint64)(a.p[n]), (nfds+63)/64), 0
}

func (s fdSet) has(fd int) bool { return s != nil && s[fd/64]&(1<<(fd%64)) != 0 }

func (s fdSet) add(fd int) { s[fd/64] |= 1 << (fd % 64) }

// The events each of select's three sets stands for, as in fs/select.c.
var selectEvents = [3]uint16{ReadyIn, ReadyOut, 0}
var selectReady = [3]uint16{ReadyIn | ReadyHup | ReadyErr, ReadyOut | ReadyErr, 0}

func sysSelect(a args) (uintptr, Errno) {
	timeout := int64(-1)
	if a.i[4] != 0 {
		t, errno := load[Time](a.p[4])
		if errno != 0 {
			return 0, errno
		}
		t.Nsec *= 1000 // it is a struct timeval
		if timeout, errno = t.duration(); errno != 0 {
			return 0, errno
		}
	}
	return selectWait(&a, timeout)
}

func sysPselect(a args) (uintptr, Errno) {
	timeout, errno := timeoutArg(&a, 4)
	if errno != 0 {
		return 0, errno
	}
	return selectWait(&a, timeout)
}

func selectWait(a *args, timeout int64) (uintptr, Errno) {
	nfds := a.int(0)
	if nfds < 0 {
		return 0, EINVAL
	}
	nfds = min(nfds, fdSetMax)
	var sets [3]fdSet
	for i := range sets {
		var errno Errno
		if sets[i], errno = setArg(a, i+1, nfds); errno != 0 {
			return 0, errno
		}
	}
	list := selectList(&sets, nfds)
	pollWait(list, timeout)
	for i := range list {
		if list[i].revents&pollNval != 0 {
			return 0, EBADF
		}
	}
	return selectResult(&sets, list), 0
}

// selectList turns the sets into a list for pollWait.
func selectList(sets *[3]fdSet, nfds int) (list []pollFD) {
	for fd := range nfds {
		var events uint16
		asked := false
		for i := range sets {
			if sets[i].has(fd) {
				asked = true
				events |= selectEvents[i]
			}
		}
		if asked {
			list = append(list, pollFD{fd: int32(fd), events: events})
		}
	}
	return list
}

// selectResult leaves in the sets what is ready, and counts it.
func selectResult(sets *[3]fdSet, list []pollFD) uintptr {
	n := uintptr(0)
	for i, s := range sets {
		if s == nil {
			continue
		}
		old := append(fdSet(nil), s...)
		clear(s)
		for j := range list {
			if old.has(int(list[j].fd)) && list[j].revents&selectReady[i] != 0 {
				s.add(int(list[j].fd))
				n++
			}
		}
	}
	return n
}
