package libos

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// efdSemaphore is EFD_SEMAPHORE; the other flags are those of open.
const efdSemaphore = 1

// eventMax is the greatest value of an eventfd's counter.
const eventMax = 1<<64 - 2

// An eventFile is the counter of eventfd(2).
type eventFile struct {
	notifier
	mu       sync.Mutex
	changed  sync.Cond
	count    uint64
	sem      bool
	nonblock atomic.Bool
}

func (e *eventFile) Read(b []byte) (int, Errno) {
	if len(b) < 8 {
		return 0, EINVAL
	}
	e.mu.Lock()
	for e.count == 0 {
		if e.nonblock.Load() {
			e.mu.Unlock()
			return 0, EAGAIN
		}
		e.changed.Wait()
	}
	v := e.count
	if e.sem {
		v = 1
	}
	e.count -= v
	e.changed.Broadcast()
	e.mu.Unlock()
	// SAFETY: b has at least 8 bytes; alignment does not matter on amd64 and arm64.
	copy(b, (*[8]byte)(unsafe.Pointer(&v))[:])
	e.tell(ReadyOut)
	return 8, 0
}

func (e *eventFile) Write(b []byte) (int, Errno) {
	if len(b) < 8 {
		return 0, EINVAL
	}
	var v uint64
	// SAFETY: v is 8 bytes.
	copy((*[8]byte)(unsafe.Pointer(&v))[:], b)
	if v > eventMax {
		return 0, EINVAL
	}
	e.mu.Lock()
	for e.count > eventMax-v {
		if e.nonblock.Load() {
			e.mu.Unlock()
			return 0, EAGAIN
		}
		e.changed.Wait()
	}
	e.count += v
	e.changed.Broadcast()
	e.mu.Unlock()
	e.tell(ReadyIn)
	return 8, 0
}

func (e *eventFile) Close() Errno { return 0 }

func (e *eventFile) SetNonblock(on bool) { e.nonblock.Store(on) }

func (e *eventFile) Ready() (ready uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count > 0 {
		ready |= ReadyIn
	}
	if e.count < eventMax {
		ready |= ReadyOut
	}
	return ready
}

func sysEventfd(a args) (uintptr, Errno) { return makeEvent(uint32(a.i[0]), 0) }

func sysEventfd2(a args) (uintptr, Errno) {
	return makeEvent(uint32(a.i[0]), uint32(a.i[1]))
}

func makeEvent(count, flags uint32) (uintptr, Errno) {
	if flags&^(efdSemaphore|oCLOEXEC|oNONBLOCK) != 0 {
		return 0, EINVAL
	}
	e := &eventFile{count: uint64(count), sem: flags&efdSemaphore != 0}
	e.changed.L = &e.mu
	fd, errno := fds.add(newDesc(e, oRDWR|flags&oNONBLOCK), 0, flags&oCLOEXEC != 0)
	return uintptr(fd), errno
}
