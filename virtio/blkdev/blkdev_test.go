package blkdev

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/internal/virtq"
	"github.com/tailor-os/tailor/virtio/queue"
	"github.com/tailor-os/tailor/virtio/virtiotest"
)

// A rig is a driver and a device side that a test plays.
type rig struct {
	dev    *Device
	q      *virtq.Queue
	mem    []uint64
	answer func(c *virtq.Chain) (written int) // of each request, in the doorbell
	seen   []uint32                           // types of requests
	rings  int                                // of the doorbell
	silent bool                               // never writes where it wants to be notified
}

// Wait implements queue.Waiter: everything is answered in the doorbell.
func (r *rig) Wait(w *queue.Waitable) {
	if !w.Pending() {
		panic("the driver waits for an answer that will not come")
	}
}

func newRig(t testing.TB, change func(d *abi.Device)) (*rig, error) {
	r := &rig{}
	d := abi.Device{
		Type: abi.DeviceBlock, NumQueues: 1,
		Features: abi.FVersion1 | abi.FEventIdx | abi.BlkFFlush | abi.BlkFDiscard | abi.BlkFBlkSize,
	}
	binary.LittleEndian.PutUint64(d.Config[abi.BlkConfigCapacity:], 2048)
	binary.LittleEndian.PutUint32(d.Config[abi.BlkConfigBlkSize:], 512)
	binary.LittleEndian.PutUint32(d.Config[abi.BlkConfigDiscards:], 2048)
	copy(d.Name[:], "disk")
	d.Queues[0], r.mem = virtiotest.NewQueue(16, 0)
	change(&d)
	var err error
	if d.NumQueues > 0 {
		if r.q, err = virtq.New(virtiotest.Memory(), &d.Queues[0], virtq.Both, "test"); err != nil {
			t.Fatal(err)
		}
	}
	r.answer = func(c *virtq.Chain) int { return status(c, abi.BlkOK) }
	r.dev, err = New(&d, Config{Origin: virtiotest.Origin(), Waiter: r, Notify: func(uint32) { r.serve(t) }})
	return r, err
}

// status writes the last byte of a request and returns how many were written.
func status(c *virtq.Chain, v byte) int {
	last := c.In[len(c.In)-1]
	last[len(last)-1] = v
	return c.InLen
}

func (r *rig) serve(t testing.TB) {
	var c virtq.Chain
	r.rings++
	for {
		ok, err := r.q.Pop(&c)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if r.silent || !r.q.Arm() {
				return
			}
			continue
		}
		r.seen = append(r.seen, binary.LittleEndian.Uint32(c.Out[0]))
		r.q.Push(c.Head, r.answer(&c))
		r.q.Flush()
	}
}

func unchanged(*abi.Device) {}

// A device without EVENT_IDX is notified of every request, not of the first alone.
func TestWithoutEventIdx(t *testing.T) {
	r, err := newRig(t, func(d *abi.Device) { d.Features &^= abi.FEventIdx })
	if err != nil {
		t.Fatal(err)
	}
	r.silent = true
	for i := range 3 {
		if err := r.dev.ReadAt(make([]byte, 512), 0); err != nil || r.rings != i+1 {
			t.Fatalf("read %d: %v, %d notifications", i, err, r.rings)
		}
	}
}

// Whatever the device says of a request, it is done or an error.
func TestStatus(t *testing.T) {
	r, err := newRig(t, unchanged)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1024)
	for v := range 256 {
		r.answer = func(c *virtq.Chain) int { return status(c, byte(v)) }
		for _, err := range []error{r.dev.ReadAt(p, 0), r.dev.WriteAt(p, 512), r.dev.Flush()} {
			if v == abi.BlkOK && err != nil || v != abi.BlkOK && err == nil {
				t.Errorf("status %d: %v", v, err)
			}
		}
	}
	r.answer = func(c *virtq.Chain) int { return status(c, abi.BlkUnsupp) }
	if err := r.dev.Discard(0, 512); err != nil {
		t.Errorf("a discard that is not known: %v", err)
	}
	// A device that writes no status has not done it.
	r.answer = func(*virtq.Chain) int { return 0 }
	if err := r.dev.ReadAt(p, 0); err != block.ErrIO {
		t.Errorf("no status: %v", err)
	}
}

// A request longer than the device takes becomes several.
func TestSizeMax(t *testing.T) {
	r, err := newRig(t, func(d *abi.Device) {
		d.Features |= abi.BlkFSizeMax
		binary.LittleEndian.PutUint32(d.Config[abi.BlkConfigSizeMax:], 1500)
	})
	if err != nil {
		t.Fatal(err)
	}
	r.answer = func(c *virtq.Chain) int {
		if n := c.InLen - 1; n > 1024 {
			t.Errorf("a read of %d bytes", n)
		}
		return status(c, abi.BlkOK)
	}
	if err := r.dev.ReadAt(make([]byte, 100<<10), 0); err != nil || len(r.seen) != 100 {
		t.Errorf("%v, %d requests", err, len(r.seen))
	}
}

// A range to discard is no longer than the device takes, in whole sectors.
func TestDiscardMax(t *testing.T) {
	le := binary.LittleEndian
	for most, want := range map[uint32][]uint32{
		0: nil, 7: nil, 8: {8, 8, 8}, 20: {16, 8}, 24: {24}, 1<<32 - 1: {24},
	} {
		r, err := newRig(t, func(d *abi.Device) {
			le.PutUint32(d.Config[abi.BlkConfigBlkSize:], 4096)
			le.PutUint32(d.Config[abi.BlkConfigDiscards:], most)
		})
		if err != nil {
			t.Fatal(err)
		}
		next := uint64(8)
		var got []uint32
		r.answer = func(c *virtq.Chain) int {
			at, n := le.Uint64(c.Out[1]), le.Uint32(c.Out[1][8:])
			if at != next {
				t.Errorf("at most %d: a range at %d, want %d", most, at, next)
			}
			next, got = at+uint64(n), append(got, n)
			return status(c, abi.BlkOK)
		}
		if err := r.dev.Discard(4096, 3*4096); err != nil || !slices.Equal(got, want) {
			t.Errorf("at most %d: %v, ranges of %d, want %d", most, err, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	le := binary.LittleEndian
	for name, tt := range map[string]struct {
		change func(d *abi.Device)
		want   error
	}{
		"another type":   {func(d *abi.Device) { d.Type = abi.DeviceNet }, ErrNotBlock},
		"no queue":       {func(d *abi.Device) { d.NumQueues = 0 }, ErrQueues},
		"legacy":         {func(d *abi.Device) { d.Features &^= abi.FVersion1 }, ErrVersion},
		"huge":           {func(d *abi.Device) { le.PutUint64(d.Config[:], 1<<60) }, ErrCapacity},
		"odd sectors":    {func(d *abi.Device) { le.PutUint32(d.Config[abi.BlkConfigBlkSize:], 1000) }, ErrSectorSize},
		"small sectors":  {func(d *abi.Device) { le.PutUint32(d.Config[abi.BlkConfigBlkSize:], 256) }, ErrSectorSize},
		"large sectors":  {func(d *abi.Device) { le.PutUint32(d.Config[abi.BlkConfigBlkSize:], 8192) }, ErrSectorSize},
		"no sector size": {func(d *abi.Device) { le.PutUint32(d.Config[abi.BlkConfigBlkSize:], 0) }, ErrSectorSize},
	} {
		if _, err := newRig(t, tt.change); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A name that the table does not have is the device's own.
func TestName(t *testing.T) {
	r, err := newRig(t, func(d *abi.Device) { clear(d.Name[:]) })
	if err != nil || r.dev.Name() != "" || len(r.seen) != 1 || r.seen[0] != abi.BlkGetID {
		t.Errorf("%v, name %q, requests %v", err, r.dev.Name(), r.seen)
	}
}

// A device that plays anything breaks nothing but itself.
func FuzzDevice(f *testing.F) {
	f.Add(uint64(2048), uint32(512), uint32(0), uint32(2048), uint64(0), []byte{0, 1, 2, 255})
	f.Add(uint64(1<<54), uint32(4096), uint32(1), uint32(9), ^uint64(0), []byte{7})
	f.Fuzz(func(t *testing.T, capacity uint64, sector, sizeMax, discards uint32, features uint64, answers []byte) {
		r, err := newRig(t, func(d *abi.Device) {
			d.Features |= features
			le := binary.LittleEndian
			le.PutUint64(d.Config[abi.BlkConfigCapacity:], capacity)
			le.PutUint32(d.Config[abi.BlkConfigBlkSize:], sector)
			le.PutUint32(d.Config[abi.BlkConfigSizeMax:], sizeMax)
			le.PutUint32(d.Config[abi.BlkConfigDiscards:], discards)
		})
		if err != nil {
			return
		}
		i := 0
		r.answer = func(c *virtq.Chain) int {
			if i++; i > len(answers) {
				return status(c, abi.BlkOK)
			}
			return status(c, answers[i-1])
		}
		d := r.dev
		if d.Size() < 0 || d.Size()%int64(d.SectorSize()) != 0 {
			t.Fatalf("size %d, sectors of %d", d.Size(), d.SectorSize())
		}
		p := make([]byte, 2*d.SectorSize())
		for _, off := range []int64{0, d.Size() - int64(len(p)), d.Size(), -1} {
			_, _, _, _ = d.ReadAt(p, off), d.WriteAt(p, off), d.Flush(), d.Discard(off, int64(len(p)))
		}
	})
}

func TestDefaultName(t *testing.T) {
	for n, want := range map[int]string{0: "vda", 25: "vdz", 26: "vdaa", 27: "vdab", 26 + 26*26 - 1: "vdzz", 26 + 26*26: "vdaaa"} {
		if got := DefaultName(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
