package platform

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/params"
	"github.com/tailor-os/tailor/virtio/mmio"
	"github.com/tailor-os/tailor/virtio/transport"
	"github.com/tailor-os/tailor/virtio/transport/transporttest"
)

// A rig is a machine with devices behind virtio-mmio and on PCI, which it tells
// apart by address.
type rig struct {
	*transporttest.Bus
	mmio      transporttest.MMIO
	unmapped  uint64 // an address that cannot be mapped
	next      uint64
	devices   []abi.Device
	bells     map[uint32]transport.Bell
	acks      map[uint32][2]uint64
	said, not []string
}

const low = 0xfe000000 // of the addresses of PCI's devices; those of mmio are above

func newRig() *rig {
	return &rig{
		Bus:   &transporttest.Bus{Functions: map[[3]uint8]*transporttest.Function{}},
		mmio:  transporttest.MMIO{Devices: map[uint64]*transporttest.Device{}},
		next:  0x300000,
		bells: map[uint32]transport.Bell{},
		acks:  map[uint32][2]uint64{},
	}
}

func (r *rig) memory(addr uint64) transport.Memory {
	if addr >= 0xfea00000 {
		return &r.mmio
	}
	return r.Bus
}

func (r *rig) Load8(addr uint64) uint8       { return r.memory(addr).Load8(addr) }
func (r *rig) Load16(addr uint64) uint16     { return r.memory(addr).Load16(addr) }
func (r *rig) Load32(addr uint64) uint32     { return r.memory(addr).Load32(addr) }
func (r *rig) Store8(addr uint64, v uint8)   { r.memory(addr).Store8(addr, v) }
func (r *rig) Store16(addr uint64, v uint16) { r.memory(addr).Store16(addr, v) }
func (r *rig) Store32(addr uint64, v uint32) { r.memory(addr).Store32(addr, v) }

func (r *rig) Map(addr, n uint64) bool { return r.Bus.Map(addr, n) && addr != r.unmapped }

func (r *rig) Alloc(n, align uint64) uint64 {
	r.next = (r.next + align - 1) &^ (align - 1)
	r.next += n
	return r.next - n
}

func (r *rig) Add(d *abi.Device)                      { r.devices = append(r.devices, *d) }
func (r *rig) SetBell(queue uint32, b transport.Bell) { r.bells[queue] = b }
func (r *rig) SetAck(pin uint32, status, ack uint64)  { r.acks[pin] = [2]uint64{status, ack} }
func (r *rig) Say(line string)                        { r.said = append(r.said, line) }
func (r *rig) Note(line string)                       { r.not = append(r.not, line) }

func device(typ uint32, queues int) *transporttest.Device {
	return &transporttest.Device{Type: typ, Offered: abi.FVersion1 | abi.FEventIdx,
		QueueMax: slices.Repeat([]uint32{256}, queues), Config: make([]byte, 12)}
}

// place puts a device at the nth place of a QEMU microvm.
func (r *rig) place(n uint64, d *transporttest.Device) mmio.Place {
	p := mmio.Place{Base: 0xfeb00000 + 512*n, Size: 512, IRQ: uint32(16 + n)}
	r.mmio.Devices[p.Base] = d
	return p
}

func TestFind(t *testing.T) {
	r := newRig()
	places := []mmio.Place{
		r.place(0, device(0, 0)), r.place(1, device(abi.DeviceConsole, 64)),
		r.place(2, device(abi.DeviceConsole, 2)), r.place(3, device(abi.DeviceConsole, 2)),
		r.place(4, device(abi.DeviceBlock, 1)),
	}
	r.Functions[[3]uint8{0, 1, 0}] = transporttest.NewFunction(device(abi.DeviceNet, 3), low)
	r.Functions[[3]uint8{0, 2, 0}] = transporttest.NewFunction(device(abi.DeviceRNG, 1), low+0x40000)
	r.Functions[[3]uint8{0, 3, 0}] = transporttest.NewFunction(device(abi.DeviceNet, 2), low+0x80000)
	f := NewFinder(r)
	f.MMIO(places, true)
	f.MMIO(places, true) // as when two sources name them
	f.PCI()
	var got []string
	for _, d := range r.devices {
		name, _, _ := strings.Cut(string(d.Name[:]), "\x00")
		got = append(got, fmt.Sprint(d.Type, " ", name, " ", d.Queues[0].Notify))
	}
	want := []string{"3 virtio-mmio device at 0xfeb0020 0", "3 virtio-mmio device at 0xfeb0040 2",
		"1 PCI device 00:01.0 4", "4 PCI device 00:02.0 6", "1 PCI device 00:03.0 7"}
	if !slices.Equal(got, want) || len(r.said) > 0 {
		t.Errorf("devices %q, want %q; said %q", got, want, r.said)
	}
	if want := []string{
		"virtio-mmio device at 0xfeb00600 is not used: there already is one of virtio type 3",
		"virtio-mmio device at 0xfeb00800 is a block device, and the image mounts no volumes",
	}; !slices.Equal(r.not, want) {
		t.Errorf("noted %q, want %q", r.not, want)
	}
	if len(r.bells) != 9 || r.bells[3] != (transport.Bell{Addr: 0xfeb00450, Value: 1, Width: 4}) ||
		r.bells[5] != (transport.Bell{Addr: low + 0x3004, Value: 1, Width: 2}) {
		t.Errorf("bells %+v", r.bells)
	}
	if len(r.acks) != 2 || r.acks[17] != [2]uint64{0xfeb00260, 0xfeb00264} {
		t.Errorf("acks %+v", r.acks)
	}
	if f.Have(abi.DeviceRNG) != 1 || f.Have(abi.DeviceConsole) != 2 || len(r.mmio.Wrong)+len(r.Wrong) > 0 {
		t.Errorf("%+v, wrong %q %q", f.have, r.mmio.Wrong, r.Wrong)
	}
	checkRings(t, r.devices)
}

// TestManyCards: network cards are in the order in which they are found, and there is
// an end to how many.
func TestManyCards(t *testing.T) {
	r := newRig()
	for n := range uint8(params.MaxCards + 1) {
		r.Functions[[3]uint8{0, n + 1, 0}] = transporttest.NewFunction(device(abi.DeviceNet, 2), low+uint64(n)*0x40000)
	}
	NewFinder(r).PCI()
	for n, d := range r.devices {
		if want := fmt.Sprintf("PCI device 00:%02x.0", n+1); !strings.HasPrefix(string(d.Name[:]), want) {
			t.Errorf("card %d is %s", n, d.Name)
		}
	}
	if len(r.devices) != params.MaxCards || len(r.not) != 1 || len(r.Wrong) > 0 {
		t.Errorf("%d cards, noted %q, wrong %q", len(r.devices), r.not, r.Wrong)
	}
	checkRings(t, r.devices)
}

// checkRings makes sure that no two queues share memory.
func checkRings(t *testing.T, devices []abi.Device) {
	end := uint64(0)
	for _, d := range devices {
		for _, q := range d.Queues[:d.NumQueues] {
			if q.Desc < end || q.Avail <= q.Desc || q.Used <= q.Avail {
				t.Errorf("queue %+v overlaps what ends at %#x", q, end)
			}
			end = q.Used
		}
	}
}

func TestSaid(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(r *rig, p *mmio.Place, d *transporttest.Device)
		listed bool
		want   string
	}{
		"nothing there":  {func(r *rig, _ *mmio.Place, _ *transporttest.Device) { r.mmio.Magic = 1 }, true, "virtio-mmio device at 0xfeb00000 is no virtio device"},
		"not mapped":     {func(r *rig, p *mmio.Place, _ *transporttest.Device) { r.unmapped = p.Base }, true, "virtio-mmio device at 0xfeb00000 cannot be mapped"},
		"high interrupt": {func(_ *rig, p *mmio.Place, _ *transporttest.Device) { p.IRQ = 48 }, true, "virtio-mmio device at 0xfeb00000 has interrupt 48, which no I/O APIC has"},
		"named, empty":   {func(_ *rig, _ *mmio.Place, d *transporttest.Device) { d.Type = 0 }, false, "virtio-mmio device at 0xfeb00000 is not there"},
		"listed, empty":  {func(_ *rig, _ *mmio.Place, d *transporttest.Device) { d.Type = 0 }, true, ""},
		"dead":           {func(_ *rig, _ *mmio.Place, d *transporttest.Device) { d.NoReset, d.Status = true, 4 }, true, "virtio-mmio device at 0xfeb00000 does not reset"},
	} {
		r := newRig()
		d := device(abi.DeviceNet, 2)
		p := r.place(0, d)
		tc.change(r, &p, d)
		NewFinder(r).MMIO([]mmio.Place{p}, tc.listed)
		if got := strings.Join(r.said, "\n"); got != tc.want || len(r.devices) > 0 {
			t.Errorf("%s: said %q, want %q; devices %v", name, got, tc.want, r.devices)
		}
	}
}

func TestNetFeatures(t *testing.T) {
	const tso = abi.NetFHostTSO4 | abi.NetFHostTSO6
	const guestTSO = abi.NetFGuestTSO4 | abi.NetFGuestTSO6
	for offered, want := range map[uint64]uint64{
		0:                                  0,
		tso | guestTSO:                     0,
		tso | abi.NetFCsum | 1<<16 | 1<<22: tso | abi.NetFCsum,
		guestTSO | abi.NetFGuestCsum | tso: guestTSO | abi.NetFGuestCsum,
		abi.NetFMAC | abi.NetFMTU | abi.NetFMrgRxBuf | abi.FEventIdx | 1<<33: abi.NetFMAC | abi.NetFMTU | abi.NetFMrgRxBuf | abi.FEventIdx,
	} {
		if got := netFeatures(offered); got != want {
			t.Errorf("%#x offered: %#x, want %#x", offered, got, want)
		}
	}
}

func TestMAC(t *testing.T) {
	random := func(p []byte) { copy(p, []byte{0xff, 1, 2, 3, 4, 5}) }
	for _, tc := range []struct {
		features uint64
		mac      []byte
		keep     bool
	}{
		{abi.NetFMAC, []byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}, true},
		{abi.NetFMAC, []byte{0, 0, 0, 0, 0, 0}, false},
		{abi.NetFMAC, []byte{1, 0, 0x5e, 0, 0, 1}, false},
		{0, []byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}, false},
	} {
		d := abi.Device{Features: tc.features}
		copy(d.Config[:], tc.mac)
		setMAC(&d, random)
		want := []byte{0xfe, 1, 2, 3, 4, 5}
		if tc.keep {
			want = tc.mac
		}
		if !bytes.Equal(d.Config[:6], want) || d.Features != abi.NetFMAC {
			t.Errorf("%+v: %x, features %#x", tc, d.Config[:6], d.Features)
		}
	}
}

// FuzzFind looks for devices on a machine that answers with any bytes.
func FuzzFind(f *testing.F) {
	f.Add([]byte("virt\x02\x00\x00\x00\x01\x00\x00\x00"), uint32(5))
	f.Fuzz(func(t *testing.T, script []byte, irq uint32) {
		m := &hostile{Hostile: transporttest.Hostile{Script: append([]byte{0}, script...)}}
		fd := NewFinder(m)
		fd.MMIO([]mmio.Place{{Base: 0xfeb00000, Size: 512, IRQ: irq}, {Base: 0xfeb00200, Size: 512, IRQ: 5}}, true)
		if m.Wrong != nil || m.added > 2 {
			t.Errorf("%v, %d devices", m.Wrong, m.added)
		}
	})
}

type hostile struct {
	transporttest.Hostile
	added int
}

func (*hostile) Alloc(n, align uint64) uint64 { return 0x300000 }
func (h *hostile) Add(d *abi.Device)          { h.added++ }
func (h *hostile) SetAck(pin uint32, status, ack uint64) {
	if pin >= abi.NumPins {
		h.Wrong = fmt.Errorf("pin %d", pin)
	}
}
func (*hostile) SetBell(uint32, transport.Bell) {}
func (*hostile) Say(string)                     {}
func (*hostile) Note(string)                    {}
