package libos_test

import (
	"testing"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/libos/extfs"
	"github.com/tailor-os/tailor/volume/cuttest"
	"github.com/tailor-os/tailor/volume/ext4"
)

// volume is what the tests run on.
type volume struct {
	disk *cuttest.Disk
	fs   *extfs.FS
}

func (v *volume) open(t testing.TB) libos.FileSystem {
	var err error
	v.fs, err = extfs.Open(v.disk, extfs.Options{Memory: ext4.MinCache, Report: func(text string) { t.Error(text) }})
	if err != nil {
		t.Fatal(err)
	}
	return v.fs
}

// make makes a new volume, when the one before was found sound.
func (v *volume) make(t testing.TB) libos.FileSystem {
	v.close(t)
	v.disk = cuttest.New(16 << 20)
	if err := ext4.Mkfs(v.disk, ext4.MkfsOptions{BlockSize: 4096}); err != nil {
		t.Fatal(err)
	}
	return v.open(t)
}

func (v *volume) reopen(t testing.TB) libos.FileSystem {
	v.close(t)
	return v.open(t)
}

func (v *volume) close(t testing.TB) {
	if v.fs == nil {
		return
	}
	if errno := v.fs.Close(); errno != 0 {
		t.Errorf("close: error %d", errno)
	}
	problems, err := ext4.Check(v.disk)
	if err != nil || len(problems) > 0 {
		t.Errorf("check: %v %q", err, problems)
	}
}

// TestParityExt4 compares Linux with libos on a volume, which is closed and opened
// again in the middle, and must be sound at the end.
func TestParityExt4(t *testing.T) {
	var v volume
	libos.ParityOn(t, v.make, v.reopen)
	v.close(t)
}

// TestSharedMappingExt4 compares what is in files and in mappings of them.
func TestSharedMappingExt4(t *testing.T) {
	var v volume
	libos.SharedMappingsOn(t, v.make)
	v.close(t)
}
