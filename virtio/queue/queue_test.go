package queue

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
)

// A rig is a queue in a piece of memory, and the device's hands on it. The
// device here is the simplest there is; package virtq is tested against this
// one in internal/virtq.
type rig struct {
	*Queue
	t    testing.TB
	mem  []byte
	d    abi.Queue
	heap uint64 // next free byte for buffers
	rung int
}

const rigBuffers = 1 << 20

func newRig(t testing.TB, size uint32) *rig {
	r := &rig{t: t, d: abi.Queue{Size: size, Notify: 7}}
	r.d.Desc = 4096
	r.d.Avail = r.d.Desc + virtio.DescBytes(size)
	r.d.Used = r.d.Avail + virtio.AvailBytes(size)
	r.heap = (r.d.Used + virtio.UsedBytes(size) + 4095) &^ 4095
	// A []uint64 makes the start aligned.
	words := make([]uint64, (r.heap+rigBuffers)/8)
	r.mem = unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
	var err error
	r.Queue, err = New(&r.d, Config{Origin: unsafe.Pointer(&r.mem[0]), Notify: func(v uint32) {
		if v != 7 {
			t.Errorf("doorbell rung with %d", v)
		}
		r.rung++
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) buf(n int) []byte {
	b := r.mem[r.heap:][:n:n]
	r.heap += uint64(n)
	return b
}

func (r *rig) get16(at uint64) uint16    { return binary.LittleEndian.Uint16(r.mem[at:]) }
func (r *rig) put16(at uint64, v uint16) { binary.LittleEndian.PutUint16(r.mem[at:], v) }
func (r *rig) availIdx() uint16          { return r.get16(r.d.Avail + 2) }
func (r *rig) head(i uint16) uint16 {
	return r.get16(r.d.Avail + 4 + 2*uint64(i%uint16(r.d.Size)))
}
func (r *rig) usedEvent() uint16        { return r.get16(r.d.Avail + 4 + 2*uint64(r.d.Size)) }
func (r *rig) setAvailEvent(v uint16)   { r.put16(r.d.Used+4+8*uint64(r.d.Size), v) }
func (r *rig) setUsedIdx(v uint16)      { r.put16(r.d.Used+2, v) }
func (r *rig) usedIdx() uint16          { return r.get16(r.d.Used + 2) }
func (r *rig) use(id uint32, ln uint32) { r.useAt(r.usedIdx(), id, ln); r.setUsedIdx(r.usedIdx() + 1) }
func (r *rig) useAt(i uint16, id, ln uint32) {
	at := r.d.Used + 4 + 8*uint64(i%uint16(r.d.Size))
	binary.LittleEndian.PutUint32(r.mem[at:], id)
	binary.LittleEndian.PutUint32(r.mem[at+4:], ln)
}

// A desc is a descriptor as the device sees it.
type desc struct {
	addr        uint64
	len         uint32
	flags, next uint16
}

func (r *rig) chain(head uint16) (ds []desc) {
	for {
		b := r.mem[r.d.Desc+16*uint64(head):]
		d := desc{
			addr: binary.LittleEndian.Uint64(b), len: binary.LittleEndian.Uint32(b[8:]),
			flags: binary.LittleEndian.Uint16(b[12:]), next: binary.LittleEndian.Uint16(b[14:]),
		}
		ds = append(ds, d)
		if d.flags&virtio.DescNext == 0 {
			return ds
		}
		if len(ds) > int(r.d.Size) {
			r.t.Fatal("chain has a loop")
		}
		head = d.next
	}
}

func TestWithoutEventIdx(t *testing.T) {
	r := newRig(t, 8)
	r.noEvents = true
	r.setAvailEvent(100) // means nothing
	for i, want := range []bool{true, false, true} {
		r.put16(r.d.Used, map[bool]uint16{true: 0, false: 1}[want])
		if err := r.Add([][]byte{r.buf(1)}, nil, 0); err != nil {
			t.Fatal(err)
		}
		if got := r.Publish(); got != want {
			t.Errorf("entry %d: rang %v, NO_NOTIFY is %v", i, got, !want)
		}
	}
	if r.get16(r.d.Avail) != 0 {
		t.Error("interrupts are switched off")
	}
}

func TestChainLayout(t *testing.T) {
	r := newRig(t, 8)
	out := [][]byte{r.buf(12), nil, r.buf(1000)}
	in := [][]byte{r.buf(1), {}, r.buf(4096)}
	if err := r.Add(out, in, 42); err != nil {
		t.Fatal(err)
	}
	if r.availIdx() != 0 {
		t.Error("visible before Publish")
	}
	if !r.Publish() || r.rung != 1 {
		t.Error("avail_event 0 asks for a doorbell at the first entry")
	}
	if r.availIdx() != 1 {
		t.Errorf("avail.idx %d, want 1", r.availIdx())
	}
	want := []struct {
		b     []byte
		write bool
	}{{out[0], false}, {out[2], false}, {in[0], true}, {in[2], true}}
	got := r.chain(r.head(0))
	if len(got) != len(want) {
		t.Fatalf("chain of %d descriptors, want %d", len(got), len(want))
	}
	for i, d := range got {
		if &r.mem[d.addr] != &want[i].b[0] || int(d.len) != len(want[i].b) || (d.flags&virtio.DescWrite != 0) != want[i].write {
			t.Errorf("descriptor %d is %+v", i, d)
		}
	}
	if r.Free() != 4 || r.Outstanding() != 1 {
		t.Errorf("free %d, outstanding %d", r.Free(), r.Outstanding())
	}
}

func TestReap(t *testing.T) {
	r := newRig(t, 4)
	var done [8]Completion
	for round := range 100_000 { // wraps the 16-bit indexes
		for i := range uint32(4) {
			if err := r.Add(nil, [][]byte{r.mem[8192:][:100]}, i); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Add(nil, [][]byte{r.mem[8192:][:100]}, 9); err != ErrFull {
			t.Fatalf("fifth chain: %v", err)
		}
		r.Publish()
		first := r.availIdx() - 4
		for _, i := range []uint16{2, 0, 3, 1} { // out of order
			r.use(uint32(r.head(first+i)), uint32(i)+1)
		}
		n, err := r.Reap(done[:3])
		m, err2 := r.Reap(done[n:])
		if n != 3 || m != 1 || err != nil || err2 != nil {
			t.Fatalf("round %d: reaped %d, %d, %v, %v", round, n, m, err, err2)
		}
		for k, i := range []uint32{2, 0, 3, 1} {
			if done[k] != (Completion{i, i + 1}) {
				t.Fatalf("round %d: completion %d is %+v", round, k, done[k])
			}
		}
		if r.Free() != 4 {
			t.Fatalf("free %d", r.Free())
		}
	}
}

func TestReadyBacklog(t *testing.T) {
	r := newRig(t, 4)
	want := func(ready, backlog int) {
		t.Helper()
		if r.Ready() != ready || r.Backlog() != backlog {
			t.Errorf("ready %d, backlog %d; want %d, %d", r.Ready(), r.Backlog(), ready, backlog)
		}
	}
	for range 3 {
		if err := r.Add([][]byte{r.buf(8)}, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	want(0, 0) // not published yet
	r.Publish()
	want(0, 3)
	r.use(0, 0)
	r.use(1, 0)
	want(2, 1)
	if n, err := r.Reap(make([]Completion, 4)); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	want(0, 1)
}

func TestAddErrors(t *testing.T) {
	r := newRig(t, 4)
	b := r.buf(16)
	for _, tt := range []struct {
		name    string
		out, in [][]byte
		want    error
	}{
		{"nothing", nil, nil, ErrEmpty},
		{"only empty ones", [][]byte{{}, nil}, [][]byte{{}}, ErrEmpty},
		{"more than the queue", [][]byte{b, b, b}, [][]byte{b, b}, ErrTooLong},
		{"as much as the queue", [][]byte{b, b}, [][]byte{b, b}, nil},
		{"full", [][]byte{b}, nil, ErrFull},
	} {
		if err := r.Add(tt.out, tt.in, 0); err != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if r.Err() != nil {
		t.Errorf("a driver's mistake broke the queue: %v", r.Err())
	}
}

func TestEventIdx(t *testing.T) {
	r := newRig(t, 8)
	add := func(n int) bool {
		for range n {
			if err := r.Add([][]byte{r.mem[:1]}, nil, 0); err != nil {
				t.Fatal(err)
			}
		}
		return r.Publish()
	}
	if r.Publish() {
		t.Error("rang without a chain")
	}
	r.setAvailEvent(2)
	if add(2) {
		t.Error("rang at entries 0, 1; asked for 2")
	}
	if !add(2) {
		t.Error("silent at entries 2, 3; asked for 2")
	}
	if add(2) {
		t.Error("rang again at entries 4, 5")
	}
	if r.Arm() {
		t.Error("pending with nothing used")
	}
	if r.usedEvent() != 0 {
		t.Errorf("used_event %d", r.usedEvent())
	}
	if r.ArmLate() || r.usedEvent() != 4 {
		t.Errorf("late used_event %d, want 4 of 6", r.usedEvent())
	}
	for i := range uint16(5) {
		if r.ArmLate() {
			t.Errorf("late already at %d", i)
		}
		r.use(uint32(r.head(i)), 0)
	}
	if !r.ArmLate() || !r.Arm() || !r.Pending() {
		t.Error("5 of 6 used and not pending")
	}
	var done [8]Completion
	if n, err := r.Reap(done[:]); n != 5 || err != nil {
		t.Errorf("reaped %d, %v", n, err)
	}
	if r.Arm() || r.usedEvent() != 5 {
		t.Errorf("used_event %d, want 5", r.usedEvent())
	}
}

// A device that was not notified looks at the queue by itself, as far as one knows.
func TestLooking(t *testing.T) {
	r := newRig(t, 8)
	for i, event := range []uint16{0, 0, 2} { // which the device asks to be told of
		r.put16(r.d.Used+4+8*uint64(r.d.Size), event)
		if err := r.Add([][]byte{r.buf(8)}, nil, 0); err != nil {
			t.Fatal(err)
		}
		rang := r.Publish()
		w := r.Waitable()
		if rang != (int(event) == i) || rang != (w.Looking == nil) || int(w.Published) != i+1 {
			t.Errorf("%d: rang %v, looking %v, published %d", i, rang, w.Looking, w.Published)
		}
	}
}

func TestHostileDevice(t *testing.T) {
	for _, tt := range []struct {
		name string
		lie  func(r *rig)
		want error
		n    int // good completions before it
	}{
		{"index ahead by one", func(r *rig) { r.setUsedIdx(3) }, ErrUsedIndex, 0},
		{"index jumps", func(r *rig) { r.setUsedIdx(0x8000) }, ErrUsedIndex, 0},
		{"index goes back", func(r *rig) { r.setUsedIdx(0xffff) }, ErrUsedIndex, 0},
		{"id out of range", func(r *rig) { r.use(4, 0) }, ErrUsedID, 0},
		{"id huge", func(r *rig) { r.use(1<<32-1, 0) }, ErrUsedID, 0},
		{"id not a head", func(r *rig) { r.use(uint32(r.chain(r.head(0))[0].next), 0) }, ErrUsedID, 0},
		{"id used twice", func(r *rig) { r.use(uint32(r.head(0)), 0); r.use(uint32(r.head(0)), 0) }, ErrUsedID, 1},
		{"id not published", func(r *rig) {
			if err := r.Add([][]byte{r.mem[:1]}, nil, 0); err != nil {
				r.t.Fatal(err)
			}
			r.use(3, 0)
		}, ErrUsedID, 0},
		{"length beyond in", func(r *rig) { r.use(uint32(r.head(0)), 101) }, ErrUsedLength, 0},
		{"length on a chain to read", func(r *rig) { r.use(uint32(r.head(1)), 1) }, ErrUsedLength, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, 4)
			if err := errors.Join(r.Add([][]byte{r.buf(10)}, [][]byte{r.buf(100)}, 1), r.Add([][]byte{r.buf(10)}, nil, 2)); err != nil {
				t.Fatal(err)
			}
			r.Publish()
			tt.lie(r)
			var done [4]Completion
			n, err := r.Reap(done[:])
			var broken *BrokenError
			if n != tt.n || !errors.Is(err, tt.want) || !errors.As(err, &broken) {
				t.Fatalf("reaped %d, %v; want %d, %v", n, err, tt.n, tt.want)
			}
			if !strings.Contains(err.Error(), "virtio queue 7: ") {
				t.Errorf("error does not name the queue: %v", err)
			}
			if err2 := r.Add([][]byte{r.buf(1)}, nil, 0); err2 != err || r.Err() != err || r.Publish() {
				t.Errorf("broken queue goes on: %v", err2)
			}
			r.Wait(nil) // must not wait
		})
	}
}

type waiterFunc func(*Waitable)

func (f waiterFunc) Wait(w *Waitable) { f(w) }

func TestWait(t *testing.T) {
	r := newRig(t, 4)
	r.Wait(nil) // nothing outstanding: returns
	if err := r.Add(nil, [][]byte{r.buf(8)}, 5); err != nil {
		t.Fatal(err)
	}
	r.Publish()
	calls := 0
	r.Wait(waiterFunc(func(w *Waitable) {
		if w.Pending() {
			t.Error("waits though pending")
		}
		if calls++; calls == 3 { // the first two are spurious
			r.use(uint32(r.head(0)), 8)
		}
	}))
	if calls != 3 {
		t.Errorf("waited %d times", calls)
	}
}

func TestNoAllocation(t *testing.T) {
	r := newRig(t, 8)
	var done [4]Completion
	a, b, c := r.buf(12), r.buf(100), r.buf(100)
	got := testing.AllocsPerRun(1000, func() {
		if r.Add([][]byte{a, b}, [][]byte{c}, 1) != nil {
			t.Fatal("add failed")
		}
		r.Publish()
		r.use(uint32(r.head(r.availIdx()-1)), 1)
		if n, err := r.Reap(done[:]); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations for a chain", got)
	}
}

// FuzzReap lets the device write anything into the used ring, several times.
func FuzzReap(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 0, 0, 0, 0, 5, 0, 0, 0})
	f.Add([]byte{0, 0, 2, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		r := newRig(t, 4)
		usedLen := int(virtio.UsedBytes(4))
		total := 0
		for round := 0; round < 16; round++ {
			added := 0
			for r.Add([][]byte{r.mem[8192:][:3]}, [][]byte{r.mem[8200:][:16]}, uint32(round)) == nil {
				added++
			}
			r.Publish()
			n := copy(r.mem[r.d.Used:][:usedLen], script)
			script = script[n:]
			var done [3]Completion
			got, err := r.Reap(done[:])
			total += got
			if got > 2 { // 4 descriptors, 2 a chain
				t.Fatalf("reaped %d of 2", got)
			}
			for _, c := range done[:got] {
				if c.Len > 16 {
					t.Fatalf("length %d of 16", c.Len)
				}
			}
			if r.Free()+2*int(r.added-r.wait.Seen) != 4 {
				t.Fatalf("descriptors lost: %d free, %d chains", r.Free(), r.added-r.wait.Seen)
			}
			if err != nil {
				return
			}
		}
	})
}

func BenchmarkAddReap(b *testing.B) {
	r := newRig(b, 256)
	hdr, data := r.buf(12), r.buf(1500)
	var done [32]Completion
	r.setAvailEvent(0x8000)
	for b.Loop() {
		for range 32 {
			if err := r.Add([][]byte{hdr, data}, nil, 0); err != nil {
				b.Fatal(err)
			}
		}
		r.Publish()
		for i := range uint16(32) {
			r.use(uint32(r.head(r.availIdx()-32+i)), 0)
		}
		if n, err := r.Reap(done[:]); n != 32 || err != nil {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/chain")
}
