package archive

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/boot/files"
	"github.com/tailor-os/tailor/libos"
)

// tree makes files in a new folder: a name that ends in "/" is a folder, a text
// that begins with "-> " a link.
func tree(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasSuffix(name, "/") {
			err = os.MkdirAll(file, 0o755)
		} else if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(target, file)
		} else {
			err = os.WriteFile(file, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// mappings parses SRC:DST arguments.
func mappings(t *testing.T, dir string, args ...string) (list []Mapping) {
	t.Helper()
	for _, arg := range args {
		m, err := Parse(arg, dir)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}

// write makes an archive and returns its bytes.
func write(t *testing.T, epoch *int64, list []Mapping) []byte {
	t.Helper()
	a, err := New(list, epoch)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := a.Write(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	if uint64(b.Len()) != a.Bytes() || b.Len()%abi.PageSize != 0 {
		t.Fatalf("%d bytes were written, it says %d", b.Len(), a.Bytes())
	}
	return b.Bytes()
}

// show lists a tree as the guest sees it, one node a line.
func show(t *testing.T, data []byte) string {
	t.Helper()
	a, err := files.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	var walk func(path string, d libos.Directory)
	walk = func(path string, d libos.Directory) {
		for after := int64(0); ; {
			e, ok, errno := d.Next(after)
			if errno != 0 {
				t.Fatalf("%s: errno %d", path, errno)
			}
			if !ok {
				return
			}
			after = e.Cookie
			n, errno := d.Lookup(e.Name)
			if errno != 0 {
				t.Fatalf("%s%s: errno %d", path, e.Name, errno)
			}
			lines = append(lines, path+e.Name+" "+describe(t, n))
			if sub, ok := n.(libos.Directory); ok {
				walk(path+e.Name+"/", sub)
				if up, name := sub.Parent(); up != d || name != e.Name {
					t.Errorf("%s%s: its parent is another, by name %s", path, e.Name, name)
				}
			}
		}
	}
	walk("/", a.Root())
	return strings.Join(lines, "\n")
}

func describe(t *testing.T, n libos.Node) string {
	a, errno := n.Attr()
	if errno != 0 {
		t.Fatalf("errno %d", errno)
	}
	s := fmt.Sprintf("%o %d", a.Mode, a.Mtime.Sec)
	if l, ok := n.(libos.Symlink); ok {
		target, _ := l.Readlink()
		return s + " -> " + target
	}
	if a.Mode&libos.ModeFmt == libos.ModeReg {
		f, errno := n.Open(0)
		if errno != 0 {
			t.Fatalf("errno %d", errno)
		}
		b := make([]byte, a.Size+10)
		k, _ := f.Read(b)
		s += fmt.Sprintf(" %.20q %d", b[:k], k)
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	big := strings.Repeat("big file ", 1000)
	page := strings.Repeat("p", abi.PageSize)
	dir := tree(t, map[string]string{
		"static/index.html": "<html>", "static/a/b/c": "deep", "static/empty": "", "static/big": big,
		"static/page": page, "static/link": "-> a/b/c", "static/gone": "-> /nowhere", "static/none/": "",
		"conf": "x=1", "more/z": "z", "static/.hidden": "h", "static/ä ö": "umlaut",
	})
	os.Chmod(filepath.Join(dir, "conf"), 0o4755)
	got := show(t, write(t, nil, mappings(t, dir, "static:/srv/www", "conf:/etc/app/", "more:/srv", "conf:/srv/www/a/conf.x")))
	want := strings.Join([]string{
		`/etc 40755 0`, `/etc/app 40755 0`, `/etc/app/conf 100755 0 "x=1" 3`,
		`/srv 40755 0`, `/srv/www 40755 0`, `/srv/www/.hidden 100644 0 "h" 1`,
		`/srv/www/a 40755 0`, `/srv/www/a/b 40755 0`, `/srv/www/a/b/c 100644 0 "deep" 4`, `/srv/www/a/conf.x 100755 0 "x=1" 3`,
		`/srv/www/big 100644 0 "big file big file bi" 9000`, `/srv/www/empty 100644 0 "" 0`,
		`/srv/www/gone 120777 0 -> /nowhere`, `/srv/www/index.html 100644 0 "<html>" 6`,
		`/srv/www/link 120777 0 -> a/b/c`, `/srv/www/none 40755 0`,
		`/srv/www/page 100644 0 "pppppppppppppppppppp" 4096`, `/srv/www/ä ö 100644 0 "umlaut" 6`, `/srv/z 100644 0 "z" 1`,
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSameBytes makes the same files in two places, at different times.
func TestSameBytes(t *testing.T) {
	texts := map[string]string{"s/a": "a", "s/b/c": "c", "s/b/d": strings.Repeat("d", 9000), "t": "t"}
	one, two := tree(t, texts), tree(t, texts)
	year := time.Now().AddDate(1, 0, 0)
	if err := os.Chtimes(filepath.Join(two, "t"), year, year); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"t": 0o600, "s/b": 0o700, "s/b/c": 0o664} { // as another umask has it
		if err := os.Chmod(filepath.Join(two, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	a := write(t, nil, mappings(t, one, "s:/s", "t:/t"))
	if b := write(t, nil, mappings(t, two, "t:/t", "s:/s")); !bytes.Equal(a, b) {
		t.Error("the same files in other places give other bytes")
	}
	epoch := int64(86400)
	if b := write(t, &epoch, mappings(t, two, "t:/t")); !bytes.Equal(b, write(t, &epoch, mappings(t, one, "t:/t"))) {
		t.Error("the same file of another time gives other bytes with SOURCE_DATE_EPOCH")
	}
	if got := show(t, write(t, &epoch, mappings(t, one, "t:/t"))); got != `/t 100644 86400 "t" 1` {
		t.Errorf("with SOURCE_DATE_EPOCH: %s", got)
	}
}

func TestPages(t *testing.T) {
	size := []int{1, 4095, 4096, 4097, 100000, 3}
	texts := map[string]string{}
	for i, n := range size {
		texts[fmt.Sprint(i)] = strings.Repeat("x", n)
	}
	a, err := New(mappings(t, tree(t, texts), ".:/d"), nil)
	if err != nil {
		t.Fatal(err)
	}
	end := uint64(0)
	for _, n := range a.nodes {
		if n.size >= abi.PageSize && n.start%abi.PageSize != 0 {
			t.Errorf("%s of %d bytes begins at %#x, not on a page of its own", n.name, n.size, n.start)
		}
		end += n.size
	}
	if a.Files() != len(size) || a.Bytes() > end+uint64(len(size)+1)*abi.PageSize {
		t.Errorf("%d files of %d bytes together take %d", a.Files(), end, a.Bytes())
	}
}

func TestRefused(t *testing.T) {
	dir := tree(t, map[string]string{"f": "f", "g": "g", "d/x": "x", "e/x": "x", "fifo/": "", "deep/er/": "", "l": "-> f", "dangling": "-> none"})
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo/p"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "deep/er/s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct{ args, want string }{
		{"f", "does not name an absolute path"},
		{"f:rel", "does not name an absolute path"},
		{":/x", "does not name an absolute path"},
		{"none:/x", "no such file or directory"},
		{"dangling:/x", "no such file or directory"},
		{"f:/", ""}, // /f
		{"d:/", "/ is the guest's own"},
		{"d:/etc/../", "/ is the guest's own"},
		{"d:/tmp", "/tmp is the guest's own"},
		{"f:/dev/f", "/dev is the guest's own"},
		{"f:/run/secrets/f", "/run/secrets is the guest's own"},
		{"f:/proc/self/exe", "/proc is the guest's own"},
		{"f:/a g:/a", "both put something at /a"},
		{"f:/a g:/a/b", "both put something at /a"},
		{"f:/a/b g:/a", "both put something at /a"},
		{"d:/a e:/a", "both put something at /a"},
		{"d:/a f:/a/x", "both put something at /a/x"},
		{"f:/a/x d:/a", "both put something at /a/x"},
		{"f:/" + strings.Repeat("n", 256), "has 256 bytes, more than 255"},
		{"f:/" + strings.Repeat("n/", 2048) + "x", "more than 4095"},
		{"fifo:/a", "fifo/p is a named pipe"},
		{"deep:/a", "deep/er/s is a socket"},
		{"l:/a", ""},
	} {
		err := tryAll(dir, strings.Fields(c.args))
		switch {
		case err == nil && c.want != "":
			t.Errorf("%.60s: accepted", c.args)
		case err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%.60s: %v, want %s", c.args, err, c.want)
		}
	}
}

func tryAll(dir string, args []string) error {
	var list []Mapping
	for _, arg := range args {
		m, err := Parse(arg, dir)
		if err != nil {
			return err
		}
		list = append(list, m)
	}
	_, err := New(list, nil)
	return err
}

func TestUnreadable(t *testing.T) {
	dir := tree(t, map[string]string{"f": "four"})
	for _, c := range []struct {
		do   func(file string) error
		want string
	}{
		{func(f string) error { return os.Truncate(f, 3) }, "changed its size"},
		{func(f string) error { return os.Truncate(f, 5) }, "changed its size"},
		{os.Remove, "no such file"},
	} {
		file := filepath.Join(dir, "f")
		if err := os.WriteFile(file, []byte("four"), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := New(mappings(t, dir, "f:/f"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.do(file); err != nil {
			t.Fatal(err)
		}
		if err := a.Write(context.Background(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "f:/f") {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
