package part

import (
	"errors"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/block/blocktest"
	"github.com/tailor-os/tailor/internal/xtest"
)

// made returns the device that a tool has partitioned.
func made(t testing.TB, size int64, stdin, tool, pkg string, args ...string) *blocktest.Mem {
	t.Helper()
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(xtest.NeedCommand(t, tool, pkg), append(args, file)...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return blocktest.Of(data)
}

const (
	disk = "12345678-9ABC-DEF0-1234-56789ABCDEF0"
	uuid = "11111111-2222-3333-4444-555555555555"
	data = "0FC63DAF-8483-4772-8E79-3D69D8477DE4" // Linux file system
	efi  = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B" // EFI system partition
)

func gptDisk(t testing.TB) *blocktest.Mem {
	return made(t, 8<<20, "", "sgdisk", "gdisk", "-U", disk,
		"-n", "1:2048:4095", "-t", "1:EF00", "-c", "1:EFI",
		"-n", "7:8192:8192", "-t", "7:8300", "-c", "7:Däten 🙂", "-u", "7:"+uuid)
}

func TestGPT(t *testing.T) {
	m := gptDisk(t)
	table, err := Read(m)
	if err != nil {
		t.Fatal(err)
	}
	if table.Scheme != "gpt" || table.ID != disk || table.Damage != "" || len(table.Partitions) != 2 {
		t.Fatalf("%+v", table)
	}
	if p := table.Partitions[0]; p.Number != 1 || p.Start != 1<<20 || p.Size != 1<<20 || p.Type != efi || p.Name != "EFI" {
		t.Errorf("%+v", p)
	}
	if p := table.Partitions[1]; p != (Partition{7, 4 << 20, 512, data, uuid, "Däten 🙂"}) {
		t.Errorf("%+v", p)
	}
	d, err := table.Open(m, 7)
	if err != nil || d.Size() != 512 {
		t.Fatalf("open: %v", err)
	}
	if err := d.WriteAt([]byte(strings.Repeat("x", 512)), 0); err != nil || m.Data[4<<20] != 'x' || m.Data[4<<20-1] != 0 || m.Data[4<<20+512] != 0 {
		t.Errorf("write: %v", err)
	}
	if _, err := table.Open(m, 2); err == nil || !strings.Contains(err.Error(), "there are: 1 7") {
		t.Errorf("partition 2: %v", err)
	}
}

// One bad copy is survived and told; two are an error.
func TestGPTDamage(t *testing.T) {
	good := gptDisk(t).Data
	last := len(good) - 512
	for _, c := range []struct {
		name   string
		at     []int
		damage string
		err    string
	}{
		{"header", []int{512 + 60}, "the primary table is bad, the backup was used: the checksum of the header", ""},
		{"signature", []int{512}, "sector 1 has no GPT header", ""},
		{"entries", []int{1024 + 40}, "the checksum of the entries", ""},
		{"backup", []int{last + 60}, "the backup is bad: the checksum of the header", ""},
		{"backup's entries", []int{last - 32*512}, "the backup is bad: the checksum of the entries", ""},
		{"both", []int{512, last}, "", "and its backup: sector 16383 has no GPT header"},
		{"mark", []int{510}, "", "no partition table"},
	} {
		m := blocktest.Of(append([]byte(nil), good...))
		for _, at := range c.at {
			m.Data[at] ^= 0x40
		}
		table, err := Read(m)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %s", c.name, err, c.err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		case !strings.Contains(table.Damage, c.damage) || len(table.Partitions) != 2:
			t.Errorf("%s: %+v, want %s", c.name, table, c.damage)
		}
	}
	// A disk that was cut: its partitions still lie on it, the backup does not.
	cut := blocktest.Of(good[:6<<20])
	if _, err := Read(cut); err == nil || !strings.Contains(err.Error(), "beyond the end of the device") {
		t.Errorf("cut: %v", err)
	}
	failed := blocktest.Of(good)
	failed.Fail = func(string, int64, int64) error { return block.ErrIO }
	if _, err := Read(failed); !errors.Is(err, block.ErrIO) {
		t.Errorf("a device that fails: %v", err)
	}
}

const mbrScript = `label: dos
label-id: 0xdeadbeef
start=2048, size=2048, type=83
start=4096, size=8192, type=5
start=12288, size=1024, type=c
start=5120, size=1024, type=83
start=7168, size=2048, type=82
`

func TestMBR(t *testing.T) {
	m := made(t, 8<<20, mbrScript, "sfdisk", "fdisk", "-q")
	table, err := Read(m)
	if err != nil {
		t.Fatal(err)
	}
	want := []Partition{
		{Number: 1, Start: 1 << 20, Size: 1 << 20, Type: "83"},
		{Number: 3, Start: 6 << 20, Size: 1 << 19, Type: "0C"},
		{Number: 5, Start: 5120 * 512, Size: 1 << 19, Type: "83"},
		{Number: 6, Start: 7168 * 512, Size: 1 << 20, Type: "82"},
	}
	if table.Scheme != "mbr" || table.ID != "DEADBEEF" || len(table.Partitions) != len(want) {
		t.Fatalf("%+v", table)
	}
	for i, p := range table.Partitions {
		if p != want[i] {
			t.Errorf("%+v, want %+v", p, want[i])
		}
	}
}

// put writes an entry of a boot record.
func put(b []byte, i int, kind byte, start, size uint32) {
	e := b[mbrEntries+i*entrySize:]
	e[4] = kind
	for j := range 4 {
		e[8+j], e[12+j] = byte(start>>(8*j)), byte(size>>(8*j))
	}
	b[mbrMark], b[mbrMark+1] = 0x55, 0xAA
}

func TestBadMBR(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(b []byte)
		err   string
	}{
		{"empty", func(b []byte) {}, "no partition table"},
		{"no entries", func(b []byte) { put(b, 0, 0, 0, 0) }, "no partition table"},
		{"boot sector", func(b []byte) { put(b, 0, 0x83, 1, 1); b[mbrEntries+16] = 'x' }, "no partition table"},
		{"beyond", func(b []byte) { put(b, 0, 0x83, 100, 29) }, "partition 1 reaches beyond the end"},
		{"far beyond", func(b []byte) { put(b, 0, 0x83, 1<<32-1, 1<<32-1) }, "partition 1 reaches beyond the end"},
		{"overlap", func(b []byte) { put(b, 0, 0x83, 1, 10); put(b, 3, 0x83, 10, 1) }, "partitions 1 and 4 overlap"},
		{"two extended", func(b []byte) { put(b, 0, 5, 1, 10); put(b, 1, 0xF, 20, 10) }, "two extended"},
		{"no record", func(b []byte) { put(b, 0, 5, 1, 10) }, "sector 1 is no boot record"},
		{"circle", func(b []byte) { put(b, 0, 5, 1, 10); put(b[512:], 1, 5, 0, 10) }, "more than 124 logical"},
		{"chain leaves", func(b []byte) { put(b, 0, 5, 1, 10); put(b[512:], 1, 5, 10, 10) }, "left at sector 11"},
		{"extended beyond", func(b []byte) { put(b, 0, 5, 128, 10) }, "left at sector 128"},
		{"logical beyond", func(b []byte) { put(b, 0, 5, 1, 10); put(b[512:], 0, 0x83, 1, 1000) }, "partition 5 reaches beyond"},
	} {
		m := blocktest.New(128 * 512)
		c.build(m.Data)
		if table, err := Read(m); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %+v, want %s", c.name, err, table, c.err)
		}
	}
	if _, err := Read(blocktest.New(0)); !errors.Is(err, ErrNone) {
		t.Errorf("nothing: %v", err)
	}
}

// repair corrects the sums of the table whose header is at off, so that the
// fuzzer gets past them.
func repair(b []byte, off int) {
	if len(b) < off+512 || string(b[off:off+8]) != "EFI PART" {
		return
	}
	h := b[off : off+512]
	start, n := le64(h[72:])*512, uint64(le32(h[80:]))*uint64(le32(h[84:]))
	if start < uint64(len(b)) && n <= uint64(len(b))-start {
		putSum(h[88:], b[start:start+n])
	}
	if size := le32(h[12:]); size >= headerSize && size <= 512 {
		clear(h[16:20])
		putSum(h[16:], h[:size])
	}
}

func putSum(at, b []byte) {
	for i, sum := 0, crc32.ChecksumIEEE(b); i < 4; i++ {
		at[i] = byte(sum >> (8 * i))
	}
}

// FuzzRead: whatever is on a device, reading its table ends, and its partitions
// lie on it and apart.
func FuzzRead(f *testing.F) {
	gpt := gptDisk(f).Data
	small := append(append([]byte(nil), gpt[:34*512]...), gpt[len(gpt)-33*512:]...)
	f.Add(small)
	mbr := make([]byte, 64*512)
	put(mbr, 0, 0x83, 40, 2)
	put(mbr, 1, 5, 1, 10)
	put(mbr[512:], 0, 0x83, 1, 1)
	put(mbr[512:], 1, 5, 4, 2)
	put(mbr[5*512:], 0, 0x83, 1, 1)
	f.Add(mbr)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		m := blocktest.Of(b)
		repair(m.Data, 512)
		table, err := Read(m)
		if err != nil {
			return
		}
		used := make([]bool, len(m.Data)/512)
		for _, p := range table.Partitions {
			d, err := table.Open(m, p.Number)
			if err != nil || d.Size() != p.Size || p.Size == 0 {
				t.Fatalf("%+v: %v", p, err)
			}
			for s := p.Start / 512; s < (p.Start+p.Size)/512; s++ {
				if used[s] {
					t.Fatalf("sector %d is in two partitions: %+v", s, table)
				}
				used[s] = true
			}
		}
	})
}
