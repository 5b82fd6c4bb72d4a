package libos_test

import (
	"testing"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/libos/extfs"
	"github.com/tailor-os/tailor/volume/cuttest"
	"github.com/tailor-os/tailor/volume/ext4"
)

// TestParityExt4 compares Linux with libos on a volume, which must be sound at
// the end.
func TestParityExt4(t *testing.T) {
	var last *extfs.FS
	var disk *cuttest.Disk
	finish := func() {
		if last == nil {
			return
		}
		if errno := last.Close(); errno != 0 {
			t.Errorf("close: errno %d", errno)
		}
		problems, err := ext4.Check(disk)
		if err != nil || len(problems) > 0 {
			t.Errorf("check: %v %q", err, problems)
		}
	}
	libos.ParityOn(t, func(t testing.TB) libos.FileSystem {
		finish()
		disk = cuttest.New(16 << 20)
		if err := ext4.Mkfs(disk, ext4.MkfsOptions{BlockSize: 4096}); err != nil {
			t.Fatal(err)
		}
		fs, err := extfs.Open(disk, false, func(text string) { t.Error(text) })
		if err != nil {
			t.Fatal(err)
		}
		if errno := fs.Root().(libos.WritableDirectory).Unlink("lost+found", true); errno != 0 {
			t.Fatal(errno)
		}
		last = fs
		return fs
	})
	finish()
}
