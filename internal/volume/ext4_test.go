package volume

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/xtest"
)

func create(t testing.TB, o CreateOptions) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "v.img")
	if err := Create(path, o); err != nil {
		t.Fatal(err)
	}
	return path
}

// fsck has e2fsck look at a file system.
func fsck(t *testing.T, path string) {
	t.Helper()
	if out, err := exec.Command(xtest.NeedCommand(t, "e2fsck", "e2fsprogs"), "-fn", path).CombinedOutput(); err != nil {
		t.Errorf("e2fsck: %v\n%s", err, out)
	}
}

// same compares two folders, links included.
func same(t *testing.T, one, two string) {
	t.Helper()
	if out, err := exec.Command("diff", "-r", "--no-dereference", one, two).CombinedOutput(); err != nil {
		t.Errorf("diff: %v\n%s", err, out)
	}
}

// change opens a volume for writing and closes it after do.
func change(t *testing.T, path string, o Options, do func(f FS) error) error {
	t.Helper()
	o.Write = true
	v, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	err = do(v.FS)
	if closed := v.Close(); closed != nil {
		t.Fatal(closed)
	}
	return err
}

// copyIn copies a folder to /in of a volume.
func copyIn(t *testing.T, path, dir string, o Options) {
	t.Helper()
	if err := change(t, path, o, func(f FS) error {
		c, err := f.In(dir, "in", true)
		if c.Files == 0 || len(c.Skipped) > 0 {
			t.Errorf("%+v", c)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestCopies(t *testing.T) {
	dir := tree(t, files)
	old := time.Unix(1_600_000_000, 0)
	if err := errors.Join(os.Chtimes(filepath.Join(dir, "a"), old, old), os.Chmod(filepath.Join(dir, "a"), 0o751)); err != nil {
		t.Fatal(err)
	}
	path := create(t, CreateOptions{Size: 16 << 20, Label: "test"})
	copyIn(t, path, dir, Options{})
	fsck(t, path)

	out := t.TempDir()
	v := mustOpen(t, path, Options{})
	c, err := v.FS.Out("in", out, true)
	if err != nil {
		t.Fatal(err)
	}
	same(t, dir, filepath.Join(out, "in"))
	if st, err := os.Stat(filepath.Join(out, "in/a")); err != nil || !st.ModTime().Equal(old) || st.Mode().Perm() != 0o751 {
		t.Errorf("%v, %v", st, err)
	}
	again, err := v.FS.Out("in", out, true) // over what is there
	if err != nil || again.Files != c.Files {
		t.Errorf("%+v then %+v, %v", c, again, err)
	}
	same(t, dir, filepath.Join(out, "in"))
	if _, err := v.FS.Out("in", out, false); err == nil || !strings.Contains(hint.Of(err), "-r") {
		t.Errorf("a directory without -r: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}

	r, err := Check(path, Options{})
	if err != nil || len(r.Problems) > 0 || r.Kind != Ext4 || r.Label != "test" || len(r.UUID) != 36 || r.Files != c.Files+2 {
		t.Errorf("%+v, %v, %d files were copied", r, err, c.Files)
	}
}

func TestFS(t *testing.T) {
	path := create(t, CreateOptions{Size: 4 << 20})
	copyIn(t, path, tree(t, map[string]string{"a": "A", "d/b": "B", "d/e/": ""}), Options{})
	if err := fstest.TestFS(mustOpen(t, path, Options{}).FS, "in/a", "in/d/b", "in/d/e", "lost+found"); err != nil {
		t.Error(err)
	}
}

// What is copied out stays below its destination, whatever links are there.
func TestOutStaysInside(t *testing.T) {
	v := mustOpen(t, pack(t, map[string]string{"d/file": "evil", "d/sub/x": "evil"}), Options{})
	out, outside := t.TempDir(), tree(t, map[string]string{"file": "good", "sub/": ""})
	if err := errors.Join(os.Mkdir(filepath.Join(out, "d"), 0o755), os.Symlink(filepath.Join(outside, "file"), filepath.Join(out, "d/file")),
		os.Symlink(filepath.Join(outside, "sub"), filepath.Join(out, "d/sub"))); err != nil {
		t.Fatal(err)
	}
	if _, err := v.FS.Out("d", out, true); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(outside, "file")); string(b) != "good" || err != nil {
		t.Errorf("outside: %q, %v", b, err)
	}
	if list, err := os.ReadDir(filepath.Join(outside, "sub")); len(list) > 0 || err != nil {
		t.Errorf("outside: %v, %v", list, err)
	}
	if b, err := os.ReadFile(filepath.Join(out, "d/sub/x")); string(b) != "evil" || err != nil {
		t.Errorf("inside: %q, %v", b, err)
	}
}

func TestChanges(t *testing.T) {
	path := create(t, CreateOptions{Size: 4 << 20})
	host := tree(t, map[string]string{"f": "one", "long": strings.Repeat("x", 5000)})
	steps := func(f FS) error {
		_, err := f.In(filepath.Join(host, "f"), "x/y/new", false)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("into a directory that is missing: %v", err)
		}
		if err := f.Mkdir("x/y", false); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("mkdir below nothing: %v", err)
		}
		if err := errors.Join(f.Mkdir("x/y", true), f.Mkdir("x/y", true)); err != nil {
			t.Error(err)
		}
		if err := f.Mkdir("x", false); !errors.Is(err, fs.ErrExist) {
			t.Errorf("mkdir twice: %v", err)
		}
		if _, err := f.In(filepath.Join(host, "long"), "x/y/new", false); err != nil {
			t.Error(err)
		}
		if _, err := f.In(filepath.Join(host, "f"), "x/y/new", false); err != nil {
			t.Error(err)
		}
		if b, err := fs.ReadFile(f, "x/y/new"); string(b) != "one" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		if _, err := f.In(filepath.Join(host, "f"), "x", false); err != nil {
			t.Error(err)
		}
		if _, err := f.Stat("x/f"); err != nil {
			t.Error(err)
		}
		if err := f.Remove("x", false); err == nil || !strings.Contains(hint.Of(err), "-r") {
			t.Errorf("remove a directory without -r: %v", err)
		}
		if err := f.Remove(".", true); err == nil {
			t.Error("the root was removed")
		}
		if err := f.Remove("none", true); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("remove nothing: %v", err)
		}
		return f.Remove("x", true)
	}
	if err := change(t, path, Options{}, steps); err != nil {
		t.Error(err)
	}
	fsck(t, path)
	if list, err := fs.ReadDir(mustOpen(t, path, Options{}).FS, "."); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// A copy replaces a link, whatever it is of; a link keeps its time.
func TestInReplacesLinks(t *testing.T) {
	path := create(t, CreateOptions{Size: 4 << 20})
	links := tree(t, map[string]string{"in/target/": "", "in/file": "->target", "in/dir": "->target", "in/link": "->target", "in/old": "text"})
	host := tree(t, map[string]string{"in/file": "F", "in/dir/x": "X", "in/link": "->new", "in/old": "->new"})
	at := unix.Timespec{Sec: 1_600_000_000}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(host, "in/link"), []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{links, host} {
		if err := change(t, path, Options{}, func(f FS) error {
			_, err := f.In(filepath.Join(dir, "in"), ".", true)
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	fsck(t, path)
	v := mustOpen(t, path, Options{})
	for name, want := range map[string]string{"in/file": "F", "in/dir/x": "X"} {
		if b, err := fs.ReadFile(v.FS, name); string(b) != want || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	for _, name := range []string{"in/link", "in/old"} {
		if to, err := v.FS.ReadLink(name); to != "new" || err != nil {
			t.Errorf("%s leads to %q, %v", name, to, err)
		}
	}
	if i, err := v.FS.Lstat("in/link"); err != nil || i.ModTime().Unix() != 1_600_000_000 {
		t.Errorf("the link: %v, %v", i, err)
	}
	if list, err := fs.ReadDir(v.FS, "in/target"); err != nil || len(list) > 0 {
		t.Errorf("where the links led: %v, %v", list, err)
	}
}

// A full volume says so, and what is on it can be read and removed.
func TestFull(t *testing.T) {
	path := create(t, CreateOptions{Size: 4 << 20})
	host := tree(t, map[string]string{"small": "s", "big": strings.Repeat("x", 5<<20)})
	err := change(t, path, Options{}, func(f FS) error {
		if _, err := f.In(filepath.Join(host, "small"), ".", false); err != nil {
			t.Fatal(err)
		}
		_, err := f.In(filepath.Join(host, "big"), ".", false)
		return err
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("copy of more than there is room for: %v", err)
	}
	fsck(t, path)
	if err := change(t, path, Options{}, func(f FS) error {
		if b, err := fs.ReadFile(f, "small"); string(b) != "s" || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		if _, err := f.Stat("big"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a part of what did not fit was left: %v", err)
		}
		return f.Remove("small", false)
	}); err != nil {
		t.Error(err)
	}
	fsck(t, path)
}

func TestCreateRefuses(t *testing.T) {
	key := filepath.Join(tree(t, map[string]string{"key": "k", "empty": ""}), "key")
	for _, c := range []struct {
		o   CreateOptions
		err string
	}{
		{CreateOptions{Size: 1 << 20}, "too small"},
		{CreateOptions{Size: 3 << 20, KeyFile: key}, "too small"},
		{CreateOptions{Size: 1 << 50}, "too large"},
		{CreateOptions{Size: 4 << 20, Label: strings.Repeat("x", 17)}, "more than 16 bytes"},
		{CreateOptions{Size: 8 << 20, KeyFile: filepath.Dir(key) + "/empty"}, "is empty"},
	} {
		path := filepath.Join(t.TempDir(), "v")
		if err := Create(path, c.o); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %v, want %s", c.o, err, c.err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%+v: a file was left", c.o)
		}
	}
	path := create(t, CreateOptions{Size: 4 << 20})
	if err := Create(path, CreateOptions{Size: 4 << 20}); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("over another: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error("the other one is gone")
	}
}

// An encrypted volume is ext4 to whoever has the key: also to QEMU and e2fsck.
func TestCreateEncrypted(t *testing.T) {
	keys := tree(t, map[string]string{"key": "a secret", "wrong": "another"})
	o := Options{KeyFile: filepath.Join(keys, "key")}
	dir := tree(t, files)
	path := create(t, CreateOptions{Size: 12 << 20, KeyFile: o.KeyFile})
	copyIn(t, path, dir, o)
	r, err := Check(path, o)
	if err != nil || len(r.Problems) > 0 || r.Kind != Ext4 || r.Encryption == nil || len(r.Encryption.Keys) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := Describe(path, Options{}); err != nil || r.Kind != Encrypted || r.Encryption == nil {
		t.Errorf("without the key: %+v, %v", r, err)
	}
	if _, err := Check(path, Options{}); err == nil || !strings.Contains(err.Error(), "it is encrypted") {
		t.Errorf("check without the key: %v", err)
	}
	data, err := os.ReadFile(path)
	if err != nil || bytes.Contains(data, []byte(files["d/b"][:64])) {
		t.Errorf("the contents are there in clear (%v)", err)
	}
	plain := filepath.Join(t.TempDir(), "plain")
	qemu := xtest.NeedCommand(t, "qemu-img", "qemu-utils")
	if out, err := exec.Command(qemu, "convert", "--object", "secret,id=k,file="+o.KeyFile, "--image-opts",
		"driver=luks,key-secret=k,file.filename="+path, "-O", "raw", plain).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v\n%s", err, out)
	}
	fsck(t, plain)
	out := t.TempDir()
	if _, err := mustOpen(t, plain, Options{}).FS.Out("in", out, true); err != nil {
		t.Fatal(err)
	}
	same(t, dir, filepath.Join(out, "in"))
}

func TestCheckFindsDamage(t *testing.T) {
	path := create(t, CreateOptions{Size: 4 << 20})
	copyIn(t, path, tree(t, map[string]string{"name-to-find": "x", "other": "y"}), Options{})
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(at int, with string) {
		b := bytes.Clone(good)
		copy(b[at:], with)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The last place is the directory's: the first ones may be the journal's.
	spoil(bytes.LastIndex(good, []byte("name-to-find")), "NAME")
	r, err := Check(path, Options{})
	if err != nil || len(r.Problems) == 0 {
		t.Errorf("a directory with a wrong checksum: %+v, %v", r, err)
	}
	spoil(1024+100, "\xff\xff\xff\xff")
	if r, err := Check(path, Options{}); err != nil || len(r.Problems) == 0 {
		t.Errorf("a superblock with a wrong checksum: %+v, %v", r, err)
	}
}
