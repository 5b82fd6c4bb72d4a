package volume

import (
	"fmt"
	"strings"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/block/part"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/volfile"
)

// Choose returns partition number of f as a volume of its own, or as number 0 all
// of what has no partitions. Closing f ends its use.
func Choose(f *volfile.File, number int, readOnly bool) (*volfile.File, error) {
	kind, err := Detect(f)
	if err != nil {
		return nil, err
	}
	if kind != Partitions {
		if number != 0 {
			return nil, fmt.Errorf("%s: %w", f.Name(), noPartitions(number))
		}
		return f.Part(0, f.Size(), readOnly)
	}
	table, err := part.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	for _, p := range table.Partitions {
		if p.Number == number {
			return f.Part(p.Start, p.Size, readOnly)
		}
	}
	err = fmt.Errorf("%s: %s", f.Name(), isDisk(table, f))
	if number != 0 {
		err = fmt.Errorf("%w, and no partition %d", err, number)
	}
	return nil, hint.With(err, "choose one: --partition NAME=N")
}

// Look is Choose for a volume that is only to be looked at, which may be in use. The
// caller closes file.
func Look(path string, number int) (v, file *volfile.File, err error) {
	if file, err = volfile.Look(path); err != nil {
		return nil, nil, err
	}
	if v, err = Choose(file, number, true); err != nil {
		file.Close()
		return nil, nil, err
	}
	return v, file, nil
}

// IsEncrypted reports whether the volume at path begins as an encrypted one does.
func IsEncrypted(path string, number int) (bool, error) {
	v, file, err := Look(path, number)
	if err != nil {
		return false, err
	}
	defer file.Close()
	kind, err := Detect(v)
	return kind == Encrypted, err
}

// noPartitions is the error of a volume that is not to be one.
func noPartitions(number int) error {
	return fmt.Errorf("it has no partitions, and so no partition %d", number)
}

// isDisk says what is on a disk, of which a partition is to be chosen.
func isDisk(t *part.Table, d block.Device) string {
	var list []string
	for _, p := range t.Partitions {
		kind, _ := kindOf(t, d, p.Number)
		list = append(list, strings.TrimSpace(fmt.Sprintf("%d %s", p.Number, p.Name))+" ("+string(kind)+")")
	}
	if list == nil {
		return "it is a disk without partitions"
	}
	return "it is a disk with the partitions " + strings.Join(list, ", ")
}
