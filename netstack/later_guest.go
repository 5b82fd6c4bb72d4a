//go:build tailoros

package netstack

import (
	"sync"
	_ "unsafe" // for go:linkname

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// worker tells the event loop that the calling goroutine does not compute.
//
//go:linkname worker runtime.tailor_worker
func worker()

func init() { tcp.TailorWorker = worker }

// A later is a list of connections for which a goroutine will do something when
// the running one parks.
type later struct {
	mu   sync.Mutex
	due  []*tcp.Endpoint
	wake chan struct{}
}

func newLater() *later { return &later{wake: make(chan struct{}, 1)} }

// add puts a connection on the list. The caller may hold its lock.
func (l *later) add(e *tcp.Endpoint) {
	l.mu.Lock()
	n := len(l.due)
	if n == 0 || l.due[n-1] != e {
		l.due = append(l.due, e)
	}
	l.mu.Unlock()
	if n == 0 {
		l.wake <- struct{}{} // there is room: it was taken with the last list
	}
}

// run calls before for each list, then do for each connection on it.
func (l *later) run(before func(), do func(*tcp.Endpoint)) {
	worker()
	var list []*tcp.Endpoint
	for range l.wake {
		before()
		l.mu.Lock()
		list, l.due = l.due, list[:0]
		l.mu.Unlock()
		for i, e := range list {
			do(e)
			list[i] = nil
		}
	}
}
