package virtq

import (
	"testing"

	"github.com/tailor-os/tailor/virtio"
)

// checkChain fails unless every buffer of a chain lies where the guest's
// devices may read or write.
func checkChain(t testing.TB, r *rig, c *Chain, ok bool) {
	if !ok {
		return
	}
	within := func(b []byte, write bool) {
		at, end := r.gpa(b), r.gpa(b)+GPA(len(b))
		for _, a := range []Range{{ringAt, holeAt, true}, {roAt, heapAt, false}, {heapAt, memSize, true}} {
			if at >= a.Start && end <= a.End && len(b) > 0 && (a.Writable || !write) {
				return
			}
		}
		t.Fatalf("buffer %#x+%d (write %v) is not within guest memory", at, len(b), write)
	}
	n, bytes := 0, 0
	for _, b := range c.Out {
		within(b, false)
		bytes += len(b)
	}
	n, bytes = n+len(c.Out), bytes-c.OutLen
	for _, b := range c.In {
		within(b, true)
		bytes += len(b)
	}
	n, bytes = n+len(c.In), bytes-c.InLen
	if n == 0 || n > int(r.size) || bytes != 0 || uint32(c.Head) >= r.size {
		t.Fatalf("chain %d of %d buffers, size %d, %d bytes off", c.Head, n, r.size, bytes)
	}
}

// FuzzQueue fills the rings and what lies behind them with arbitrary bytes,
// several times, and works the queue as a device does. Oracles: no panic; not
// more chains at a time than the queue is long; buffers only within memory;
// nothing but the used ring changes.
func FuzzQueue(f *testing.F) {
	const size = 8
	d := place(size)
	ringBytes := int(d.Used + virtio.UsedBytes(size) - ringAt)
	seed := func(build func(r *rig)) {
		r := newRig(f, size, Both)
		build(r)
		f.Add(append([]byte{3, 0}, r.ram[ringAt:ringAt+ringBytes]...))
	}
	seed(func(r *rig) { r.setDesc(0, heapAt, 64, 0, 0); r.setAvail(1, 0) })
	seed(func(r *rig) {
		r.setDesc(0, roAt, 64, next, 3)
		r.setDesc(3, heapAt, 4096, write|next, 5)
		r.setDesc(5, memSize-8, 8, write, 0)
		r.setAvail(2, 0, 0)
	})
	seed(func(r *rig) {
		for i := range size {
			r.setDesc(i, heapAt, 1, next, uint16(i+1)%size)
		}
		r.setAvail(size, 0, 1, 2, 3, 4, 5, 6, 7)
	})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 2 {
			return
		}
		dir, ops := Direction(script[0]%3+1), script[1]
		script = script[2:]
		r := newRig(t, size, dir)
		w := NewWindow(r.Queue)
		for round := range 4 {
			n := copy(r.ram[ringAt:ringAt+ringBytes], script)
			script = script[n:]
			if dir == In && ops>>round&1 != 0 {
				fuzzWindow(t, r, w)
			} else {
				fuzzPop(t, r, ops>>(round+4)&1 != 0)
			}
			if r.Flush(); r.Arm() && !r.Pending() {
				t.Fatal("armed pending without a chain")
			}
		}
	})
}

// fuzzPop takes and returns all chains there are.
func fuzzPop(t *testing.T, r *rig, unpop bool) {
	var c Chain
	for n := 0; ; n++ {
		ok, err := r.Pop(&c)
		if ok && err != nil {
			t.Fatalf("chain and error %v", err)
		}
		if !ok {
			return
		}
		checkChain(t, r, &c, ok)
		if unpop {
			r.Unpop(1)
			unpop = false
			continue
		}
		if n > int(r.size) {
			t.Fatalf("%d chains from a queue of %d", n, r.size)
		}
		r.Push(c.Head, c.InLen)
	}
}

// fuzzWindow receives two packets and puts the rest back.
func fuzzWindow(t *testing.T, r *rig, w *Window) {
	for _, n := range []int{100, 70000} {
		got, err := w.Fill(n)
		if err != nil {
			return
		}
		if len(w.chains) > int(r.size) || got < n && r.Pending() {
			t.Fatalf("%d chains, %d bytes of %d, pending %v", len(w.chains), got, n, r.Pending())
		}
		for _, b := range w.Buffers() {
			checkChain(t, r, &Chain{In: [][]byte{b}, InLen: len(b)}, true)
		}
		w.Put(0, make([]byte, min(n, got, 64)))
		w.Commit(min(n, got))
		// Put may have written over the rings: that is the guest's own doing.
	}
	w.Return()
}
