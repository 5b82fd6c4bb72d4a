package pci

import "github.com/tailor-os/tailor/virtio/transport"

// Kinds of virtio's capabilities, virtio 1.2 section 4.1.4.
const (
	kindCommon = iota
	kindNotify
	kindDevice
	kindMSIX // a capability of PCI's own
	numKinds
)

// cfg_type of a capability, from 1 on, to its kind; numKinds if of no use here.
var kindOf = [...]uint8{numKinds, kindCommon, kindNotify, numKinds, kindDevice}

// Errors of [Function.Open].
const (
	ErrCaps = transport.Error("lacks a capability of virtio 1.0 or MSI-X interrupts" +
		" (QEMU: disable-modern=off, vectors=2 or more)")
	ErrBAR    = transport.Error("describes registers outside of its memory")
	ErrNoBAR  = transport.Error("was given no addresses by the firmware")
	ErrMap    = transport.Error("has registers that cannot be mapped")
	ErrNotify = transport.Error("wants to be notified outside of its memory")
	ErrVector = transport.Error("takes no interrupt vector")
)

// A region is a part of a device's memory.
type region struct {
	found        bool
	bar          uint8
	offset, size uint64
	base         uint64 // its address, once it is known
}

// A layout is what the capabilities say.
type layout struct {
	regions    [numKinds]region
	multiplier uint32 // of the queues' notification offsets, in bytes
	msix       uint8  // offset of the MSI-X capability
	msixWord   uint32
}

// minSize is how many bytes each region must have, alignment the least of its
// address (virtio 1.2 section 4.1.4.3.1 and on).
var (
	minSize   = [numKinds]uint64{kindCommon: 0x38, kindNotify: 2, kindMSIX: msixEntry}
	alignment = [numKinds]uint64{kindCommon: 4, kindNotify: 2, kindDevice: 4, kindMSIX: 8}
)

// capabilities walks the list of capabilities. Of several alike, the first one
// counts (section 4.1.4.1).
func (f *Function) capabilities() (l layout, err error) {
	if f.read(cfgCommand)&statusHasList == 0 {
		return l, ErrCaps
	}
	at := f.read8(cfgCapability) &^ 3
	for range maxCaps {
		if at < firstCap {
			break
		}
		word := f.read(at)
		switch uint8(word) {
		case capVendor:
			f.virtioCap(&l, at, word)
		case capMSIX:
			f.msixCap(&l, at, word)
		}
		at = uint8(word>>8) &^ 3
	}
	for k := range l.regions {
		if !l.regions[k].found && k != kindDevice {
			return l, ErrCaps
		}
	}
	return l, nil
}

// virtioCap reads struct virtio_pci_cap, at offset at and starting with word.
func (f *Function) virtioCap(l *layout, at uint8, word uint32) {
	length, kind := uint8(word>>16), uint8(word>>24)
	if kind >= uint8(len(kindOf)) || kindOf[kind] == numKinds || length < 16 || at > 256-20 {
		return
	}
	k := kindOf[kind]
	r := &l.regions[k]
	bar := uint8(f.read(at + 4))
	if r.found || bar >= numBARs || k == kindNotify && length < 20 {
		return
	}
	*r = region{found: true, bar: bar, offset: uint64(f.read(at + 8)), size: uint64(f.read(at + 12))}
	if k == kindNotify {
		l.multiplier = f.read(at + 16)
	}
}

// msixCap reads the MSI-X capability, PCI Local Bus 3.0 section 6.8.2.
func (f *Function) msixCap(l *layout, at uint8, word uint32) {
	r := &l.regions[kindMSIX]
	if r.found || at > 256-12 {
		return
	}
	table := f.read(at + 4)
	if table&7 >= numBARs {
		return
	}
	entries := uint64(word>>16&0x7ff) + 1
	*r = region{found: true, bar: uint8(table & 7), offset: uint64(table &^ 7), size: entries * msixEntry}
	l.msix, l.msixWord = at, word
}

// place finds the address of each region and maps it. Each BAR is asked and
// mapped once, from the first to the last byte that is of use.
func (l *layout) place(f *Function, mapMemory func(addr, bytes uint64) bool) error {
	for bar := range uint8(numBARs) {
		first, end := ^uint64(0), uint64(0)
		for k := range l.regions {
			if r := &l.regions[k]; r.found && r.bar == bar {
				first, end = min(first, r.offset), max(end, r.offset+r.size)
				if r.size < minSize[k] || r.offset%alignment[k] != 0 {
					return ErrBAR
				}
			}
		}
		if end == 0 {
			continue
		}
		addr, size := f.bar(bar)
		switch {
		case end > size || end > maxRegisters:
			return ErrBAR
		case addr == 0:
			return ErrNoBAR
		case !mapMemory(addr+first, end-first):
			return ErrMap
		}
		for k := range l.regions {
			if r := &l.regions[k]; r.found && r.bar == bar {
				r.base = addr + r.offset
			}
		}
	}
	return nil
}

// maxRegisters bounds the part of a BAR that is used, in bytes, so that mapping
// it takes few page tables.
const maxRegisters = 16 << 20
