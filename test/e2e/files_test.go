package e2e

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const filesGuest = "./testdata/filesguest"

// buildWith builds an image with flags of its own.
func buildWith(t *testing.T, env []string, pkg string, flags ...string) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), "test.img")
	args := append(append([]string{"build", "-o", img}, flags...), pkg)
	if _, stderr, code := runIn(t, ".", env, args...); code != 0 {
		t.Fatal(stderr)
	}
	return img
}

// bigFile makes a file of random bytes and returns its checksum.
func bigFile(t *testing.T, path string, size int) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	var seed [32]byte
	r, buf := rand.NewChaCha8(seed), make([]byte, 1<<20)
	for n := size; n > 0; n -= len(buf) {
		buf = buf[:min(len(buf), n)]
		r.Read(buf)
		h.Write(buf)
		if _, err := f.Write(buf); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%d %x\n", size, h.Sum(nil))
}

// Files that came with an image are there as they were, cannot be changed, and
// take no memory of the guest.
func TestFiles(t *testing.T) { each(t, testFiles, ownFiles, computing) }

func testFiles(t *testing.T, on target) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"static/index.html": "<html>", "static/sub/x": "x", "conf": "x=1"})
	if err := os.Symlink("sub/x", filepath.Join(dir, "static/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "conf"), 0o700); err != nil {
		t.Fatal(err)
	}
	size := 300<<20 + 5
	if !on.has(bigFiles) {
		size = 8<<20 + 5
	}
	big := bigFile(t, filepath.Join(dir, "big"), size)
	flags := []string{"--file", dir + "/static:/srv/www", "--file", dir + "/conf:/etc/app/", "--file", dir + "/big:/data/big"}
	img := on.buildWith(t, nil, filesGuest, flags...)

	on.run(t, img, "list", "/srv").want(t, 0, []string{
		". drwxr-xr-x", "www drwxr-xr-x 0\nwww/index.html -rw-r--r-- 0\nwww/link Lrwxrwxrwx 0\nwww/sub drwxr-xr-x 0\nwww/sub/x -rw-r--r-- 0\n"}, nil)
	on.run(t, img, "list", "/etc/app").want(t, 0, []string{"conf -rwxr-xr-x 0\n"}, nil)
	conf := fmt.Sprintf("3 %x\n", sha256.Sum256([]byte("x=1")))
	x := fmt.Sprintf("1 %x\n", sha256.Sum256([]byte("x")))
	on.run(t, "-m", "32M", img, "sum", "/etc/app/conf", "/srv/www/link", "/data/big").want(t, 0, []string{conf + x + big}, nil)
	on.run(t, "-m", "32M", img, "mapped", "/data/big").want(t, 0, []string{big}, nil)
	on.run(t, "-m", "32M", img, "mapped", "/etc/app/conf").want(t, 0, []string{conf}, []string{"x=1"})
	on.run(t, img, "serve", "/srv/www", "/").want(t, 0, []string{`200 "" "text/html; charset=utf-8" <html>`}, nil)
	r := on.run(t, img, "change", "/srv/www/sub/x")
	if got := strings.Count(r.stdout, "read-only file system"); r.code != 0 || got != 7 || strings.Count(r.stdout, "invalid cross-device link") != 2 || strings.Contains(r.stdout, "<nil>") {
		t.Errorf("a folder's file, exit code %d:\n%s", r.code, r.stdout)
	}
	r = on.run(t, img, "change", "/etc/app/conf")
	if strings.Count(r.stdout, "read-only file system") != 4 || strings.Count(r.stdout, "device or resource busy") != 3 || !strings.HasSuffix(r.stdout, "<nil>\n") {
		t.Errorf("a file, exit code %d:\n%s", r.code, r.stdout)
	}
	t.Run("run", func(t *testing.T) {
		on.run(t, "--file", dir+"/conf:/c", filesGuest, "sum", "/c").want(t, 0, []string{conf}, nil)
	})
	t.Run("boot", func(t *testing.T) { bootCost(t, on, img, dir) })
	t.Run("same", func(t *testing.T) {
		env := []string{"SOURCE_DATE_EPOCH=1000000000"}
		a := on.buildWith(t, env, filesGuest, flags[:4]...)
		b := on.buildWith(t, env, filesGuest, flags[2], flags[3], flags[0], flags[1])
		one, _ := os.ReadFile(a)
		two, _ := os.ReadFile(b)
		if len(one) == 0 || string(one) != string(two) {
			t.Error("the same files give two images")
		}
		on.run(t, a, "list", "/etc/app").want(t, 0, []string{"conf -rwxr-xr-x 1000000000\n"}, nil)
	})
}

// bootCost compares starts of the image with big files to one with a small one.
func bootCost(t *testing.T, on target, img, dir string) {
	on.must(t, bigFiles)
	small := on.buildWith(t, nil, filesGuest, "--file", dir+"/conf:/conf")
	median := func(img string) time.Duration {
		var list []time.Duration
		for range 11 {
			r := on.run(t, img, "nothing")
			if r.code != 0 {
				t.Fatal(r.stderr)
			}
			list = append(list, r.took)
		}
		slices.Sort(list)
		return list[len(list)/2]
	}
	a, b := median(small), median(img)
	t.Logf("a start with a small file %v, with 300 MiB %v", a, b)
	if b > a*3/2+20*time.Millisecond {
		t.Errorf("300 MiB of files make a start of %v one of %v", a, b)
	}
}

// What cannot go into an image is refused with the reason.
func TestFilesRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"f": "f"})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"build", "-t", "unix", "--file", dir + "/f:/f"}, "a plain program (target unix) carries no files"},
		{[]string{"build", "--file", dir + "/none:/f"}, "no such file or directory"},
		{[]string{"build", "--file", dir + "/f"}, "does not name an absolute path in the image"},
		{[]string{"build", "--file", dir + "/f:/f", "--file", dir + "/f:/f"}, "both put something at /f"},
		{[]string{"run", "--file", "/dev:/d"}, "only files, folders and symbolic links go into an image"},
	} {
		r := run(t, append(c.args, filesGuest)...)
		if r.code != 125 || !strings.Contains(r.stderr, c.want) || !strings.Contains(r.stderr, "tailor: error: --file ") {
			t.Errorf("%q: exit code %d\n%s", c.args, r.code, r.stderr)
		}
	}
}
