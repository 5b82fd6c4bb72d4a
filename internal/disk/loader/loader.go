// Package loader holds the programs that start an image from a disk: a boot
// sector and a second stage for BIOS, and the code of a UEFI application. They
// are assembled from the .asm files beside this one; the results are committed,
// so that building an image needs no assembler, and a test compares them.
package loader

import (
	"bytes"
	_ "embed"
	"encoding/binary"
)

// Block is the unit, in bytes, in which the second stage reads a disk: the
// sector of a CD, four of a disk.
const Block = 2048

// Where the boot sector finds the second stage, in sectors of 512 bytes, and how
// long that is.
const (
	Stage2LBA     = 36
	Stage2Sectors = 28
)

// MBRBytes is the length of the boot sector's code; the table of partitions
// comes behind it.
const MBRBytes = 440

// The addresses, relative to its base, that the code for UEFI is made for: its
// own, and its zeroed data's with their size in bytes.
const (
	TextRVA   = 0x1000
	DataRVA   = 0x2000
	DataBytes = 0x11000
)

// configOffset is where each loader has what it must know.
const configOffset = 16

// A Program is a memory image as both loaders see it, in bytes.
type Program struct {
	Load   uint32 // address
	Bytes  uint32 // that are loaded, whole blocks
	Memory uint32 // with what is zero behind them
	Entry  uint32 // address, of the x86/HVM direct boot ABI
	Sums   [2]uint32
}

// A Disk is what the second stage must know of a disk: blocks from its start,
// and the blocks of a cluster.
type Disk struct {
	Payload, FAT, Root, Data, Cluster uint32
}

//go:embed mbr.bin
var mbr []byte

//go:embed bios.bin
var bios []byte

//go:embed uefi.bin
var uefi []byte

// MBR returns the code of the boot sector.
func MBR() []byte { return bytes.Clone(mbr) }

// BIOS returns the second stage for a program on a disk.
func BIOS(p Program, d Disk) []byte { return patch(bios, p, d) }

// UEFI returns the code of the UEFI application whose section at the relative
// address payload is the program.
func UEFI(p Program, payload uint32) []byte { return patch(uefi, p, payload) }

// patch returns code with its configuration filled in. Both have room for it, so
// that encoding cannot fail.
func patch(code []byte, p Program, more any) []byte {
	out := bytes.Clone(code)
	n, _ := binary.Encode(out[configOffset:], binary.LittleEndian, p)
	_, _ = binary.Encode(out[configOffset+n:], binary.LittleEndian, more)
	return out
}

// Sums returns the checksum of a memory image of whole words: the sum of its
// words of 4 bytes, and the sum of these sums. They tell a damaged or exchanged
// part from a whole image, not a forged one.
func Sums(data []byte) (sums [2]uint32) {
	for ; len(data) >= 4; data = data[4:] {
		sums[0] += binary.LittleEndian.Uint32(data)
		sums[1] += sums[0]
	}
	return sums
}
