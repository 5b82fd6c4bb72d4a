package libos

import (
	"sync"
	"unsafe"
)

// Operations and bits of epoll (include/uapi/linux/eventpoll.h).
const (
	epollAdd = 1
	epollDel = 2
	epollMod = 3

	epollExclusive = 1 << 28
	epollOneshot   = 1 << 30
	epollEdge      = 1 << 31
	epollAlways    = ReadyErr | ReadyHup
)

// maxEpollDepth is how deep epolls may watch epolls (EP_MAX_NESTS).
const maxEpollDepth = 4

// epollKey names an entry of an interest list: the descriptor and what it
// referred to when it was added.
type epollKey struct {
	fd int
	d  *desc
}

// An epollItem is one entry of the interest list.
type epollItem struct {
	ep     *epollFile
	key    epollKey
	p      Poller
	w      *watcher
	event  epollEvent
	queued bool // it is in ep.ready
	gone   bool // it was deleted
}

// An epollFile is the file of epoll_create.
type epollFile struct {
	notifier
	mu    sync.Mutex
	items map[epollKey]*epollItem
	ready []*epollItem         // may be ready, in the order they became so
	waits map[*parker]struct{} // parked in epoll_wait
}

func (e *epollFile) Read([]byte) (int, Errno)  { return 0, EINVAL }
func (e *epollFile) Write([]byte) (int, Errno) { return 0, EINVAL }
func (e *epollFile) SetNonblock(bool)          {}

// Close forgets all items. Their watchers hold no reference to the files.
func (e *epollFile) Close() Errno {
	e.mu.Lock()
	items := e.items
	e.items, e.ready = nil, nil
	e.mu.Unlock()
	for _, it := range items {
		it.unwatch()
	}
	return 0
}

// Ready implements Poller: an epoll is readable when an item is ready.
func (e *epollFile) Ready() uint32 {
	e.mu.Lock()
	list := append([]*epollItem(nil), e.ready...)
	e.mu.Unlock()
	for _, it := range list {
		if it.current() != 0 {
			return ReadyIn
		}
	}
	return 0
}

// current returns the events of it that are ready now. e.mu is not held, for
// the file's Ready takes locks of its own.
func (it *epollItem) current() uint32 {
	it.ep.mu.Lock()
	want, gone := it.event.events, it.gone
	it.ep.mu.Unlock()
	if gone || want&^(epollEdge|epollOneshot|epollExclusive) == 0 {
		return 0
	}
	return it.p.Ready() & (want | epollAlways)
}

// unwatch stops the notifications.
func (it *epollItem) unwatch() {
	it.key.d.removeWatcher(func(w *watcher) bool { return w == it.w })
}

// drop takes it out of its epoll.
func (it *epollItem) drop() {
	it.ep.mu.Lock()
	it.gone = true
	delete(it.ep.items, it.key)
	it.ep.mu.Unlock()
}

// notify queues it and wakes a waiter.
func (it *epollItem) notify(uint32) {
	e := it.ep
	e.mu.Lock()
	if it.gone || it.queued {
		e.mu.Unlock()
		return
	}
	it.queued = true
	e.ready = append(e.ready, it)
	for p := range e.waits {
		p.wake()
	}
	e.mu.Unlock()
	e.tell(ReadyIn)
}

// collect fills out with ready events and returns how many there are.
func (e *epollFile) collect(out []epollEvent) int {
	e.mu.Lock()
	list := e.ready
	e.ready = nil
	for _, it := range list {
		it.queued = false
	}
	e.mu.Unlock()
	n := 0
	for i, it := range list {
		if n == len(out) {
			e.requeue(list[i:], true)
			break
		}
		if got := it.current(); got != 0 {
			out[n] = e.deliver(it, got)
			n++
		}
	}
	return n
}

// deliver returns the event of it and queues it again if it is level-triggered.
func (e *epollFile) deliver(it *epollItem, got uint32) epollEvent {
	e.mu.Lock()
	ev := epollEvent{got, it.event.data}
	flags := it.event.events
	if flags&epollOneshot != 0 {
		it.event.events = flags & (epollEdge | epollOneshot | epollExclusive)
	}
	e.mu.Unlock()
	if flags&(epollEdge|epollOneshot) == 0 {
		e.requeue([]*epollItem{it}, false)
	}
	return ev
}

// requeue puts items back, in front of or behind the others.
func (e *epollFile) requeue(list []*epollItem, front bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var add []*epollItem
	for _, it := range list {
		if !it.queued && !it.gone {
			it.queued = true
			add = append(add, it)
		}
	}
	if front {
		e.ready = append(add, e.ready...)
	} else {
		e.ready = append(e.ready, add...)
	}
}

// wait is epoll_wait with a timeout in nanoseconds, negative for none.
func (e *epollFile) wait(out []epollEvent, timeout int64) int {
	if n := e.collect(out); n > 0 || timeout == 0 {
		return n
	}
	p := newParker(timeout)
	defer p.done()
	e.mu.Lock()
	if e.waits == nil {
		e.waits = make(map[*parker]struct{})
	}
	e.waits[p] = struct{}{}
	e.mu.Unlock()
	defer e.leave(p)
	for {
		if n := e.collect(out); n > 0 || p.expired() {
			return n
		}
		<-p.ch
	}
}

// leave ends p's wait; others may go on with what is left.
func (e *epollFile) leave(p *parker) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.waits, p)
	if len(e.ready) > 0 {
		for q := range e.waits {
			q.wake()
		}
	}
}

// depth returns how many epolls deep e watches, at most limit.
func (e *epollFile) depth(limit int) int {
	if limit == 0 {
		return 0
	}
	e.mu.Lock()
	var inner []*epollFile
	for k := range e.items {
		if f, ok := k.d.file.(*epollFile); ok {
			inner = append(inner, f)
		}
	}
	e.mu.Unlock()
	deepest := 0
	for _, f := range inner {
		deepest = max(deepest, f.depth(limit-1))
	}
	return deepest + 1
}

// reaches reports whether e watches, perhaps through others, target.
func (e *epollFile) reaches(target *epollFile, limit int) bool {
	if e == target || limit == 0 {
		return e == target
	}
	e.mu.Lock()
	var inner []*epollFile
	for k := range e.items {
		if f, ok := k.d.file.(*epollFile); ok {
			inner = append(inner, f)
		}
	}
	e.mu.Unlock()
	for _, f := range inner {
		if f.reaches(target, limit-1) {
			return true
		}
	}
	return false
}

func sysEpollCreate(a args) (uintptr, Errno) {
	if a.int(0) <= 0 {
		return 0, EINVAL
	}
	return makeEpoll(0)
}

func sysEpollCreate1(a args) (uintptr, Errno) { return makeEpoll(uint32(a.i[0])) }

func makeEpoll(flags uint32) (uintptr, Errno) {
	if flags&^oCLOEXEC != 0 {
		return 0, EINVAL
	}
	e := &epollFile{items: make(map[epollKey]*epollItem)}
	fd, errno := fds.add(newDesc(e, oRDWR), 0, flags != 0)
	return uintptr(fd), errno
}

// epollOf returns the epoll at descriptor fd, with a reference to d.
func epollOf(fd int) (*desc, *epollFile, Errno) {
	d, errno := fds.get(fd)
	if errno != 0 {
		return nil, nil, errno
	}
	e, ok := d.file.(*epollFile)
	if !ok {
		d.put()
		return nil, nil, EINVAL
	}
	return d, e, 0
}

func sysEpollCtl(a args) (uintptr, Errno) {
	op := a.int(1)
	var ev epollEvent
	if op != epollDel {
		var errno Errno
		if ev, errno = load[epollEvent](a.p[3]); errno != 0 {
			return 0, errno
		}
	}
	ed, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer ed.put()
	d, errno := fds.get(a.fd(2))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	p, pollable := d.file.(Poller)
	if !pollable {
		return 0, EPERM
	}
	e, ok := ed.file.(*epollFile)
	if !ok || d == ed {
		return 0, EINVAL
	}
	return 0, e.control(op, epollKey{a.fd(2), d}, p, ev)
}

func (e *epollFile) control(op int, key epollKey, p Poller, ev epollEvent) Errno {
	switch op {
	case epollAdd:
		return e.add(key, p, ev)
	case epollMod:
		return e.modify(key, ev)
	case epollDel:
		return e.remove(key)
	}
	return EINVAL
}

func (e *epollFile) add(key epollKey, p Poller, ev epollEvent) Errno {
	if f, ok := key.d.file.(*epollFile); ok {
		if f.reaches(e, maxEpollDepth) || f.depth(maxEpollDepth+1) > maxEpollDepth {
			return ELOOP
		}
	}
	it := &epollItem{ep: e, key: key, p: p, event: ev}
	it.w = &watcher{fd: key.fd, notify: it.notify, closed: it.drop}
	e.mu.Lock()
	if e.items[key] != nil {
		e.mu.Unlock()
		return EEXIST
	}
	e.items[key] = it
	e.mu.Unlock()
	key.d.addWatcher(p, it.w)
	return 0
}

func (e *epollFile) modify(key epollKey, ev epollEvent) Errno {
	e.mu.Lock()
	it := e.items[key]
	if it == nil {
		e.mu.Unlock()
		return ENOENT
	}
	it.event = ev
	e.mu.Unlock()
	if it.p.Ready() != 0 {
		it.notify(0)
	}
	return 0
}

func (e *epollFile) remove(key epollKey) Errno {
	e.mu.Lock()
	it := e.items[key]
	if it == nil {
		e.mu.Unlock()
		return ENOENT
	}
	it.gone = true
	delete(e.items, key)
	e.mu.Unlock()
	it.unwatch()
	return 0
}

func sysEpollWait(a args) (uintptr, Errno) {
	timeout := int64(a.int(3))
	if timeout > 0 {
		timeout *= 1e6
	}
	return epollWait(&a, timeout)
}

func sysEpollPwait2(a args) (uintptr, Errno) {
	timeout, errno := timeoutArg(&a, 3)
	if errno != 0 {
		return 0, errno
	}
	return epollWait(&a, timeout)
}

func epollWait(a *args, timeout int64) (uintptr, Errno) {
	n := a.int(2)
	if n <= 0 || n > maxIO/int(unsafe.Sizeof(epollEvent{})) {
		return 0, EINVAL
	}
	if a.p[1] == nil {
		return 0, EFAULT
	}
	d, e, errno := epollOf(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	// SAFETY: the caller gives n events at this address.
	out := unsafe.Slice((*epollEvent)(a.p[1]), n)
	return uintptr(e.wait(out, timeout)), 0
}
