package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/build"
	guestcfg "github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/hostfs"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/monitor"
	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

// sharesImage builds the guest with shares, once. No verb of the tool's does.
var sharesImage = sync.OnceValues(func() (string, error) {
	if err := vmtest.LookAtSources(); err != nil {
		return "", err
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	r, err := build.Build(context.Background(), build.Config{
		Target: build.HVT, Args: []string{"./testdata/fsguest"}, Dir: dir, Output: filepath.Join(vmtest.Dir(), "fsguest.img"),
		Tool: "e2e", CacheDir: filepath.Join(cache, "tailor"), Stderr: &out, Shares: true,
	})
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out.String())
	}
	return r.Image, nil
})

// A vm is a run of the shares' guest under the monitor, in this process.
type vm struct {
	shares []guestcfg.Share
	memory uint64 // 0: 64 MiB
	params string // boot parameters
	stdout *vmtest.Output
	stats  guestcfg.Stats
}

// start runs the guest, and returns a function that waits for its end.
func (v *vm) start(ctx context.Context, t testing.TB, args ...string) (wait func() result) {
	t.Helper()
	xtest.NeedKVM(t)
	path, err := sharesImage()
	if err != nil {
		t.Fatal(err)
	}
	img, err := image.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if v.memory == 0 {
		v.memory = 64 << 20
	}
	out, errOut := vmtest.NewOutput(), vmtest.NewOutput()
	v.stdout = out
	done := make(chan result, 1)
	go func() {
		defer img.Close()
		code, err := monitor.Run(ctx, guestcfg.Config{
			Image: img, Args: append([]string{"fsguest"}, args...), Memory: v.memory, Params: v.params,
			Stdout: out, Stderr: errOut, Shares: v.shares, Stats: &v.stats,
		})
		if err != nil {
			fmt.Fprintln(errOut, "monitor:", err)
			code = 125
		}
		out.Close()
		done <- result{stdout: out.String(), stderr: errOut.String(), code: code}
	}()
	return func() result {
		t.Helper()
		select {
		case r := <-done:
			return r
		case <-time.After(2 * limit):
			t.Fatalf("the guest does not end; it wrote %s%s", out.String(), errOut.String())
			return result{}
		}
	}
}

// run runs the guest to its end.
func (v *vm) run(t testing.TB, args ...string) result {
	t.Helper()
	r := v.start(context.Background(), t, args...)()
	if r.code != 0 {
		t.Errorf("exit code %d; %s%s", r.code, r.stdout, r.stderr)
	}
	return r
}

// wantLines compares the guest's output by lines.
func wantLines(t *testing.T, r result, want ...string) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("line %d is %q, want %q", i, g, w)
		}
	}
	if t.Failed() {
		t.Log(r.stderr)
	}
}

func mustWrite(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func share(dir, path string, mode hostfs.Mode, names ...string) guestcfg.Share {
	return guestcfg.Share{Share: hostfs.Share{Dir: dir, Mode: mode, Names: names}, Path: path}
}

func TestShareRead(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir+"/a.txt", "hello")
	mustWrite(t, dir+"/sub/deep/b.txt", "there")
	v := &vm{shares: []guestcfg.Share{share(dir, "/mnt/with space,100%", hostfs.ReadOnly)},
		params: "cwd=" + guestcfg.EscapeParam("/mnt/with space,100%/sub")}
	r := v.run(t, "ls:/mnt/with space,100%", "cat:/mnt/with space,100%/a.txt", "cat:/mnt/with space,100%/sub/deep/b.txt",
		"cat:/mnt/with space,100%/none", "cat:/mnt/with space,100%/sub", "stat:/mnt/with space,100%/a.txt",
		"write:/mnt/with space,100%/a.txt:x", "write:/mnt/with space,100%/new:x", "rm:/mnt/with space,100%/a.txt", "walk:/mnt/with space,100%", "cat:deep/b.txt")
	p := "/mnt/with space,100%"
	wantLines(t, r, "ls "+p+": a.txt sub/", "cat "+p+"/a.txt: hello", "cat "+p+"/sub/deep/b.txt: there",
		"cat "+p+"/none: error: no such file or directory", "cat "+p+"/sub: error: is a directory",
		"stat "+p+"/a.txt: -rw-r--r-- 5 owner 0:0",
		"write "+p+"/a.txt: error: read-only file system", "write "+p+"/new: error: read-only file system",
		"rm "+p+"/a.txt: error: read-only file system", "walk "+p+": 2 files, 3 directories, 10 bytes", "cat deep/b.txt: there")
	t.Logf("%d exits, %d notifications", v.stats.Exits, v.stats.Notifies)
}
