package house

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/xtest"
)

// run runs the go command at the root and fails with its output.
func run(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}

func TestVet(t *testing.T) { run(t, "vet", "./...") }

// TestStaticcheck needs modules that are not in go.mod: tools/go.mod has them,
// so that no user of this module ever meets them.
func TestStaticcheck(t *testing.T) {
	if testing.Short() {
		t.Skip("takes up to a minute")
	}
	version := exec.CommandContext(t.Context(), "go", "tool", "-modfile=tools/go.mod", "staticcheck", "-version")
	version.Dir = root
	if out, err := version.CombinedOutput(); err != nil {
		if xtest.Promised("staticcheck") {
			t.Fatalf("TAILOR_CI_HAS promises staticcheck, but: %v\n%s", err, out)
		}
		t.Skipf("no staticcheck here: %v\n%s", err, out)
	}
	run(t, "tool", "-modfile=tools/go.mod", "staticcheck", "./...")
}
