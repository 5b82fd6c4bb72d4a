package mmio_test

import (
	"errors"
	"testing"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/mmio"
	"github.com/tailor-os/tailor/virtio/transport"
	"github.com/tailor-os/tailor/virtio/transport/transporttest"
)

const base = 0xfeb00e00

func wants() *transport.Wants {
	next := uint64(0x200000)
	return &transport.Wants{
		Features: func(offered uint64) uint64 { return offered & (abi.FEventIdx | abi.NetFMAC | abi.NetFMTU) },
		Queues:   2, MaxSize: 256,
		Config: []transport.Field{
			{Offset: 0, Width: 1, Feature: abi.NetFMAC}, {Offset: 5, Width: 1, Feature: abi.NetFMAC},
			{Offset: 10, Width: 2, Feature: abi.NetFMTU},
		},
		Alloc: func(n, _ uint64) uint64 { next += n; return next - n },
	}
}

func card() *transporttest.Device {
	return &transporttest.Device{
		Type: abi.DeviceNet, Offered: abi.FVersion1 | abi.FEventIdx | abi.NetFMAC | 1<<35,
		Config: []byte{2, 0, 0, 0, 0, 9, 0, 0, 0, 0, 1}, QueueMax: []uint32{1024, 64, 64},
	}
}

func setup(m *transporttest.MMIO) (*transport.Ready, error) {
	d, err := mmio.Open(m, base, 512)
	if err != nil {
		return nil, err
	}
	return transport.Setup(d, wants())
}

func TestSetup(t *testing.T) {
	dev := card()
	m := &transporttest.MMIO{Devices: map[uint64]*transporttest.Device{base: dev}}
	r, err := setup(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Wrong)+len(dev.Faults) > 0 {
		t.Errorf("wrong: %q %q", m.Wrong, dev.Faults)
	}
	d := &r.Device
	if want := uint64(abi.FVersion1 | abi.FEventIdx | abi.NetFMAC); d.Features != want || dev.Taken != want {
		t.Errorf("features %#x, the device's %#x, want %#x", d.Features, dev.Taken, want)
	}
	if dev.Status != 15 || d.Type != abi.DeviceNet || d.NumQueues != 2 {
		t.Errorf("status %d, %+v", dev.Status, d)
	}
	if d.Config[0] != 2 || d.Config[5] != 9 || d.Config[10] != 0 {
		t.Errorf("configuration %v: without MTU, with MAC", d.Config[:12])
	}
	for i, size := range []uint32{256, 64} {
		q, have := &d.Queues[i], &dev.Queues[i]
		if q.Size != size || have.Size != size || !have.Ready || have.Desc != q.Desc || have.Avail != q.Avail || have.Used != q.Used {
			t.Errorf("queue %d: %+v, the device has %+v", i, q, have)
		}
		if want := (transport.Bell{Addr: base + 0x50, Value: uint32(i), Width: 4}); r.Bells[i] != want {
			t.Errorf("queue %d: %+v, want %+v", i, r.Bells[i], want)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(m *transporttest.MMIO, d *transporttest.Device)
		want   error
	}{
		"nothing there":  {func(m *transporttest.MMIO, d *transporttest.Device) { m.Magic = 1 }, mmio.ErrNotVirtio},
		"empty slot":     {func(m *transporttest.MMIO, d *transporttest.Device) { d.Type = 0 }, mmio.ErrNone},
		"empty legacy":   {func(m *transporttest.MMIO, d *transporttest.Device) { d.Type = 0; m.Version = 1 }, mmio.ErrNone},
		"legacy":         {func(m *transporttest.MMIO, d *transporttest.Device) { m.Version = 1 }, mmio.ErrLegacy},
		"future":         {func(m *transporttest.MMIO, d *transporttest.Device) { m.Version = 3 }, mmio.ErrVersion},
		"no reset":       {func(m *transporttest.MMIO, d *transporttest.Device) { d.NoReset, d.Status = true, 1 }, transport.ErrReset},
		"virtio 0.9":     {func(m *transporttest.MMIO, d *transporttest.Device) { d.Offered = abi.FEventIdx }, transport.ErrLegacy},
		"no features":    {func(m *transporttest.MMIO, d *transporttest.Device) { d.NoFeatures = true }, transport.ErrFeatures},
		"IOMMU":          {func(m *transporttest.MMIO, d *transporttest.Device) { d.NoFeatures = true; d.Offered |= 1 << 33 }, transport.ErrPlatform},
		"restless":       {func(m *transporttest.MMIO, d *transporttest.Device) { d.Restless = true }, transport.ErrConfig},
		"one queue":      {func(m *transporttest.MMIO, d *transporttest.Device) { d.QueueMax = d.QueueMax[:1] }, transport.ErrNoQueue},
		"tiny queue":     {func(m *transporttest.MMIO, d *transporttest.Device) { d.QueueMax[1] = 1 }, transport.ErrQueueSize},
		"queue unwanted": {func(m *transporttest.MMIO, d *transporttest.Device) { d.NoReady = true }, transport.ErrStart},
		"needs reset":    {func(m *transporttest.MMIO, d *transporttest.Device) { d.NoStart = true }, transport.ErrStart},
	} {
		t.Run(name, func(t *testing.T) {
			dev := card()
			m := &transporttest.MMIO{Devices: map[uint64]*transporttest.Device{base: dev}}
			tc.change(m, dev)
			if _, err := setup(m); !errors.Is(err, tc.want) {
				t.Fatalf("error %v, want %v", err, tc.want)
			}
			if _, ok := tc.want.(transport.Error); ok && dev.Status != 0 && dev.Status&128 == 0 && !dev.NoReset {
				t.Errorf("status %#x: the device was not told", dev.Status)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]mmio.Place{
		"512@0xfeb00e00:12":  {Base: 0xfeb00e00, Size: 512, IRQ: 12},
		"4K@0xd0000000:5":    {Base: 0xd0000000, Size: 4096, IRQ: 5},
		"4K@0xc0001000:6:3":  {Base: 0xc0001000, Size: 4096, IRQ: 6},
		"0x1m@0x100000000:7": {Base: 1 << 32, Size: 1 << 20, IRQ: 7},
	} {
		if got, ok := mmio.Parse(in); !ok || got != want {
			t.Errorf("%s: %+v, %v, want %+v", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "512", "512@", "512@0xfeb00e00", "512@0xfeb00e00:", "512@0xfeb00e00:-1", "512@:5", "@0x1000:5",
		"1@0x1000:5", "512@0xfffffffffffffff0:5", "512@0:5", "512@0x1001:5", "2M@0x1000:5", "K@0x1000:5", "512@0x1000:5:", "512@0x1000:5000"} {
		if got, ok := mmio.Parse(in); ok {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("512@0xfeb00e00:12:1")
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := mmio.Parse(s); ok && !p.Valid() {
			t.Errorf("%q: %+v", s, p)
		}
	})
}

// FuzzDevice takes a device into use that answers with any bytes.
func FuzzDevice(f *testing.F) {
	f.Add([]byte("virt\x02\x00\x00\x00\x01\x00\x00\x00"))
	f.Add([]byte("virt\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\xff\x0b\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		h := &transporttest.Hostile{Script: script, Mapped: [][2]uint64{{base, 512}}}
		d, err := mmio.Open(h, base, 512)
		if err == nil {
			if r, err := transport.Setup(d, wants()); err == nil {
				for i := range r.Device.NumQueues {
					if b := r.Bells[i]; b.Addr != base+0x50 || b.Width != 4 {
						t.Errorf("bell %+v", b)
					}
				}
			}
		}
		if h.Wrong != nil {
			t.Error(h.Wrong)
		}
	})
}
