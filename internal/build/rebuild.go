package build

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tailor-os/tailor/internal/gotest"
	"github.com/tailor-os/tailor/internal/hint"
)

// A Parent is the go command that runs a binary with its flag -exec.
type Parent struct {
	Exe  string   // the go command
	Verb string   // "test" or "run"
	Args []string // what follows the verb
	Dir  string   // where it runs
}

// FindParent reads what process pid is from /proc. An error says what it is
// instead of a go command that can run binaries.
func FindParent(pid int) (Parent, error) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	data, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	if err != nil {
		return Parent{}, err
	}
	args := strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	if len(args) < 2 || filepath.Base(args[0]) != "go" || args[1] != "test" && args[1] != "run" {
		return Parent{}, fmt.Errorf("the process that started tailor exec is no go test or go run: %.60q", strings.Join(args, " "))
	}
	p := Parent{Verb: args[1], Args: args[2:]}
	if p.Exe, err = os.Readlink(filepath.Join(proc, "exe")); err != nil {
		return Parent{}, err
	}
	p.Dir, err = os.Readlink(filepath.Join(proc, "cwd"))
	return p, err
}

// A Rebuilt is what a binary of the go command's becomes as an image.
type Rebuilt struct {
	Path string // the file
	Test bool   // it is a test binary linked as an image, and has no note
	// GOROOT is the Go tree and links to it.
	GOROOT     []string
	GOMODCACHE string
}

// Rebuild builds once more, as an image, what the binary was built from. The
// package is the one that the binary names; how it was built is read from the
// command line of parent. The image of a test is written to dir.
func Rebuild(ctx context.Context, cfg TestConfig, parent Parent, binary, dir string) (Rebuilt, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return Rebuilt{}, hint.Errorf("run the tests with: tailor test", "%s is no binary that go has built: %w", binary, err)
	}
	cfg.Go, cfg.Dir = parent.Exe, parent.Dir
	line := gotest.Parse(parent.Args)
	if err := checkTestFlags(line, false); err != nil {
		return Rebuilt{}, err
	}
	if parent.Verb == "run" {
		return rebuildMain(ctx, cfg, line, info.Path)
	}
	return rebuildTest(ctx, cfg, line, info.Path, filepath.Join(dir, filepath.Base(binary)))
}

// nobody is the import path of a package of named files.
const nobody = "command-line-arguments"

func rebuildTest(ctx context.Context, cfg TestConfig, line gotest.Line, path, out string) (Rebuilt, error) {
	// The test of a package main has the import path of the package itself.
	pkg := strings.TrimSuffix(path, ".test")
	what := []string{pkg}
	if pkg == nobody {
		what = line.Packages
	}
	args := append(line.Select(gotest.BuildFlags), "-vet=off", "-c", "-o="+out)
	cfg.Line = gotest.Parse(append(args, what...))
	t, err := NewTest(ctx, cfg)
	if err != nil {
		return Rebuilt{}, err
	}
	c := command{path: t.Go, args: t.Args, dir: t.Dir, env: t.Env, stdout: cfg.Stderr, stderr: cfg.Stderr}
	if err := c.run(ctx, nil); err != nil {
		if ctx.Err() != nil {
			return Rebuilt{}, context.Cause(ctx)
		}
		return Rebuilt{}, fmt.Errorf("%w: the test of %s (%v)", ErrFailed, pkg, err)
	}
	return Rebuilt{out, true, []string{t.GOROOT, t.Links}, t.GOMODCACHE}, nil
}

func rebuildMain(ctx context.Context, cfg TestConfig, line gotest.Line, path string) (Rebuilt, error) {
	b := Config{Target: HVT, Dir: cfg.Dir, Args: []string{path}, Tool: cfg.Version, Shares: true, Volumes: cfg.Volumes, AnyDisk: cfg.AnyDisk, LUKS: cfg.LUKS, TraceCalls: cfg.TraceCalls, CacheDir: cfg.CacheDir, Stderr: cfg.Stderr}
	if path == nobody {
		b.Args = slices.Collect(goFiles(line.Packages))
	} else if len(line.Packages) > 0 && strings.Contains(line.Packages[0], "@") {
		b.Args = line.Packages[:1]
	}
	if f, ok := line.Last("tags"); ok {
		b.Tags = f.Value
	}
	if f, ok := line.Last("ldflags"); ok {
		b.LDFlags = f.Value
	}
	r, err := Build(ctx, b)
	if err != nil {
		return Rebuilt{}, err
	}
	env, err := ReadGoEnv(ctx, cfg.Go, cfg.Dir)
	return Rebuilt{Path: r.Image, GOROOT: []string{env.GOROOT}, GOMODCACHE: env.GOMODCACHE}, err
}

// goFiles yields the names of Go files that a command line begins with.
func goFiles(args []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, arg := range args {
			if !strings.HasSuffix(arg, ".go") || !yield(arg) {
				return
			}
		}
	}
}
