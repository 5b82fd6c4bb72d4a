// Package conformance runs tests of the standard library in virtual machines:
// a core of them that is over soon. "make conformance" runs them all.
package conformance

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/conformance"
	"github.com/tailor-os/tailor/internal/xtest"
)

// core are packages of all kinds whose tests take little time to build and run.
var core = strings.Fields(`
	bufio bytes context crypto/sha256 encoding/binary encoding/json encoding/xml
	errors fmt io io/fs log/slog math net/netip net/url os path/filepath reflect
	regexp slices strconv strings sync sync/atomic testing/fstest text/template
	time`)

// TestCore fails for each test that passes on Linux and not in a virtual
// machine, unless internal/conformance/reasons.txt says why.
func TestCore(t *testing.T) {
	xtest.NeedKVM(t)
	reasons, err := conformance.Known()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tool := filepath.Join(dir, "tailor")
	if out, err := exec.Command("go", "build", "-o", tool, "github.com/tailor-os/tailor/cmd/tailor").CombinedOutput(); err != nil {
		t.Fatalf("build the tool: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 12*time.Minute)
	defer cancel()
	linux := conformance.Runner{
		Go: "go", Args: []string{"test", "-vet=off", "-short", "-p", strconv.Itoa(runtime.NumCPU())}, Env: []string{"CGO_ENABLED=0", "GOMAXPROCS=1"},
		Dir: dir, Timeout: time.Minute, Stderr: os.Stderr,
	}
	want, err := linux.Run(ctx, core)
	if err != nil {
		t.Fatal(err)
	}
	vm := linux
	vm.Go, vm.Args, vm.Env = tool, append(vm.Args, "-m", "2G"), nil
	got, err := vm.Run(ctx, core, reasons.Skip()...)
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.Complete(ctx, want, got, reasons.Skip()...); err != nil {
		t.Fatal(err)
	}
	r := conformance.Compare(want, got, reasons)
	t.Logf("%d of %d tests pass (%.2f %%)", r.Total.Both, r.Total.Linux, r.Total.Share())
	if r.Total.Linux < 3000 {
		t.Errorf("only %d tests pass on Linux", r.Total.Linux)
	}
	for _, d := range r.Unknown() {
		t.Errorf("%s %s: %s, and reasons.txt does not say why:\n%s", d.Package, d.Test, d.Status, d.Output)
	}
}
