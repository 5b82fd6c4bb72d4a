package libos

import "sync"

// Operations of flock.
const (
	lockShared    = 1
	lockExclusive = 2
	lockNonblock  = 4
	lockUnlock    = 8
)

// fileLocks are the locks of flock: they belong to descriptions, so that two
// goroutines that opened the same file exclude each other.
type fileLocks struct {
	mu      sync.Mutex
	changed sync.Cond
	held    map[Node]map[*desc]int
}

var locks fileLocks

func sysFlock(a args) (uintptr, Errno) {
	d, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	if d.flags.Load()&oPATH != 0 {
		return 0, EBADF
	}
	op := a.int(1) &^ lockNonblock
	switch op {
	case lockUnlock:
		releaseLock(d)
		return 0, 0
	case lockShared, lockExclusive:
		if d.at.node == nil {
			return 0, 0 // nothing else can open it
		}
		return 0, locks.take(d, op, a.int(1)&lockNonblock != 0)
	}
	return 0, EINVAL
}

// take gives d a lock of kind op. A lock of the other kind that d has is given
// up first, as flock(2) says under "Converting a lock".
func (l *fileLocks) take(d *desc, op int, nonblock bool) Errno {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[d.at.node][d] == op {
		return 0
	}
	l.drop(d)
	for l.conflict(d.at.node, op) {
		if nonblock {
			return EAGAIN
		}
		l.changed.L = &l.mu
		l.changed.Wait()
	}
	if l.held == nil {
		l.held = make(map[Node]map[*desc]int)
	}
	if l.held[d.at.node] == nil {
		l.held[d.at.node] = make(map[*desc]int)
	}
	l.held[d.at.node][d] = op
	d.unlock = releaseLock
	return 0
}

// conflict reports whether a lock of kind op must wait.
func (l *fileLocks) conflict(n Node, op int) bool {
	for _, held := range l.held[n] {
		if op == lockExclusive || held == lockExclusive {
			return true
		}
	}
	return false
}

// drop takes d's lock away. l.mu is held.
func (l *fileLocks) drop(d *desc) {
	holders := l.held[d.at.node]
	if holders[d] == 0 {
		return
	}
	delete(holders, d)
	if len(holders) == 0 {
		delete(l.held, d.at.node)
	}
	l.changed.Broadcast()
}

// releaseLock drops the lock of a description, if it has one.
func releaseLock(d *desc) {
	if d.at.node == nil {
		return
	}
	locks.mu.Lock()
	defer locks.mu.Unlock()
	locks.drop(d)
}
