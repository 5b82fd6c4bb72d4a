package ext4_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tailor-os/tailor/internal/xtest"
	"github.com/tailor-os/tailor/volume/cuttest"
	"github.com/tailor-os/tailor/volume/ext4"
)

// image writes a disk's contents to a file, with holes.
func image(t testing.TB, data []byte) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "volume.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(len(data))); err != nil {
		t.Fatal(err)
	}
	const chunk = 64 << 10
	zero := make([]byte, chunk)
	for off := 0; off < len(data); off += chunk {
		p := data[off:min(off+chunk, len(data))]
		if bytes.Equal(p, zero[:len(p)]) {
			continue
		}
		if _, err := f.WriteAt(p, int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	return f.Name()
}

// fsck fails t unless e2fsck finds nothing to complain about.
func fsck(t testing.TB, data []byte) {
	t.Helper()
	tool := xtest.NeedCommand(t, "e2fsck", "e2fsprogs")
	name := image(t, data)
	out, err := exec.Command(tool, "-fn", name).CombinedOutput()
	if err != nil {
		t.Fatalf("e2fsck -fn: %v\n%s", err, out)
	}
}

// debugfs runs a command of debugfs on a disk.
func debugfs(t testing.TB, data []byte, command string) string {
	t.Helper()
	tool := xtest.NeedCommand(t, "debugfs", "e2fsprogs")
	out, err := exec.Command(tool, "-R", command, image(t, data)).Output()
	if err != nil {
		t.Fatalf("debugfs %s: %v", command, err)
	}
	return string(out)
}

// mke2fs makes a volume as Linux does.
func mke2fs(t testing.TB, size int64, args ...string) *cuttest.Disk {
	t.Helper()
	tool := xtest.NeedCommand(t, "mke2fs", "e2fsprogs")
	name := image(t, make([]byte, size))
	if out, err := exec.Command(tool, append(append([]string{"-q", "-F"}, args...), name)...).CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v\n%s", err, out)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return cuttest.From(data)
}

// newDisk returns a disk with an empty file system of ours.
func newDisk(t testing.TB, size int64) *cuttest.Disk {
	t.Helper()
	d := cuttest.New(size)
	if err := ext4.Mkfs(d, ext4.MkfsOptions{UUID: [16]byte{1, 2, 3}, Time: 1e18}); err != nil {
		t.Fatal(err)
	}
	return d
}

func open(t testing.TB, d *cuttest.Disk, o ext4.Options) *ext4.FS {
	t.Helper()
	if o.Now == nil {
		clock := int64(1.5e18)
		o.Now = func() int64 { clock += 1001; return clock }
	}
	fs, err := ext4.Open(d, o)
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func closeFS(t testing.TB, fs *ext4.FS) {
	t.Helper()
	if err := fs.Close(); err != nil {
		t.Fatal("close:", err)
	}
}
