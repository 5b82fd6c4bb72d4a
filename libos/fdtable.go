package libos

import (
	"sync"
	"sync/atomic"
)

// maxFDs is the number of descriptors at the most.
const maxFDs = 1 << 20

// A desc is an open file description: a File, and what all descriptors made
// from it by dup share.
type desc struct {
	file  File
	at    place         // what open found; zero for a pipe or a socket
	flags atomic.Uint32 // access mode and status flags, as F_GETFL returns them
	refs  atomic.Int32  // descriptors, and calls under way
	watch watchList
	// unlock is set while the description has, or has had, a lock of flock.
	unlock func(*desc)
}

// newDesc returns a description with one reference.
func newDesc(f File, flags uint32) *desc {
	d := &desc{file: f}
	d.flags.Store(flags &^ oNONBLOCK)
	d.refs.Store(1)
	if flags&oNONBLOCK != 0 {
		d.setFlags(flags)
	}
	return d
}

// put drops a reference; the last one closes the file.
func (d *desc) put() Errno {
	if d.refs.Add(-1) != 0 {
		return 0
	}
	if p, ok := d.file.(Poller); ok && d.watch.clear() {
		p.SetNotify(nil)
	}
	if d.unlock != nil {
		d.unlock(d)
	}
	return d.file.Close()
}

// readable and writable tell what the description was opened for.
func (d *desc) readable() bool {
	f := d.flags.Load()
	return f&oACCMODE&^oRDWR == 0 && f&oPATH == 0
}

func (d *desc) writable() bool {
	f := d.flags.Load()
	return (f&oACCMODE == oWRONLY || f&oACCMODE == oRDWR) && f&oPATH == 0
}

// allows tells it for writing or reading.
func (d *desc) allows(write bool) bool {
	if write {
		return d.writable()
	}
	return d.readable()
}

// settable are the status flags that F_SETFL can change.
const settable = oAPPEND | oNONBLOCK | oASYNC | oDIRECT | oNOATIME

// setFlags changes the status flags to those in f.
func (d *desc) setFlags(f uint32) {
	old := d.flags.Load()
	now := old&^settable | f&settable
	d.flags.Store(now)
	if p, ok := d.file.(Poller); ok && (old^now)&oNONBLOCK != 0 {
		p.SetNonblock(now&oNONBLOCK != 0)
	}
	if p, ok := d.file.(Appender); ok {
		p.SetAppend(now&oAPPEND != 0)
	}
}

// An Appender is a file that wants to know when O_APPEND is set or cleared.
type Appender interface{ SetAppend(bool) }

// A slot is one descriptor.
type slot struct {
	d       *desc
	cloexec bool
}

// fdTable maps descriptors to descriptions.
type fdTable struct {
	mu    sync.Mutex
	slots []slot
	low   int // no free descriptor is below
	limit int // RLIMIT_NOFILE
}

// get returns the description of fd with a reference that the caller puts.
func (t *fdTable) get(fd int) (*desc, Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if uint(fd) >= uint(len(t.slots)) || t.slots[fd].d == nil {
		return nil, EBADF
	}
	d := t.slots[fd].d
	d.refs.Add(1)
	return d, 0
}

// add gives d, and the reference to it, the lowest free descriptor not below
// from. On failure the reference is dropped.
func (t *fdTable) add(d *desc, from int, cloexec bool) (int, Errno) {
	fd, errno := t.tryAdd(d, from, cloexec)
	if errno != 0 {
		d.put()
	}
	return fd, errno
}

func (t *fdTable) tryAdd(d *desc, from int, cloexec bool) (int, Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fd := max(from, t.low)
	for fd < len(t.slots) && t.slots[fd].d != nil {
		fd++
	}
	if fd >= t.limit {
		return 0, EMFILE
	}
	t.set(fd, slot{d, cloexec})
	if from <= t.low {
		t.low = fd + 1
	}
	return fd, 0
}

// set stores s at fd, growing the table. t.mu is held.
func (t *fdTable) set(fd int, s slot) {
	for fd >= len(t.slots) {
		t.slots = append(t.slots, slot{})
	}
	t.slots[fd] = s
}

// replace makes fd refer to d, and takes the reference to d. It returns what
// was there before, nil for a descriptor that was free.
func (t *fdTable) replace(fd int, d *desc, cloexec bool) *desc {
	t.mu.Lock()
	defer t.mu.Unlock()
	var old *desc
	if fd < len(t.slots) {
		old = t.slots[fd].d
	}
	t.set(fd, slot{d, cloexec})
	return old
}

// remove frees fd and returns its description with the reference.
func (t *fdTable) remove(fd int) (*desc, Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if uint(fd) >= uint(len(t.slots)) || t.slots[fd].d == nil {
		return nil, EBADF
	}
	d := t.slots[fd].d
	t.slots[fd] = slot{}
	t.low = min(t.low, fd)
	return d, 0
}

// cloexec returns and, if set is not negative, sets the close-on-exec flag.
func (t *fdTable) cloexec(fd, set int) (bool, Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if uint(fd) >= uint(len(t.slots)) || t.slots[fd].d == nil {
		return false, EBADF
	}
	if set >= 0 {
		t.slots[fd].cloexec = set != 0
	}
	return t.slots[fd].cloexec, 0
}

// closeFD closes one descriptor.
func (t *fdTable) closeFD(fd int) Errno {
	d, errno := t.remove(fd)
	if errno != 0 {
		return errno
	}
	d.forget(fd)
	return d.put()
}
