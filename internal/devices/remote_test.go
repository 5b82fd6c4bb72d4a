package devices

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// remote is a guest with a thread of its own, as the bus sees it.
type remote struct {
	wakes  atomic.Int32
	asleep atomic.Bool
	idle   atomic.Bool
}

func (r *remote) Wake()           { r.wakes.Add(1); r.asleep.Store(false) }
func (r *remote) Asleep() bool    { return r.asleep.Load() }
func (r *remote) WantIdle(b bool) { r.idle.Store(b) }

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// A guest that goes on offering output while the console takes it does not keep
// the thread that serves it, which comes back to it.
func TestRemoteEndlessOutput(t *testing.T) {
	leaks(t)
	var g *guest
	writes, offers := 0, 3*consoleQueueSize
	g = newConsole(t, ConsoleConfig{Output: writerFunc(func([]byte) {
		if writes++; writes < offers {
			g.setAvail(&g.devs[0].Queues[ConsoleOut], uint16(writes+1))
		}
	})})
	g.bus.guest = &remote{}
	q := &g.devs[0].Queues[ConsoleOut]
	g.setDesc(q, 0, heapAt, 1, 0, 0) // all entries of the ring name descriptor 0
	g.setAvail(q, 1)
	for want := consoleQueueSize; want <= offers; want += consoleQueueSize {
		if want == consoleQueueSize {
			g.bus.Notify(uint64(q.Notify))
		} else {
			g.bus.Serve(-1) // does not wait: there is more
		}
		if writes != want {
			t.Fatalf("%d writes, want %d", writes, want)
		}
	}
}

// Wake wakes the guest, Kick and a watched descriptor the thread that serves it.
func TestRemoteServe(t *testing.T) {
	leaks(t)
	g := newConsole(t, ConsoleConfig{})
	r := &remote{}
	g.bus.guest = r
	g.bus.Wake()
	if r.wakes.Load() != 1 {
		t.Error("the guest was not woken")
	}
	device, peer := seqpacket(t)
	ready := 0
	if err := g.bus.Watch(device, true, func() { ready++ }); err != nil {
		t.Fatal(err)
	}
	g.bus.Kick()
	g.bus.Serve(-1)
	if ready != 0 {
		t.Error("a kick is taken for an event")
	}
	send(t, peer)
	g.bus.Serve(10 * time.Second)
	if ready != 1 {
		t.Errorf("%d events", ready)
	}
}

func send(t *testing.T, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		t.Fatal(err)
	}
}
