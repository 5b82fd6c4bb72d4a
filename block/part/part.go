// Package part reads partition tables: GPT (UEFI specification 2.10, section
// 5.3) and MBR with its extended partitions. It changes nothing.
//
// A table is believed only as a whole: partitions that reach beyond the device
// or into one another are an error, since two of them in use would destroy each
// other's data.
package part

import (
	"errors"
	"strconv"

	"github.com/tailor-os/tailor/block"
)

// ErrNone is returned where there is no partition table.
var ErrNone = errors.New("no partition table")

// A Table is what is on a partitioned device. It does not change.
type Table struct {
	Scheme string // "gpt" or "mbr"
	ID     string // the disk's GUID; for an MBR its signature, 8 hex digits
	// Damage says why the backup of a GPT was used, or why it could not have
	// been, and is empty if both are well.
	Damage     string
	Partitions []Partition // by number
}

// A Partition is a range of a device.
type Partition struct {
	Number      int    // from 1 on, as Linux has it: 5 is the first logical one of an MBR
	Start, Size int64  // in bytes
	Type        string // a GUID in upper case, or two hex digits
	ID          string // its own GUID; none in an MBR
	Name        string // of a GPT
}

// Read reads the table of d. The error is ErrNone if there is none.
func Read(d block.Device) (*Table, error) {
	sector := int64(d.SectorSize())
	if d.Size() < sector {
		return nil, ErrNone
	}
	b := make([]byte, sector)
	if err := d.ReadAt(b, 0); err != nil {
		return nil, err
	}
	switch isMBR, protects := looksLikeMBR(b); {
	case protects:
		return readGPT(d)
	case isMBR:
		return readMBR(d, b)
	}
	return nil, ErrNone
}

// Open returns the partition with a number as a device. The error says which
// there are.
func (t *Table) Open(d block.Device, number int) (block.Device, error) {
	have := ""
	for _, p := range t.Partitions {
		if p.Number == number {
			return block.Sub(d, p.Start, p.Size)
		}
		have += " " + strconv.Itoa(p.Number)
	}
	if have == "" {
		have = " none"
	}
	return nil, errors.New("no partition " + strconv.Itoa(number) + "; there are:" + have)
}

// check makes sure that partitions lie on d and apart from each other.
func (t *Table) check(d block.Device) error {
	for i, p := range t.Partitions {
		if p.Start < 0 || p.Size <= 0 || p.Start > d.Size() || p.Size > d.Size()-p.Start {
			return t.bad("partition " + strconv.Itoa(p.Number) + " reaches beyond the end of the device")
		}
		for _, q := range t.Partitions[:i] {
			if p.Start < q.Start+q.Size && q.Start < p.Start+p.Size {
				return t.bad("partitions " + strconv.Itoa(q.Number) + " and " + strconv.Itoa(p.Number) + " overlap")
			}
		}
	}
	return nil
}

func (t *Table) bad(what string) error {
	return errors.New(t.Scheme + " partition table: " + what)
}

func le16(b []byte) uint16 { return uint16(b[0]) | uint16(b[1])<<8 }

func le32(b []byte) uint32 { return uint32(le16(b)) | uint32(le16(b[2:]))<<16 }

func le64(b []byte) uint64 { return uint64(le32(b)) | uint64(le32(b[4:]))<<32 }

const hexDigits = "0123456789ABCDEF"

// hex writes n in so many digits.
func hex(n uint32, digits int) string {
	b := make([]byte, digits)
	for i := range b {
		b[digits-1-i] = hexDigits[n>>(4*i)&15]
	}
	return string(b)
}
