package sum

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

var mine = flag.String("mine", "", "a flag of the test")

func TestSum(t *testing.T) {
	data, err := os.ReadFile("testdata/want")
	if err != nil {
		t.Fatal(err)
	}
	if got := strconv.Itoa(Sum(1, 2, 3)); got != string(data) {
		t.Errorf("sum %s, want %s", got, data)
	}
}

func TestPlace(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("in %s with %q, COLOUR %q, TMPDIR %q", dir, *mine, os.Getenv("COLOUR"), os.Getenv("TMPDIR"))
	if _, err := os.Stat("../go.mod"); err != nil {
		t.Error(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(exe); err != nil || info.Size() < 1<<20 {
		t.Errorf("the test binary: %v, %v", info, err)
	}
}

// What a test writes outside of its outputs stays in the guest.
func TestWrite(t *testing.T) {
	if err := os.WriteFile("testdata/left", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove("testdata/want"); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile("testdata/left"); err != nil || string(data) != "x" {
		t.Errorf("read %q, %v", data, err)
	}
	if err := os.WriteFile(filepath.Join(t.TempDir(), "x"), make([]byte, 1<<20), 0o600); err != nil {
		t.Error(err)
	}
}

func TestShort(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
}

func BenchmarkSum(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Sum(1, 2, 3)
	}
}

func FuzzSum(f *testing.F) {
	f.Add(1, 2)
	f.Fuzz(func(t *testing.T, a, b int) {
		if Sum(a, b) != a+b {
			t.Error("wrong")
		}
	})
}

// TestNoGo looks for a go command, which could not be started.
func TestNoGo(t *testing.T) {
	if path, err := exec.LookPath("go"); err == nil {
		t.Errorf("there is %s", path)
	}
	root := os.Getenv("GOROOT")
	for _, dir := range []string{"bin", "pkg/tool"} {
		if list, err := os.ReadDir(filepath.Join(root, dir)); err != nil || len(list) > 0 {
			t.Errorf("%s: %v, %v; want it empty", dir, list, err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "src", "fmt", "print.go")); err != nil {
		t.Errorf("the Go tree is not there: %v", err)
	}
}
