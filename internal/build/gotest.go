package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/gotest"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/port"
)

// A TestConfig says which tests are to be built as images.
type TestConfig struct {
	// Line is what go test is asked for.
	Line gotest.Line
	// Dir is where it is asked, absolute.
	Dir string
	// Exec is the command that runs a test binary, nil for none.
	Exec []string
	// Go is the go command, "" for the one on PATH.
	Go string
	// Tool tells builds of this tool apart, Version is its version.
	Tool     [16]byte
	Version  string
	CacheDir string // absolute; made when needed
	// TraceCalls, Volumes, AnyDisk and LUKS are as in Config.
	TraceCalls, Volumes, AnyDisk, LUKS bool
	Stderr                             io.Writer
}

// A Test is a run of the go command whose test binaries are images.
type Test struct {
	Go   string   // the go command
	Args []string // its arguments: "test", flags, packages, arguments of the test
	Dir  string   // where it runs
	Env  []string // settings on top of the environment
	// Version is the Go release, "go1.26.8".
	Version string
	// GOROOT is the Go tree, Links one of links to it that Env names.
	GOROOT, Links string
	GOMODCACHE    string
}

// NewTest checks what cfg asks for and derives the runtime port for it. What go
// test builds in a run is not known before, so the port has all that any test
// may need; what a test does not import is not linked all the same.
func NewTest(ctx context.Context, cfg TestConfig) (*Test, error) {
	build := Config{Target: HVT, Dir: cfg.Dir, CacheDir: cfg.CacheDir, Stderr: cfg.Stderr}
	line, err := chdir(&build, cfg.Line)
	if err != nil {
		return nil, err
	}
	if err := checkTestFlags(line, cfg.Exec != nil); err != nil {
		return nil, err
	}
	if err := checkEnv(os.Environ(), HVT); err != nil {
		return nil, err
	}
	g := &goCmd{path: cfg.Go, stderr: cfg.Stderr}
	if g.path == "" {
		if g, err = findGo(build); err != nil {
			return nil, err
		}
	}
	env, err := g.env(ctx, build.Dir, nil)
	if err != nil {
		return nil, err
	}
	if err := checkGo(env, build); err != nil {
		return nil, err
	}
	flags, err := checkFlags(env.GOFLAGS, build)
	if err != nil {
		return nil, err
	}
	if f, ok := line.Last("overlay"); ok {
		if flags.overlay, err = readOverlay(abs(build.Dir, f.Value)); err != nil {
			return nil, err
		}
	}
	return newTest(ctx, cfg, build, g, env, flags, line)
}

func newTest(ctx context.Context, cfg TestConfig, build Config, g *goCmd, env GoEnv, flags *goFlags, line gotest.Line) (*Test, error) {
	tc, err := port.Toolchain{Go: g.path, GOROOT: env.GOROOT, Version: env.GOVERSION}.Testable(cfg.CacheDir)
	if err != nil {
		return nil, err
	}
	t := &Test{Go: tc.Go, Dir: build.Dir, Env: append(slices.Clone(forced), tc.Env()...), Version: env.GOVERSION,
		GOROOT: env.GOROOT, Links: tc.GOROOT, GOMODCACHE: env.GOMODCACHE}
	overlay, err := port.Prepare(ctx, port.Config{
		Toolchain: tc, CacheDir: cfg.CacheDir,
		Network: true, Complete: true, Diagnostics: true, Shares: true, Volumes: cfg.Volumes, Disks: cfg.AnyDisk, LUKS: cfg.LUKS, Trace: cfg.TraceCalls, Extra: flags.overlay,
	})
	if err != nil {
		return nil, err
	}
	if err := tc.MakeFolders(overlay); err != nil {
		return nil, err
	}
	t.Args = []string{"test", "-overlay=" + overlay}
	if cfg.Exec != nil {
		t.Args = append(t.Args, "-exec="+joinQuoted(cfg.Exec))
	}
	ldflags, err := testLDFlags(line, flags.fromEnv, image.TestBuildID(cfg.Tool))
	if err != nil {
		return nil, err
	}
	t.Args = append(append(t.Args, ldflags...), line.Without("overlay", "ldflags")...)
	return t, nil
}

// chdir takes -C, which go wants to be the first flag, out of the line.
func chdir(cfg *Config, line gotest.Line) (gotest.Line, error) {
	f, ok := line.Last("C")
	if !ok {
		return line, nil
	}
	cfg.Dir = abs(cfg.Dir, f.Value)
	if !isDir(cfg.Dir) {
		return line, fmt.Errorf("-C %s: no such folder", f.Value)
	}
	return gotest.Parse(line.Without("C")), nil
}

// testRefusals are flags of go test that cannot work when tests are virtual
// machines, each with the reason and the way out.
var testRefusals = map[string]struct{ why, instead string }{
	"race":       {refusedModes["race"], "go test -race runs the tests as processes"},
	"msan":       {refusedModes["msan"], "go test -msan runs the tests as processes"},
	"asan":       {refusedModes["asan"], "go test -asan runs the tests as processes"},
	"linkshared": {"an image has no shared libraries", "remove it"},
	"fuzz": {"fuzzing starts worker processes, and there is one program in a virtual machine",
		"go test -fuzz finds the inputs, tailor test runs those that are in testdata/fuzz"},
	"exec": {"the test binaries are images, which tailor starts itself", "go test -exec runs the tests as processes"},
}

// checkTestFlags refuses what cannot work.
func checkTestFlags(line gotest.Line, runs bool) error {
	for _, f := range line.Flags {
		refused, ok := testRefusals[f.Name]
		valued := f.Name == "fuzz" || f.Name == "exec"
		switch {
		case ok && (valued && f.Value != "" || !valued && f.On()) && (runs || f.Name != "exec"):
			return hint.Errorf(refused.instead, "-%s cannot work in a virtual machine: %s", f.Name, refused.why)
		case f.Name == "compiler" && f.Value != "gc":
			return hint.Errorf("remove it", "-compiler=%s: only Go's own compiler (gc) can be used", f.Value)
		case f.Name == "buildmode" && f.Value != "exe" && f.Value != "default":
			return hint.Errorf("remove it", "-buildmode=%s: an image is one static executable at a fixed address", f.Value)
		}
	}
	return nil
}

// testLDFlags returns the flags -ldflags of go test: the user's, each with what
// makes an image added, so that whichever applies to a package does both.
func testLDFlags(line gotest.Line, fromEnv, id string) ([]string, error) {
	ours := "-T " + textAddr + " -B " + id
	out := []string{"-ldflags=" + strings.TrimSpace(fromEnv+" "+ours)}
	for _, f := range line.Flags {
		if f.Name != "ldflags" {
			continue
		}
		list := strings.TrimSpace(f.Value)
		if !strings.HasPrefix(list, "-") {
			_, list, _ = strings.Cut(list, "=") // PATTERN=FLAGS
		}
		if err := checkLDFlags(list, HVT); err != nil {
			return nil, err
		}
		sep := " "
		if f.Value == "" || strings.HasSuffix(f.Value, "=") && list == "" {
			sep = ""
		}
		out = append(out, "-ldflags="+f.Value+sep+ours)
	}
	return out, nil
}

// joinQuoted is the inverse of splitQuoted.
func joinQuoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = quoteField(w)
	}
	return strings.Join(out, " ")
}
