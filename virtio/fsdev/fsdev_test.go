package fsdev

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/queue"
	"github.com/tailor-os/tailor/virtio/request"
)

// A device that answers in the doorbell keeps nobody waiting.
func TestAnswerInBell(t *testing.T) {
	r := newRig(t, 8)
	r.bell = r.all
	for i := range uint32(100) {
		if v, err := r.call(i); err != nil || v != 2*i {
			t.Fatalf("%d, %v", v, err)
		}
	}
	if r.waits > 0 {
		t.Error("a goroutine waits for the ring")
	}
	if r.bells != 100 {
		t.Errorf("%d doorbells for 100 requests", r.bells)
	}
	if r.dev.Tag() != "a tag" {
		t.Errorf("tag %q", r.dev.Tag())
	}
}

// Many callers, a small queue, and a device that takes its time and answers in
// another order.
func TestConcurrent(t *testing.T) {
	r := newRig(t, 16)
	var stop atomic.Bool
	kick := make(chan struct{}, 1)
	r.bell = func(int) {
		select {
		case kick <- struct{}{}:
		default:
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			if r.serve(abi.FSQueueRequest, 3) == 0 && !r.queues[abi.FSQueueRequest].Arm() {
				select {
				case <-kick:
				case <-time.After(10 * time.Millisecond):
				}
			}
		}
	}()
	var wg sync.WaitGroup
	var casts atomic.Int32
	for k := range uint32(20) {
		wg.Go(func() {
			for i := range uint32(300) {
				v := k<<16 | i
				if got, err := r.call(v); err != nil || got != 2*v {
					t.Errorf("%x: %x, %v", v, got, err)
				}
				if i%10 == 0 {
					if err := r.dev.Cast(r.buf(4), r.buf(4), func() { casts.Add(1) }); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if _, err := r.call(1); err != nil { // publishes the last casts
		t.Error(err)
	}
	for end := time.Now().Add(5 * time.Second); casts.Load() < 600; {
		if _, err := r.call(1); err != nil || time.Now().After(end) {
			t.Fatalf("%d casts were answered, %v", casts.Load(), err)
		}
	}
	stop.Store(true)
	<-done
	if n := r.dev.requests.Outstanding(); n != 0 {
		t.Errorf("%d slots are not free", n)
	}
}

// What is cast goes with the next call, by one doorbell.
func TestCast(t *testing.T) {
	r := newRig(t, 16)
	r.bell = r.all
	through := 0
	for range 3 {
		if err := r.dev.Cast(r.buf(4), r.buf(4), func() { through++ }); err != nil {
			t.Fatal(err)
		}
	}
	if r.bells != 0 || through != 0 {
		t.Errorf("%d doorbells, %d answered", r.bells, through)
	}
	if _, err := r.call(1); err != nil || r.bells != 1 || through != 3 {
		t.Errorf("%d doorbells, %d answered, %v", r.bells, through, err)
	}
	for i := range 100 { // more than there is room for
		if err := r.dev.Cast(r.buf(4), r.buf(4), func() { through++ }); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := r.dev.Forget(r.buf(8)); err != nil || r.bells > 30 {
		t.Errorf("%d doorbells, %v", r.bells, err)
	}
}

// A device that breaks the rules fails all who wait, and all who come.
func TestBroken(t *testing.T) {
	for name, lie := range map[string]struct {
		do   func(r *rig)
		want error
	}{
		"index":  {func(r *rig) { r.setUsed(7, 0, 0) }, queue.ErrUsedIndex},
		"number": {func(r *rig) { r.setUsed(1, 5, 0) }, queue.ErrUsedID},
		"huge":   {func(r *rig) { r.setUsed(1, 1<<31, 0) }, queue.ErrUsedID},
		"length": {func(r *rig) { r.setUsed(1, 0, 9) }, queue.ErrUsedLength},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 16)
			errs := make(chan error, 10)
			for range 3 {
				go func() { _, err := r.call(1); errs <- err }()
			}
			for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
				n := r.dev.requests.Waiting()
				if n == 3 {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("%d wait", n)
				}
			}
			lie.do(r)
			r.wake()
			for range 3 {
				if err := <-errs; !errors.Is(err, lie.want) {
					t.Errorf("%v, want %v", err, lie.want)
				}
			}
			if _, err := r.call(1); !errors.Is(err, lie.want) {
				t.Errorf("later: %v", err)
			}
			if err := r.dev.Cast(r.buf(4), r.buf(4), func() {}); !errors.Is(err, lie.want) {
				t.Errorf("cast: %v", err)
			}
		})
	}
}

// setUsed writes the used ring of the request queue as a device may not.
func (r *rig) setUsed(idx uint16, id, n uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	used := r.ram[r.desc.Queues[abi.FSQueueRequest].Used:]
	for i := range 8 {
		binary.LittleEndian.PutUint32(used[4+8*i:], id)
		binary.LittleEndian.PutUint32(used[8+8*i:], n)
	}
	binary.LittleEndian.PutUint16(used[2:], idx)
}

func TestRefused(t *testing.T) {
	good := newRig(t, 8).desc
	for want, change := range map[error]func(d *abi.Device){
		ErrNotFS:        func(d *abi.Device) { d.Type = abi.DeviceNet },
		ErrQueues:       func(d *abi.Device) { d.NumQueues = 1 },
		ErrVersion:      func(d *abi.Device) { d.Features = abi.FEventIdx },
		ErrEventIdx:     func(d *abi.Device) { d.Features = abi.FVersion1 },
		request.ErrSize: func(d *abi.Device) { d.Queues[0].Size = 2 },
	} {
		d := good
		change(&d)
		if _, err := New(&d, Config{}); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	d := good
	d.Queues[1].Size = 3
	var q *virtio.QueueError
	if _, err := New(&d, Config{}); !errors.As(err, &q) {
		t.Errorf("odd size: %v", err)
	}
}

// FuzzHostile writes the fuzzer's bytes into the used ring while requests are
// made: each ends, with a reply or an error, and none panics.
func FuzzHostile(f *testing.F) {
	f.Add([]byte{1, 0, 0, 4, 2, 1, 0, 4})
	f.Add([]byte{1, 0, 0, 0, 1, 9, 0, 0})
	f.Add([]byte{255, 3, 1, 200})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newRig(t, 8)
		idx := uint16(0)
		used := r.ram[r.desc.Queues[abi.FSQueueRequest].Used:]
		r.stuck = func() { // nothing answers any more: break it
			idx += 99
			binary.LittleEndian.PutUint16(used[2:], idx)
		}
		r.bell = func(int) {
			for range 3 {
				if len(data) < 4 {
					idx += 99 // breaks it, in the end
				} else {
					slot := int(idx+uint16(data[1]%2)) % 8
					binary.LittleEndian.PutUint32(used[4+8*slot:], uint32(data[2]))
					binary.LittleEndian.PutUint32(used[8+8*slot:], uint32(data[3]))
					idx += uint16(int8(data[0]) % 3)
					data = data[4:]
				}
			}
			binary.LittleEndian.PutUint16(used[2:], idx)
			// It asks for a doorbell each time.
			avail := r.ram[r.desc.Queues[abi.FSQueueRequest].Avail:]
			binary.LittleEndian.PutUint32(used[4+8*8:], uint32(binary.LittleEndian.Uint16(avail[2:])))
		}
		over := time.AfterFunc(5*time.Second, func() { panic("a request does not end") })
		defer over.Stop()
		for i := range 20 {
			if i%5 == 4 {
				_ = r.dev.Cast(r.buf(4), r.buf(4), func() {})
			}
			in := r.buf(8)
			n, err := r.dev.Call([2][]byte{r.buf(4)}, [2][]byte{in})
			if n > len(in) || n < 0 {
				t.Fatalf("reply of %d bytes", n)
			}
			if err != nil {
				break
			}
		}
	})
}
