package crypt_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/block/blocktest"
	"github.com/tailor-os/tailor/block/crypt"
	"github.com/tailor-os/tailor/internal/xtest"
)

// run runs a program in dir and returns its output.
func run(t *testing.T, dir, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestQEMU: what QEMU encrypts we decrypt, and the other way round.
func TestQEMU(t *testing.T) {
	qemu := xtest.NeedCommand(t, "qemu-img", "qemu-utils")
	dir := t.TempDir()
	text := noise(256<<10, 3)
	write(t, dir, "text", text)
	write(t, dir, "key", []byte("a key"))
	luks := func(file string) string { return "driver=luks,key-secret=k,file.filename=" + file }

	m, d := made(t, "a key")
	if err := d.WriteAt(text[:64<<10], 0); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "ours", m.Data)
	if out, err := run(t, dir, qemu, "convert", "--object", "secret,id=k,file=key", "--image-opts", luks("ours"), "-O", "raw", "decrypted"); err != nil {
		t.Fatalf("qemu-img: %v\n%s", err, out)
	}
	got := read(t, dir, "decrypted")
	if !bytes.Equal(got[:64<<10], text[:64<<10]) || int64(len(got)) != d.Size() {
		t.Error("QEMU reads another text")
	}

	for try := 0; ; try++ {
		out, err := run(t, dir, qemu, "convert", "--object", "secret,id=k,file=key", "-f", "raw", "-O", "luks",
			"-o", "key-secret=k,iter-time=200", "text", "theirs")
		if err == nil {
			break
		}
		// It measures the processor, which now and then is too fast for its clock.
		if try == 9 || !strings.Contains(out, "Unable to get accurate CPU usage") {
			t.Fatalf("qemu-img: %v\n%s", err, out)
		}
	}
	theirs, err := crypt.Open(blocktest.Of(read(t, dir, "theirs")), lib, []byte("a key"))
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(text))
	if err := theirs.ReadAt(b, 0); err != nil || !bytes.Equal(b, text) {
		t.Errorf("we read another text than QEMU wrote: %v", err)
	}
}

// TestCryptsetup: cryptsetup finds our header in order, opens it with our keys,
// and we open it with a key that it has added. It needs no device mapper for
// that.
func TestCryptsetup(t *testing.T) {
	cryptsetup := xtest.NeedCommand(t, "cryptsetup", "cryptsetup-bin")
	dir := t.TempDir()
	m, _ := made(t, "one")
	if err := crypt.AddKey(m, lib, []byte("one"), []byte("two"), 0); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "v", m.Data)
	for _, key := range []string{"one", "two", "three"} {
		write(t, dir, key, []byte(key))
	}
	out, err := run(t, dir, cryptsetup, "luksDump", "v")
	if err != nil || !strings.Contains(out, "xts-plain64") || !strings.Contains(out, "MK bits:       \t512") || !strings.Contains(out, "Key Slot 1: ENABLED") {
		t.Errorf("luksDump: %v\n%s", err, out)
	}
	for key, fits := range map[string]bool{"one": true, "two": true, "three": false} {
		if out, err := run(t, dir, cryptsetup, "open", "--test-passphrase", "--key-file", key, "v"); (err == nil) != fits {
			t.Errorf("key %s: %v\n%s", key, err, out)
		}
	}
	if out, err := run(t, dir, cryptsetup, "luksAddKey", "--pbkdf-force-iterations", "1000", "--key-file", "two", "v", "three"); err != nil {
		t.Fatalf("luksAddKey: %v\n%s", err, out)
	}
	if !opens(t, blocktest.Of(read(t, dir, "v")), "three") {
		t.Error("we do not open it with a key that cryptsetup has added")
	}
}
