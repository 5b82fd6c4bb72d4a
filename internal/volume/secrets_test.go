package volume

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/volume/tarfs"
)

func TestSecrets(t *testing.T) {
	dir := tree(t, map[string]string{"k": "the key", "p": "a password", "long": strings.Repeat("x", maxSecret+1), "max": strings.Repeat("x", maxSecret)})
	file := func(name string) string { return filepath.Join(dir, name) }
	s, err := NewSecrets(map[string]string{"tls.key": file("k")}, map[string]string{"data": file("p")})
	if err != nil {
		t.Fatal(err)
	}
	a, err := tarfs.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	f := FS{tarTree{a}}
	for name, want := range map[string]string{"secrets/tls.key": "the key", "keys/data": "a password"} {
		if b, err := fs.ReadFile(f, name); string(b) != want || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if i, err := f.Stat(name); err != nil || i.Mode() != 0o400 {
			t.Errorf("%s: %v, %v", name, i, err)
		}
	}
	if err := s.WriteAt(make([]byte, 512), 0); !errors.Is(err, block.ErrReadOnly) || !s.ReadOnly() {
		t.Errorf("write: %v", err)
	}
	if err := s.ReadAt(make([]byte, 512), s.Size()); !errors.Is(err, block.ErrRange) {
		t.Errorf("read behind the end: %v", err)
	}
	m, err := s.Memfd()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b, err := io.ReadAll(io.NewSectionReader(m, 0, 1<<20))
	if err != nil || !bytes.Equal(b, s.data) {
		t.Errorf("the file has other bytes: %v", err)
	}
	if _, err := m.WriteAt([]byte("x"), 0); err == nil {
		t.Error("the file can be changed")
	}
	s.Wipe()
	if bytes.Contains(s.data, []byte("the key")) {
		t.Error("the secrets are still there")
	}
	for name, want := range map[string]string{"none": "no such file", "": "is a folder", "long": "has more than 1048576 bytes"} {
		if _, err := NewSecrets(map[string]string{"x": file(name)}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
	many := map[string]string{}
	for i := range maxSecrets / maxSecret {
		many[strconv.Itoa(i)] = file("max")
	}
	if _, err := NewSecrets(many, nil); err == nil || !strings.Contains(err.Error(), "bytes together") {
		t.Errorf("too many: %v", err)
	}
}

// Memory that secrets were in is clear when it is left, and when they cannot be read.
func TestWiped(t *testing.T) {
	w := append(make(wiped, 0, 8), "a secret"...)
	old := w[:8]
	io.WriteString(&w, " and another")
	if string(w) != "a secret and another" || !bytes.Equal(old, make([]byte, 8)) {
		t.Errorf("%q was left of %q", old, w)
	}
	b := make([]byte, 8)
	if _, err := readBounded(filepath.Join(tree(t, map[string]string{"k": "a secret"}), "k"), b); err == nil || !bytes.Equal(b, make([]byte, 8)) {
		t.Errorf("a file of one byte too many: %v, left is %q", err, b)
	}
}
