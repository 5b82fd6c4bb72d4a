package e2e

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	guestcfg "github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/hostfs"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/monitor"
	"github.com/tailor-os/tailor/internal/xtest"
)

func readBack(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s has %q, %v; want %q", path, got, err, want)
	}
}

func TestShareWrite(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/old", "to be moved")
	mustWrite(t, dir+"/gone/x/y", "to be removed")
	v := &vm{shares: []guestcfg.Share{share(dir, "/w", hostfs.ReadWrite)}}
	r := v.run(t, "write:/w/a:hello", "cat:/w/a", "append:/w/a:,b,c", "mkdir:/w/d/e", "mv:/w/old:/w/d/e/new",
		"cat:/w/d/e/new", "cat:/w/old", "ln:/w/a:/w/b", "stat:/w/a", "symlink:/w/s:d/e/new", "cat:/w/s", "readlink:/w/s",
		"rm:/w/gone", "chmod:/w/a", "truncate:/w/a", "cat:/w/b", "temp:/w", "fill:/w/d2", "mkdir:/w/d2", "fill:/w/d2",
		"mv:/w/d:/w/d3", "ls:/w", "cat:/w/d3/e/new", "fsync:/w/f", "mv:/w/a:/tmp/a")
	wantLines(t, r, "write /w/a: ok", "cat /w/a: hello", "append /w/a: at 9", "mkdir /w/d/e: ok", "mv /w/old: ok",
		"cat /w/d/e/new: to be moved", "cat /w/old: error: no such file or directory", "ln /w/a: ok",
		"stat /w/a: -rw-r----- 9 owner 0:0", "symlink /w/s: ok", "cat /w/s: to be moved", "readlink /w/s: d/e/new",
		"rm /w/gone: ok", "chmod /w/a: ok", "truncate /w/a: ok", "cat /w/b: hel", "temp /w: 5 still true",
		"fill /w/d2: error: no such file or directory", "mkdir /w/d2: ok", "fill /w/d2: ok", "mv /w/d: ok",
		"ls /w: a b d3/ s", "cat /w/d3/e/new: to be moved", "fsync /w/f: ok", "mv /w/a: error: invalid cross-device link")
	readBack(t, dir+"/b", "hel")
	readBack(t, dir+"/d3/e/new", "to be moved")
	readBack(t, dir+"/f", "on the disk")
	if st, err := os.Lstat(dir + "/a"); err != nil || st.Mode() != 0o600 {
		t.Errorf("a: %v, %v", st.Mode(), err)
	}
	t.Logf("%d exits, %d notifications", v.stats.Exits, v.stats.Notifies)
}

// The guest sees its own /etc/passwd through a link, never the host's.
func TestShareEscapes(t *testing.T) {
	outer := t.TempDir()
	dir := outer + "/shared"
	mustWrite(t, outer+"/secret", "SECRET")
	mustWrite(t, dir+"/a", "a")
	if err := errors.Join(os.Symlink("/etc/passwd", dir+"/passwd"), os.Symlink("../secret", dir+"/up"),
		os.Symlink("/proc/self/root"+outer+"/secret", dir+"/magic"), os.Symlink("..", dir+"/updir"),
		os.Symlink(outer+"/secret", dir+"/abs"), unix.Mkfifo(dir+"/fifo", 0o666)); err != nil {
		t.Fatal(err)
	}
	if l, err := net.Listen("unix", dir+"/socket"); err == nil {
		defer l.Close()
	}
	v := &vm{shares: []guestcfg.Share{share(dir, "/w", hostfs.ReadWrite)}}
	r := v.run(t, "cat:/w/passwd", "cat:/w/up", "cat:/w/magic", "cat:/w/updir/secret", "cat:/w/abs", "cat:/w/../secret",
		"ls:/w/updir/w", "cat:/w/fifo", "cat:/w/socket", "stat:/w/fifo", "write:/w/up:x", "readlink:/w/abs",
		"symlink:/w/own:../secret", "cat:/w/own", "mv:/w/updir:/w/a2", "cat:/w/a2/secret", "rm:/w/updir/secret")
	if strings.Contains(r.stdout, "SECRET") {
		t.Errorf("the guest read what is outside:\n%s", r.stdout)
	}
	for _, want := range []string{
		"cat /w/passwd: root:x:0:0:root:/root:/sbin/nologin\n", "cat /w/up: error: no such file or directory",
		"cat /w/magic: error: no such file or directory", "cat /w/updir/secret: error: no such file or directory",
		"ls /w/updir/w: a abs fifo magic passwd socket up updir\n", "cat /w/fifo: error: permission denied", "cat /w/socket: error: permission denied",
		"write /w/up: ok", "readlink /w/abs: " + outer + "/secret\n", "mv /w/updir: ok",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is not in the output:\n%s", want, r.stdout)
		}
	}
	readBack(t, outer+"/secret", "SECRET")
}

func TestShareNamed(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/old.out", "old")
	mustWrite(t, dir+"/other", "other")
	mustWrite(t, dir+"/sub/x", "x")
	v := &vm{shares: []guestcfg.Share{share(dir, "/w", hostfs.Named, "old.out", "new.out", "sub/prof")}}
	r := v.run(t, "write:/w/old.out:1", "write:/w/new.out:2", "write:/w/sub/prof:3", "write:/w/other:4", "write:/w/fresh:5",
		"append:/w/other:6", "rm:/w/other", "mkdir:/w/dir", "symlink:/w/l:x", "ln:/w/new.out:/w/l", "mv:/w/new.out:/w/l",
		"mv:/w/other:/w/new.out", "truncate:/w/other", "chmod:/w/other", "cat:/w/other", "rm:/w/old.out", "ls:/w")
	const ro = "error: read-only file system"
	wantLines(t, r, "write /w/old.out: ok", "write /w/new.out: ok", "write /w/sub/prof: ok", "write /w/other: "+ro,
		"write /w/fresh: "+ro, "append /w/other: "+ro, "rm /w/other: "+ro, "mkdir /w/dir: "+ro, "symlink /w/l: "+ro,
		"ln /w/new.out: "+ro, "mv /w/new.out: "+ro, "mv /w/other: "+ro, "truncate /w/other: "+ro, "chmod /w/other: "+ro,
		"cat /w/other: other", "rm /w/old.out: ok", "ls /w: new.out other sub/")
	readBack(t, dir+"/new.out", "2")
	readBack(t, dir+"/sub/prof", "3")
	readBack(t, dir+"/other", "other")
}

// What the guest changes in an overlay stays with the guest.
func TestShareOverlay(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/a", "first")
	mustWrite(t, dir+"/sub/b", "second")
	s := share(dir, "/w", hostfs.ReadOnly)
	s.Overlay = true
	v := &vm{shares: []guestcfg.Share{s}}
	r := v.run(t, "cat:/w/a", "append:/w/a:,more", "cat:/w/a", "write:/w/sub/c:third", "rm:/w/sub/b", "ls:/w/sub",
		"mv:/w/sub:/w/moved", "ls:/w", "cat:/w/moved/c", "truncate:/w/a", "cat:/w/a", "temp:/w", "chmod:/w/moved/c", "walk:/w")
	wantLines(t, r, "cat /w/a: first", "append /w/a: at 10", "cat /w/a: first,more", "write /w/sub/c: ok", "rm /w/sub/b: ok",
		"ls /w/sub: c", "mv /w/sub: ok", "ls /w: a moved/", "cat /w/moved/c: third", "truncate /w/a: ok", "cat /w/a: fir",
		"temp /w: 5 still true", "chmod /w/moved/c: set-user-ID was not refused", "walk /w: 2 files, 2 directories, 8 bytes")
	readBack(t, dir+"/a", "first")
	readBack(t, dir+"/sub/b", "second")
	if _, err := os.Stat(dir + "/sub/c"); !os.IsNotExist(err) {
		t.Errorf("c is on the host: %v", err)
	}
}

// More files than fit into one reply, and a tree that costs less than a request
// for each file.
func TestShareManyFiles(t *testing.T) {
	dir := t.TempDir()
	const files = 10_000
	bytes := 0
	for i := range files {
		name := fmt.Sprintf("%s/a file with a number %05d", dir, i)
		if err := os.WriteFile(name, []byte("xyz")[:i%4], 0o644); err != nil {
			t.Fatal(err)
		}
		bytes += i % 4
	}
	v := &vm{shares: []guestcfg.Share{share(dir, "/w", hostfs.ReadOnly)}}
	r := v.run(t, "walk:/w")
	wantLines(t, r, fmt.Sprintf("walk /w: %d files, 1 directories, %d bytes", files, bytes))
	if v.stats.Notifies > files/10 {
		t.Errorf("%d notifications for %d files", v.stats.Notifies, files)
	}
	t.Logf("%d notifications; %s", v.stats.Notifies, r.stderr)
}

// A file that is larger than the guest's memory.
func TestShareLargeFile(t *testing.T) {
	dir := t.TempDir()
	const size = 200 << 20
	f, err := os.Create(dir + "/large")
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8([32]byte{1}), size)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	v := &vm{shares: []guestcfg.Share{share(dir, "/w", hostfs.ReadOnly)}}
	r := v.run(t, "sum:/w/large", "time:/w/large")
	wantLines(t, r, fmt.Sprintf("sum /w/large: %d %x", size, h.Sum(nil)), "time /w/large: ok")
	t.Logf("%d notifications\n%s", v.stats.Notifies, r.stderr)
}

func TestShareParallel(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/f", strings.Repeat("parallel ", 100_000))
	mustWrite(t, dir+"/small", strings.Repeat("small ", 500))
	v := &vm{shares: []guestcfg.Share{share(dir, "/w", hostfs.ReadWrite), share(dir, "/v", hostfs.ReadOnly)}}
	r := v.run(t, "parallel:/w/f", "parallel:/v/f", "opens:/v/small")
	wantLines(t, r, "parallel /w/f: ok", "parallel /v/f: ok", "opens /v/small: ok")
	t.Log(r.stderr)
}

// What the host does meanwhile is seen, also that the folder goes away.
func TestShareHostChanges(t *testing.T) {
	dir := t.TempDir() + "/shared"
	mustWrite(t, dir+"/sub/a", "first")
	v := &vm{shares: []guestcfg.Share{share(dir, "/w", hostfs.ReadWrite)}}
	wait := v.start(context.Background(), t, "cat:/w/sub/a", "wait:/w/ready", "cat:/w/sub/a", "ls:/w/sub",
		"wait:/w/sub:gone", "cat:/w/sub/a", "ls:/w/sub", "ls:/w", "write:/w/x:y", "append:/w/sub/z:y")
	v.stdout.Await("waiting for ready")
	mustWrite(t, dir+"/sub/new", "")
	mustWrite(t, dir+"/tmp", "second")
	if err := os.Rename(dir+"/tmp", dir+"/sub/a"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // for so long names may be believed
	mustWrite(t, dir+"/ready", "")
	v.stdout.Await("waiting for sub")
	if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	const none = ": error: no such file or directory"
	wantLines(t, wait(), "cat /w/sub/a: first", "waiting for ready", "wait /w/ready: ok", "cat /w/sub/a: second",
		"ls /w/sub: a new", "waiting for sub", "wait /w/sub: ok", "cat /w/sub/a"+none, "ls /w/sub"+none,
		"ls /w"+none, "write /w/x"+none, "append /w/sub/z"+none)
}

// The guest can be stopped while it uses files.
func TestShareStop(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/f", strings.Repeat("x", 1<<20))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	v := &vm{shares: []guestcfg.Share{share(dir, "/w", hostfs.ReadWrite)}}
	many := []string{"wait:/w/f"}
	for range 2000 {
		many = append(many, "parallel:/w/f")
	}
	wait := v.start(ctx, t, many...)
	v.stdout.Await("parallel /w/f: ok")
	begin := time.Now()
	cancel()
	if r := wait(); r.code != 125 || !strings.Contains(r.stderr, "context canceled") {
		t.Errorf("exit code %d, %s", r.code, r.stderr)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// The host's error numbers are the guest's.
func TestShareErrno(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/d/x", "")
	v := &vm{shares: []guestcfg.Share{share("/proc/self", "/p", hostfs.ReadOnly), share(dir, "/w", hostfs.ReadWrite)}}
	long := strings.Repeat("long", 70)
	r := v.run(t, "cat:/p/mem", "cat:/p/exe", "write:/w/d:x", "cat:/w/d/x/y", "cat:/w/"+long, "mv:/w/d:/w/d/e", "ln:/w/d:/w/e")
	if strings.Contains(r.stdout, "ELF") || !strings.HasPrefix(r.stdout, "cat /p/mem: error: input/output error\ncat /p/exe: error: no such file") {
		t.Errorf("output %s", clip(r.stdout))
	}
	for _, want := range []string{"is a directory", "not a directory", "file name too long", "invalid argument", "operation not permitted"} {
		if !strings.Contains(r.stdout, "error: "+want+"\n") {
			t.Errorf("no %q in the output: %s", want, clip(r.stdout))
		}
	}
}

func TestShareErrors(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/file", "")
	for want, s := range map[string]guestcfg.Share{
		"no such file or directory":          share(dir+"/none", "/w", hostfs.ReadOnly),
		"not a directory":                    share(dir+"/file", "/w", hostfs.ReadOnly),
		"is no absolute path":                share(dir, "w", hostfs.ReadOnly),
		"does not name a file in it":         share(dir, "/w", hostfs.Named, "../x"),
		"needs a share that is read-only":    {Share: hostfs.Share{Dir: dir, Mode: hostfs.ReadWrite}, Path: "/w", Overlay: true},
		"\"/w/../x\" is no absolute path to": share(dir, "/w/../x", hostfs.ReadOnly),
	} {
		v := &vm{shares: []guestcfg.Share{s}}
		if r := v.start(context.Background(), t, "ls:/")(); r.code != 125 || !strings.Contains(r.stderr, want) {
			t.Errorf("code %d, %q; want %q", r.code, r.stderr, want)
		}
	}
	many := &vm{}
	for i := range 25 {
		many.shares = append(many.shares, share(dir, fmt.Sprint("/w", i), hostfs.ReadOnly))
	}
	if r := many.start(context.Background(), t, "ls:/")(); r.code != 125 || !strings.Contains(r.stderr, "too many") {
		t.Errorf("25 shares: code %d, %q", r.code, r.stderr)
	}
	many.shares = many.shares[:24]
	wantLines(t, many.run(t, "ls:/w23", "ls:/w0"), "ls /w23: file", "ls /w0: file")
}

// A program that was not built for it is not given folders it cannot see.
func TestShareUnseen(t *testing.T) {
	xtest.NeedKVM(t)
	img, err := image.Open(buildImage(t, "hvt", guestPkg))
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	_, err = monitor.Run(context.Background(), guestcfg.Config{
		Image: img, Args: []string{"guest"}, Memory: 64 << 20, Stdout: io.Discard, Stderr: io.Discard,
		Shares: []guestcfg.Share{share(t.TempDir(), "/w", hostfs.ReadOnly)},
	})
	if err == nil || !strings.Contains(err.Error(), "not built to see folders") {
		t.Errorf("error %v", err)
	}
}
