package volume

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tailor-os/tailor/block/blocktest"
	"github.com/tailor-os/tailor/block/crypt"
	"github.com/tailor-os/tailor/block/crypt/gocrypto"
	"github.com/tailor-os/tailor/internal/hint"
)

// tree makes a folder of files; a name that ends in a slash is a folder, text
// that begins with -> a link.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "->"); ok {
			err = os.Symlink(target, path)
		} else if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var files = map[string]string{
	"a": "A", "d/b": strings.Repeat("text", 1000), "d/e/": "", "d/up": "->../a", "abs": "->/d/b", "dir": "->d",
	"loop": "->loop", "dangling": "->nothing", "empty": "",
}

func pack(t testing.TB, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.tar")
	if _, err := Pack(path, tree(t, files), time.Time{}); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustOpen(t testing.TB, path string, o Options) *Volume {
	t.Helper()
	v, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func TestTar(t *testing.T) {
	v := mustOpen(t, pack(t, files), Options{})
	if v.Kind != Tar {
		t.Errorf("kind %s", v.Kind)
	}
	plain := map[string]string{"a": "A", "d/b": files["d/b"], "empty": "", "d/x/y": "Y"}
	w := mustOpen(t, pack(t, plain), Options{})
	if err := fstest.TestFS(w.FS, "a", "d/b", "empty", "d/x/y"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{
		"a": "A", "d/b": files["d/b"], "d/up": "A", "abs": files["d/b"], "dir/b": files["d/b"], "dir/up": "A", "empty": "",
		"loop": "!too many symbolic links", "dangling": "!file does not exist", "a/b": "!file does not exist", "../a": "!invalid argument",
		"none": "!file does not exist",
	} {
		b, err := fs.ReadFile(v.FS, name)
		if message, bad := strings.CutPrefix(want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), message) {
				t.Errorf("%s: %v, want %s", name, err, message)
			}
		} else if err != nil || string(b) != want {
			t.Errorf("%s: %.20q, %v", name, b, err)
		}
	}
	if target, err := v.FS.ReadLink("d/up"); target != "../a" || err != nil {
		t.Errorf("link to %q, %v", target, err)
	}
	if i, err := v.FS.Lstat("d/up"); err != nil || i.Mode().Type() != fs.ModeSymlink || i.Name() != "up" {
		t.Errorf("%v, %v", i, err)
	}
}

// The same files make the same volume, whenever and by whom.
func TestPackIsDeterministic(t *testing.T) {
	one, two := tree(t, files), tree(t, files)
	if err := os.Chtimes(filepath.Join(two, "a"), time.Unix(5, 0), time.Unix(5, 0)); err != nil {
		t.Fatal(err)
	}
	packed := func(dir string, epoch time.Time) []byte {
		path := filepath.Join(t.TempDir(), "v")
		if _, err := Pack(path, dir, epoch); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a := packed(one, time.Time{})
	if !bytes.Equal(a, packed(two, time.Time{})) {
		t.Error("the same files at another time make another volume")
	}
	if len(a)%512 != 0 {
		t.Errorf("%d bytes", len(a))
	}
	if bytes.Equal(packed(one, time.Unix(100, 0)), packed(two, time.Unix(100, 0))) {
		t.Error("with SOURCE_DATE_EPOCH, times are not kept")
	}
}

func TestPackReplaces(t *testing.T) {
	path := pack(t, files)
	open := mustOpen(t, path, Options{})
	p, err := Pack(path, tree(t, map[string]string{"new": "N"}), time.Time{})
	if err != nil || p.Files != 2 || p.Bytes == 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	if b, err := fs.ReadFile(open.FS, "a"); string(b) != "A" || err != nil {
		t.Errorf("who had it open reads %q, %v", b, err)
	}
	if b, err := fs.ReadFile(mustOpen(t, path, Options{}).FS, "new"); string(b) != "N" || err != nil {
		t.Errorf("the new one: %q, %v", b, err)
	}
	other := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(other, bytes.Repeat([]byte("x"), 1024), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Pack(other, tree(t, files), time.Time{}); err == nil || !strings.Contains(err.Error(), "is no tar") {
		t.Errorf("pack over another file: %v", err)
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(other), ".*")); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
	if _, err := Pack(filepath.Join(t.TempDir(), "v"), other, time.Time{}); err == nil || !strings.Contains(err.Error(), "is not a folder") {
		t.Errorf("pack of a file: %v", err)
	}
}

// The archive that is being made inside of the folder is not packed.
func TestPackInside(t *testing.T) {
	dir := tree(t, map[string]string{"a": "A"})
	if _, err := Pack(filepath.Join(dir, "v.tar"), dir, time.Time{}); err != nil {
		t.Fatal(err)
	}
	v := mustOpen(t, filepath.Join(dir, "v.tar"), Options{})
	list, err := fs.ReadDir(v.FS, ".")
	if err != nil || len(list) != 1 || list[0].Name() != "a" {
		t.Errorf("%v, %v", list, err)
	}
}

func TestDetect(t *testing.T) {
	at := func(off int, text string) []byte {
		b := make([]byte, 8192)
		copy(b[off:], text)
		return b
	}
	mbr := at(510, "\x55\xaa")
	copy(mbr[446:], "\x00\x00\x00\x00\x83\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00")
	for _, c := range []struct {
		data []byte
		want Kind
	}{
		{make([]byte, 8192), Blank}, {make([]byte, 512), Blank}, {at(0, "x"), Unknown}, {at(0, "LUKS\xba\xbe\x00\x02"), Encrypted},
		{at(1024+56, "\x53\xef"), Ext4}, {at(257, "ustar"), Tar}, {mbr, Partitions},
	} {
		if got, err := Detect(blocktest.Of(c.data)); err != nil || got != c.want {
			t.Errorf("%q: %s, %v", c.want, got, err)
		}
	}
}

// encrypted returns a volume that holds a tar, and its key file.
func encrypted(t *testing.T) (path, key string) {
	t.Helper()
	data, err := os.ReadFile(pack(t, files))
	if err != nil {
		t.Fatal(err)
	}
	m := blocktest.New(crypt.MinSize + 1<<20)
	d, err := crypt.Format(m, gocrypto.Crypto, []byte("secret"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	dir := tree(t, map[string]string{"key": "secret"})
	path = filepath.Join(dir, "v.img")
	if err := os.WriteFile(path, m.Data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, filepath.Join(dir, "key")
}

func TestEncrypted(t *testing.T) {
	path, key := encrypted(t)
	keys := tree(t, map[string]string{"wrong": "secret\n", "empty": "", "new": "n", "long": strings.Repeat("x", maxKey+1)})
	v := mustOpen(t, path, Options{KeyFile: key})
	if b, err := fs.ReadFile(v.FS, "a"); string(b) != "A" || err != nil || v.Kind != Tar || v.Header == nil {
		t.Errorf("%q, %v, kind %s", b, err, v.Kind)
	}
	v.Close()
	for file, want := range map[string]string{
		"": "it is encrypted", "wrong": "does not fit", "empty": "is empty", "none": "no such file", "/dev/zero": "has more than 8192 bytes", "long": "has more than 8192 bytes", ".": "is a folder",
	} {
		if file != "" && file[0] != '/' {
			file = filepath.Join(keys, file)
		}
		if _, err := Open(path, Options{KeyFile: file}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("key %q: %v, want %s", file, err, want)
		}
	}
	fresh := filepath.Join(keys, "new")
	if err := Rekey(path, filepath.Join(keys, "wrong"), fresh, false); err == nil || !strings.Contains(err.Error(), "does not fit") || hint.Of(err) == "" {
		t.Errorf("rekey with a wrong key: %v", err)
	}
	if err := Rekey(path, key, fresh, false); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{KeyFile: key}); err == nil {
		t.Error("the old key still opens it")
	}
	mustOpen(t, path, Options{KeyFile: fresh}).Close()
	if err := Rekey(pack(t, files), key, fresh, false); err == nil || !strings.Contains(err.Error(), "is not encrypted") {
		t.Errorf("rekey of a tar: %v", err)
	}
}

func TestPartition(t *testing.T) {
	data, err := os.ReadFile(pack(t, files))
	if err != nil {
		t.Fatal(err)
	}
	disk := make([]byte, 1<<20+len(data))
	copy(disk[446:], fmt.Sprintf("\x00\x00\x00\x00\x83\x00\x00\x00\x00\x08\x00\x00%c%c\x00\x00", len(data)/512&255, len(data)/512>>8))
	copy(disk[510:], "\x55\xaa")
	copy(disk[1<<20:], data)
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	v := mustOpen(t, path, Options{Partition: 1})
	if b, err := fs.ReadFile(v.FS, "a"); string(b) != "A" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "with the partitions 1 (tar)") {
		t.Errorf("without a partition: %v", err)
	}
	if _, err := Open(path, Options{Partition: 2}); err == nil || !strings.Contains(err.Error(), "no partition 2") {
		t.Errorf("partition 2: %v", err)
	}
	if _, err := Open(pack(t, files), Options{Partition: 1}); err == nil || !strings.Contains(err.Error(), "it has no partitions") {
		t.Errorf("partition of a tar: %v", err)
	}
}

func TestModes(t *testing.T) {
	got := []string{}
	for _, m := range []uint32{0o100644, 0o040755, 0o120777, 0o104755, 0o041777, 0o020600, 0o060600, 0o010600, 0o140600, 0} {
		got = append(got, goMode(m).String())
	}
	want := []string{"-rw-r--r--", "drwxr-xr-x", "Lrwxrwxrwx", "urwxr-xr-x", "dtrwxrwxrwx", "Dcrw-------", "Drw-------", "prw-------", "Srw-------", "?---------"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
