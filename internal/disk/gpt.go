package disk

import (
	"encoding/binary"
	"hash/crc32"
	"unicode/utf16"

	"github.com/tailor-os/tailor/internal/disk/loader"
)

// A GUID partition table is UEFI 2.10, section 5: a protective master boot
// record, a header and 128 entries behind it, and both again at the disk's end.
const (
	gptEntries    = 128
	gptEntryBytes = 128
	gptHeadBytes  = 92
	entrySectors  = gptEntries * gptEntryBytes / sector
)

// espType is the type of an EFI system partition, as it is on the disk.
var espType = [16]byte{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b}

type gptHeader struct {
	Signature            [8]byte
	Revision, HeaderSize uint32
	CRC, _               uint32
	My, Alternate        uint64
	FirstUsable          uint64
	LastUsable           uint64
	Disk                 [16]byte
	Entries              uint64
	NumEntries           uint32
	EntrySize, EntryCRC  uint32
}

type gptEntry struct {
	Type, ID    [16]byte
	First, Last uint64
	Attributes  uint64
	Name        [36]uint16
}

// addGPT adds the boot sector and the table with one partition of espBytes. id
// is what the disk's and the partition's identifiers are made of. It
// returns the second table, whose place is the end of the disk.
func (c *content) addGPT(espBytes int64, id [32]byte) []byte {
	last := uint64(c.size/sector - 1)
	e := gptEntry{Type: espType, ID: guid(id[16:]), First: espOffset / sector, Last: uint64(espOffset+espBytes)/sector - 1}
	copy(e.Name[:], utf16.Encode([]rune("Tailor")))
	entries := make([]byte, gptEntries*gptEntryBytes)
	copy(entries, appendLE(nil, e))

	h := gptHeader{
		Signature: [8]byte([]byte("EFI PART")), Revision: 0x10000, HeaderSize: gptHeadBytes,
		My: 1, Alternate: last, FirstUsable: espOffset / sector, LastUsable: last - entrySectors - 1,
		Disk: guid(id[:16]), Entries: 2, NumEntries: gptEntries, EntrySize: gptEntryBytes,
		EntryCRC: crc32.ChecksumIEEE(entries),
	}
	c.add(0, protectiveMBR(last))
	c.add(sector, h.encode())
	c.add(2*sector, entries)
	h.My, h.Alternate, h.Entries = last, 1, last-entrySectors
	return append(entries, h.encode()...)
}

// encode returns the header's sector.
func (h gptHeader) encode() []byte {
	h.CRC = 0
	h.CRC = crc32.ChecksumIEEE(appendLE(nil, h))
	return append(appendLE(nil, h), make([]byte, sector-gptHeadBytes)...)
}

// protectiveMBR returns the boot sector of a disk whose last sector is given:
// section 5.2.3, with the loader's code.
func protectiveMBR(last uint64) []byte {
	b := append(loader.MBR(), make([]byte, sector-loader.MBRBytes)...)
	entry := b[446:]
	copy(entry, []byte{0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff})
	binary.LittleEndian.PutUint32(entry[8:], 1)
	binary.LittleEndian.PutUint32(entry[12:], uint32(min(last, 0xffffffff)))
	b[510], b[511] = 0x55, 0xaa
	return b
}

// guid makes an identifier of 16 bytes of a hash: marked as version 8 (made by a
// rule of one's own) of RFC 9562, in the order of bytes that UEFI uses.
func guid(b []byte) [16]byte {
	g := [16]byte(b)
	g[7] = g[7]&0x0f | 0x80
	g[8] = g[8]&0x3f | 0x80
	return g
}
