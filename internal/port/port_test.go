package port

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

func testToolchain(t *testing.T) Toolchain {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(out))
	return Toolchain{Go: "go", GOROOT: f[0], Version: f[1]}
}

func TestPrepareRuntimeCompiles(t *testing.T) {
	dir := t.TempDir()
	overlay, err := Prepare(t.Context(), Config{Toolchain: testToolchain(t), CacheDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "build", "-overlay", overlay, "runtime").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_ = runtime.GOOS
}
