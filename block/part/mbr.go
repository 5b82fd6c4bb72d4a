package part

import (
	"strconv"

	"github.com/tailor-os/tailor/block"
)

// Where the parts of a master boot record are, in bytes.
const (
	mbrSignature = 440
	mbrEntries   = 446
	mbrMark      = 510
	entrySize    = 16
)

// Types of partitions that are none.
const (
	typeEmpty    = 0x00
	typeProtects = 0xEE // the one partition of a disk with a GPT
)

// maxLogical bounds the chain of logical partitions, which may go in circles.
const maxLogical = 124

// An entry is one line of an MBR, in sectors.
type entry struct {
	kind        byte
	start, size uint32
}

// entryAt returns entry i of the boot record b.
func entryAt(b []byte, i int) entry {
	b = b[mbrEntries+i*entrySize:]
	return entry{b[4], le32(b[8:]), le32(b[12:])}
}

func (e entry) extended() bool { return e.kind == 0x05 || e.kind == 0x0F || e.kind == 0x85 }

// looksLikeMBR reports whether b, the first sector, has a partition table, and
// whether that protects a GPT. Boot sectors of file systems have the mark too;
// what tells them apart is that the status of each entry is 0 or 80 hex, and
// that there is an entry.
func looksLikeMBR(b []byte) (is, protects bool) {
	if b[mbrMark] != 0x55 || b[mbrMark+1] != 0xAA {
		return false, false
	}
	for i := range 4 {
		if b[mbrEntries+i*entrySize]&0x7F != 0 {
			return false, false
		}
		e := entryAt(b, i)
		is = is || e.kind != typeEmpty && e.size > 0
		protects = protects || e.kind == typeProtects
	}
	return is, is && protects
}

// readMBR reads the table that begins with b.
func readMBR(d block.Device, b []byte) (*Table, error) {
	t := &Table{Scheme: "mbr", ID: hex(le32(b[mbrSignature:]), 8)}
	var outer *entry
	for i := range 4 {
		e := entryAt(b, i)
		switch {
		case e.kind == typeEmpty || e.size == 0:
		case e.extended() && outer != nil:
			return nil, t.bad("there are two extended partitions")
		case e.extended():
			outer = &e
		default:
			t.add(d, i+1, uint64(e.start), e)
		}
	}
	if outer != nil {
		if err := t.readLogical(d, *outer); err != nil {
			return nil, err
		}
	}
	return t, t.check(d)
}

// add adds a partition that begins at sector start.
func (t *Table) add(d block.Device, number int, start uint64, e entry) {
	sector := int64(d.SectorSize())
	t.Partitions = append(t.Partitions, Partition{
		Number: number, Start: int64(start) * sector, Size: int64(e.size) * sector, Type: hex(uint32(e.kind), 2),
	})
}

// readLogical follows the chain of boot records within the extended partition.
// The first entry of each is a partition, placed from that record on; the second
// leads to the next record, placed from the extended partition on.
func (t *Table) readLogical(d block.Device, outer entry) error {
	sector := int64(d.SectorSize())
	b := make([]byte, sector)
	next := uint32(0)
	for n := 0; ; n++ {
		at := int64(outer.start) + int64(next)
		switch {
		case n == maxLogical:
			return t.bad("there are more than " + strconv.Itoa(maxLogical) + " logical partitions")
		case next >= outer.size || (at+1)*sector > d.Size():
			return t.bad("the extended partition is left at sector " + strconv.FormatInt(at, 10))
		}
		if err := d.ReadAt(b, at*sector); err != nil {
			return err
		}
		if b[mbrMark] != 0x55 || b[mbrMark+1] != 0xAA {
			return t.bad("sector " + strconv.FormatInt(at, 10) + " is no boot record of a logical partition")
		}
		if e := entryAt(b, 0); e.kind != typeEmpty && e.size > 0 {
			t.add(d, 5+n, uint64(at)+uint64(e.start), e)
		}
		link := entryAt(b, 1)
		if !link.extended() || link.size == 0 {
			return nil
		}
		next = link.start
	}
}
