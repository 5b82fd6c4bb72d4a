package virtq

import (
	"errors"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/virtio"
)

const next, write, indirect = virtio.DescNext, virtio.DescWrite, virtio.DescIndirect

func TestPop(t *testing.T) {
	r := newRig(t, 4, Both)
	r.setDesc(2, roAt, 100, next, 0)
	r.setDesc(0, heapAt, 1, next, 3)
	r.setDesc(3, heapAt+64, 4096, next|write, 1)
	r.setDesc(1, memSize-5, 5, write, 0xffff) // next is not used
	r.setAvail(1, 2)
	var c Chain
	if ok, err := r.Pop(&c); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if c.Head != 2 || len(c.Out) != 2 || len(c.In) != 2 || c.OutLen != 101 || c.InLen != 4101 {
		t.Fatalf("chain %d: %d out (%d bytes), %d in (%d bytes)", c.Head, len(c.Out), c.OutLen, len(c.In), c.InLen)
	}
	for i, want := range []GPA{roAt, heapAt, heapAt + 64, memSize - 5} {
		if got := r.gpa(append(c.Out, c.In...)[i]); got != want {
			t.Errorf("buffer %d at %#x, want %#x", i, got, want)
		}
	}
	if ok, err := r.Pop(&c); ok || err != nil {
		t.Errorf("second chain: %v, %v", ok, err)
	}
	r.Push(2, 77)
	if r.usedIdx() != 0 {
		t.Error("used entry visible before Flush")
	}
	if !r.Flush() {
		t.Error("used_event 0 asks to be woken at the first entry")
	}
	if id, n := r.usedEntry(0); r.usedIdx() != 1 || id != 2 || n != 77 {
		t.Errorf("used.idx %d, id %d, len %d", r.usedIdx(), id, n)
	}
}

// TestHostileRings has a row for each lie a guest can tell.
func TestHostileRings(t *testing.T) {
	type rings struct {
		*rig
	}
	for _, tt := range []struct {
		name  string
		dir   Direction
		lie   func(r rings)
		want  error
		where string
		index uint32
		value uint64
	}{
		{"index jumps by one too many", Both, func(r rings) { r.setAvail(5) }, ErrAvailIndex, atIndex, 0, 5},
		{"index goes back", Both, func(r rings) { r.setAvail(0xffff) }, ErrAvailIndex, atIndex, 0, 0xffff},
		{"head one too high", Both, func(r rings) { r.setAvail(1, 4) }, ErrHead, atEntry, 0, 4},
		{"head highest", Both, func(r rings) { r.setAvail(1, 0xffff) }, ErrHead, atEntry, 0, 0xffff},
		{"next one too high", Both, func(r rings) { r.setDesc(0, heapAt, 1, next, 4) }, ErrNext, atDescriptor, 0, 4},
		{"next highest", Both, func(r rings) {
			r.setDesc(0, heapAt, 1, next, 3)
			r.setDesc(3, heapAt, 1, next, 0xffff)
		}, ErrNext, atDescriptor, 3, 0xffff},
		{"loop of one", Both, func(r rings) { r.setDesc(0, heapAt, 1, next, 0) }, ErrLoop, atDescriptor, 0, 0},
		{"loop of two", Both, func(r rings) {
			r.setDesc(0, heapAt, 1, next, 1)
			r.setDesc(1, heapAt, 1, next, 0)
		}, ErrLoop, atDescriptor, 0, 0},
		{"loop at the end", Both, func(r rings) {
			for i := range 4 {
				r.setDesc(i, heapAt, 1, next, uint16(min(i+1, 3)))
			}
		}, ErrLoop, atDescriptor, 3, 0},
		{"indirect", Both, func(r rings) { r.setDesc(0, heapAt, 16, indirect, 0) }, ErrIndirect, atDescriptor, 0, indirect},
		{"zero length", Both, func(r rings) { r.setDesc(0, heapAt, 0, 0, 0) }, ErrZeroLength, atDescriptor, 0, 0},
		{"readable after writable", Both, func(r rings) {
			r.setDesc(0, heapAt, 1, next|write, 1)
			r.setDesc(1, heapAt, 1, 0, 0)
		}, ErrOrder, atDescriptor, 1, 0},
		{"writable in a transmit queue", Out, func(r rings) { r.setDesc(0, heapAt, 1, write, 0) }, ErrDirection, atDescriptor, 0, write},
		{"readable in a receive queue", In, func(r rings) { r.setDesc(0, heapAt, 1, 0, 0) }, ErrDirection, atDescriptor, 0, 0},
		{"ends past memory", Both, func(r rings) { r.setDesc(0, memSize-1, 2, 0, 0) }, ErrMemory, atDescriptor, 0, memSize - 1},
		{"starts past memory", Both, func(r rings) { r.setDesc(0, memSize, 1, 0, 0) }, ErrMemory, atDescriptor, 0, memSize},
		{"address and length overflow", Both, func(r rings) { r.setDesc(0, 1<<64-1, 2, 0, 0) }, ErrMemory, atDescriptor, 0, 1<<64 - 1},
		{"longest length", Both, func(r rings) { r.setDesc(0, heapAt, 1<<32-1, 0, 0) }, ErrMemory, atDescriptor, 0, heapAt},
		{"null", Both, func(r rings) { r.setDesc(0, 0, 1, 0, 0) }, ErrMemory, atDescriptor, 0, 0},
		{"hole", Both, func(r rings) { r.setDesc(0, holeAt-1, 2, 0, 0) }, ErrMemory, atDescriptor, 0, holeAt - 1},
		{"write to read-only memory", Both, func(r rings) { r.setDesc(0, roAt, 1, write, 0) }, ErrMemory, atDescriptor, 0, roAt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 4, tt.dir)
			r.setAvail(1, 0)
			tt.lie(rings{r})
			var c Chain
			ok, err := r.Pop(&c)
			var e *Error
			if ok || !errors.Is(err, tt.want) || !errors.As(err, &e) {
				t.Fatalf("%v, %v; want %v", ok, err, tt.want)
			}
			if e.Queue != "test" || e.Where != tt.where || e.Index != tt.index || e.Value != tt.value {
				t.Errorf("%+v, want at %s %d value %#x", e, tt.where, tt.index, tt.value)
			}
			if !strings.Contains(err.Error(), "virtqueue test: "+tt.where) {
				t.Errorf("message %q", err)
			}
			r.setAvail(1, 1)
			r.setDesc(1, heapAt, 1, 0, 0)
			if ok, err2 := r.Pop(&c); ok || err2 != err || r.Arm() || r.Pending() || r.Err() != err {
				t.Errorf("a broken queue goes on: %v, %v", ok, err2)
			}
		})
	}
}

// TestHeldChains: a guest cannot make more available than it has left.
func TestHeldChains(t *testing.T) {
	r := newRig(t, 4, Both)
	for i := range 4 {
		r.setDesc(i, heapAt, 1, 0, 0)
	}
	r.setAvail(4, 0, 1, 2, 3)
	var c Chain
	for range 4 {
		if ok, err := r.Pop(&c); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	r.Push(0, 0)
	r.Flush()
	r.setAvail(5)
	if ok, err := r.Pop(&c); !ok || err != nil {
		t.Errorf("a returned one again: %v, %v", ok, err)
	}
	r.setAvail(6)
	if _, err := r.Pop(&c); !errors.Is(err, ErrAvailIndex) {
		t.Errorf("a fifth of four: %v", err)
	}
}

func TestNewErrors(t *testing.T) {
	m, err := NewMemory(newRAM(), ranges...)
	if err != nil {
		t.Fatal(err)
	}
	odd, err := NewMemory(newRAM()[1:], Range{ringAt, holeAt, true})
	if err != nil {
		t.Fatal(err)
	}
	good := place(256)
	for _, tt := range []struct {
		name              string
		m                 *Memory
		size              uint32
		desc, avail, used uint64
		says              string
	}{
		{"size", m, 100, good.Desc, good.Avail, good.Used, "power of two"},
		{"table in the hole", m, 256, holeAt - 4080, good.Avail, good.Used, "descriptor table: "},
		{"avail past memory", m, 256, good.Desc, memSize - 512, good.Used, "available ring: "},
		{"used read-only", m, 256, good.Desc, good.Avail, roAt, "used ring: "},
		{"mapping unaligned", odd, 256, good.Desc, good.Avail, good.Used, "mapped"},
	} {
		d := good
		d.Size, d.Desc, d.Avail, d.Used = tt.size, tt.desc, tt.avail, tt.used
		if _, err := New(tt.m, &d, Both, "x"); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestArm(t *testing.T) {
	r := newRig(t, 4, Both)
	r.setDesc(0, heapAt, 1, 0, 0)
	if r.Arm() || r.availEvent() != 0 {
		t.Error("pending when empty")
	}
	r.setAvail(1, 0)
	if !r.Arm() {
		t.Error("not pending")
	}
	var c Chain
	if ok, err := r.Pop(&c); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if r.Arm() || r.availEvent() != 1 {
		t.Errorf("avail_event %d, want 1", r.availEvent())
	}
}

func TestArmAfter(t *testing.T) {
	r := newRig(t, 8, Both)
	for i := range 8 {
		r.setDesc(i, heapAt, 1, 0, 0)
	}
	r.setAvail(2, 0, 1, 2, 3, 4, 5, 6, 7)
	if r.ArmAfter(3) || r.availEvent() != 2 {
		t.Errorf("2 of 3 are enough; avail_event %d, want 2", r.availEvent())
	}
	r.setAvail(3, 0, 1, 2, 3, 4, 5, 6, 7)
	if !r.ArmAfter(3) {
		t.Error("3 of 3 are not enough")
	}
	var c Chain
	for range 3 {
		if ok, err := r.Pop(&c); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if r.ArmAfter(5) || r.availEvent() != 7 {
		t.Errorf("avail_event %d, want 7", r.availEvent())
	}
}

func TestFlushEvent(t *testing.T) {
	r := newRig(t, 4, Both)
	for i := range 4 {
		r.setDesc(i, heapAt, 1, 0, 0)
	}
	r.setAvail(4, 0, 1, 2, 3)
	var c Chain
	for i, want := range []bool{false, false, true, false} {
		r.setUsedEvent(2)
		if ok, err := r.Pop(&c); !ok || err != nil {
			t.Fatal(ok, err)
		}
		r.Push(c.Head, 0)
		if got := r.Flush(); got != want {
			t.Errorf("entry %d: wake %v", i, got)
		}
	}
	if r.Flush() {
		t.Error("wake without a new entry")
	}
}

func TestWindow(t *testing.T) {
	r := newRig(t, 8, In)
	w := NewWindow(r.Queue)
	// Chains of 100, 50+50, 100 and 1000 bytes.
	r.setDesc(0, heapAt, 100, write, 0)
	r.setDesc(1, heapAt+100, 50, write|next, 2)
	r.setDesc(2, heapAt+150, 50, write, 0)
	r.setDesc(3, heapAt+200, 100, write, 0)
	r.setDesc(4, heapAt+300, 1000, write, 0)
	r.setAvail(4, 0, 1, 3, 4)
	if n, err := w.Fill(201); n != 300 || err != nil {
		t.Fatal(n, err)
	}
	if w.First() != 100 || len(w.Buffers()) != 4 || w.Count(100) != 1 || w.Count(101) != 2 || w.Count(300) != 3 {
		t.Errorf("first %d, %d buffers, counts %d %d %d", w.First(), len(w.Buffers()), w.Count(100), w.Count(101), w.Count(300))
	}
	w.Put(98, []byte("abcd"))
	w.Put(149, []byte("xy"))
	if got := string(r.ram[heapAt+98:heapAt+102]) + string(r.ram[heapAt+149:heapAt+151]); got != "abcdxy" {
		t.Errorf("put %q", got)
	}
	w.Commit(120)
	r.Flush()
	for i, want := range [][2]uint32{{0, 100}, {1, 20}} {
		if id, n := r.usedEntry(uint16(i)); id != want[0] || n != want[1] {
			t.Errorf("used %d: %d, %d", i, id, n)
		}
	}
	if w.Len() != 100 || r.usedIdx() != 2 || &w.Buffers()[0][0] != &r.ram[heapAt+200] {
		t.Errorf("left %d bytes, used.idx %d", w.Len(), r.usedIdx())
	}
	w.Return()
	if w.Len() != 0 || w.First() != 0 {
		t.Error("not empty after Return")
	}
	if n, err := w.Fill(1 << 20); n != 1100 || err != nil {
		t.Errorf("after Return %d bytes, %v", n, err)
	}
	w.Commit(1100)
	r.Flush()
	if id, n := r.usedEntry(3); r.usedIdx() != 4 || id != 4 || n != 1000 {
		t.Errorf("used.idx %d: %d, %d", r.usedIdx(), id, n)
	}
	if n, err := w.Fill(1); n != 0 || err != nil {
		t.Errorf("empty ring: %d, %v", n, err)
	}
}

func TestPopDoesNotAllocate(t *testing.T) {
	r := newRig(t, 4, Both)
	r.setDesc(0, heapAt, 1, next, 1)
	r.setDesc(1, heapAt, 1, write, 0)
	var c Chain
	idx := uint16(0)
	if n := testing.AllocsPerRun(100, func() {
		idx++
		r.setAvail(idx)
		if ok, err := r.Pop(&c); !ok || err != nil {
			t.Fatal(ok, err)
		}
		r.Push(c.Head, 1)
		r.Flush()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
