package libos

import (
	"sync"
	"sync/atomic"
)

// A watcher is told of readiness changes of one description.
type watcher struct {
	// notify is called with Ready* bits by any goroutine. It may be called
	// once more after the watcher was removed.
	notify func(ready uint32)
	// fd is the descriptor that PollOpen or epoll_ctl named, -1 for poll.
	fd int
	// netpoll says that the watcher was made by PollOpen.
	netpoll bool
	// closed is called when the file is closed, by an epoll that made the
	// watcher. nil: nothing is.
	closed func()
}

// watchList shares the one SetNotify of a file between several watchers. The
// list is replaced, never changed, so that notifying takes no lock.
type watchList struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*watcher]
}

func (l *watchList) load() []*watcher {
	if p := l.list.Load(); p != nil {
		return *p
	}
	return nil
}

// notify tells every watcher.
func (l *watchList) notify(ready uint32) {
	for _, w := range l.load() {
		w.notify(ready)
	}
}

// add adds w and reports whether it is the first. l.mu is held.
func (l *watchList) add(w *watcher) bool {
	old := l.load()
	list := append(old[:len(old):len(old)], w)
	l.list.Store(&list)
	return len(old) == 0
}

// remove removes the watchers that match and reports whether the list has
// become empty by that. l.mu is held.
func (l *watchList) remove(match func(*watcher) bool) bool {
	var keep []*watcher
	old := l.load()
	for _, w := range old {
		if !match(w) {
			keep = append(keep, w)
		}
	}
	if len(keep) == len(old) {
		return false
	}
	l.list.Store(&keep)
	return len(keep) == 0
}

// clear removes all watchers and reports whether there were any. Those of an
// epoll are taken out of it as well: its file is closed.
func (l *watchList) clear() bool {
	l.mu.Lock()
	old := l.load()
	l.list.Store(nil)
	l.mu.Unlock()
	for _, w := range old {
		if w.closed != nil {
			w.closed()
		}
	}
	return len(old) > 0
}

// addWatcher starts telling w of changes of d, whose file is p, and then of
// what is ready already.
func (d *desc) addWatcher(p Poller, w *watcher) {
	d.watch.mu.Lock()
	if d.watch.add(w) {
		p.SetNotify(d.watch.notify)
	}
	d.watch.mu.Unlock()
	if ready := p.Ready(); ready != 0 {
		w.notify(ready)
	}
}

// removeWatcher removes the watchers that match.
func (d *desc) removeWatcher(match func(*watcher) bool) {
	d.watch.mu.Lock()
	defer d.watch.mu.Unlock()
	if d.watch.remove(match) {
		if p, ok := d.file.(Poller); ok {
			p.SetNotify(nil)
		}
	}
}

// forget removes the netpoll watcher of a descriptor about to be closed.
func (d *desc) forget(fd int) {
	if d.watch.list.Load() != nil {
		d.removeWatcher(func(w *watcher) bool { return w.netpoll && w.fd == fd })
	}
}

// PollOpen arms the runtime's netpoll for fd: from now on, and at once if it is
// ready already, Hooks.PollNotify is called when fd may have become ready. It
// returns EPERM for a file that cannot be waited for, such as a regular file, and
// EEXIST for a descriptor that is waited for already.
func PollOpen(fd uintptr) Errno {
	d, errno := fds.get(int(fd))
	if errno != 0 {
		return errno
	}
	defer d.put()
	p, ok := d.file.(Poller)
	if !ok {
		return EPERM
	}
	for _, w := range d.watch.load() {
		if w.netpoll && w.fd == int(fd) {
			return EEXIST
		}
	}
	d.addWatcher(p, &watcher{fd: int(fd), netpoll: true, notify: func(ready uint32) {
		if mode := pollMode(ready); mode != 0 {
			Hooks.PollNotify(fd, mode)
		}
	}})
	return 0
}

// PollClose ends what PollOpen began.
func PollClose(fd uintptr) Errno {
	d, errno := fds.get(int(fd))
	if errno != 0 {
		return errno
	}
	defer d.put()
	d.forget(int(fd))
	return 0
}

// pollMode turns Ready* bits into the runtime's mode. As in the runtime's
// netpoll for epoll, an error or a hang-up wakes both sides.
func pollMode(ready uint32) int32 {
	var mode int32
	if ready&(ReadyIn|ReadyHup|ReadyErr) != 0 {
		mode += 'r'
	}
	if ready&(ReadyOut|ReadyHup|ReadyErr) != 0 {
		mode += 'w'
	}
	return mode
}
