package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A fileMeasure is a line that testdata/files prints.
type fileMeasure struct {
	name, what, unit string
	goal             goal
}

// fileMeasures are what testdata/files prints, in the order of the table.
var fileMeasures = []fileMeasure{
	{"seqwrite", "write 1 MiB blocks in order, then fsync", "MB/s", atLeastRatio(0.8)},
	{"seqread", "read 1 MiB blocks in order", "MB/s", atLeastRatio(0.8)},
	{"read1", "read 4 KiB at random, one at a time", "op/s", goal{}},
	{"read16", "read 4 KiB at random, 16 at a time", "op/s", atLeastRatio(0.5)},
	{"write1", "write 4 KiB at random, one at a time, then fsync", "op/s", goal{}},
	{"write16", "write 4 KiB at random, 16 at a time, then fsync", "op/s", atLeastRatio(0.5)},
	{"append", "append a record of 100 bytes and fsync", "op/s", goal{}},
	{"create", "create small files, then fsync of their folder", "op/s", goal{}},
	{"stat", "stat small files", "op/s", goal{}},
	{"remove", "remove small files, then fsync of their folder", "op/s", goal{}},
	{"cold1", "read 4 KiB at random that the host has not cached, one at a time", "op/s", goal{}},
	{"cold16", "read 4 KiB at random that the host has not cached, 16 at a time", "op/s", atLeastRatio(0.5)},
}

// coldMeasures are those at the end of fileMeasures for which the program is run
// a second time.
const coldMeasures = 2

// measureFiles compares files on a volume, whose file is in a folder of the host's,
// with files in that folder. TMPDIR says where it is.
func (b *bench) measureFiles(ctx context.Context) error {
	prog, err := b.both(ctx, filesPkg, "--needs", "data")
	if err != nil {
		return err
	}
	list := b.addFiles("File", "", true)
	return b.inTurns(ctx, list, func(dir string) (vm, plain fileSide, err error) {
		vm, err = b.onVolume(ctx, prog.image, filepath.Join(dir, "data.img"))
		return vm, fileSide{filepath.Join(dir, "file"), []string{"env", "GOMAXPROCS=1", prog.plain, dir}}, err
	})
}

// measureEncrypted compares files on an encrypted volume with files on one that is
// not, both in a virtual machine of the same image. The second is in the place of the
// plain process.
func (b *bench) measureEncrypted(ctx context.Context) error {
	prog, err := b.both(ctx, filesPkg, "--needs", "data", "--luks")
	if err != nil {
		return err
	}
	list := b.addFiles("Encrypted", "encrypted volume, beside one that is not: ", false)
	return b.inTurns(ctx, list, func(dir string) (vm, plain fileSide, err error) {
		key := filepath.Join(dir, "key")
		random := make([]byte, 64)
		rand.Read(random)
		if err := os.WriteFile(key, random, 0o600); err != nil {
			return vm, plain, err
		}
		if vm, err = b.onVolume(ctx, prog.image, filepath.Join(dir, "encrypted.img"), "--encrypt", "--key-file", key); err != nil {
			return vm, plain, err
		}
		i := slices.Index(vm.program, prog.image)
		vm.program = slices.Insert(vm.program, i, "--key-file", "data="+key)
		plain, err = b.onVolume(ctx, prog.image, filepath.Join(dir, "plain.img"))
		return vm, plain, err
	})
}

const filesPkg = "github.com/tailor-os/tailor/test/bench/testdata/files"

// addFiles adds what testdata/files prints to the table.
func (b *bench) addFiles(name, what string, goals bool) []*measure {
	list := make([]*measure, len(fileMeasures))
	for i, m := range fileMeasures {
		list[i] = b.add(measure{name: name + strings.ToUpper(m.name[:1]) + m.name[1:], what: what + m.what, unit: m.unit})
		if goals {
			list[i].goal = m.goal
		}
	}
	return list
}

// A fileSide is a program and the file of the host's that it reads and writes in the
// end.
type fileSide struct {
	path    string
	program []string
}

// onVolume makes a volume, with flags of tailor volume create, and returns the image's
// run on it.
func (b *bench) onVolume(ctx context.Context, image, volume string, flags ...string) (fileSide, error) {
	args := append([]string{b.tailor, "volume", "create", "--size", "1G"}, flags...)
	_, err := output(ctx, anywhere, append(args, volume)...)
	return fileSide{volume, []string{b.tailor, "run", "-t", b.target, "--net", "none", "--volume", "data=" + volume + ":/data", image, "/data"}}, err
}

// inTurns runs both sides, which sides makes in a folder.
func (b *bench) inTurns(ctx context.Context, list []*measure, sides func(dir string) (vm, plain fileSide, err error)) error {
	dir, err := os.MkdirTemp("", "tailor-bench-files-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	vm, plain, err := sides(dir)
	if err != nil {
		return err
	}
	work := []string{strconv.Itoa(b.fileMB()), strconv.Itoa(50 * b.fileMB()), strconv.Itoa(2 * b.fileMB())}
	for range b.rounds {
		if err := vm.round(ctx, list, func(m *measure) *[]float64 { return &m.vm }, work); err != nil {
			return err
		}
		if err := plain.round(ctx, list, func(m *measure) *[]float64 { return &m.plain }, work); err != nil {
			return err
		}
	}
	list[0].note("%s MiB, %s files, %s records", work[0], work[1], work[2])
	return nil
}

// fileMB is the size of the large file in MiB: larger than what a guest caches.
func (b *bench) fileMB() int {
	if b.rounds == 1 {
		return 16
	}
	return 200
}

// round runs the program, has the host forget what is in the file, and runs it once
// more, to read from there. It files what is printed.
func (f fileSide) round(ctx context.Context, list []*measure, side func(*measure) *[]float64, work []string) error {
	warm := len(list) - coldMeasures
	if err := fileRun(ctx, fileMeasures[:warm], list, side, append(slices.Clone(f.program), work...)); err != nil {
		return err
	}
	if err := forget(f.path); err != nil {
		return err
	}
	args := append(slices.Clone(f.program), "cold", work[2])
	return fileRun(ctx, fileMeasures[warm:], list[warm:], side, args)
}

// forget writes a file back and removes it from the host's page cache.
func forget(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

func fileRun(ctx context.Context, what []fileMeasure, list []*measure, side func(*measure) *[]float64, args []string) error {
	text, err := output(ctx, anywhere, args...)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != len(what) {
		return fmt.Errorf("%v: printed %q", args, text)
	}
	for i, line := range lines {
		name, figure, _ := strings.Cut(line, " ")
		v, err := strconv.ParseFloat(figure, 64)
		if err != nil || name != what[i].name {
			return fmt.Errorf("%v: printed %q", args, text)
		}
		s := side(list[i])
		*s = append(*s, v)
	}
	return nil
}
