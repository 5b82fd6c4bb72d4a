package image

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tailor-os/tailor/abi"
)

// withFiles returns an image with two pages of files.
func withFiles(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	err := Write(&out, linked(t), testNote(), 2*abi.PageSize, func(w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte("f"), 2*abi.PageSize))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestFiles(t *testing.T) {
	b := withFiles(t)
	path := filepath.Join(t.TempDir(), "x.img")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f := m.Note.Files
	if m.Note.Format != 2 || f == nil || f.Size != 2*abi.PageSize || f.Offset%abi.PageSize != 0 || f.Offset+f.Size != uint64(len(b)) {
		t.Fatalf("format %d, files %+v in %d bytes", m.Note.Format, f, len(b))
	}
	files, err := m.MapFiles()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(files, bytes.Repeat([]byte("f"), 2*abi.PageSize)) {
		t.Error("what is mapped is not what was written")
	}
	if err := syscall.Munmap(files); err != nil {
		t.Error(err)
	}
	if again := withFiles(t); !bytes.Equal(b, again) {
		t.Error("the same input gives other bytes")
	}
}

func TestNoFiles(t *testing.T) {
	m, err := Open(write(t, marked(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if b, err := m.MapFiles(); b != nil || err != nil || m.Note.Format != 1 {
		t.Errorf("%d bytes, %v, format %d", len(b), err, m.Note.Format)
	}
}

func TestBadFiles(t *testing.T) {
	b := withFiles(t)
	if _, err := Parse(b[:len(b)-1]); !errors.Is(err, Truncated) {
		t.Errorf("a byte is missing: %v", err)
	}
	size := uint64(len(b))
	for _, f := range []Files{
		{Offset: 1, Size: abi.PageSize}, {Offset: abi.PageSize, Size: 1}, {Offset: abi.PageSize},
		{Offset: pageUp(size), Size: abi.PageSize}, {Offset: 1<<64 - abi.PageSize, Size: 2 * abi.PageSize},
		{Offset: 0, Size: maxFiles + abi.PageSize}, {Offset: abi.PageSize, Size: 1<<64 - abi.PageSize},
	} {
		if err := f.check(size); err == nil {
			t.Errorf("%+v passes in a file of %d bytes", f, size)
		}
	}
	failing := errors.New("cannot read it")
	err := Write(io.Discard, linked(t), testNote(), abi.PageSize, func(io.Writer) error { return failing })
	if !errors.Is(err, failing) || strings.Contains(err.Error(), "note") {
		t.Errorf("%v", err)
	}
}
