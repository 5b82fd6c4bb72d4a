package part

import (
	"errors"
	"hash/crc32"
	"strconv"
	"unicode/utf16"

	"github.com/tailor-os/tailor/block"
)

// Sizes of a GPT, in bytes.
const (
	headerSize   = 92
	minEntry     = 128
	maxEntrySize = 4096
	maxArray     = 1 << 20 // of all entries together: 64 times the usual
	nameOffset   = 56
	nameSize     = 72
)

// A header is what a GPT header says, in sectors, after it was checked.
type header struct {
	self, other  uint64
	first, last  uint64 // that partitions may have
	entries      uint64 // where they begin
	count, size  uint32 // of the entries
	id           string
	entriesCheck uint32
}

// readGPT reads the primary table, and if that is bad the backup in the last
// sector. It reads the backup in any case, to tell whether it is there.
func readGPT(d block.Device) (*Table, error) {
	last := uint64(d.Size()/int64(d.SectorSize())) - 1
	t, h, err := readHeader(d, 1)
	backup := last
	if err == nil {
		backup = h.other
	}
	t2, h2, err2 := readHeader(d, backup)
	switch {
	case err == nil && err2 == nil && (h2.other != 1 || h2.id != h.id || h2.entriesCheck != h.entriesCheck):
		t.Damage = "the backup is of another table"
	case err == nil && err2 != nil:
		t.Damage = "the backup is bad: " + err2.Error()
	case err != nil && err2 == nil:
		t = t2
		t.Damage = "the primary table is bad, the backup was used: " + err.Error()
	case err != nil:
		return nil, errors.New("gpt partition table: " + err.Error() + "; and its backup: " + err2.Error())
	}
	return t, nil
}

// readHeader reads and checks the table whose header is in sector lba.
func readHeader(d block.Device, lba uint64) (*Table, header, error) {
	sector := uint64(d.SectorSize())
	end := uint64(d.Size()) / sector
	b := make([]byte, sector)
	if lba >= end {
		return nil, header{}, errors.New("sector " + strconv.FormatUint(lba, 10) + " is beyond the end of the device")
	}
	if err := d.ReadAt(b, int64(lba*sector)); err != nil {
		return nil, header{}, err
	}
	h, err := parseHeader(b, lba, end)
	if err != nil {
		return nil, h, err
	}
	array, err := h.readEntries(d, sector, end)
	if err != nil {
		return nil, h, err
	}
	t := &Table{Scheme: "gpt", ID: h.id}
	for i := range h.count {
		e := array[i*h.size:][:h.size]
		if err := t.addEntry(h, e, int(i)+1, sector); err != nil {
			return nil, h, err
		}
	}
	return t, h, t.check(d)
}

// parseHeader checks the header b, read from sector lba of end sectors.
func parseHeader(b []byte, lba, end uint64) (h header, err error) {
	size := le32(b[12:])
	if string(b[:8]) != "EFI PART" {
		return h, errors.New("sector " + strconv.FormatUint(lba, 10) + " has no GPT header")
	}
	if le32(b[8:])>>16 != 1 || size < headerSize || size > uint32(len(b)) {
		return h, errors.New("the header is of an unknown version or size")
	}
	sum := le32(b[16:])
	clear(b[16:20])
	if crc32.ChecksumIEEE(b[:size]) != sum {
		return h, errors.New("the checksum of the header is wrong")
	}
	h = header{
		self: le64(b[24:]), other: le64(b[32:]), first: le64(b[40:]), last: le64(b[48:]), id: guid(b[56:]),
		entries: le64(b[72:]), count: le32(b[80:]), size: le32(b[84:]), entriesCheck: le32(b[88:]),
	}
	switch {
	case h.self != lba:
		return h, errors.New("the header says that it belongs into another sector")
	case h.first > h.last || h.last >= end:
		return h, errors.New("the space for partitions reaches beyond the end of the device")
	case h.size < minEntry || h.size > maxEntrySize || h.size&(h.size-1) != 0 || h.count > maxArray/h.size:
		return h, errors.New("the number or size of the entries is not possible")
	}
	return h, nil
}

// readEntries reads the array of entries and checks its sum.
func (h header) readEntries(d block.Device, sector, end uint64) ([]byte, error) {
	n := uint64(h.count) * uint64(h.size)
	whole := (n + sector - 1) &^ (sector - 1)
	if h.entries >= end || whole/sector > end-h.entries {
		return nil, errors.New("the entries reach beyond the end of the device")
	}
	b := make([]byte, whole)
	if err := d.ReadAt(b, int64(h.entries*sector)); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(b[:n]) != h.entriesCheck {
		return nil, errors.New("the checksum of the entries is wrong")
	}
	return b[:n], nil
}

// addEntry adds the partition of one entry, if it is one.
func (t *Table) addEntry(h header, e []byte, number int, sector uint64) error {
	kind := guid(e)
	if kind == "00000000-0000-0000-0000-000000000000" {
		return nil
	}
	first, last := le64(e[32:]), le64(e[40:])
	if first > last || first < h.first || last > h.last {
		return errors.New("partition " + strconv.Itoa(number) + " lies outside of the space for partitions")
	}
	t.Partitions = append(t.Partitions, Partition{
		Number: number, Start: int64(first * sector), Size: int64((last - first + 1) * sector),
		Type: kind, ID: guid(e[16:]), Name: name(e[nameOffset:][:nameSize]),
	})
	return nil
}

// name decodes UTF-16 up to the first zero.
func name(b []byte) string {
	var units []uint16
	for ; len(b) > 1 && le16(b) != 0; b = b[2:] {
		units = append(units, le16(b))
	}
	return string(utf16.Decode(units))
}

// guid writes a GUID as people do; its first three fields are little-endian.
func guid(b []byte) string {
	s := hex(le32(b), 8) + "-" + hex(uint32(le16(b[4:])), 4) + "-" + hex(uint32(le16(b[6:])), 4) + "-"
	for i := 8; i < 16; i++ {
		if i == 10 {
			s += "-"
		}
		s += hex(uint32(b[i]), 2)
	}
	return s
}
