package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/volume"
)

// crossed makes a volume with the directories /top/first and /top/other; the
// latter's name leads to inode ino: 12 is /top, 13 /top/first.
func crossed(t *testing.T, ino uint32) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.img")
	if err := volume.Create(path, volume.CreateOptions{Size: 2 << 20}); err != nil {
		t.Fatal(err)
	}
	change := func(do func(b []byte)) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		do(b)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change(func(b []byte) { b[1024+0x65] &^= 4 }) // no checksums
	v, err := volume.Open(path, volume.Options{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"top", "top/first", "top/other"} {
		if err := v.FS.Mkdir(name, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	change(func(b []byte) {
		const entry = "\x05\x02other"
		for at, next := 0, 0; ; at = next + len(entry) {
			i := bytes.Index(b[at:], []byte(entry))
			if i < 0 {
				return
			}
			next = at + i
			binary.LittleEndian.PutUint32(b[next-6:], ino)
		}
	})
	return path
}

// A directory that is in two places, even in itself, ends what goes through all
// of a volume.
func TestVolumeCycle(t *testing.T) {
	for _, ino := range []uint32{12, 13} {
		for _, args := range []string{"ls -R FILE", "ls -R FILE /top", "cp -r FILE:/top OUT", "rm -r FILE /top"} {
			path := crossed(t, ino)
			args = strings.ReplaceAll(strings.ReplaceAll(args, "FILE", path), "OUT", t.TempDir())
			a := &app{stdout: new(bytes.Buffer), msg: cli.NewPrinter("tailor", new(bytes.Buffer))}
			_, err := a.volume(t.Context(), strings.Fields(args))
			// The second name of what was removed leads to nothing.
			gone := ino == 13 && args[:2] == "rm" && err != nil && strings.Contains(err.Error(), "which is free")
			if !gone && (err == nil || !strings.Contains(err.Error(), "is in two places") || !strings.Contains(hint.Of(err), "volume check")) {
				t.Errorf("%s: %v", args, err)
			}
			if code, err := a.volume(t.Context(), []string{"check", path}); code != exitDamaged || err != nil {
				t.Errorf("check after %s: %d, %v", args, code, err)
			}
		}
	}
}

// What a volume says of itself does nothing to the terminal.
func TestReportFilters(t *testing.T) {
	var b bytes.Buffer
	a := &app{stdout: &b}
	if err := a.printReport(&volume.Report{Path: "v", Kind: volume.Tar, Notes: []string{"a\x1b[2J"}, Problems: []string{"b\r\nc"},
		Encryption: &volume.EncryptionReport{UUID: "\x1b"}}, false); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.ContainsAny(got, "\x1b\r") || !strings.Contains(got, "a?[2J\n") || !strings.Contains(got, "b??c\n") {
		t.Errorf("printed %q", got)
	}
}
