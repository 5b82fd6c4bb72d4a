package usernet

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// flowKey names a flow of datagrams.
type flowKey struct {
	src, dst netip.AddrPort // dst is the zero value for a published port
	port     *udpPort       // nil unless a published port's
}

// flow is what there is to know of a flow of datagrams, besides its sockets.
type flow struct {
	key  flowKey
	last atomic.Int64 // when it was last used, Unix time in nanoseconds
	done chan struct{}
	once sync.Once
	send func(datagram []byte) // towards the side that did not begin it
	stop func()                // closes its sockets
}

func newFlow(key flowKey, stop func()) *flow {
	f := &flow{key: key, done: make(chan struct{}), stop: stop}
	f.touch()
	return f
}

func (f *flow) touch() { f.last.Store(time.Now().UnixNano()) }

// idle returns how long the flow was not used.
func (f *flow) idle() time.Duration { return time.Duration(time.Now().UnixNano() - f.last.Load()) }

// Close ends the flow's goroutines.
func (f *flow) Close() error {
	f.once.Do(func() {
		close(f.done)
		if f.stop != nil {
			f.stop()
		}
	})
	return nil
}

// flowTable holds a bounded number of flows.
type flowTable struct {
	mu    sync.Mutex
	max   int
	flows map[flowKey]*flow
}

func (t *flowTable) init(max int) {
	t.max, t.flows = max, make(map[flowKey]*flow)
}

// get returns the flow, or nil.
func (t *flowTable) get(key flowKey) *flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.flows[key]
}

// add puts f into the table. If that is full, the flow unused for longest ends.
func (t *flowTable) add(f *flow) {
	t.mu.Lock()
	var victim *flow
	if len(t.flows) >= t.max {
		for _, g := range t.flows {
			if victim == nil || g.last.Load() < victim.last.Load() {
				victim = g
			}
		}
		delete(t.flows, victim.key)
	}
	t.flows[f.key] = f
	t.mu.Unlock()
	if victim != nil {
		victim.Close()
	}
}

// remove takes f out, unless another has its place by now.
func (t *flowTable) remove(f *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flows[f.key] == f {
		delete(t.flows, f.key)
	}
}

func (t *flowTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.flows)
}
