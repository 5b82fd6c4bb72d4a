package pci_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/pci"
	"github.com/tailor-os/tailor/virtio/transport"
	"github.com/tailor-os/tailor/virtio/transport/transporttest"
)

const barAddr = 0xfe000000

func wants() *transport.Wants {
	next := uint64(0x200000)
	return &transport.Wants{
		Features: func(offered uint64) uint64 { return offered & (abi.FEventIdx | abi.NetFMTU) },
		Queues:   2, MaxSize: 256,
		Config: []transport.Field{{Offset: 10, Width: 2, Feature: abi.NetFMTU}},
		Alloc:  func(n, _ uint64) uint64 { next += n; return next - n },
	}
}

// rig is a bus with one network device at 00:03.0.
func rig(addr uint64) (*transporttest.Bus, *transporttest.Function, *transporttest.Device) {
	d := &transporttest.Device{
		Type: abi.DeviceNet, Offered: abi.FVersion1 | abi.FEventIdx | abi.NetFMTU,
		Config: []byte{10: 0xdc, 11: 5}, QueueMax: []uint32{256, 128},
	}
	f := transporttest.NewFunction(d, addr)
	d.Master = f.Master
	return &transporttest.Bus{Functions: map[[3]uint8]*transporttest.Function{{0, 3, 0}: f}}, f, d
}

// open opens the first virtio device.
func open(b *transporttest.Bus) (d *pci.Device, err error) {
	err = errors.New("none found")
	pci.Scan(b, func(f *pci.Function) {
		if f.VirtioType() != 0 && d == nil {
			d, err = f.Open(b, b.Map)
		}
	})
	return d, err
}

func TestSetup(t *testing.T) {
	for _, addr := range []uint64{barAddr, 0x8_0000_0000} {
		b, f, dev := rig(addr)
		d, err := open(b)
		if err != nil {
			t.Fatal(err)
		}
		r, err := transport.Setup(d, wants())
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Wrong)+len(dev.Faults) > 0 {
			t.Errorf("wrong: %q %q", b.Wrong, dev.Faults)
		}
		if dev.Status != 15 || r.Device.Features != dev.Offered || r.Device.Config[10] != 0xdc || r.Device.Config[11] != 5 {
			t.Errorf("status %d, %+v", dev.Status, r.Device)
		}
		for i, size := range []uint32{256, 128} {
			q, have := &r.Device.Queues[i], &dev.Queues[i]
			if q.Size != size || have.Size != size || !have.Ready || have.Vector != 0 ||
				have.Desc != q.Desc || have.Avail != q.Avail || have.Used != q.Used {
				t.Errorf("queue %d: %+v, the device has %+v", i, q, have)
			}
			if want := (transport.Bell{Addr: addr + 0x3000 + 4*uint64(i), Value: uint32(i), Width: 2}); r.Bells[i] != want {
				t.Errorf("queue %d: %+v, want %+v", i, r.Bells[i], want)
			}
		}
		if want := []byte{0, 0, 0xe0, 0xfe, 0, 0, 0, 0, abi.VectorMSI, 0, 0, 0, 0, 0, 0, 0}; !slices.Equal(f.MSIX[:16], want) {
			t.Errorf("MSI-X entry %x, want %x", f.MSIX[:16], want)
		}
		if c := f.Space[0x9b]; c&0xc0 != 0x80 {
			t.Errorf("MSI-X control %#x: not enabled, or masked", c)
		}
		if c := f.Space[4]; c&6 != 6 || f.Space[5]&4 == 0 {
			t.Errorf("command %#x: memory, bus master, no INTx", f.Space[4:6])
		}
	}
}

// TestOneBAR has all in one BAR of 512 KiB far up, as Cloud Hypervisor lays its
// devices out (virtio-devices/src/transport/pci_device.rs), the MSI-X table too.
func TestOneBAR(t *testing.T) {
	const addr = 0x3fff_fff8_0000
	b, f, dev := rig(addr)
	f.BarSize = [6]uint64{0x80000}
	copy(f.Space[0x10:], []byte{4, 0, 0xf8, 0xff, 0xff, 0x3f, 0, 0})
	clear(f.Space[0x18:0x28])
	for at, offset := range map[uint8]byte{0x40: 0x00, 0x50: 0x10, 0x60: 0x20, 0x70: 0x30} {
		f.Space[at+4], f.Space[at+9] = 0, offset
	}
	copy(f.Space[0x9c:], []byte{0, 0x80, 0, 0}) // the table, at 0x8000 of BAR 0
	d, err := open(b)
	if err != nil {
		t.Fatal(err)
	}
	r, err := transport.Setup(d, wants())
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Wrong)+len(dev.Faults) > 0 || dev.Status != 15 || f.MSIX[8] != abi.VectorMSI {
		t.Errorf("wrong: %q %q; status %d", b.Wrong, dev.Faults, dev.Status)
	}
	if want := (transport.Bell{Addr: addr + 0x3004, Value: 1, Width: 2}); r.Bells[1] != want {
		t.Errorf("%+v, want %+v", r.Bells[1], want)
	}
	if want := [][2]uint64{{addr, 0x8040}}; !slices.Equal(b.Mapped, want) {
		t.Errorf("mapped %x, want %x", b.Mapped, want)
	}
}

func TestTransitional(t *testing.T) {
	b, f, _ := rig(barAddr)
	f.Space[2], f.Space[3], f.Space[0x2e] = 0x00, 0x10, abi.DeviceNet
	if d, err := open(b); err != nil || d.Type() != abi.DeviceNet {
		t.Errorf("%v, %v", d, err)
	}
}

func TestBridges(t *testing.T) {
	b, f, _ := rig(barAddr)
	bridge := func(secondary uint8) *transporttest.Function {
		f := &transporttest.Function{}
		copy(f.Space[:], []byte{0x86, 0x80, 1, 1})
		f.Space[0x0e], f.Space[0x19] = 1, secondary
		return f
	}
	// Bus 0 has a device of two functions, the second one a bridge to bus 7; bus
	// 7 one to itself and one back to bus 0.
	first := &transporttest.Function{}
	copy(first.Space[:], []byte{0x86, 0x80, 2, 2})
	first.Space[0x0e] = 0x80
	b.Functions = map[[3]uint8]*transporttest.Function{
		{0, 31, 0}: first, {0, 31, 5}: bridge(7),
		{7, 0, 0}: bridge(7), {7, 1, 0}: bridge(0), {7, 2, 0}: f,
	}
	var found [][3]uint8
	if !pci.Scan(b, func(f *pci.Function) { found = append(found, [3]uint8{f.Bus, f.Device, f.Number}) }) {
		t.Fatal("no bus")
	}
	if want := [][3]uint8{{0, 31, 0}, {7, 2, 0}}; !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
	b.Absent = true
	if pci.Scan(b, func(*pci.Function) { t.Error("found something") }) {
		t.Error("a bus where there is none")
	}
}

func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(f *transporttest.Function)
		want   error
	}{
		"no list":       {func(f *transporttest.Function) { f.Space[6] = 0 }, pci.ErrCaps},
		"legacy only":   {func(f *transporttest.Function) { f.Space[0x99] = 0 }, pci.ErrCaps},
		"no MSI-X":      {func(f *transporttest.Function) { f.Space[0x34] = 0x40 }, pci.ErrCaps},
		"loop":          {func(f *transporttest.Function) { f.Space[0x99] = 0x98 }, pci.ErrCaps},
		"BAR 6":         {func(f *transporttest.Function) { f.Space[0x44] = 6 }, pci.ErrCaps},
		"beyond BAR":    {func(f *transporttest.Function) { f.VirtioCap(0x40, 0x50, 1, 4, 0x3ffc, 0x1000) }, pci.ErrBAR},
		"huge":          {func(f *transporttest.Function) { f.VirtioCap(0x40, 0x50, 1, 4, 0xffffff00, 0xffffffff) }, pci.ErrBAR},
		"short common":  {func(f *transporttest.Function) { f.VirtioCap(0x40, 0x50, 1, 4, 0, 0x37) }, pci.ErrBAR},
		"odd common":    {func(f *transporttest.Function) { f.VirtioCap(0x40, 0x50, 1, 4, 2, 0x100) }, pci.ErrBAR},
		"empty BAR":     {func(f *transporttest.Function) { f.BarSize[4] = 0 }, pci.ErrBAR},
		"I/O BAR":       {func(f *transporttest.Function) { f.Space[0x20] = 1 }, pci.ErrBAR},
		"64 bits at 5":  {func(f *transporttest.Function) { f.VirtioCap(0x40, 0x50, 1, 5, 0, 0x100); f.Space[0x24] = 4 }, pci.ErrBAR},
		"not assigned":  {func(f *transporttest.Function) { copy(f.Space[0x20:], []byte{4, 0, 0, 0}) }, pci.ErrNoBAR},
		"no vector":     {func(f *transporttest.Function) { f.Device.NoVector = true }, pci.ErrVector},
		"notified away": {func(f *transporttest.Function) { copy(f.Space[0x80:], []byte{0, 0, 0, 1}) }, pci.ErrNotify},
	} {
		t.Run(name, func(t *testing.T) {
			b, f, dev := rig(barAddr)
			tc.change(f)
			d, err := open(b)
			if err == nil {
				_, err = transport.Setup(d, wants())
			}
			if !errors.Is(err, tc.want) {
				t.Fatalf("error %v, want %v", err, tc.want)
			}
			if f.Master() || dev.Status == 15 {
				t.Error("the device may reach memory")
			}
		})
	}
}

// FuzzBus looks for devices on a bus that answers with any bytes.
func FuzzBus(f *testing.F) {
	f.Add([]byte{0xf4, 0x1a, 0x41, 0x10, 0x07, 0, 0x10, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		h := &transporttest.Hostile{Script: append([]byte{1, 2, 3, 4, 0, 0, 0, 0x80}, script...)}
		n := 0
		pci.Scan(h, func(fn *pci.Function) {
			if n++; n > 50 || fn.VirtioType() == 0 {
				return
			}
			take(t, h, fn)
		})
	})
}

// FuzzDevice is a device that PCI describes in any way: the script is its
// configuration space, and then what is behind the registers.
func FuzzDevice(f *testing.F) {
	_, good, _ := rig(barAddr)
	f.Add(good.Space[:])
	f.Add(append(good.Space[:], 0, 1, 2, 3, 0xb, 0xb, 0xb, 0xb))
	f.Fuzz(func(t *testing.T, script []byte) {
		fn := &transporttest.Function{BarSize: [6]uint64{0x1000, 0x100, 0x10, 0x1000, 0x4000}}
		script = script[copy(fn.Space[:], script):]
		h := &transporttest.Hostile{Script: script}
		ports := &transporttest.Bus{Functions: map[[3]uint8]*transporttest.Function{{}: fn}}
		pci.Scan(ports, func(fn *pci.Function) {
			if fn.VirtioType() != 0 {
				take(t, h, fn)
			}
		})
	})
}

// take takes a hostile device into use, which touches nothing that it did not map.
func take(t *testing.T, h *transporttest.Hostile, fn *pci.Function) {
	h.Mapped = nil
	d, err := fn.Open(h, h.Map)
	if err == nil {
		if r, err := transport.Setup(d, wants()); err == nil {
			for i := range r.Device.NumQueues {
				h.Store16(r.Bells[i].Addr, uint16(r.Bells[i].Value))
			}
		}
	}
	if h.Wrong != nil {
		t.Error(h.Wrong)
	}
}
