package devices

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
)

func TestBusUnknownNotify(t *testing.T) {
	g := newConsole(t, ConsoleConfig{Output: io.Discard, Error: io.Discard})
	g.bus.Notify(77)
	g.wantError("notified queue 77")
	g.bus.Notify(78) // reported once
}

func TestBusIdle(t *testing.T) {
	leaks(t)
	g := newGuest(t, func(*guest) {})
	timed := func(timeout time.Duration) time.Duration {
		begin := time.Now()
		g.bus.Idle(timeout)
		return time.Since(begin)
	}
	for _, d := range []time.Duration{0, 100 * time.Microsecond, 5 * time.Millisecond} {
		if got := timed(d); got < d || got > d+50*time.Millisecond {
			t.Errorf("idle for %v took %v", d, got)
		}
	}
	g.bus.Wake()
	g.bus.Wake()
	if d := timed(5 * time.Second); d > time.Second {
		t.Errorf("woken before: %v", d)
	}
	if d := timed(2 * time.Millisecond); d < 2*time.Millisecond {
		t.Errorf("one wake-up ended two waits: %v", d)
	}
	time.AfterFunc(2*time.Millisecond, g.bus.Wake)
	if d := timed(-1); d > time.Second {
		t.Errorf("woken meanwhile: %v", d)
	}
	time.AfterFunc(2*time.Millisecond, func() { g.bus.Fail(errors.New("broken")) })
	if d := timed(-1); d > time.Second {
		t.Errorf("failed meanwhile: %v", d)
	}
	g.wantError("broken")
}

// TestOldKernel: without epoll_pwait2, times are in milliseconds, never less.
func TestOldKernel(t *testing.T) {
	noPwait2.Store(true)
	defer noPwait2.Store(false)
	g := newGuest(t, func(*guest) {})
	begin := time.Now()
	g.bus.Idle(1500 * time.Microsecond)
	if d := time.Since(begin); d < 1500*time.Microsecond || d > time.Second {
		t.Errorf("idle for 1.5 ms took %v", d)
	}
}

// TestParkNoLostWake lets one thread wake another as often as that one waits.
func TestParkNoLostWake(t *testing.T) {
	p, err := newPark()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	const rounds = 20_000
	ack := make(chan struct{}, 1)
	go func() {
		for range rounds {
			p.wake()
			<-ack
		}
	}()
	for i := range rounds {
		for !p.woken {
			begin := time.Now()
			if p.wait(5 * time.Second); time.Since(begin) > 4*time.Second {
				t.Fatalf("wake-up %d lost", i)
			}
		}
		p.woken = false
		ack <- struct{}{}
	}
}

// TestTurn: what is asked for while the turn is taken is done all the same.
func TestTurn(t *testing.T) {
	var tn turn
	var asked [2]int // by thread, then seen by whoever works
	var mu sync.Mutex
	var wg sync.WaitGroup
	inside, total := 0, 0
	for id := range asked {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 50_000 {
				mu.Lock()
				asked[id]++
				mu.Unlock()
				if !tn.take() {
					continue
				}
				for {
					if inside++; inside != 1 {
						t.Error("two at a time")
					}
					mu.Lock()
					total = asked[0] + asked[1]
					mu.Unlock()
					inside--
					if tn.pass() {
						break
					}
				}
			}
		}()
	}
	wg.Wait()
	if total != 100_000 {
		t.Errorf("%d of 100000 requests seen", total)
	}
}

func TestLayout(t *testing.T) {
	specs := []Spec{ConsoleSpec(), NetSpec("net0", [6]byte{2, 3, 4, 5, 6, 7}, 9000, Offloads|abi.NetFMAC<<20)}
	devs, err := Layout(abi.RingAddr, abi.RingEnd, specs...)
	if err != nil {
		t.Fatal(err)
	}
	if len(devs) != 2 || devs[0].NumQueues != 3 || devs[1].NumQueues != 2 || deviceName(&devs[1]) != "net0" {
		t.Fatalf("%+v", devs)
	}
	type part struct{ start, end uint64 }
	var parts []part
	notify := uint32(0)
	for i := range devs {
		for k := range devs[i].NumQueues {
			q := &devs[i].Queues[k]
			if err := virtio.CheckQueue(q); err != nil {
				t.Error(err)
			}
			if q.Notify != notify {
				t.Errorf("notify %d, want %d", q.Notify, notify)
			}
			notify++
			parts = append(parts, part{q.Desc, q.Desc + virtio.DescBytes(q.Size)},
				part{q.Avail, q.Avail + virtio.AvailBytes(q.Size)}, part{q.Used, q.Used + virtio.UsedBytes(q.Size)})
		}
	}
	for i, a := range parts {
		if a.start < abi.RingAddr || a.end > abi.RingEnd || a.start%ringAlign != 0 {
			t.Errorf("part %#x-%#x", a.start, a.end)
		}
		for _, b := range parts[:i] {
			if a.start < b.end && b.start < a.end {
				t.Errorf("parts %#x and %#x overlap", a.start, b.start)
			}
		}
	}
	d := &devs[1]
	if d.Features != netFeatures|Offloads|abi.NetFMAC|abi.NetFMTU || string(d.Config[:6]) != "\x02\x03\x04\x05\x06\x07" ||
		d.Config[10] != 9000&0xff || d.Config[11] != 9000>>8 {
		t.Errorf("features %#x, config %x", d.Features, d.Config)
	}
}

func TestLayoutErrors(t *testing.T) {
	many := make([]Spec, 60)
	for i := range many {
		many[i] = NetSpec("n", [6]byte{}, 1500, 0)
	}
	odd := ConsoleSpec()
	odd.QueueSizes[1] = 48
	for _, tt := range []struct {
		name  string
		end   uint64
		says  string
		specs []Spec
	}{
		{"too many", abi.RingEnd, "beyond", many},
		{"small region", abi.RingAddr + 4096, "beyond", []Spec{ConsoleSpec()}},
		{"size", abi.RingEnd, "power of two", []Spec{odd}},
		{"name", abi.RingEnd, "name", []Spec{NetSpec(strings.Repeat("n", 32), [6]byte{}, 1500, 0)}},
		{"queues", abi.RingEnd, "queues", []Spec{{QueueSizes: make([]uint32, 5)}}},
	} {
		if _, err := Layout(abi.RingAddr, tt.end, tt.specs...); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestStopManyTimes starts and stops guests with devices at work.
func TestStopManyTimes(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	for range 50 {
		n := newNIC(t, dev, 32, 4096, 2048)
		unix.Write(peer, packet(100, 0))
		n.sendMany(8, 100)
		n.stop()
		buf := make([]byte, 100)
		for range 8 {
			unix.Read(peer, buf)
		}
	}
}
