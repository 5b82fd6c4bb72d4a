package virtq

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/tailor-os/tailor/virtio/queue"
)

// A gate is a doorbell that a goroutine sleeps at.
type gate chan struct{}

func (g gate) ring() {
	select {
	case g <- struct{}{}:
	default:
	}
}

// Wait makes a gate a queue.Waiter.
func (g gate) Wait(w *queue.Waitable) {
	if !w.Arm() {
		<-g
	}
}

// TestConcurrent runs both sides at full speed, each asleep whenever EVENT_IDX
// says it may be: one lost notification and the test hangs. Every chain carries
// its number, and the device answers with a number derived from it.
func TestConcurrent(t *testing.T) {
	for _, size := range []uint32{2, 8, 256} {
		r := newRig(t, size, Both)
		kick, wake := make(gate, 1), make(gate, 1)
		var kicks, wakes, total = 0, 0, 30_000
		if testing.Short() {
			total = 3_000
		}
		drv := r.driver(t, func(uint32) { kicks++; kick.ring() })
		failed := make(chan error, 1)
		go func() {
			failed <- serve(r.Queue, total, kick, func() { wakes++; wake.ring() })
		}()
		timer := time.AfterFunc(30*time.Second, func() { panic("a notification was lost") })
		drive(t, drv, r.ram[heapAt:], total, wake)
		timer.Stop()
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
		t.Logf("size %d: %d chains, %d kicks, %d wakes", size, total, kicks, wakes)
		if kicks > total || wakes > total {
			t.Errorf("more notifications than chains")
		}
	}
}

// drive sends total requests and checks the answers.
func drive(t *testing.T, q *queue.Queue, heap []byte, total int, wake gate) {
	var done [16]queue.Completion
	var free []int
	for i := range q.Size() / 2 {
		free = append(free, i)
	}
	for sent, got := 0, 0; got < total; {
		for sent < total && len(free) > 0 {
			i := free[len(free)-1]
			free = free[:len(free)-1]
			b := heap[64*i:][:64]
			binary.LittleEndian.PutUint64(b, uint64(sent))
			if err := q.Add([][]byte{b[:8]}, [][]byte{b[8:24]}, uint32(i)); err != nil {
				t.Fatal(err)
			}
			if sent++; sent%3 == 0 {
				break // batches of three and what is left
			}
		}
		q.Publish()
		n, err := q.Reap(done[:])
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range done[:n] {
			b := heap[64*c.Token:][:64]
			if c.Len != 8 || binary.LittleEndian.Uint64(b[8:]) != ^binary.LittleEndian.Uint64(b) {
				t.Fatalf("answer of %d bytes, %x to %x", c.Len, b[8:16], b[:8])
			}
			free = append(free, int(c.Token))
		}
		if got += n; n == 0 && (len(free) == 0 || sent == total) {
			q.Wait(wake)
		}
	}
}

// serve answers total requests.
func serve(q *Queue, total int, kick gate, wake func()) error {
	var c Chain
	for served := 0; served < total; {
		ok, err := q.Pop(&c)
		if err != nil {
			return err
		}
		if !ok {
			if q.Flush() {
				wake()
			}
			if !q.Arm() {
				<-kick
			}
			continue
		}
		binary.LittleEndian.PutUint64(c.In[0], ^binary.LittleEndian.Uint64(c.Out[0]))
		q.Push(c.Head, 8)
		if served++; served%5 == 0 && q.Flush() {
			wake()
		}
	}
	if q.Flush() {
		wake()
	}
	return nil
}

// TestGuestChangesRings lets another goroutine scribble over the rings while
// they are read: whatever comes out must lie in the memory that is allowed.
// The race is the point, so this one is left out under the race detector.
func TestGuestChangesRings(t *testing.T) {
	if raceEnabled {
		t.Skip("racing on purpose")
	}
	r := newRig(t, 8, Both)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		rnd := uint64(1)
		lengths := [...]uint32{1, 8, memSize - heapAt, memSize, 1<<32 - 1, 0}
		addrs := [...]uint64{heapAt, memSize - 4, roAt, holeAt, 1<<64 - 8, 0}
		for {
			select {
			case <-stop:
				return
			default:
			}
			for range 64 {
				rnd = rnd*6364136223846793005 + 1442695040888963407
				v := rnd >> 33
				r.setDesc(int(v%8), addrs[v>>3%6], lengths[v>>6%6], uint16(v>>9%8), uint16(v>>12%9))
			}
		}
	}()
	good, bad := 0, 0
	for i := range 200_000 {
		idx := r.next + 1
		r.setAvail(idx, 0, 1, 2, 3, 4, 5, 6, 7)
		var c Chain
		ok, err := r.Pop(&c)
		if ok == (err != nil) {
			t.Fatalf("popped %v, %v", ok, err)
		}
		checkChain(t, r, &c, ok)
		if ok {
			r.Push(c.Head, 0)
			r.Flush()
			good++
		} else {
			r.err = nil // the next guest
			bad++
		}
		if i%1000 == 0 && good > 100 && bad > 100 {
			break
		}
	}
	close(stop)
	<-stopped
	t.Logf("%d chains taken, %d refused", good, bad)
}
