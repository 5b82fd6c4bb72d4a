// Package acpi reads the little that a guest needs of ACPI's tables: how the
// machine is switched off and reset, and where virtio-mmio devices are that no
// boot parameter names. Section numbers are of the ACPI specification, 6.4.
//
// AML, the language of the tables' larger part, is not interpreted: what is
// looked for stands there as constants, and is found by its bytes, as small
// kernels do. Nothing is believed: lengths are bounded, checksums compared, and
// what does not fit is as if it were not there.
package acpi

import "github.com/tailor-os/tailor/virtio/mmio"

// Memory returns bytes at a physical address, nil if they cannot be had.
type Memory func(addr uint64, n uint32) []byte

// A Write is a register and what is stored there.
type Write struct {
	Kind  uint32 // Port or MMIO
	Addr  uint64
	Value uint32
	Width uint32 // bytes: 1, 2 or 4
}

// Values of [Write.Kind]; the address spaces of section 5.2.3.2, the other way round.
const (
	Port = 0
	MMIO = 1
)

// Tables are what was found. A Width of 0 means that there is none.
type Tables struct {
	PowerOff, Reset Write
	Devices         []mmio.Place
}

// The area of the BIOS where the root pointer may be, section 5.2.5.1.
const (
	biosStart = 0xe0000
	biosSize  = 0x20000
)

const (
	headerSize = 36
	maxTable   = 1 << 20 // bytes of one table; real ones have some tens of KiB
	maxTables  = 64
)

// Read reads the tables, given the address of the root pointer or 0 for one
// that has to be looked for.
func Read(mem Memory, rsdp uint64) (t Tables) {
	root := rootPointer(mem, rsdp)
	if root == nil {
		return t
	}
	fadt := findTable(mem, root, "FACP")
	if fadt == nil {
		return t
	}
	dsdt := table(mem, dsdtAddr(fadt), "DSDT")
	t.reset(fadt)
	t.powerOff(fadt, dsdt)
	t.Devices = devices(dsdt)
	return t
}

const signature = "RSD PTR "

// rootPointer returns the root pointer of section 5.2.5.3: 20 bytes of it, or 36.
func rootPointer(mem Memory, addr uint64) []byte {
	if addr != 0 {
		return checkRoot(mem(addr, 36))
	}
	area := mem(biosStart, biosSize)
	for i := 0; i+36 <= len(area); i += 16 {
		if r := checkRoot(area[i : i+36]); r != nil {
			return r
		}
	}
	return nil
}

func checkRoot(b []byte) []byte {
	switch {
	case len(b) < 36 || string(b[:8]) != signature || sum(b[:20]) != 0:
		return nil
	case b[15] < 2:
		return b[:20]
	case sum(b) != 0:
		return nil
	}
	return b
}

func sum(b []byte) (s byte) {
	for _, c := range b {
		s += c
	}
	return s
}

// findTable looks for a table in the extended or the plain list of tables.
func findTable(mem Memory, root []byte, name string) []byte {
	list, width := []byte(nil), 8
	if len(root) == 36 && le64(root[24:]) != 0 {
		list = table(mem, le64(root[24:]), "XSDT")
	}
	if list == nil {
		list, width = table(mem, uint64(le32(root[16:])), "RSDT"), 4
	}
	if list == nil {
		return nil
	}
	list = list[headerSize:]
	for range maxTables {
		if len(list) < width {
			break
		}
		addr := uint64(le32(list))
		if width == 8 {
			addr = le64(list)
		}
		list = list[width:]
		if t := table(mem, addr, name); t != nil {
			return t
		}
	}
	return nil
}

// table returns the table at an address if it has that name and is intact
// (section 5.2.6).
func table(mem Memory, addr uint64, name string) []byte {
	if addr == 0 {
		return nil
	}
	head := mem(addr, headerSize)
	if len(head) < headerSize || string(head[:4]) != name {
		return nil
	}
	n := le32(head[4:])
	if n < headerSize || n > maxTable {
		return nil
	}
	t := mem(addr, n)
	if uint32(len(t)) != n || sum(t) != 0 {
		return nil
	}
	return t
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func le64(b []byte) uint64 { return uint64(le32(b)) | uint64(le32(b[4:]))<<32 }
