package acpi

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/tailor-os/tailor/virtio/mmio"
)

// A firmware is memory with tables in it.
type firmware struct {
	mem  []byte
	base uint64
}

func (f *firmware) read(addr uint64, n uint32) []byte {
	if addr < f.base || addr-f.base > uint64(len(f.mem)) || uint64(n) > uint64(len(f.mem))-(addr-f.base) {
		return nil
	}
	return f.mem[addr-f.base:][:n]
}

// put adds a table and returns its address.
func (f *firmware) put(name string, body []byte) uint64 {
	t := make([]byte, headerSize, headerSize+len(body))
	copy(t, name)
	t = append(t, body...)
	binary.LittleEndian.PutUint32(t[4:], uint32(len(t)))
	t[9] = -sum(t)
	for len(f.mem)%16 != 0 {
		f.mem = append(f.mem, 0)
	}
	addr := f.base + uint64(len(f.mem))
	f.mem = append(f.mem, t...)
	return addr
}

// root adds a root pointer for revision 2, or 0 with an RSDT only.
func (f *firmware) root(revision byte, fadt uint64) uint64 {
	rsdt := f.put("RSDT", binary.LittleEndian.AppendUint32(nil, uint32(fadt)))
	xsdt := f.put("XSDT", binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, rsdt), fadt))
	for len(f.mem)%16 != 0 {
		f.mem = append(f.mem, 0)
	}
	r := make([]byte, 36)
	copy(r, signature)
	r[15] = revision
	binary.LittleEndian.PutUint32(r[16:], uint32(rsdt))
	if revision >= 2 {
		binary.LittleEndian.PutUint64(r[24:], xsdt)
	}
	r[8] = -sum(r[:20])
	r[32] = -sum(r)
	f.mem = append(f.mem, r...)
	return f.base + uint64(len(f.mem)-len(r))
}

// pc is the FADT of a PC, body only; offsets are those of the table.
func pc(dsdt uint64, flags uint32) []byte {
	b := make([]byte, 276-headerSize)
	le := binary.LittleEndian
	le.PutUint32(b[fadtDSDT-headerSize:], uint32(dsdt))
	le.PutUint32(b[fadtPM1a-headerSize:], 0x604)
	le.PutUint32(b[fadtFlags-headerSize:], flags)
	copy(b[fadtResetReg-headerSize:], []byte{spaceIO, 8, 0, 1, 0xf9, 0x0c})
	b[fadtResetValue-headerSize] = 0x0f
	copy(b[fadtSleepControl-headerSize:], []byte{spaceMemory, 8, 0, 1, 0x00, 0x02, 0xa0, 0xfe})
	return b
}

const s5Bytes = "\x08\\_S5_\x12\x06\x04\x0a\x05\x00\x00\x00"

// device is a virtio-mmio device of a DSDT, as QEMU's microvm has it.
func device(base uint32, irq uint32) []byte {
	b := []byte("\x5b\x82\x3b\x0fVR00\x08_HID\x0dLNRO0005\x00\x08_UID\x00\x08_CCA\x01\x08_CRS\x11\x1a\x0a\x17\x86\x09\x00\x01")
	b = binary.LittleEndian.AppendUint32(b, base)
	b = append(b, 0, 2, 0, 0, 0x89, 6, 0, 3, 1)
	b = binary.LittleEndian.AppendUint32(b, irq)
	return append(b, 0x79, 0)
}

func build(flags uint32, revision byte, dsdt []byte) (*firmware, uint64) {
	f := &firmware{base: biosStart, mem: make([]byte, 64)}
	fadt := f.put("FACP", pc(f.put("DSDT", dsdt), flags))
	root := f.root(revision, fadt)
	f.mem = append(f.mem, make([]byte, biosSize-len(f.mem))...)
	return f, root
}

func TestRead(t *testing.T) {
	dsdt := slices.Concat([]byte("_S5_ by the way"), []byte(s5Bytes), device(0xfeb02e00, 47), device(0xfeb02c00, 46))
	for _, revision := range []byte{0, 2} {
		f, root := build(flagResetReg, revision, dsdt)
		for _, rsdp := range []uint64{root, 0} {
			got := Read(f.read, rsdp)
			want := Tables{
				PowerOff: Write{Port, 0x604, 5<<10 | 1<<13, 2},
				Reset:    Write{Port, 0xcf9, 0x0f, 1},
				Devices: []mmio.Place{
					{Base: 0xfeb02e00, Size: 512, IRQ: 47},
					{Base: 0xfeb02c00, Size: 512, IRQ: 46},
				},
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("revision %d, root %#x: %+v, want %+v", revision, rsdp, got, want)
			}
		}
	}
}

func TestReducedHardware(t *testing.T) {
	f, root := build(flagHWReduced, 2, []byte(s5Bytes))
	got := Read(f.read, root)
	if want := (Write{MMIO, 0xfea00200, 5<<2 | 1<<5, 1}); got.PowerOff != want || got.Reset.Width != 0 {
		t.Errorf("%+v, want %+v and no reset", got, want)
	}
}

func TestSleepTypes(t *testing.T) {
	for in, want := range map[string]int{
		"\x08_S5_\x12\x06\x04\x00\x00\x00\x00":         0,
		"\x08_S5_\x12\x06\x04\x01\x00\x00\x00":         1,
		"\x08_S5_\x12\x46\x00\x04\x0b\x07\x00\x00\x00": 7,
		"\x08_S5_\x12\x06\x04\x0a\x08\x00\x00\x00":     -1,
		"\x08_S5_\x12\x06\x04\x0e\x08\x00\x00\x00":     -1,
		"\x14_S5_\x12\x06\x04\x0a\x05\x00\x00\x00":     -1,
		"\x08_S5_\x12":                     -1,
		"\x08_S5_\x12\x06\x04\x0c\x05\x00": -1,
		"":                                 -1,
	} {
		got, ok := s5(append(make([]byte, headerSize), in...))
		if ok != (want >= 0) || ok && int(got) != want {
			t.Errorf("%q: %d, %v, want %d", in, got, ok, want)
		}
	}
}

// Every byte of the tables that is flipped is noticed, or changes nothing that
// is believed: a checksum covers each table.
func TestDamage(t *testing.T) {
	good, root := build(flagResetReg, 2, append([]byte(s5Bytes), device(0xfeb00000, 5)...))
	want := fmt.Sprint(Read(good.read, root))
	end := int(root - biosStart + 36)
	for i := range end {
		f := &firmware{mem: slices.Clone(good.mem), base: good.base}
		f.mem[i] ^= 0x55
		got := Read(f.read, root)
		if s := fmt.Sprint(got); s != want && (len(got.Devices) > 0 && got.PowerOff.Width != 0) {
			t.Errorf("byte %d: %s", i, s)
		}
	}
}

func FuzzRead(f *testing.F) {
	good, root := build(flagResetReg, 2, append([]byte(s5Bytes), device(0xfeb00000, 5)...))
	f.Add(good.mem[:root-biosStart+36], []byte(s5Bytes))
	f.Fuzz(func(t *testing.T, mem, dsdt []byte) {
		_ = Read((&firmware{mem: mem, base: biosStart}).read, 0)
		m, root := build(0, 2, dsdt)
		for _, p := range Read(m.read, root).Devices {
			if !p.Valid() {
				t.Errorf("%+v", p)
			}
		}
	})
}
