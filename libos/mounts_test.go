package libos

import "testing"

func TestMakeDirectories(t *testing.T) {
	want(t, ChangeDirectory("/"), 0)
	want(t, MakeDirectories("/made/of/several//parts/"), 0)
	want(t, MakeDirectories("/made/of/several/parts/and/more"), 0)
	want(t, ChangeDirectory("/made/of/several/parts/and"), 0)
	if got, errno := files.pathTo(files.workDir()); errno != 0 || got != "/made/of/several/parts/and" {
		t.Errorf("the working directory is %q, error %d", got, errno)
	}
	want(t, MakeDirectories("/dev/null/x"), ENOTDIR)
	want(t, MakeDirectories(""), ENOENT)
	want(t, ChangeDirectory("/made/none"), ENOENT)
	want(t, ChangeDirectory("/dev/null"), ENOTDIR)
	want(t, ChangeDirectory("/"), 0)
}

func TestSeek(t *testing.T) {
	for _, tt := range []struct {
		off    int64
		whence int
		pos    int64
		errno  Errno
	}{{5, 0, 5, 0}, {-1, 0, 0, EINVAL}, {2, 1, 12, 0}, {-11, 1, 0, EINVAL}, {-3, 2, 97, 0}, {7, 3, 7, 0}, {100, 3, 0, ENXIO}, {7, 4, 100, 0}} {
		if pos, errno := Seek(tt.off, tt.whence, 10, 100); pos != tt.pos || errno != tt.errno {
			t.Errorf("%d from %d: %d, error %d", tt.off, tt.whence, pos, errno)
		}
	}
}
