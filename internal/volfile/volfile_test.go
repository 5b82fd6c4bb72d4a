package volfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/internal/hint"
)

func volume(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.img")
	v, err := Create(path, size)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string, readOnly bool) *File {
	t.Helper()
	v, err := Open(path, readOnly)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func TestDevice(t *testing.T) {
	path := volume(t, 1<<20)
	v := open(t, path, false)
	if v.Size() != 1<<20 || v.SectorSize() != 512 || v.ReadOnly() {
		t.Errorf("%d bytes, sectors of %d, read-only %v", v.Size(), v.SectorSize(), v.ReadOnly())
	}
	text := bytes.Repeat([]byte("sector..."), 1024)[:8192]
	if err := errors.Join(v.WriteAt(text, 4096), v.Flush()); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 8192)
	if err := v.ReadAt(got, 4096); err != nil || !bytes.Equal(got, text) {
		t.Errorf("read other than written: %v", err)
	}
	if err := v.Discard(4096, 4096); err != nil {
		t.Errorf("discard: %v", err)
	}
	if err := v.ReadAt(got, 4096); err != nil || !bytes.Equal(got[4096:], text[4096:]) {
		t.Errorf("discard took too much: %v", err)
	}
	for _, c := range []struct{ off, n int64 }{{1 << 20, 512}, {-512, 512}, {1, 512}, {0, 511}, {1 << 62, 512}} {
		p := make([]byte, c.n)
		for op, err := range map[string]error{"read": v.ReadAt(p, c.off), "write": v.WriteAt(p, c.off), "discard": v.Discard(c.off, c.n)} {
			if !errors.Is(err, block.ErrRange) {
				t.Errorf("%s of %d at %d: %v", op, c.n, c.off, err)
			}
		}
	}
}

// What is in the page cache is there at once, and nothing else is.
func TestReadNow(t *testing.T) {
	v := open(t, volume(t, 1<<20), false)
	want := bytes.Repeat([]byte("read"), 1024)
	if err := v.WriteAt(want, 8192); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if !v.ReadNow(got, 8192) {
		t.Skip("the file system does not say what is in its cache")
	}
	if !bytes.Equal(got, want) {
		t.Error("read other than written")
	}
	if v.ReadNow(got, 1<<20-512) || v.ReadNow(got[:100], 0) || v.ReadNow(nil, 0) || v.ReadNow(got[:512], -512) {
		t.Error("read outside of the volume, or no sectors")
	}
	if err := os.Truncate(v.Name(), 10000); err != nil {
		t.Fatal(err)
	}
	if v.ReadNow(got, 8192) {
		t.Error("read what was cut off")
	}
}

func TestReadOnly(t *testing.T) {
	v := open(t, volume(t, 4096), true)
	for op, err := range map[string]error{"write": v.WriteAt(make([]byte, 512), 0), "discard": v.Discard(0, 512), "flush": v.Flush()} {
		if !errors.Is(err, block.ErrReadOnly) {
			t.Errorf("%s: %v", op, err)
		}
	}
}

// A part is a volume of its own, and reaches nothing beside it.
func TestPart(t *testing.T) {
	path := volume(t, 1<<20)
	v := open(t, path, false)
	p, err := v.Part(8192, 4096, false)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4096)
	if err := errors.Join(p.WriteAt(bytes.Repeat([]byte{1}, 4096), 0), p.ReadAt(got, 0)); err != nil || bytes.Count(got, []byte{1}) != 4096 {
		t.Fatal(err)
	}
	if err := p.ReadAt(got, 512); !errors.Is(err, block.ErrRange) || p.ReadNow(got, 512) {
		t.Errorf("behind its end: %v", err)
	}
	all, err := os.ReadFile(path)
	if err != nil || bytes.Count(all, []byte{1}) != 4096 || bytes.Count(all[8192:12288], []byte{1}) != 4096 {
		t.Errorf("it wrote elsewhere (%v)", err)
	}
	read, err := v.Part(8192, 4096, true)
	if err != nil || read.Base() != 8192 || !errors.Is(read.WriteAt(make([]byte, 512), 0), block.ErrReadOnly) {
		t.Errorf("read-only: %v", err)
	}
	for _, r := range [][2]int64{{0, 2 << 20}, {1 << 20, 512}, {100, 512}, {-512, 512}} {
		if _, err := v.Part(r[0], r[1], false); !errors.Is(err, block.ErrRange) {
			t.Errorf("%d bytes at %d: %v", r[1], r[0], err)
		}
	}
	if err := os.Truncate(path, 12287); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(); !errors.Is(err, block.ErrIO) {
		t.Errorf("flush of what is cut short: %v", err)
	}
}

// A discarded range takes no space on the host.
func TestDiscardFrees(t *testing.T) {
	path := volume(t, 4<<20)
	v := open(t, path, false)
	blocks := func() int64 {
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks
	}
	if err := errors.Join(v.WriteAt(make([]byte, 4<<20), 0), v.Flush()); err != nil {
		t.Fatal(err)
	}
	before := blocks()
	if err := v.Discard(0, 2<<20); err != nil {
		t.Fatal(err)
	}
	if after := blocks(); before == 0 || after > before*3/4 {
		t.Skipf("the file system here keeps the space: %d blocks, then %d", before, after)
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, n int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ path, err, hint string }{
		{filepath.Join(dir, "none"), "there is no volume", "tailor volume create"},
		{dir, "is a folder", "tailor volume pack"},
		{"/dev/null", "neither a file nor a block device", ""},
		{file("empty", 0), "is empty", "tailor volume create"},
		{file("odd", 1000), "has 1000 bytes, which is not a number of whole sectors of 512", "truncate -s %512"},
	} {
		_, err := Open(c.path, true)
		if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(hint.Of(err), c.hint) {
			t.Errorf("%s: %v (hint: %s), want %s (%s)", c.path, err, hint.Of(err), c.err, c.hint)
		}
	}
	if _, err := Create(file("there", 512), 512); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("create over a file: %v", err)
	}
}

// What becomes of the file beneath is told, not made up.
func TestCutShort(t *testing.T) {
	path := volume(t, 8192)
	v := open(t, path, false)
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if err := v.ReadAt(make([]byte, 8192), 0); !errors.Is(err, block.ErrIO) || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("read: %v", err)
	}
}

// What was flushed into a file that is gone, or shorter than it was, is not on any
// disk. It is reported once.
func TestFileGone(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"removed":   os.Remove,
		"replaced":  func(path string) error { return os.Rename(volume(t, 4096), path) },
		"cut short": func(path string) error { return os.Truncate(path, 4096) },
	} {
		path := volume(t, 8192)
		v := open(t, path, false)
		reports := 0
		v.Report(func(err error) { reports++ })
		if err := v.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := spoil(path); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := v.Flush(); !errors.Is(err, block.ErrIO) || !strings.Contains(err.Error(), name) {
				t.Errorf("flush of a file that was %s: %v", name, err)
			}
		}
		if reports != 1 {
			t.Errorf("%d reports of a file that was %s", reports, name)
		}
	}
}

func TestLocks(t *testing.T) {
	for _, c := range []struct{ first, second, ok bool }{{true, true, true}, {true, false, false}, {false, true, false}, {false, false, false}} {
		path := volume(t, 4096)
		first, err := Open(path, c.first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := Open(path, c.second)
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
		if err != nil && (!strings.Contains(err.Error(), fmt.Sprint("is in use by process ", os.Getpid())) || hint.Of(err) == "") {
			t.Errorf("%+v: %v (hint: %s)", c, err, hint.Of(err))
		}
		if second != nil {
			second.Close()
		}
		first.Close()
		open(t, path, false)
	}
}

func TestHolder(t *testing.T) {
	const locks = `1: POSIX  ADVISORY  WRITE 11 08:01:77 0 EOF
2: FLOCK  ADVISORY  READ  12 08:01:78 0 EOF
3: FLOCK  ADVISORY  WRITE 13 00:2a:77 0 EOF
4: FLOCK  ADVISORY  WRITE 14 08:01:77 0 EOF
5: FLOCK  ADVISORY  WRITE -1 08:01:79 0 EOF
6: bad
`
	dev := uint64(0x801)
	for ino, want := range map[uint64]int{77: 14, 78: 12, 79: 0, 80: 0} {
		if got := holder(locks, dev, ino); got != want {
			t.Errorf("file %d: process %d, want %d", ino, got, want)
		}
	}
	if got := holder(locks, 0x901, 78); got != 12 {
		t.Errorf("on another device: process %d", got)
	}
}

// BenchmarkFile compares the page cache with O_DIRECT, each write flushed or
// not: docs/volumes.md has the figures.
func BenchmarkFile(b *testing.B) {
	const size = 256 << 20
	for _, direct := range []bool{false, true} {
		path := volume(b, size)
		v := open(b, path, false)
		if direct {
			f, err := os.OpenFile(path, os.O_RDWR|syscall.O_DIRECT, 0)
			if err != nil {
				b.Skip(err)
			}
			v = &File{f: f, size: size, sector: 512}
		}
		name := map[bool]string{false: "cached", true: "direct"}[direct]
		for _, n := range []int64{4 << 10, 1 << 20} {
			p := aligned(int(n))
			step := int64(7919) * n // visits all blocks in a mixed order
			for off := int64(0); off < size; off += 1 << 20 {
				if err := v.WriteAt(aligned(1<<20), off); err != nil {
					b.Fatal(err)
				}
			}
			if err := v.Flush(); err != nil {
				b.Fatal(err)
			}
			run := func(op string, do func(off int64) error) {
				b.Run(fmt.Sprintf("%s/%s/%dK", name, op, n>>10), func(b *testing.B) {
					b.SetBytes(n)
					off := int64(0)
					for b.Loop() {
						if err := do(off); err != nil {
							b.Fatal(err)
						}
						off = (off + step) % size
					}
				})
			}
			run("read", func(off int64) error { return v.ReadAt(p, off) })
			run("write+flush", func(off int64) error { return errors.Join(v.WriteAt(p, off), v.Flush()) })
			run("write", func(off int64) error { return v.WriteAt(p, off) })
		}
	}
}

// aligned returns n bytes that begin at a multiple of 4096, as O_DIRECT asks.
func aligned(n int) []byte {
	b := make([]byte, n+4096)
	skip := 4096 - int(uintptr(unsafe.Pointer(&b[0]))%4096)
	return b[skip : skip+n]
}
