package devices

import (
	"encoding/binary"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
	"github.com/tailor-os/tailor/virtio/queue"
)

const (
	heapAt  = abi.ImageBase
	ramSize = 8 << 20
)

// A guest is a virtual machine without KVM: its memory, its devices, and the
// driver side of its queues. The goroutine that calls it is the vCPU thread.
type guest struct {
	t    testing.TB
	ram  []byte
	bus  *Bus
	devs []abi.Device
	drv  [][]*queue.Queue
	errs chan error
	heap int
	bell int // doorbells rung
	idle int // times idle was entered
}

// newGuest makes a guest with devices; add adds their back ends.
func newGuest(t testing.TB, add func(*guest), specs ...Spec) *guest {
	words := make([]uint64, ramSize/8)
	g := &guest{t: t, ram: unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), ramSize), heap: heapAt, errs: make(chan error, 10)}
	mem, err := virtq.NewMemory(g.ram,
		virtq.Range{Start: abi.RingAddr, End: abi.RingEnd, Writable: true},
		virtq.Range{Start: heapAt, End: ramSize, Writable: true})
	if err != nil {
		t.Fatal(err)
	}
	if g.devs, err = Layout(abi.RingAddr, abi.RingEnd, specs...); err != nil {
		t.Fatal(err)
	}
	if g.bus, err = NewBus(mem, func(err error) { g.errs <- err }); err != nil {
		t.Fatal(err)
	}
	for i := range g.devs {
		var qs []*queue.Queue
		for k := range g.devs[i].NumQueues {
			qs = append(qs, g.driver(&g.devs[i].Queues[k]))
		}
		g.drv = append(g.drv, qs)
	}
	add(g)
	t.Cleanup(func() { g.stop() })
	return g
}

func (g *guest) driver(d *abi.Queue) *queue.Queue {
	q, err := queue.New(d, queue.Config{Origin: unsafe.Pointer(&g.ram[0]), Notify: func(v uint32) {
		g.bell++
		g.bus.Notify(uint64(v))
	}})
	if err != nil {
		g.t.Fatal(err)
	}
	return q
}

// stop ends the devices, once, within a second.
func (g *guest) stop() {
	if g.bus == nil {
		return
	}
	begin := time.Now()
	g.bus.Stop()
	if d := time.Since(begin); d > time.Second {
		g.t.Errorf("Stop took %v", d)
	}
	g.bus = nil
	select {
	case err := <-g.errs:
		g.t.Errorf("error after all: %v", err)
	default:
	}
}

// buf returns n bytes of the guest's heap.
func (g *guest) buf(n int) []byte {
	b := g.ram[g.heap:][:n:n]
	g.heap += (n + 63) &^ 63
	return b
}

// park does what a guest's event loop does when there is nothing to do: it arms
// its queues, looks once more, and rings BellIdle.
func (g *guest) park(timeout time.Duration, qs ...*queue.Queue) {
	for _, q := range qs {
		if q.Arm() {
			return
		}
	}
	g.idle++
	g.bus.Idle(timeout)
}

// wantError waits for the error hook.
func (g *guest) wantError(want string) {
	g.t.Helper()
	select {
	case err := <-g.errs:
		if !strings.Contains(err.Error(), want) {
			g.t.Errorf("error hook: %v, want %q", err, want)
		}
		if g.bus.Err() != err {
			g.t.Errorf("Err() is %v", g.bus.Err())
		}
	case <-time.After(5 * time.Second):
		g.t.Errorf("no error, want %q", want)
	}
}

// setDesc writes a descriptor into a queue by hand, setAvail then the index.
func (g *guest) setDesc(q *abi.Queue, i int, addr uint64, n uint32, flags, next uint16) {
	b := g.ram[q.Desc+16*uint64(i):]
	binary.LittleEndian.PutUint64(b, addr)
	binary.LittleEndian.PutUint32(b[8:], n)
	binary.LittleEndian.PutUint16(b[12:], flags)
	binary.LittleEndian.PutUint16(b[14:], next)
}

func (g *guest) setAvail(q *abi.Queue, idx uint16) {
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&g.ram[q.Avail])), uint32(idx)<<16)
}

// seqpacket returns a pair of connected sockets, closed with the test.
func seqpacket(t testing.TB) (device, peer int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// leaks fails the test if it leaves goroutines, threads of ours, or file
// descriptors behind. Call it first.
func leaks(t testing.TB) {
	count := func() (int, int) {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return runtime.NumGoroutine(), len(fds)
	}
	time.Sleep(time.Nanosecond) // makes the runtime open what it needs for timers
	g0, f0 := count()
	t.Cleanup(func() {
		for range 100 {
			if g, f := count(); g <= g0 && f <= f0 {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		g, f := count()
		t.Errorf("%d goroutines and %d descriptors before, %d and %d after", g0, f0, g, f)
	})
}
