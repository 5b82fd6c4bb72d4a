package disk

import (
	"encoding/binary"
	"strings"

	"github.com/tailor-os/tailor/internal/disk/loader"
)

// The ISO 9660 structures (ECMA-119) lie between the second stage and the EFI
// system partition, where a disk has nothing: so an ISO image is a disk as well.
// Numbers of sectors, which are blocks:
//
//	16  primary volume descriptor
//	17  El Torito's boot record, which names the boot catalog
//	18  end of the descriptors
//	19  boot catalog: the second stage for BIOS, the partition for UEFI
//	20  path table, little-endian; 21 big-endian
//	22  root directory
//	512 the EFI system partition
const (
	isoDescriptors = 16
	isoCatalog     = 19
	isoPathLittle  = 20
	isoPathBig     = 21
	isoRoot        = 22
	pathTableBytes = 10
)

// addISO makes c an ISO image, too.
func (c *content) addISO(esp *fat) {
	add := func(n int64, data []byte) { c.add(n*block, data) }
	add(isoDescriptors, volumeDescriptor(uint32(c.size/block)))
	add(isoDescriptors+1, bootRecord())
	add(isoDescriptors+2, []byte("\xffCD001\x01"))
	add(isoCatalog, bootCatalog(esp.size))
	add(isoPathLittle, []byte{1, 0, isoRoot, 0, 0, 0, 1, 0, 0, 0})
	add(isoPathBig, []byte{1, 0, 0, 0, 0, isoRoot, 0, 1, 0, 0})
	const start = espOffset / block
	var root []byte
	root = append(root, record("\x00", isoRoot, block)...)
	root = append(root, record("\x01", isoRoot, block)...)
	root = append(root, record("EFI.IMG;1", start, uint32(esp.size))...)
	root = append(root, record("TAILOR.TXT;1", uint32(start+esp.params), uint32(esp.paramsN))...)
	add(isoRoot, root)
}

// both returns a number in both byte orders, as ECMA-119 section 7.3.3 has it.
func both(n uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, n), n)
}

func both16(n uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, n), n)
}

// record returns a directory record, section 9.1, of 1 January 1980.
func record(name string, at, bytes uint32) []byte {
	b := []byte{0, 0}
	b = append(b, both(at)...)
	b = append(b, both(bytes)...)
	b = append(b, 80, 1, 1, 0, 0, 0, 0)
	flags := byte(0)
	if len(name) == 1 {
		flags = 2 // a directory
	}
	b = append(b, flags, 0, 0)
	b = append(b, both16(1)...) // volume
	b = append(b, byte(len(name)))
	b = append(b, name...)
	if len(b)%2 != 0 {
		b = append(b, 0)
	}
	b[0] = byte(len(b))
	return b
}

// volumeDescriptor returns the primary one, section 8.4, of a volume of blocks.
func volumeDescriptor(blocks uint32) []byte {
	b := []byte("\x01CD001\x01\x00")
	b = append(b, padded("", 32)...)
	b = append(b, padded("TAILOR", 32)...)
	b = append(b, make([]byte, 8)...)
	b = append(b, both(blocks)...)
	b = append(b, make([]byte, 32)...)
	b = append(b, both16(1)...) // volumes of the set
	b = append(b, both16(1)...) // of which this is
	b = append(b, both16(block)...)
	b = append(b, both(pathTableBytes)...)
	b = binary.LittleEndian.AppendUint32(b, isoPathLittle)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, isoPathBig)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = append(b, record("\x00", isoRoot, block)...)
	b = append(b, padded("", 3*128)...) // set, publisher, preparer
	b = append(b, padded("TAILOR", 128)...)
	b = append(b, padded("", 3*37)...) // files with legal texts
	noTime := strings.Repeat("0", 16) + "\x00"
	b = append(b, strings.Repeat(noTime, 4)...)
	return append(b, 1) // version
}

func padded(s string, n int) string { return s + strings.Repeat(" ", n-len(s)) }

// bootRecord names the boot catalog: El Torito 1.0, figure 7.
func bootRecord() []byte {
	b := make([]byte, 0x4b)
	copy(b, "\x00CD001\x01EL TORITO SPECIFICATION")
	binary.LittleEndian.PutUint32(b[0x47:], isoCatalog)
	return b
}

// bootCatalog returns El Torito's catalog, section 2: a default entry for BIOS,
// a section for UEFI (UEFI 2.10, section 13.3.2.1), both without emulation.
func bootCatalog(espBytes int64) []byte {
	const uefi = 0xef
	b := make([]byte, 4*32)
	b[0], b[30], b[31] = 1, 0x55, 0xaa
	copy(b[4:], "Tailor")
	binary.LittleEndian.PutUint16(b[28:], checksum16(b[:32]))
	bootEntry(b[32:], loader.Stage2LBA*sector/block, loader.Stage2Sectors)
	b[64], b[65], b[66] = 0x91, uefi, 1 // the last section, one entry
	copy(b[68:], "UEFI")
	sectors := espBytes / sector
	if sectors > 0xffff {
		sectors = 0 // to the end of the volume
	}
	bootEntry(b[96:], espOffset/block, uint16(sectors))
	return b
}

// bootEntry fills an entry in: from a block on, some sectors of 512 bytes.
func bootEntry(b []byte, at uint32, sectors uint16) {
	b[0] = 0x88
	binary.LittleEndian.PutUint16(b[6:], sectors)
	binary.LittleEndian.PutUint32(b[8:], at)
}

// checksum16 returns what makes the sum of all 16-bit words zero.
func checksum16(b []byte) uint16 {
	sum := uint16(0)
	for ; len(b) > 1; b = b[2:] {
		sum -= binary.LittleEndian.Uint16(b)
	}
	return sum
}
