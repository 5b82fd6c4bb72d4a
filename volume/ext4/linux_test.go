package ext4_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tailor-os/tailor/internal/xtest"
	"github.com/tailor-os/tailor/volume/cuttest"
	"github.com/tailor-os/tailor/volume/ext4"
)

// check fails t if Check finds anything.
func check(t testing.TB, d *cuttest.Disk) {
	t.Helper()
	problems, err := ext4.Check(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error("check:", p)
	}
	if len(problems) > 0 {
		t.FailNow()
	}
}

// Volumes that mke2fs makes can be read, checked, written, and stay clean.
func TestMke2fs(t *testing.T) {
	for _, args := range [][]string{
		{"-t", "ext4"}, {"-t", "ext4", "-b", "4096"}, {"-t", "ext4", "-b", "1024", "-O", "^64bit"},
		{"-t", "ext4", "-O", "^metadata_csum"}, {"-t", "ext4", "-O", "metadata_csum_seed"}, {"-t", "ext4", "-I", "128"},
		{"-t", "ext4", "-O", "orphan_file"}, {"-t", "ext4", "-O", "^flex_bg,^resize_inode"}, {"-t", "ext4", "-b", "2048"},
	} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			d := mke2fs(t, 40<<20, args...)
			check(t, d)
			w := &walker{t: t, r: rand.New(rand.NewPCG(3, 0)), m: newModel(), max: 30000}
			for range 2 {
				w.fs = open(t, d, ext4.Options{CacheBytes: 1 << 20})
				if why := w.fs.ReadOnly(); why != "" {
					t.Fatal(why)
				}
				for range 300 {
					w.step()
				}
				w.compareAll()
				closeFS(t, w.fs)
				check(t, d)
				fsck(t, d.Bytes())
			}
		})
	}
}

// What is not known is refused, or read only.
func TestFeaturesRefused(t *testing.T) {
	for feature, want := range map[string]string{
		"inline_data": "inline_data", "meta_bg,^resize_inode": "meta_bg", "bigalloc": "clusters", "encrypt": "encrypt",
	} {
		_, err := ext4.Open(mke2fs(t, 40<<20, "-t", "ext4", "-O", feature), ext4.Options{})
		if err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%s: %v", feature, err)
		}
	}
	for _, args := range [][]string{{"-t", "ext2"}, {"-t", "ext4", "-O", "^has_journal"}, {"-t", "ext4", "-O", "quota"}, {"-t", "ext3"}} {
		fs, err := ext4.Open(mke2fs(t, 40<<20, args...), ext4.Options{})
		if err != nil {
			t.Errorf("%v: %v", args, err)
			continue
		}
		root, _ := fs.Root()
		if _, err := root.Create("x", ext4.Attr{Mode: ext4.ModeReg}, ""); err != ext4.EROFS || fs.ReadOnly() == "" {
			t.Errorf("%v: create: %v, read-only because %q", args, err, fs.ReadOnly())
		}
		if names := list(t, root); len(names) != 1 || names[0] != "lost+found" {
			t.Errorf("%v: %q", args, names)
		}
	}
}

func list(t testing.TB, dir *ext4.Inode) (names []string) {
	t.Helper()
	if err := dir.ReadDir(0, func(e ext4.DirEntry) bool { names = append(names, e.Name); return true }); err != nil {
		t.Fatal(err)
	}
	return names
}

// mount mounts a volume with Linux's own ext4 and calls use with the path.
func mount(t *testing.T, d *cuttest.Disk, use func(dir string)) {
	t.Helper()
	xtest.NeedRoot(t)
	name, dir := image(t, d.Bytes()), filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "ext4", "-o", "loop", name, dir).CombinedOutput(); err != nil {
		t.Skipf("loop mounts of ext4 are not possible here: %v: %s", err, out)
	}
	use(dir)
	if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
		t.Fatalf("umount: %v: %s", err, out)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	copy(d.Bytes(), data)
}

// Linux mounts what we made, we read what it wrote, in turns.
func TestLinuxMount(t *testing.T) {
	for _, d := range []*cuttest.Disk{newDisk(t, 8<<20), newDisk(t, 64<<20), mke2fs(t, 64<<20, "-t", "ext4")} {
		fs := open(t, d, ext4.Options{})
		root, _ := fs.Root()
		in, err := root.Create("ours", ext4.Attr{Mode: ext4.ModeReg | 0o640, UID: 70000}, "")
		if err != nil {
			t.Fatal(err)
		}
		text := bytes.Repeat([]byte("from tailor\n"), 5000)
		if _, err := in.WriteAt(text, 1<<20); err != nil {
			t.Fatal(err)
		}
		if _, err := root.Create("link", ext4.Attr{Mode: ext4.ModeLink | 0o777}, "ours"); err != nil {
			t.Fatal(err)
		}
		closeFS(t, fs)
		mount(t, d, func(dir string) {
			got, err := os.ReadFile(filepath.Join(dir, "link"))
			if err != nil || !bytes.Equal(got[1<<20:], text) {
				t.Errorf("Linux reads %d bytes, %v", len(got), err)
			}
			for i := range 500 { // an index, where mke2fs says so
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("a rather long name of a file %d", i)), []byte(fmt.Sprint(i)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Remove(filepath.Join(dir, "ours")); err != nil {
				t.Fatal(err)
			}
		})
		check(t, d)
		fs = open(t, d, ext4.Options{})
		root, _ = fs.Root()
		for i := range 500 {
			in, err := root.Lookup(fmt.Sprintf("a rather long name of a file %d", i))
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 10)
			if n, err := in.ReadAt(p, 0); string(p[:n]) != fmt.Sprint(i) || err != nil {
				t.Fatalf("%d: %q, %v", i, p[:n], err)
			}
			if i%2 == 0 {
				if err := root.Unlink(fmt.Sprintf("a rather long name of a file %d", i), false); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range 300 {
			if _, err := root.Create(fmt.Sprintf("another rather long name %d", i), ext4.Attr{Mode: ext4.ModeReg | 0o600}, ""); err != nil {
				t.Fatal(err)
			}
		}
		closeFS(t, fs)
		check(t, d)
		fsck(t, d.Bytes())
		mount(t, d, func(dir string) {
			names, err := os.ReadDir(dir)
			if err != nil || len(names) != 1+1+250+300 {
				t.Errorf("%d names, %v", len(names), err)
			}
		})
		fsck(t, d.Bytes())
	}
}

// What Linux has allocated and not written (fallocate) reads as zeros, and can be
// written in pieces; times far away, device files and attributes are kept.
func TestLinuxUnwritten(t *testing.T) {
	tool := xtest.NeedCommand(t, "fallocate", "util-linux")
	d := mke2fs(t, 64<<20, "-t", "ext4", "-b", "4096")
	mount(t, d, func(dir string) {
		if out, err := exec.Command(tool, "-l", "3MiB", filepath.Join(dir, "file")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, args := range [][]string{
			{"mknod", filepath.Join(dir, "null"), "c", "1", "3"}, {"mknod", filepath.Join(dir, "big"), "b", "300", "70000"},
			{"touch", "-d", "2300-01-02 03:04:05.678901234 UTC", filepath.Join(dir, "late")},
			{"touch", "-d", "1910-01-02 03:04:05.5 UTC", filepath.Join(dir, "early")},
		} {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v: %s", args, err, out)
			}
		}
	})
	want := make([]byte, 3<<20)
	fs := open(t, d, ext4.Options{CacheBytes: ext4.MinCache})
	root, _ := fs.Root()
	in, err := root.Lookup("file")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(4, 4))
	for range 60 {
		p := make([]byte, 1+r.IntN(20000))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		off := r.IntN(len(want) - len(p))
		copy(want[off:], p)
		if _, err := in.WriteAt(p, int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, len(want))
	if n, err := in.ReadAt(got, 0); n != len(want) || err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d, %v, differ at %d", n, err, differ(got, want))
	}
	for name, want := range map[string]ext4.Attr{
		"null": {Rdev: 1<<8 | 3}, "big": {Rdev: 300<<8 | 70000&0xFF | 70000&^0xFF<<12},
		"late": {Mtime: 9223372036854775807}, "early": {Mtime: -1893358554500000000},
	} {
		in, err := root.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		a := in.Attr()
		if a.Rdev != want.Rdev || want.Mtime < 0 && a.Mtime != want.Mtime || want.Mtime > 0 && a.Mtime < want.Mtime-2e9 {
			t.Errorf("%s: %+v", name, a)
		}
	}
	closeFS(t, fs)
	check(t, d)
	fsck(t, d.Bytes())
	mount(t, d, func(dir string) {
		got, err := os.ReadFile(filepath.Join(dir, "file"))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("Linux reads %d bytes, %v", len(got), err)
		}
		if st, err := os.Stat(filepath.Join(dir, "late")); err != nil || st.ModTime().UTC().Year() != 2300 {
			t.Errorf("late: %v, %v", st, err)
		}
	})
}

// Linux replays our journal after a crash.
func TestLinuxReplays(t *testing.T) {
	w := newWorker(t, 16<<20, 21, ext4.Options{})
	for range 120 {
		w.step()
	}
	w.must(w.fs.Sync())
	mount(t, w.d, func(dir string) {
		for i := range workNames {
			got, err := os.ReadFile(filepath.Join(dir, w.dir, workName(i)))
			switch c := w.files[workName(i)]; {
			case c == nil && !os.IsNotExist(err):
				t.Errorf("%s is there: %v", workName(i), err)
			case c != nil && (err != nil || !bytes.Equal(got, c.data)):
				t.Errorf("%s: %d bytes, want %d (%v)", workName(i), len(got), len(c.data), err)
			}
		}
	})
	check(t, w.d)
	fsck(t, w.d.Bytes())
}
