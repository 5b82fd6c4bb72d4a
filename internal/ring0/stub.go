package ring0

import (
	_ "embed"
	"encoding/binary"
	"fmt"

	"github.com/tailor-os/tailor/abi"
)

//go:generate go test . -run TestAssemble -update

// The code of boot.asm and resident.asm. abi.inc, which both include, is made of
// the constants of this package and of package abi.
var (
	//go:embed boot.bin
	bootCode []byte
	//go:embed resident.bin
	residentCode []byte
)

// Where the boot stub is loaded: the guard below the image, which it leaves
// unmapped for the guest.
const (
	BootAddr = abi.BootStubAddr
	BootEnd  = abi.BootStubEnd

	// EntryLinux and EntryPVH are where loaders enter it, by the 64-bit boot
	// protocol of Linux and by PVH.
	EntryLinux = BootAddr
	EntryPVH   = BootAddr + 0x10
)

// Where the virtio target's ring 0 is.
const (
	virtioTSS  = abi.SystemAddr + 0x4000
	ioBitmap   = virtioTSS + TSSSize
	ioBytes    = 0x10000/8 + 1
	residentAt = abi.SystemAddr + 0x7000
	residentIs = 0x2000 // bytes at the most
	dataAt     = abi.SystemAddr + 0x9000

	vectorSpurious = 0x4f
)

// The resident code's slots, see resident.asm.
const (
	slotEnter    = residentAt
	slotService  = residentAt + 8
	slotFatal    = residentAt + 16
	slotMap      = residentAt + 24
	slotSpurious = residentAt + 32
	slotIRQ      = residentAt + 64 // 16 bytes for each vector from VectorTimer on
)

// The stub's header and the room it leaves for what follows its code.
const (
	headerAt  = 32
	headerEnd = headerAt + 144
	maxStub   = 0x4000 // bytes: its own variables lie behind

	// MaxName is the length in bytes of a program's name at the most.
	MaxName = len(abi.Platform{}.Name) - 1
)

// MemoryLimit is the end of the memory that the virtio target uses at the most:
// behind it, devices have their addresses.
const MemoryLimit = 3 << 30

// A Segment is a part of the image, in bytes from and to, with a right of this
// package.
type Segment struct{ Start, End, Rights uint64 }

// A Config is what the boot stub has to know of the image.
type Config struct {
	Entry    uint64 // of Go's runtime
	End      uint64 // first address behind the image, page aligned
	Reserve  uint64 // bytes behind it without which it does not start
	Segments []Segment
	Name     string // of the program
	// Files is the address of the image's files, one of its segments, and FilesLen
	// their bytes; 0 for none.
	Files, FilesLen uint64
	// Zero is the address of the part of the image that its file does not have, and
	// ZeroLen its bytes.
	Zero, ZeroLen uint64
}

// BootStub returns what belongs at BootAddr.
func BootStub(c Config) ([]byte, error) {
	if len(c.Name) > MaxName {
		return nil, fmt.Errorf("the name %q has %d bytes, more than %d", c.Name, len(c.Name), MaxName)
	}
	stub := append([]byte(nil), bootCode...)
	copies, maps := stubCopies(), append(stubMaps(), c.Segments...)
	le := binary.LittleEndian
	h := stub[headerAt:headerEnd]
	le.PutUint64(h[0:], c.Entry)
	le.PutUint64(h[8:], c.End)
	le.PutUint64(h[16:], c.Reserve)
	le.PutUint64(h[24:], tablePages(c.End))
	le.PutUint64(h[48:], c.Files)
	le.PutUint64(h[56:], c.FilesLen)
	le.PutUint64(h[64:], c.Zero)
	le.PutUint64(h[72:], c.ZeroLen)
	copy(h[80:], c.Name)

	pad(&stub)
	le.PutUint32(h[40:], uint32(BootAddr+len(stub)))
	le.PutUint32(h[44:], uint32(len(maps)))
	for _, m := range maps {
		stub = le.AppendUint64(stub, m.Start)
		stub = le.AppendUint64(stub, m.End)
		stub = le.AppendUint64(stub, m.Rights)
	}
	table := len(stub)
	le.PutUint32(h[32:], uint32(BootAddr+table))
	le.PutUint32(h[36:], uint32(len(copies)))
	stub = append(stub, make([]byte, 12*len(copies))...)
	for i, c := range copies {
		pad(&stub)
		entry := stub[table+12*i:]
		le.PutUint32(entry[0:], uint32(BootAddr+len(stub)))
		le.PutUint32(entry[4:], c.addr)
		le.PutUint32(entry[8:], uint32(len(c.data)))
		stub = append(stub, c.data...)
	}
	copy(stub[headerAt:headerEnd], h)
	if len(stub) > maxStub {
		return nil, fmt.Errorf("the boot stub has %d bytes, more than %d", len(stub), maxStub)
	}
	return stub, nil
}

func pad(b *[]byte) {
	for len(*b)%16 != 0 {
		*b = append(*b, 0)
	}
}

// tablePages is how many pages the page tables take at the most: the upper
// levels, the image in small pages, the ends of memory, and devices.
func tablePages(imageEnd uint64) uint64 {
	const upper, devices = 2 + MemoryLimit>>30, 48
	return upper + imageEnd>>21 + 4 + devices
}

// A stubCopy is what the stub copies into low memory.
type stubCopy struct {
	addr uint32
	data []byte
}

func stubCopies() []stubCopy {
	gdt, tss := make([]byte, GDTSize), make([]byte, TSSSize)
	writeGDT(gdt, virtioTSS, TSSSize+ioBytes-1, tssAvailable)
	writeTSS(tss, TSSSize)
	idt := make([]byte, 16*abi.VectorEnd)
	writeExceptionGates(idt)
	writeGate(idt, abi.ServiceVector, slotService, 3)
	writeGate(idt, vectorSpurious, slotSpurious, 0)
	for v := abi.VectorTimer; v < abi.VectorEnd; v++ {
		writeGate(idt, v, slotIRQ+uint64(v-abi.VectorTimer)*16, 0)
	}
	return []stubCopy{
		{GDTAddr, gdt}, {IDTAddr, idt}, {StubAddr, virtioStubs()}, {virtioTSS, tss}, {residentAt, residentCode},
	}
}

// virtioStubs are the trap stubs of the virtio target.
func virtioStubs() []byte {
	return trapStubs(rflagsFixed|rflagsInterrupt, func(a *x86) {
		a.emit(0xe9) // JMP
		a.emit32(uint32(slotFatal - (StubAddr + len(a.code) + 4)))
	})
}

// stubMaps is the address space of package abi, without the image.
func stubMaps() []Segment {
	const lapic, ioapic, ioapic2 = 0xfee00000, 0xfec00000, 0xfec10000
	return []Segment{
		{abi.ClockAddr, abi.BootAddr, MapRW},
		{abi.BootAddr, abi.PlatformAddr, MapRW},
		{abi.PlatformAddr, abi.BootEnd, MapR},
		{GDTAddr, StubAddr, MapSystemRO},
		{StubAddr, TrapStackLow, MapSystemRX},
		{TrapStackLow, TrapStackHigh, MapSystemRW},
		{virtioTSS, residentAt, MapSystemRW},
		{residentAt, dataAt, MapSystemRX},
		{dataAt, dataAt + abi.PageSize, MapSystemRW},
		{abi.StackLow, abi.StackHigh, MapRW},
		{lapic, lapic + abi.PageSize, mapSystemDevice},
		{ioapic, ioapic + abi.PageSize, mapSystemDevice},
		{ioapic2, ioapic2 + abi.PageSize, mapSystemDevice},
	}
}
