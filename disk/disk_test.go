package disk

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/internal/xtest"
)

// file makes a file of zeros.
func file(t testing.TB, size int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk img")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// word is the boot parameter for a file.
func word(name, path, mode string) string {
	return "disk=" + name + ":" + strings.ReplaceAll(path, " ", "%20") + mode
}

func TestNamed(t *testing.T) {
	a, b := file(t, 1<<20), file(t, 4096)
	t.Setenv(variable, word("b", b, ":ro")+" hostname=x "+word("a", a, ""))
	if names := Names(); !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("names %q", names)
	}
	d, err := Open("a")
	if err != nil {
		t.Fatal(err)
	}
	if d.Name() != "a" || d.Path() != a || d.Size() != 1<<20 || d.SectorSize() != 512 || d.ReadOnly() {
		t.Errorf("%s at %s: %d bytes, sectors of %d, read-only %v", d.Name(), d.Path(), d.Size(), d.SectorSize(), d.ReadOnly())
	}
	if _, err := Open("a"); err == nil || !strings.Contains(err.Error(), "disk a: "+a+" is in use") {
		t.Errorf("open twice: %v", err)
	}
	p := []byte(strings.Repeat("x", 1024))
	if err := errors.Join(d.WriteAt(p, 512), d.Flush(), d.Discard(0, 512), d.ReadAt(p[:512], 1024), d.Close()); err != nil || p[0] != 'x' {
		t.Errorf("%v, read %q", err, p[:1])
	}
	for range 2 { // the lock ends with its user, and readers share
		d, err := Open("b")
		if err != nil || !d.ReadOnly() || !errors.Is(d.WriteAt(p, 0), block.ErrReadOnly) {
			t.Fatalf("%v", err)
		}
		defer d.Close()
	}
	if _, err := Open("c"); !errors.Is(err, fs.ErrNotExist) || err.Error() != `disk: there is no disk "c"; there are: a, b` {
		t.Errorf("unknown: %v", err)
	}
}

func TestErrors(t *testing.T) {
	path := file(t, 1<<20)
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p := make([]byte, 1024)
	for _, off := range []int64{-512, 1, 1<<20 - 512, 1 << 20, 1 << 62} {
		for _, err := range []error{d.ReadAt(p, off), d.WriteAt(p, off), d.Discard(off, 1024)} {
			if !errors.Is(err, block.ErrRange) {
				t.Errorf("at %d: %v", off, err)
			}
		}
	}
	if err := d.ReadAt(p[:100], 0); !errors.Is(err, block.ErrRange) {
		t.Errorf("a part of a sector: %v", err)
	}
	if err := os.Truncate(path, 512); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{d.ReadAt(p, 4096), d.Flush()} {
		if !errors.Is(err, block.ErrIO) || !strings.Contains(err.Error(), "cut short") {
			t.Errorf("of a file cut short: %v", err)
		}
	}
	for text, want := range map[string]string{"disk=a": "not disk=NAME:PATH[:ro]", `disk="a`: "not closed"} {
		t.Setenv(variable, text)
		if _, err := Open("a"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	t.Setenv(variable, "")
	if _, err := Open("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no disk: %v", err)
	}
	if _, err := Open(""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no name: %v", err)
	}
	if _, err := Open("./none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// A block device of Linux's is one, too.
func TestDevice(t *testing.T) {
	xtest.NeedRoot(t)
	losetup := xtest.NeedCommand(t, "losetup", "mount")
	for _, flags := range [][]string{nil, {"-r"}} {
		out, err := exec.Command(losetup, append(flags, "--sector-size", "4096", "--find", "--show", file(t, 1<<20))...).CombinedOutput()
		dev := strings.TrimSpace(string(out))
		if err != nil {
			err = errors.New(dev)
		}
		xtest.Need(t, "loop", err, "load the loop module")
		t.Cleanup(func() { exec.Command(losetup, "-d", dev).Run() })
		d, err := Open(dev)
		if err != nil {
			t.Fatal(err)
		}
		if d.Size() != 1<<20 || d.SectorSize() != 4096 || d.ReadOnly() != (flags != nil) {
			t.Errorf("%d bytes, sectors of %d, read-only %v", d.Size(), d.SectorSize(), d.ReadOnly())
		}
		p := []byte(strings.Repeat("x", 4096))
		err = errors.Join(d.WriteAt(p, 4096), d.Flush(), d.Discard(0, 4096), d.ReadAt(p, 4096))
		if flags == nil && (err != nil || p[0] != 'x') || flags != nil && !errors.Is(err, block.ErrReadOnly) {
			t.Errorf("%v", err)
		}
		if err := d.WriteAt(p[:512], 0); flags == nil && !errors.Is(err, block.ErrRange) {
			t.Errorf("a part of a sector: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
