package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/build"
)

// A program's --help is its own, under the short name that it has everywhere, and is
// followed by the parameters of the system beneath it that have an effect on it.
func TestHelpParameters(t *testing.T) { each(t, testHelpParameters) }

func testHelpParameters(t *testing.T, on target) {
	const system = "tailor: the system's own parameters"
	img := on.image(t, "../../examples/website")
	name := build.ProgramName(img)
	for _, flag := range []string{"-h", "--help"} {
		r := on.run(t, img, flag)
		r.want(t, 0, nil, []string{"Usage of " + name + ":\n"})
		usage, at := strings.Index(r.stderr, "Usage of"), strings.Index(r.stderr, system)
		if own := on.has(ownSystem); own != (at > usage) || own != strings.Contains(r.stderr, "ip=[CARD:]ADDRESS/BITS") || strings.Contains(r.stderr, "syslog=") || r.stdout != "" {
			t.Errorf("%s:\n%s", flag, r.stderr)
		}
	}
	r := on.run(t, on.image(t, "../../examples/hello"), "--help")
	if r.want(t, 0, nil, nil); on.has(ownSystem) != strings.Contains(r.stderr, "hostname=NAME") || strings.Contains(r.stderr, "ip=") {
		t.Errorf("without a network:\n%s", r.stderr)
	}
	if r := on.run(t, img, "--help", "x"); strings.Contains(r.stderr, system) || !strings.Contains(r.stderr, "Usage of "+name) {
		t.Errorf("with an argument:\n%s", r.stderr)
	}
	if filepath.Base(name) != name || strings.HasSuffix(name, ".img") {
		t.Errorf("the program is called %q", name)
	}
}
