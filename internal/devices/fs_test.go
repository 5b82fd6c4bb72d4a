package devices

import (
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/queue"
)

// An echo is a file server that answers with the request; one that begins with
// "slow" is answered when release is closed.
type echo struct {
	release chan struct{}
	working chan struct{} // gets a value when slow work begins
	handled int
}

func (e *echo) Handle(out, in [][]byte) (int, func() []byte) {
	e.handled++
	var req []byte
	for _, b := range out {
		req = append(req, b...)
	}
	if strings.HasPrefix(string(req), "slow") {
		return 0, func() []byte {
			e.working <- struct{}{}
			<-e.release
			return req
		}
	}
	n := 0
	for _, b := range in {
		n += copy(b, req[n:])
	}
	return n, nil
}

func newEcho() *echo { return &echo{release: make(chan struct{}), working: make(chan struct{}, 100)} }

func newFS(t testing.TB, e *echo) *guest {
	return newGuest(t, func(g *guest) {
		if err := g.bus.AddFS(&g.devs[0], e); err != nil {
			t.Fatal(err)
		}
	}, FSSpec("share0"))
}

// request makes a request available, in two pieces each way.
func (g *guest) request(i int, text string) (in [2][]byte) {
	out := g.buf(len(text))
	copy(out, text)
	in = [2][]byte{g.buf(3), g.buf(len(text))}
	if err := g.drv[0][i].Add([][]byte{out[:2], out[2:]}, in[:], uint32(len(text))); err != nil {
		g.t.Fatal(err)
	}
	g.drv[0][i].Publish()
	return in
}

// answer reaps one reply.
func (g *guest) answer(i int, in [2][]byte) (string, bool) {
	var done [1]queue.Completion
	n, err := g.drv[0][i].Reap(done[:])
	if err != nil {
		g.t.Fatal(err)
	}
	if n == 0 {
		return "", false
	}
	return (string(in[0]) + string(in[1]))[:done[0].Len], true
}

func TestFSAnswer(t *testing.T) {
	e := newEcho()
	g := newFS(t, e)
	for i := range 100 {
		q := i % 2
		text := strings.Repeat("ask ", i+1)
		if got, ok := g.answer(q, g.request(q, text)); !ok || got != text {
			t.Fatalf("request %d: %q, %v", i, got, ok)
		}
	}
	if g.bell != 100 {
		t.Errorf("%d doorbells", g.bell)
	}
}

// Slow work does not keep the guest, or other requests, waiting; the guest is
// woken for it.
func TestFSSlow(t *testing.T) {
	e := newEcho()
	g := newFS(t, e)
	slow := g.request(abi.FSQueueRequest, "slow work")
	<-e.working
	if _, ok := g.answer(abi.FSQueueRequest, slow); ok {
		t.Fatal("it was done at once")
	}
	if got, ok := g.answer(abi.FSQueueRequest, g.request(abi.FSQueueRequest, "quick")); !ok || got != "quick" {
		t.Fatalf("%q, %v", got, ok)
	}
	time.AfterFunc(10*time.Millisecond, func() { close(e.release) })
	for end := time.Now().Add(5 * time.Second); ; {
		if got, ok := g.answer(abi.FSQueueRequest, slow); ok {
			if got != "slow work" {
				t.Errorf("%q", got)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal("no answer")
		}
		g.park(time.Second, g.drv[0][abi.FSQueueRequest])
	}
	if g.idle > 3 {
		t.Errorf("the guest was woken %d times", g.idle)
	}
}

// A guest can be stopped while a disk hangs; its memory is not touched later.
func TestFSStopWhileSlow(t *testing.T) {
	e := newEcho()
	g := newFS(t, e)
	in := g.request(abi.FSQueueRequest, "slow for ever")
	for range 10 {
		g.request(abi.FSQueueRequest, "slow, too")
	}
	<-e.working
	g.stop() // fails if it takes a second
	close(e.release)
	for range 10 {
		<-e.working
	}
	time.Sleep(time.Millisecond)
	if in[0][0] != 0 || in[1][0] != 0 {
		t.Error("a reply came after the end")
	}
}

func TestFSHostile(t *testing.T) {
	e := newEcho()
	g := newFS(t, e)
	q := &g.devs[0].Queues[abi.FSQueueRequest]
	g.setDesc(q, 0, 0x1000, 100, 0, 0) // memory that devices may not use
	g.setAvail(q, 1)
	g.bus.Notify(uint64(q.Notify))
	g.wantError("share0 request")
	if e.handled != 0 {
		t.Error("it was handled")
	}
	g.bus.Notify(uint64(q.Notify)) // no more harm

	g = newFS(t, e)
	q = &g.devs[0].Queues[abi.FSQueueHiPrio]
	g.setDesc(q, 0, heapAt, 4, virtio.DescWrite, 0) // nothing to read
	g.setAvail(q, 1)
	g.bus.Notify(uint64(q.Notify))
	if e.handled != 1 {
		t.Errorf("handled %d", e.handled)
	}
}

func TestAddFSErrors(t *testing.T) {
	g := newFS(t, newEcho())
	bad := g.devs[0]
	bad.NumQueues = 1
	if err := g.bus.AddFS(&bad, newEcho()); err == nil || !strings.Contains(err.Error(), "1 queues") {
		t.Error(err)
	}
	if err := g.bus.AddFS(&g.devs[0], newEcho()); err == nil || !strings.Contains(err.Error(), "in use twice") {
		t.Error(err)
	}
	c := g.devs[0].Config
	if string(c[:8]) != "share0\x00\x00" || c[abi.FSTagLen] != 1 {
		t.Errorf("configuration space %x", c)
	}
}
