package fsdev

import (
	"encoding/binary"
	"sync"
	"testing"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/queue"
)

// Memory of the tests: rings, then buffers.
const (
	ringAt  = 0x1000
	heapAt  = 0x10000
	memSize = 4 << 20
)

// A rig is a driver and the device side of its queues.
type rig struct {
	testing.TB
	ram    []byte
	desc   abi.Device
	dev    *Device
	queues [2]*virtq.Queue
	bells  int
	waits  int
	bell   func(q int) // called by the doorbell
	stuck  func()      // called instead of waiting, if not nil

	mu   sync.Mutex // of heap, and of whom waits
	cond *sync.Cond
	heap int
}

func newRig(t testing.TB, size uint32) *rig {
	words := make([]uint64, memSize/8)
	r := &rig{TB: t, ram: unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), memSize), heap: heapAt, bell: func(int) {}}
	r.cond = sync.NewCond(&r.mu)
	mem, err := virtq.NewMemory(r.ram, virtq.Range{Start: ringAt, End: memSize, Writable: true})
	if err != nil {
		t.Fatal(err)
	}
	r.desc = abi.Device{Type: abi.DeviceFS, NumQueues: 2, Features: abi.FVersion1 | abi.FEventIdx}
	copy(r.desc.Config[:], "a tag")
	at := uint64(ringAt)
	for i := range r.queues {
		q := &r.desc.Queues[i]
		*q = abi.Queue{Desc: at, Size: size, Notify: uint32(i)}
		q.Avail = q.Desc + virtio.DescBytes(size)
		q.Used = (q.Avail + virtio.AvailBytes(size) + 3) &^ 3
		at = (q.Used + virtio.UsedBytes(size) + 15) &^ 15
		if r.queues[i], err = virtq.New(mem, q, virtq.Both, "test"); err != nil {
			t.Fatal(err)
		}
	}
	r.dev, err = New(&r.desc, Config{Origin: unsafe.Pointer(&r.ram[0]), Waiter: r, Notify: func(v uint32) {
		r.bells++
		r.bell(int(v))
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Wait implements queue.Waiter.
func (r *rig) Wait(w *queue.Waitable) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits++
	for !w.Arm() {
		if r.stuck != nil {
			r.stuck()
			return
		}
		r.cond.Wait()
	}
}

func (r *rig) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cond.Broadcast()
}

// buf returns a buffer in the rig's memory.
func (r *rig) buf(n int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heap+n > memSize {
		r.heap = heapAt
	}
	b := r.ram[r.heap:][:n:n]
	r.heap += n + 8
	return b
}

// call calls the device with a number that it is to answer with its double.
func (r *rig) call(v uint32) (uint32, error) {
	out, in := r.buf(4), r.buf(8)
	binary.LittleEndian.PutUint32(out, v)
	n, err := r.dev.Call([2][]byte{out}, [2][]byte{in})
	if err == nil && n != 4 {
		r.Errorf("reply of %d bytes", n)
	}
	return binary.LittleEndian.Uint32(in), err
}

// serve answers what is in a queue, up to max requests, the last ones first.
func (r *rig) serve(i, most int) (served int) {
	q := r.queues[i]
	var chains []virtq.Chain
	for len(chains) < most {
		var c virtq.Chain
		ok, err := q.Pop(&c)
		if err != nil {
			r.Error(err)
		}
		if !ok {
			break
		}
		chains = append(chains, c)
	}
	for k := len(chains) - 1; k >= 0; k-- {
		c := &chains[k]
		n := 0
		if len(c.In) > 0 {
			binary.LittleEndian.PutUint32(c.In[0], 2*binary.LittleEndian.Uint32(c.Out[0]))
			n = 4
		}
		q.Push(c.Head, n)
	}
	if q.Flush() {
		r.wake()
	}
	return len(chains)
}

// all answers everything and asks to be told of more.
func (r *rig) all(i int) {
	for {
		r.serve(i, 1000)
		if !r.queues[i].Arm() {
			return
		}
	}
}
