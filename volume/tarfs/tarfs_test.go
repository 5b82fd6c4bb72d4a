package tarfs

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/block/blocktest"
	"github.com/tailor-os/tailor/internal/xtest"
)

// e is an entry for pack.
type e struct {
	kind       byte
	name, text string // text is contents, or where a link leads
}

// pack makes an archive.
func pack(t testing.TB, format tar.Format, entries ...e) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, e := range entries {
		h := &tar.Header{Typeflag: e.kind, Name: e.name, Mode: 0o640, Uid: 7, Gid: 8, ModTime: time.Unix(int64(1000+i), 0), Format: format}
		if e.kind == tar.TypeReg {
			h.Size = int64(len(e.text))
		} else {
			h.Linkname = e.text
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(e.text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, data []byte) *FS {
	t.Helper()
	fs, err := Open(blocktest.Of(data))
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

// contents returns all of file i.
func contents(t testing.TB, fs *FS, i Ino) string {
	t.Helper()
	b := make([]byte, fs.Stat(i).Size+1)
	n, err := fs.ReadAt(i, b, 0)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// list writes the tree below i, a line a file.
func list(t testing.TB, fs *FS, i Ino, path string) (lines []string) {
	t.Helper()
	for n := 0; ; n++ {
		name, ino, ok := fs.Entry(i, n)
		if !ok {
			return lines
		}
		if again, ok := fs.Lookup(i, name); !ok || again != ino {
			t.Errorf("%s%s: lookup finds another", path, name)
		}
		info := fs.Stat(ino)
		switch info.Mode & TypeMask {
		case TypeDir:
			if up, as := fs.Parent(ino); up != i || as != name {
				t.Errorf("%s%s: its parent is another", path, name)
			}
			lines = append(lines, path+name+"/")
			lines = append(lines, list(t, fs, ino, path+name+"/")...)
		case TypeSymlink:
			lines = append(lines, path+name+"->"+info.Target)
		default:
			lines = append(lines, path+name+"="+contents(t, fs, ino))
		}
	}
}

func TestTrees(t *testing.T) {
	const reg, dir, sym, hard = tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink
	long := strings.Repeat("long/", 60) + "x"
	for _, c := range []struct {
		name    string
		entries []e
		want    string // of list
		notes   string
	}{
		{"plain", []e{{dir, "./", ""}, {reg, "./a", "A"}, {dir, "d/", ""}, {reg, "d/b", "B"}, {sym, "l", "../x"}}, "a=A d/ d/b=B l->../x", ""},
		{"implied", []e{{reg, "x/y/z", "Z"}}, "x/ x/y/ x/y/z=Z", ""},
		{"absolute", []e{{reg, "/etc/passwd", "P"}, {dir, "//a//b//", ""}}, "a/ a/b/ etc/ etc/passwd=P", ""},
		{"upwards", []e{{reg, "../a", ""}, {reg, "b/../c", ""}, {reg, "..", ""}, {sym, "d", ".."}}, "d->..",
			`"../a" leads upwards|"b/../c" leads upwards|".." leads upwards`},
		{"last wins", []e{{reg, "a", "1"}, {reg, "b", "B"}, {reg, "./a", "22"}}, "a=22 b=B", ""},
		{"file over full directory", []e{{reg, "a/b", "B"}, {reg, "a", "A"}}, "a/ a/b=B", `"a" would replace a directory that is not empty`},
		{"file over empty directory", []e{{dir, "a", ""}, {reg, "a", "A"}}, "a=A", ""},
		{"directory over file", []e{{reg, "a", "A"}, {dir, "a", ""}, {reg, "a/b", "B"}}, "a/ a/b=B", ""},
		{"directory again", []e{{reg, "a/b", "B"}, {dir, "a", ""}}, "a/ a/b=B", ""},
		{"through a file", []e{{reg, "a", "A"}, {reg, "a/b", "B"}}, "a=A", `"a/b" leads through a, which is no directory`},
		{"through a link", []e{{sym, "a", "/etc"}, {reg, "a/passwd", "B"}}, "a->/etc", `"a/passwd" leads through a, which`},
		{"hard links", []e{{reg, "d/a", "A"}, {hard, "b", "/d/a"}, {sym, "s", "b"}, {hard, "c", "s"}}, "b=A c->b d/ d/a=A s->b", ""},
		{"hard link to nothing", []e{{hard, "b", "a"}, {reg, "a", "A"}}, "a=A", `"b" is a link to what has not come before: a`},
		{"hard link to a directory", []e{{dir, "a", ""}, {hard, "b", "a"}}, "a/", `"b" is a link to`},
		{"hard link out", []e{{hard, "b", "../a"}}, "", `"b" is a link to`},
		{"hard link to itself", []e{{reg, "a", "A"}, {hard, "a", "a"}}, "a=A", ""},
		{"hard link over a file", []e{{reg, "a", "A"}, {reg, "b", "B"}, {hard, "b", "a"}, {reg, "a", "C"}}, "a=C b=A", ""},
		{"devices", []e{{tar.TypeChar, "c", ""}, {tar.TypeBlock, "b", ""}, {tar.TypeFifo, "f", ""}, {reg, "a", ""}}, "a=",
			`"c" is a device|"b" is a device|"f" is a pipe`},
		{"long", []e{{reg, long, "L"}, {sym, "s", long}}, "", ""},
		{"long name", []e{{reg, strings.Repeat("x", 256), ""}}, "", " has too long a name"},
	} {
		for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
			if format == tar.FormatUSTAR && strings.HasPrefix(c.name, "long") {
				continue
			}
			fs := open(t, pack(t, format, c.entries...))
			got := strings.Join(list(t, fs, 0, ""), " ")
			if c.name == "long" {
				if !strings.Contains(got, long+"=L") || !strings.HasSuffix(got, "s->"+long) {
					t.Errorf("%v %s: %s", format, c.name, got)
				}
			} else if got != c.want {
				t.Errorf("%v %s: %s, want %s", format, c.name, got, c.want)
			}
			notes, skipped := fs.Notes()
			want := strings.Split(c.notes, "|")
			if c.notes == "" {
				want = nil
			}
			if len(notes) != len(want) || skipped != len(want) {
				t.Errorf("%v %s: notes %q, want %q", format, c.name, notes, want)
				continue
			}
			for i := range want {
				if !strings.Contains(notes[i], want[i]) {
					t.Errorf("%v %s: note %q, want %q", format, c.name, notes[i], want[i])
				}
			}
		}
	}
}

func TestAttributes(t *testing.T) {
	fs := open(t, pack(t, tar.FormatPAX, e{tar.TypeReg, "a", "12345"}, e{tar.TypeLink, "b", "a"}, e{tar.TypeDir, "d/s", ""}))
	a, _ := fs.Lookup(0, "a")
	b, _ := fs.Lookup(0, "b")
	if a != b {
		t.Error("two names of one file are two files")
	}
	if got, want := fs.Stat(a), (Info{Mode: TypeRegular | 0o640, UID: 7, GID: 8, Links: 2, Size: 5, Sec: 1000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	d, _ := fs.Lookup(0, "d")
	if i := fs.Stat(d); i.Mode != TypeDir|0o755 || i.Links != 3 {
		t.Errorf("%+v", i)
	}
	if i := fs.Stat(0); i.Links != 3 {
		t.Errorf("root: %+v", i)
	}
	if fs.Len() != 5 {
		t.Errorf("%d files", fs.Len())
	}
}

// Contents are read right at any offset, on sectors of any size, and where
// buffers may not be given to the device.
func TestReadAt(t *testing.T) {
	text := make([]byte, 300_000)
	for i := range text {
		text[i] = byte(i * i >> 7)
	}
	data := pack(t, tar.FormatUSTAR, e{tar.TypeReg, "first", "x"}, e{tar.TypeReg, "a", string(text)}, e{tar.TypeReg, "b", "Y"})
	for _, sector := range []int{512, 4096} {
		for _, direct := range []bool{true, false} {
			m := blocktest.New(int64(len(data)+4095) &^ 4095)
			copy(m.Data, data)
			m.Sector = sector
			fs, err := Open(m)
			if err != nil {
				t.Fatal(err)
			}
			fs.Fixed = func([]byte) bool { return direct }
			i, _ := fs.Lookup(0, "a")
			for _, c := range []struct{ off, n int }{
				{0, 300_000}, {0, 1}, {1, 299_999}, {511, 2}, {512, 512}, {4096, 8192}, {299_999, 10}, {300_000, 1}, {1 << 40, 1}, {100, 200_001},
			} {
				p := make([]byte, c.n)
				n, err := fs.ReadAt(i, p, int64(c.off))
				want := text[min(c.off, len(text)):min(c.off+c.n, len(text))]
				if err != nil || !bytes.Equal(p[:n], want) {
					t.Errorf("sector %d, direct %v: %d bytes at %d: %d, %v", sector, direct, c.n, c.off, n, err)
				}
			}
			if n, err := fs.ReadAt(i, make([]byte, 1), -1); n != 0 || err != nil {
				t.Errorf("before the beginning: %d, %v", n, err)
			}
			m.Fail = func(string, int64, int64) error { return block.ErrIO }
			fs.ahead = ahead{}
			if _, err := fs.ReadAt(i, make([]byte, 10), 0); !errors.Is(err, block.ErrIO) {
				t.Errorf("a device that fails: %v", err)
			}
		}
	}
}

// Opening reads the headers, not the contents.
func TestOpenReadsLittle(t *testing.T) {
	m := blocktest.Of(pack(t, tar.FormatUSTAR, e{tar.TypeReg, "a", strings.Repeat("x", 10<<20)}, e{tar.TypeReg, "b", "Y"}))
	read := int64(0)
	m.Fail = func(op string, off, n int64) error { read += n; return nil }
	if _, err := Open(m); err != nil || read > 300<<10 {
		t.Errorf("%d bytes were read, %v", read, err)
	}
}

// Who reads byte by byte does not ask the device for each, and sees the same; a
// part that cannot be read is no reason to fail for what is beside it.
func TestShortReads(t *testing.T) {
	text := make([]byte, 100_000)
	for i := range text {
		text[i] = byte(i * i >> 3)
	}
	d := blocktest.Of(text)
	fs := &FS{d: d, inodes: []inode{{Info: Info{Mode: TypeRegular, Size: 90_001}, off: 512}}}
	reads := 0
	d.Fail = func(op string, off, n int64) error { reads++; return nil }
	var b [1]byte
	for i := range 90_001 {
		if n, err := fs.ReadAt(0, b[:], int64(i)); n != 1 || err != nil || b[0] != text[512+i] {
			t.Fatalf("byte %d is %d, want %d (%v)", i, b[0], text[512+i], err)
		}
	}
	if n, err := fs.ReadAt(0, b[:], 90_001); n != 0 || err != nil {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if reads > 6 {
		t.Errorf("%d reads of the device", reads)
	}
	fs.ahead = ahead{}
	d.Fail = func(op string, off, n int64) error {
		if off < 4096 && off+n > 2048 {
			return block.ErrIO
		}
		return nil
	}
	if n, err := fs.ReadAt(0, b[:], 0); n != 1 || err != nil || b[0] != text[512] {
		t.Errorf("beside what cannot be read: %d, %v", n, err)
	}
	if _, err := fs.ReadAt(0, b[:], 2048); err != block.ErrIO {
		t.Errorf("what cannot be read: %v", err)
	}
}

func TestBadArchives(t *testing.T) {
	good := pack(t, tar.FormatUSTAR, e{tar.TypeReg, "a", strings.Repeat("x", 1000)}, e{tar.TypeReg, "b", "Y"})
	change := func(at int, to string) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], to); return b }
	}
	sum := func(at int) func([]byte) []byte { // with the checksum right again
		return func(b []byte) []byte { resum(b[at:]); return b }
	}
	for _, c := range []struct {
		name  string
		spoil func(b []byte) []byte
		err   string
	}{
		{"empty", func([]byte) []byte { return nil }, "byte 0: no tar archive: there is none here"},
		{"zeros", func([]byte) []byte { return make([]byte, 512) }, "byte 0: no tar archive"},
		{"text", func([]byte) []byte { return []byte("hello, world") }, "byte 0: no tar archive"},
		{"second header", change(1536, "X"), "byte 1536: this is no header: its checksum is wrong"},
		{"cut in a file", func(b []byte) []byte { return b[:1024] }, `byte 0: the archive is cut short: "a" has 1000 bytes, the device ends at byte 1024`},
		{"cut between files", func(b []byte) []byte { return b[:1536] }, "byte 1536: the archive is cut short: no block of zeros ends it"},
		{"no trailer", func(b []byte) []byte { return b[:2560] }, "byte 2560: the archive is cut short: no block of zeros ends it"},
		{"size", func(b []byte) []byte { return sum(1536)(change(1536+124, "77777777777\x00")(b)) }, `byte 1536: the archive is cut short: "b" has 8589934591 bytes`},
		{"negative size", func(b []byte) []byte { return sum(0)(change(124, strings.Repeat("\xff", 12))(b)) }, "byte 0: the header has numbers that are none"},
		{"digits", func(b []byte) []byte { return sum(0)(change(100, "0000009\x00")(b)) }, "byte 0: the header has numbers that are none"},
		{"zeros between", func(b []byte) []byte { return append(b[:1536:1536], append(make([]byte, 512), b[1536:]...)...) }, "byte 2048: something follows a block of zeros"},
		{"pax at the end", func(b []byte) []byte { return sum(1536)(change(1536+156, "x")(b))[:2560] }, "extended header: malformed record"},
		{"gnu at the end", func(b []byte) []byte { return sum(1536)(change(1536+156, "L")(b)) }, "byte 1536: the archive ends after an extended header"},
		{"long pax", func(b []byte) []byte { b = sum(0)(change(124, "00077777777\x00")(change(156, "x")(b))); return b }, "an extended header of 16777215 bytes is too long"},
	} {
		_, err := Open(blocktest.Of(c.spoil(slices.Clone(good))))
		var as *Error
		if err == nil || !strings.Contains(err.Error(), c.err) || !errors.As(err, &as) {
			t.Errorf("%s: %v, want %s", c.name, err, c.err)
		}
	}
	// The second block of the trailer may be missing.
	if fs, err := Open(blocktest.Of(good[:3072])); err != nil || fs.Len() != 3 {
		t.Errorf("with one block of zeros: %v", err)
	}
	m := blocktest.Of(good)
	m.Fail = func(string, int64, int64) error { return block.ErrIO }
	if _, err := Open(m); !errors.Is(err, block.ErrIO) {
		t.Errorf("a device that fails: %v", err)
	}
}

// resum corrects the checksum of a header block.
func resum(b []byte) {
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// TestTar: what GNU tar packs in each of its formats is what the folder has.
func TestTar(t *testing.T) {
	program := xtest.NeedCommand(t, "tar", "tar")
	dir := t.TempDir()
	sub := filepath.Join(dir, strings.Repeat("deep/", 30))
	if err := os.MkdirAll(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"a": "A", "ä ö": strings.Repeat("text\n", 5000), strings.Repeat("n", 150): "long", "deep/b": "",
		filepath.Join(strings.Repeat("deep/", 30), "c"): "C",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o604); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "z")), os.Symlink("a/"+strings.Repeat("far/", 50), filepath.Join(dir, "s"))); err != nil {
		t.Fatal(err)
	}
	want := strings.Join(folder(t, dir), "\n")
	for _, format := range []string{"gnu", "oldgnu", "pax"} {
		file := filepath.Join(t.TempDir(), "x.tar")
		if out, err := exec.Command(program, "--format", format, "-C", dir, "-cf", file, ".").CombinedOutput(); err != nil {
			t.Fatalf("tar: %v\n%s", err, out)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fs := open(t, data)
		if got := strings.Join(list(t, fs, 0, ""), "\n"); got != want {
			t.Errorf("%s: got\n%.300s\nwant\n%.300s", format, got, want)
		}
		st, err := os.Stat(filepath.Join(dir, "a"))
		if err != nil {
			t.Fatal(err)
		}
		a, _ := fs.Lookup(0, "a")
		i := fs.Stat(a)
		if i.Sec != st.ModTime().Unix() || i.Mode&0o777 != uint32(st.Mode().Perm()) || i.Links != 2 {
			t.Errorf("%s: %+v, want %v", format, i, st)
		}
		if format == "pax" && int(i.Nsec) != st.ModTime().Nanosecond() {
			t.Errorf("%d ns, want %d", i.Nsec, st.ModTime().Nanosecond())
		}
	}
}

// folder writes the tree of a folder as list does.
func folder(t *testing.T, dir string) (lines []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		switch {
		case err != nil || name == ".":
			return err
		case d.IsDir():
			lines = append(lines, name+"/")
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			lines = append(lines, name+"->"+target)
			return err
		default:
			b, err := os.ReadFile(path)
			lines = append(lines, name+"="+string(b))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// A sparse file of either format is left out, and what follows is not.
func TestSparse(t *testing.T) {
	program := xtest.NeedCommand(t, "tar", "tar")
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(30) { // more pieces than the header has room for
		if _, err := f.WriteAt([]byte("x"), i<<20); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	if err := os.WriteFile(filepath.Join(dir, "b"), []byte("B"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--format=gnu"}, {"--format=pax", "--sparse-version=0.1"}, {"--format=pax", "--sparse-version=1.0"}} {
		file := filepath.Join(t.TempDir(), "x.tar")
		if out, err := exec.Command(program, append(args, "-S", "-C", dir, "-cf", file, "a", "b")...).CombinedOutput(); err != nil {
			t.Fatalf("tar: %v\n%s", err, out)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fs := open(t, data)
		notes, _ := fs.Notes()
		if got := strings.Join(list(t, fs, 0, ""), " "); got != "b=B" || len(notes) != 1 || !strings.Contains(notes[0], "sparse") {
			t.Errorf("%v: %s, %q", args, got, notes)
		}
	}
}

func TestManyNotes(t *testing.T) {
	var entries []e
	for i := range 150 {
		entries = append(entries, e{tar.TypeFifo, fmt.Sprint(i), ""})
	}
	notes, skipped := open(t, pack(t, tar.FormatUSTAR, entries...)).Notes()
	if len(notes) != maxNotes || skipped != 150 {
		t.Errorf("%d notes of %d", len(notes), skipped)
	}
}
