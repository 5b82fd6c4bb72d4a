package port

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/cache"
)

func testToolchain(t *testing.T) Toolchain {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT", "GOVERSION", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(out))
	tc := Toolchain{Go: "go", GOROOT: f[0], Version: f[1]}
	tc, err = tc.Overlayable(t.TempDir(), f[2])
	if err != nil {
		t.Fatal(err)
	}
	return tc
}

func TestPrepareRuntimeCompiles(t *testing.T) {
	dir := t.TempDir()
	tc := testToolchain(t)
	overlay, err := Prepare(t.Context(), Config{Toolchain: tc, CacheDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	// Whoever empties the cache meanwhile leaves what this process compiles.
	if r, err := cache.Clean(dir); r.InUse != 1 || r.Entries != 0 || err != nil {
		t.Errorf("cleaned %+v, %v", r, err)
	}
	out, err := compile(tc, overlay, "runtime")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestNetworkCompiles(t *testing.T) {
	dir := t.TempDir()
	tc := testToolchain(t)
	overlay, err := Prepare(t.Context(), Config{Toolchain: tc, CacheDir: dir, Network: true})
	if err != nil {
		t.Fatal(err)
	}
	out, err := compile(tc, overlay, "net")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// What opens encrypted volumes is in part of a package of the standard library, with
// its assembly.
func TestLUKSCompiles(t *testing.T) {
	tc := testToolchain(t)
	overlay, err := Prepare(t.Context(), Config{Toolchain: tc, CacheDir: t.TempDir(), Volumes: true, LUKS: true})
	if err != nil {
		t.Fatal(err)
	}
	out, err := compile(tc, overlay, "syscall")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(tc.Go, "list", "-deps", "-overlay", overlay, "syscall")
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), tc.Env()...)
	if out, err = cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Tailor/boot/volumes/luks\n") || strings.Contains(string(out), "volumes/plain\n") {
		t.Errorf("syscall depends on:\n%s%v", out, err)
	}
}

func compile(tc Toolchain, overlay, pkg string) ([]byte, error) {
	cmd := exec.Command(tc.Go, "build", "-overlay", overlay, pkg)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), tc.Env()...)
	return cmd.CombinedOutput()
}
