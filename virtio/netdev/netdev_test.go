package netdev_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/netdev"
	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
	"gvisor.dev/gvisor/pkg/buffer"
)

// A packet is a [netdev.Packet] over slices that counts its references.
type packet struct {
	parts [][]byte
	hdr   virtio.NetHdr
	refs  *atomic.Int64
}

// newPacket makes an Ethernet frame of no known protocol in n pieces.
func newPacket(payload []byte, pieces int, refs *atomic.Int64) *packet {
	head := make([]byte, virtio.NetHdrLen+14)
	head[virtio.NetHdrLen+12] = 0x99
	p := &packet{parts: [][]byte{head}, refs: refs}
	for ; pieces > 1; pieces-- {
		n := len(payload) / pieces
		p.parts = append(p.parts, payload[:n])
		payload = payload[n:]
	}
	p.parts = append(p.parts, payload)
	return p
}

func (p *packet) Parts(dst [][]byte) [][]byte { return append(dst, p.parts...) }
func (p *packet) Header() virtio.NetHdr       { return p.hdr }
func (p *packet) Keep() netdev.Packet         { p.refs.Add(1); return p }
func (p *packet) Hold() netdev.Packet         { p.refs.Add(1); return p }
func (p *packet) Release()                    { p.refs.Add(-1) }

// received is what a receiver got.
type received struct {
	data      []byte
	validated bool
}

func collect(ch chan received) netdev.Receiver {
	return func(buf buffer.Buffer, validated bool) {
		ch <- received{buf.Flatten(), validated}
		buf.Release()
	}
}

func discard(buf buffer.Buffer, _ bool) { buf.Release() }

// newCable returns a cable whose first end runs with its packets in a channel.
func newCable(t testing.TB, o netdevtest.Options) (*netdevtest.Cable, chan received) {
	c, err := netdevtest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan received, 4096)
	if err := c.Device[0].Run(collect(ch)); err != nil {
		t.Fatal(err)
	}
	if err := c.Device[1].Run(discard); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := c.Err(); err != nil {
			t.Error(err)
		}
	})
	return c, ch
}

func next(t testing.TB, ch chan received) received {
	t.Helper()
	select {
	case r := <-ch:
		return r
	case <-time.After(5 * time.Second):
		t.Fatal("nothing received")
	}
	return received{}
}

func payload(n, seed int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8 + seed)
	}
	return b
}

func TestPackets(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    netdevtest.Options
		max  int
	}{
		{"merge", netdevtest.Options{MTU: 65000}, 65000},
		{"no merge", netdevtest.Options{Features: netdevtest.AllFeatures &^ abi.NetFMrgRxBuf, MTU: 65000}, 65000},
		{"plain", netdevtest.Options{Features: abi.FVersion1 | abi.FEventIdx | abi.NetFMTU, MTU: 1500}, 1500},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, ch := newCable(t, tc.o)
			var refs atomic.Int64
			for i, n := range []int{0, 1, 46, 484, 485, 486, 1486, 1500, 2020, 2022, 2023, 4000, 30000, 65000} {
				for _, pieces := range []int{1, 2, 17, 18, 300} {
					if n > tc.max {
						continue
					}
					want := payload(n, i)
					if !c.Device[1].Send(newPacket(want, pieces, &refs)) {
						t.Fatal("not sent")
					}
					if r := next(t, ch); len(r.data) != n+14 || !bytes.Equal(r.data[14:], want) || r.validated {
						t.Fatalf("%d bytes in %d pieces: got %d, validated %v", n, pieces, len(r.data)-14, r.validated)
					}
				}
			}
		})
	}
}

// TestFullRing sends far more than the ring holds, from several goroutines,
// and finds every packet received once and every reference released.
// TestFewFeatures is a device that offers nothing but virtio 1.0.
func TestFewFeatures(t *testing.T) {
	for _, features := range []uint64{0, abi.FEventIdx, abi.NetFMrgRxBuf, abi.NetFGuestCsum | abi.NetFGuestTSO4} {
		c, got := newCable(t, netdevtest.Options{Features: abi.FVersion1 | features, QueueSize: 8})
		var refs atomic.Int64
		for i := range 100 {
			want := payload(60+14*i, i)
			if !c.Device[1].Send(newPacket(want, 1+i%3, &refs)) {
				t.Fatal("packet refused")
			}
			if r := next(t, got); len(r.data) < 14 || !bytes.Equal(r.data[14:], want) {
				t.Fatalf("features %#x: packet %d of %d bytes came as %d others", features, i, len(want), len(r.data))
			}
		}
		if mac := c.Device[0].MAC(); mac != [6]byte{} || c.Device[0].MTU() != netdev.DefaultMTU || c.Device[0].TSO() {
			t.Errorf("features %#x: address %x, MTU %d", features, mac, c.Device[0].MTU())
		}
	}
}

func TestFullRing(t *testing.T) {
	for _, size := range []uint32{4, 32, 256} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			c, ch := newCable(t, netdevtest.Options{QueueSize: size, Backlog: 1 << 20})
			const senders, each = 4, 400
			var refs atomic.Int64
			var wg sync.WaitGroup
			for i := range senders {
				wg.Go(func() {
					for j := range each {
						p := newPacket([]byte{byte(i), byte(j), byte(j >> 8), 0}, 1+j%3, &refs)
						if !c.Device[1].Send(p) {
							t.Error("dropped")
						}
					}
				})
			}
			seen := map[string]int{}
			for range senders * each {
				seen[string(next(t, ch).data[14:17])]++
			}
			wg.Wait()
			if len(seen) != senders*each {
				t.Errorf("%d different packets of %d", len(seen), senders*each)
			}
			release(t, c, &refs)
		})
	}
}

// release waits until the driver holds no packet but what is in the ring, which
// the next packet makes it look at.
func release(t *testing.T, c *netdevtest.Cable, refs *atomic.Int64) {
	t.Helper()
	var other atomic.Int64
	for end := time.Now().Add(5 * time.Second); refs.Load() != 0; time.Sleep(time.Millisecond) {
		c.Device[1].Send(newPacket(nil, 1, &other))
		if time.Now().After(end) {
			t.Fatalf("%d references are left", refs.Load())
		}
	}
}

// TestValidated covers which packets count as having a good checksum.
func TestValidated(t *testing.T) {
	for _, tc := range []struct {
		features uint64
		hdr      virtio.NetHdr
		want     bool
	}{
		{netdevtest.AllFeatures, virtio.NetHdr{}, false},
		{netdevtest.AllFeatures, virtio.NetHdr{Flags: virtio.NetHdrDataValid}, true},
		{netdevtest.AllFeatures, virtio.NetHdr{Flags: virtio.NetHdrNeedsCsum, CsumStart: 20, CsumOffset: 4}, true},
		{netdevtest.AllFeatures &^ abi.NetFGuestCsum, virtio.NetHdr{Flags: virtio.NetHdrDataValid}, false},
	} {
		c, ch := newCable(t, netdevtest.Options{Features: tc.features})
		p := newPacket(payload(100, 1), 1, new(atomic.Int64))
		p.hdr = tc.hdr
		c.Device[1].Send(p)
		if r := next(t, ch); r.validated != tc.want {
			t.Errorf("%+v: validated %v", tc.hdr, r.validated)
		}
	}
}

func TestRefused(t *testing.T) {
	good := abi.Device{Type: abi.DeviceNet, NumQueues: 2, Features: netdevtest.AllFeatures}
	for _, tc := range []struct {
		change func(*abi.Device)
		want   error
	}{
		{func(d *abi.Device) { d.Type = abi.DeviceBlock }, netdev.ErrNotNet},
		{func(d *abi.Device) { d.NumQueues = 1 }, netdev.ErrQueues},
		{func(d *abi.Device) { d.Features &^= abi.FVersion1 }, netdev.ErrVersion},
	} {
		d := good
		tc.change(&d)
		if _, err := netdev.New(&d, netdev.Config{}); !errors.Is(err, tc.want) {
			t.Errorf("%v, want %v", err, tc.want)
		}
	}
	if _, err := netdev.New(&good, netdev.Config{}); err == nil {
		t.Error("queues of size 0 accepted")
	}
}

func BenchmarkSend(b *testing.B) {
	for _, n := range []int{64, 1500, 60000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c, err := netdevtest.New(netdevtest.Options{MTU: 65000})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			c.Device[0].Run(discard)
			c.Device[1].Run(discard)
			p := newPacket(payload(n, 0), 1, new(atomic.Int64))
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				for !c.Device[1].Send(p) {
					time.Sleep(10 * time.Microsecond)
				}
			}
		})
	}
}
