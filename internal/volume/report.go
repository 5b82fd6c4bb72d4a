package volume

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/block/crypt"
	"github.com/tailor-os/tailor/block/part"
)

// A Report is what Describe and Check found; tailor volume info --json prints
// it.
type Report struct {
	Path       string            `json:"path"`
	Bytes      int64             `json:"bytes"` // of the file or device
	Kind       Kind              `json:"kind"`  // luks if it is encrypted and was not opened
	Encryption *EncryptionReport `json:"encryption,omitempty"`
	Table      *TableReport      `json:"table,omitempty"`
	Label      string            `json:"label,omitempty"`
	UUID       string            `json:"uuid,omitempty"`
	Files      int               `json:"files,omitempty"`    // directories and links included
	Capacity   int64             `json:"capacity,omitempty"` // bytes that files can take
	Free       int64             `json:"free,omitempty"`     // bytes
	FreeFiles  int64             `json:"free_files,omitempty"`
	Notes      []string          `json:"notes,omitempty"` // what is not shown, and other oddities
	// Problems is what is damaged.
	Problems []string `json:"problems,omitempty"`
}

// An EncryptionReport is what the header of an encrypted volume says.
type EncryptionReport struct {
	Format string `json:"format"`
	UUID   string `json:"uuid"`
	Cipher string `json:"cipher"`
	Keys   []int  `json:"keys"` // slots in use
}

// A TableReport is a partition table.
type TableReport struct {
	Scheme     string            `json:"scheme"`
	ID         string            `json:"id"`
	Partitions []PartitionReport `json:"partitions"`
}

// A PartitionReport is one partition and what it holds.
type PartitionReport struct {
	Number int    `json:"number"`
	Start  int64  `json:"start"` // bytes
	Bytes  int64  `json:"bytes"`
	Type   string `json:"type"`
	Name   string `json:"name,omitempty"`
	Kind   Kind   `json:"kind"`
}

// Describe says what a volume is. An encrypted one is opened only if o has its
// key. What is damaged is in Problems; the error is for volumes that cannot be
// looked at.
func Describe(path string, o Options) (*Report, error) {
	r, v, err := describe(path, o)
	if v != nil {
		err = errors.Join(err, v.Close())
	}
	return r, err
}

// Check looks for damage in all of a volume. It is as Describe, and an encrypted
// volume needs its key.
func Check(path string, o Options) (*Report, error) {
	r, v, err := describe(path, o)
	if v == nil {
		return r, err
	}
	defer v.Close()
	switch {
	case err != nil || len(r.Problems) > 0:
	case r.Kind == Tar:
		if err := readAll(v.Dev, v.tar.End()); err != nil {
			r.Problems = append(r.Problems, err.Error())
		}
	case r.Kind == Ext4:
		err = v.checkExt4(r)
	case r.Kind == Encrypted:
		if _, err = readKey(o.KeyFile); err != nil { // it says that one is needed
			err = fmt.Errorf("%s: %w", path, err)
		}
	case r.Kind == Blank || r.Kind == Unknown:
		r.Problems = append(r.Problems, "there is no volume on it")
	}
	return r, err
}

// readAll reads n bytes of d, to see whether that can be done.
func readAll(d block.Device, n int64) error {
	b := make([]byte, 1<<20)
	n = min(n, d.Size())
	for off := int64(0); off < n; off += int64(len(b)) {
		if err := block.ReadBytes(d, b[:min(int64(len(b)), n-off)], off); err != nil {
			return err
		}
	}
	return nil
}

func describe(path string, o Options) (*Report, *Volume, error) {
	raw := o
	raw.Raw = true
	v, err := Open(path, raw)
	if err != nil {
		return nil, nil, err
	}
	r := &Report{Path: path, Bytes: v.file.Size(), Kind: v.Kind}
	if h := v.Header; h != nil {
		r.Encryption = encryption(h)
	}
	if v.Table != nil && o.Partition == 0 {
		err := r.describeTable(v)
		return r, v, err
	}
	if v.Kind == Tar || v.Kind == Ext4 {
		if err := v.mount(o); err != nil {
			r.Problems = append(r.Problems, err.Error())
			return r, v, nil
		}
	}
	r.describeFiles(v)
	return r, v, nil
}

func encryption(h *crypt.Header) *EncryptionReport {
	e := &EncryptionReport{Format: "LUKS 1", UUID: h.UUID, Cipher: "aes-xts-plain64, " + strconv.Itoa(h.KeyBytes*4) + " bits"}
	for i, s := range h.Slots {
		if s.Used {
			e.Keys = append(e.Keys, i)
		}
	}
	return e
}

func (r *Report) describeTable(v *Volume) error {
	r.Table = &TableReport{Scheme: v.Table.Scheme, ID: v.Table.ID}
	if v.Table.Damage != "" {
		r.Problems = append(r.Problems, v.Table.Damage)
	}
	for _, p := range v.Table.Partitions {
		kind, err := kindOf(v.Table, v.Dev, p.Number)
		if err != nil {
			return fmt.Errorf("partition %d: %w", p.Number, err)
		}
		r.Table.Partitions = append(r.Table.Partitions, PartitionReport{p.Number, p.Start, p.Size, p.Type, p.Name, kind})
	}
	return nil
}

func kindOf(t *part.Table, d block.Device, number int) (Kind, error) {
	p, err := t.Open(d, number)
	if err != nil {
		return "", err
	}
	return Detect(p)
}

// describeFiles says what there is to say of the file system.
func (r *Report) describeFiles(v *Volume) {
	switch v.Kind {
	case Tar:
		r.Files = v.tar.Len()
		r.Capacity = v.tar.End()
		notes, skipped := v.tar.Notes()
		r.Notes = notes
		if n := skipped - len(notes); n > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("and %d more are left out", n))
		}
	case Ext4:
		v.describeExt4(r)
	}
}
