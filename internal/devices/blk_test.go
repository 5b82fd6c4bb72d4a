package devices

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/internal/virtq"
	"github.com/tailor-os/tailor/virtio/blkdev"
	"github.com/tailor-os/tailor/virtio/queue"
	"github.com/tailor-os/tailor/virtio/virtiotest"
)

// A ramDisk is a disk in memory. Reads of its cold part wait for the medium.
type ramDisk struct {
	mu       sync.Mutex
	data     []byte
	sector   int
	readOnly bool
	cold     int64 // from here on
	flushes  int
	discards int
	fail     bool
	release  chan struct{} // slow reads wait for it, if not nil
	slow     atomic.Int32  // that are waiting
}

func (d *ramDisk) Size() int64     { return int64(len(d.data)) }
func (d *ramDisk) SectorSize() int { return d.sector }
func (d *ramDisk) ReadOnly() bool  { return d.readOnly }

func (d *ramDisk) ReadNow(p []byte, off int64) bool {
	if d.fail || off+int64(len(p)) > d.cold {
		return false
	}
	return d.read(p, off) == nil
}

func (d *ramDisk) ReadAt(p []byte, off int64) error {
	if d.release != nil {
		d.slow.Add(1)
		<-d.release
		d.slow.Add(-1)
	}
	return d.read(p, off)
}

func (d *ramDisk) read(p []byte, off int64) error {
	if err := block.Check(d, off, int64(len(p))); err != nil {
		return err
	}
	if d.fail {
		return block.ErrIO
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(p, d.data[off:])
	return nil
}

func (d *ramDisk) WriteAt(p []byte, off int64) error {
	if d.readOnly {
		return block.ErrReadOnly
	}
	if err := block.Check(d, off, int64(len(p))); err != nil {
		return err
	}
	if d.fail {
		return block.ErrIO
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(d.data[off:], p)
	return nil
}

func (d *ramDisk) Flush() error {
	if d.fail {
		return block.ErrIO
	}
	d.flushes++
	return nil
}

func (d *ramDisk) Discard(off, n int64) error {
	if err := block.Check(d, off, n); err != nil {
		return err
	}
	if d.fail {
		return block.ErrIO
	}
	d.discards++
	return nil
}

// A diskGuest is a guest with one block device. Any goroutine may use its driver:
// each takes the part of the vCPU's thread in turn.
type diskGuest struct {
	mu   sync.Mutex // the vCPU
	cond *sync.Cond // the guest was woken
	bus  *Bus
	dev  *blkdev.Device
	desc abi.Device
	mem  []uint64
	errs chan error
	seq  int
	rung atomic.Int32 // doorbells
}

// blk returns the device behind the driver.
func (g *diskGuest) blk() *blk { return g.bus.polled[len(g.bus.polled)-1].(*blk) }

func (g *diskGuest) Wake() {
	go func() { // the caller may hold the device's lock, and the vCPU wait for that
		g.mu.Lock()
		defer g.mu.Unlock()
		g.seq++
		g.cond.Broadcast()
	}()
}
func (g *diskGuest) Asleep() bool  { return false }
func (g *diskGuest) WantIdle(bool) {}

// Wait implements queue.Waiter.
func (g *diskGuest) Wait(w *queue.Waitable) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if seq := g.seq; !w.Arm() {
		for g.seq == seq && !w.Pending() {
			g.cond.Wait()
		}
	}
}

func newDisk(t *testing.T, disk *ramDisk) *diskGuest {
	t.Helper()
	g := &diskGuest{errs: make(chan error, 10)}
	g.cond = sync.NewCond(&g.mu)
	listen := new(uint32)
	var err error
	if g.bus, err = NewBusFor(virtiotest.Memory(), g, listen, func(err error) { g.errs <- err }); err != nil {
		t.Fatal(err)
	}
	spec := BlkSpec("disk0", disk)
	g.desc = abi.Device{Type: spec.Type, NumQueues: 1, Features: spec.Features, Config: spec.Config}
	copy(g.desc.Name[:], spec.Name)
	g.desc.Queues[0], g.mem = virtiotest.NewQueue(blkQueueSize, 0)
	if err := g.bus.AddBlk(&g.desc, disk); err != nil {
		t.Fatal(err)
	}
	g.dev, err = blkdev.New(&g.desc, blkdev.Config{Origin: virtiotest.Origin(), Waiter: g, Notify: func(v uint32) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.rung.Add(1)
		g.bus.Notify(uint64(v))
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.bus.Stop()
		select {
		case err := <-g.errs:
			t.Error(err)
		default:
		}
	})
	return g
}

func TestBlk(t *testing.T) {
	disk := &ramDisk{data: make([]byte, 4<<20), sector: 512, cold: 4 << 20}
	g := newDisk(t, disk)
	d := g.dev
	if d.Size() != 4<<20 || d.SectorSize() != 512 || d.ReadOnly() || d.Name() != "disk0" {
		t.Errorf("size %d, sectors of %d, read-only %v, name %q", d.Size(), d.SectorSize(), d.ReadOnly(), d.Name())
	}
	all := make([]byte, 3<<20) // several requests
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(all)
	if err := d.WriteAt(all, 512); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(all))
	if err := d.ReadAt(got, 512); err != nil || !bytes.Equal(got, all) {
		t.Errorf("read back: %v, equal %v", err, bytes.Equal(got, all))
	}
	if err := d.Flush(); err != nil || disk.flushes != 1 {
		t.Errorf("%v, %d flushes", err, disk.flushes)
	}
	if err := d.Discard(4096, 8192); err != nil || disk.discards != 1 {
		t.Errorf("%v, %d discards", err, disk.discards)
	}
	for _, err := range []error{
		d.ReadAt(got[:512], 4<<20), d.ReadAt(got[:100], 0), d.WriteAt(got[:512], 7), d.ReadAt(got[:512], -512), d.Discard(4<<20, 512),
	} {
		if err != block.ErrRange {
			t.Errorf("out of range: %v", err)
		}
	}
	disk.fail = true
	for _, err := range []error{d.ReadAt(got, 0), d.WriteAt(got, 0), d.Flush(), d.Discard(0, 512)} {
		if err != block.ErrIO {
			t.Errorf("a medium that fails: %v", err)
		}
	}
	disk.fail = false
	if err := d.ReadAt(got[:512], 0); err != nil {
		t.Errorf("after failures: %v", err)
	}
}

func TestBlkReadOnly(t *testing.T) {
	g := newDisk(t, &ramDisk{data: make([]byte, 1<<20), sector: 4096, readOnly: true})
	p := make([]byte, 4096)
	for _, err := range []error{g.dev.WriteAt(p, 0), g.dev.Flush(), g.dev.Discard(0, 4096)} {
		if err != block.ErrReadOnly {
			t.Error(err)
		}
	}
	if err := g.dev.ReadAt(p, 4096); err != nil || g.dev.SectorSize() != 4096 {
		t.Errorf("%v, sectors of %d", err, g.dev.SectorSize())
	}
}

// What waits for the medium keeps nobody else waiting, and several wait at once.
func TestBlkSlow(t *testing.T) {
	disk := &ramDisk{data: make([]byte, 1<<20), sector: 512, cold: 1 << 19, release: make(chan struct{})}
	g := newDisk(t, disk)
	var wg sync.WaitGroup
	for i := range int64(20) {
		wg.Go(func() {
			if err := g.dev.ReadAt(make([]byte, 512), 1<<19+512*i); err != nil {
				t.Error(err)
			}
		})
	}
	for end := time.Now().Add(5 * time.Second); disk.slow.Load() < blkWorkers; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d reads wait for the medium", disk.slow.Load())
		}
	}
	rung := g.rung.Load()
	for range 100 {
		if err := g.dev.ReadAt(make([]byte, 4096), 0); err != nil {
			t.Error(err)
		}
	}
	if n := g.rung.Load() - rung; n < 100 {
		t.Errorf("%d of 100 reads rang: somebody looks at the queue who takes a processor from those who wait", n)
	}
	close(disk.release)
	wg.Wait()
}

// Nor does a request that is refused: a part of it may lie on the medium.
func TestBlkSlowRefused(t *testing.T) {
	disk := &ramDisk{data: make([]byte, 1<<20), sector: 512, release: make(chan struct{})}
	g := newDisk(t, disk)
	q, err := queue.New(&g.desc.Queues[0], queue.Config{Origin: virtiotest.Origin(), Notify: func(v uint32) { g.bus.Notify(uint64(v)) }})
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 16)
	binary.LittleEndian.PutUint64(head[8:], 1<<20/512-1)
	status := []byte{99}
	if err := q.Add([][]byte{head}, [][]byte{make([]byte, 512), make([]byte, 512), status}, 1); err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() { q.Publish(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("the vCPU waits for the medium")
	}
	close(disk.release)
	<-done
	if status[0] != abi.BlkError {
		t.Errorf("status %d", status[0])
	}
}

// For a guest that rings often, somebody looks at its queue, and it need not ring; not
// where that would take the guest's processor.
func TestBlkLook(t *testing.T) {
	defer func(f func() bool) { oneProcessor = f }(oneProcessor)
	for _, solo := range []bool{false, true} {
		oneProcessor = func() bool { return solo }
		disk := &ramDisk{data: make([]byte, 1<<20), sector: 512, cold: 1 << 20}
		g := newDisk(t, disk)
		quiet := 0
		for end := time.Now().Add(time.Second); quiet < 3 && time.Now().Before(end); {
			rung := g.rung.Load()
			if err := g.dev.ReadAt(make([]byte, 512), 0); err != nil {
				t.Fatal(err)
			}
			if g.rung.Load() == rung {
				quiet++
			}
		}
		if solo != (quiet == 0) {
			t.Errorf("one processor: %v; %d reads without a doorbell", solo, quiet)
		}
	}
}

// Whoever looks at the queue may lose the processor, and does not have the lock then,
// most likely.
func TestBlkLookUnlocked(t *testing.T) {
	k := newDisk(t, &ramDisk{data: make([]byte, 1<<20), sector: 512, cold: 1 << 20}).blk()
	free, held := 0, 0
	for end := time.Now().Add(5 * time.Second); free+held < 100 && time.Now().Before(end); {
		k.mu.Lock()
		k.give(blkRequest{look: true})
		k.mu.Unlock()
		for range 20 {
			time.Sleep(5 * time.Microsecond)
			if !k.mu.TryLock() {
				held++
				continue
			}
			if k.looker != nil {
				free++
			}
			k.mu.Unlock()
		}
	}
	if free < held {
		t.Errorf("the lock was free %d times, and held %d times", free, held)
	}
}

// Whoever looks at the queue may lose the processor: a guest that goes idle then is
// answered by the vCPU's thread, and rings from then on.
func TestBlkLookerLost(t *testing.T) {
	disk := &ramDisk{data: make([]byte, 1<<20), sector: 512, cold: 1 << 20}
	g := newDisk(t, disk)
	k := g.blk()
	k.mu.Lock()
	k.looker = new(virtq.Chain) // of nobody
	k.q.Quiet()
	k.mu.Unlock()
	done := make(chan error)
	go func() { done <- g.dev.ReadAt(make([]byte, 512), 0) }()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		g.bus.Flush()
		select {
		case err := <-done:
			if err != nil || g.rung.Load() != 0 {
				t.Errorf("%v, %d doorbells", err, g.rung.Load())
			}
			if err := g.dev.ReadAt(make([]byte, 512), 0); err != nil || g.rung.Load() != 1 {
				t.Errorf("the next: %v, %d doorbells", err, g.rung.Load())
			}
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatal("no answer")
		}
	}
}

// Many goroutines, each with sectors of its own, against a model.
func TestBlkConcurrent(t *testing.T) {
	const workers, each = 16, 64 << 10
	disk := &ramDisk{data: make([]byte, workers*each), sector: 512, cold: workers * each / 2}
	g := newDisk(t, disk)
	var wg sync.WaitGroup
	for w := range int64(workers) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			model := make([]byte, each)
			for range 200 {
				off := rng.Int64N(each/512) * 512
				p := make([]byte, min(each-off, 512*(1+rng.Int64N(16))))
				if rng.IntN(2) == 0 {
					for i := range p {
						p[i] = byte(rng.Uint32())
					}
					copy(model[off:], p)
					if err := g.dev.WriteAt(p, w*each+off); err != nil {
						t.Error(err)
					}
					continue
				}
				if err := g.dev.ReadAt(p, w*each+off); err != nil || !bytes.Equal(p, model[off:off+int64(len(p))]) {
					t.Errorf("worker %d at %d: %v", w, off, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A guest that sends what is no request is stopped, not believed.
func TestBlkHostile(t *testing.T) {
	head := func(kind uint32, sector uint64) []byte {
		return append([]byte{byte(kind), byte(kind >> 8), 0, 0, 0, 0, 0, 0},
			byte(sector), byte(sector>>8), byte(sector>>16), byte(sector>>24), byte(sector>>32), byte(sector>>40), byte(sector>>48), byte(sector>>56))
	}
	for name, tt := range map[string]struct {
		out, in [][]byte
		status  int // -1: the guest is stopped
	}{
		"no header":         {nil, [][]byte{make([]byte, 1)}, -1},
		"short header":      {[][]byte{make([]byte, 15)}, [][]byte{make([]byte, 1)}, -1},
		"long header":       {[][]byte{make([]byte, 17)}, [][]byte{make([]byte, 1)}, -1},
		"no status":         {[][]byte{head(abi.BlkIn, 0)}, nil, -1},
		"unknown type":      {[][]byte{head(99, 0)}, [][]byte{make([]byte, 1)}, abi.BlkUnsupp},
		"huge sector":       {[][]byte{head(abi.BlkIn, 1<<63)}, [][]byte{make([]byte, 513)}, abi.BlkError},
		"overflowing":       {[][]byte{head(abi.BlkOut, 1<<62/512), make([]byte, 512)}, [][]byte{make([]byte, 1)}, abi.BlkError},
		"beyond the end":    {[][]byte{head(abi.BlkIn, 2047)}, [][]byte{make([]byte, 1024), make([]byte, 1)}, abi.BlkError},
		"part of a sector":  {[][]byte{head(abi.BlkIn, 0)}, [][]byte{make([]byte, 101)}, abi.BlkError},
		"half a discard":    {[][]byte{head(abi.BlkDiscard, 0), make([]byte, 8)}, [][]byte{make([]byte, 1)}, abi.BlkError},
		"discard of all":    {[][]byte{head(abi.BlkDiscard, 0), bytes.Repeat([]byte{255}, 16)}, [][]byte{make([]byte, 1)}, abi.BlkError},
		"many discards":     {[][]byte{head(abi.BlkDiscard, 0), make([]byte, 1<<20)}, [][]byte{make([]byte, 1)}, abi.BlkError},
		"name, little room": {[][]byte{head(abi.BlkGetID, 0)}, [][]byte{make([]byte, 3)}, abi.BlkOK},
		"status elsewhere":  {[][]byte{head(abi.BlkIn, 0)}, [][]byte{make([]byte, 512), make([]byte, 512), make([]byte, 1)}, abi.BlkOK},
	} {
		disk := &ramDisk{data: make([]byte, 1<<20), sector: 512, cold: 1 << 20}
		g := newDisk(t, disk)
		q, err := queue.New(&g.desc.Queues[0], queue.Config{Origin: virtiotest.Origin(), Notify: func(v uint32) { g.bus.Notify(uint64(v)) }})
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Add(tt.out, tt.in, 1); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		q.Publish()
		if tt.status < 0 {
			select {
			case err := <-g.errs:
				if !errors.Is(err, errBlkRequest) {
					t.Errorf("%s: %v", name, err)
				}
			case <-time.After(5 * time.Second):
				t.Errorf("%s was taken", name)
			}
			continue
		}
		for end := time.Now().Add(5 * time.Second); !q.Pending() && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
		last := tt.in[len(tt.in)-1]
		if got := int(last[len(last)-1]); !q.Pending() || got != tt.status {
			t.Errorf("%s: status %d, want %d", name, got, tt.status)
		}
	}
}
