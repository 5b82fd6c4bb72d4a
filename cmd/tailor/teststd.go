package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cache"
	"github.com/tailor-os/tailor/internal/conformance"
	"github.com/tailor-os/tailor/internal/gotest"
	"github.com/tailor-os/tailor/internal/hint"
)

// How long the tests of one package may take.
const (
	linuxTimeout = 10 * time.Minute
	vmTimeout    = 2 * time.Minute
)

// stdMemory is the memory of a virtual machine that runs tests of the standard
// library, as -m takes it.
const stdMemory = "4G"

// A stdRun compares the standard library's tests.
type stdRun struct {
	a      *app
	line   gotest.Line
	flags  []string // for go test, both times
	dir    string   // outside of any module
	pkgs   []string
	shared testDir // with exec
}

// testStd is "tailor test std": it runs the tests of the standard library on
// Linux and in virtual machines and writes docs/conformance.md.
func (a *app) testStd(ctx context.Context, line gotest.Line) (int, error) {
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	dir, err := os.MkdirTemp("", "tailor-std-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	s := &stdRun{a: a, line: line, dir: dir, flags: []string{"-vet=off", "-short=true"}}
	for _, f := range line.Flags {
		switch f.Name {
		case "short", "run":
			s.flags = append(s.flags, "-"+f.Name+"="+f.Value)
		case "m":
		default:
			return 0, hint.Errorf("use -short=false, -run or -m, or name packages: tailor test $(go list std)",
				"-%s has no effect on tailor test std, which compares the standard library's tests with Linux", f.Name)
		}
	}
	report, about, err := s.compare(ctx)
	s.shared.remove()
	if err != nil {
		return 0, err
	}
	return s.write(report, about)
}

// compare runs the tests and compares how they end.
func (s *stdRun) compare(ctx context.Context) (*conformance.Report, conformance.About, error) {
	about := conformance.About{Command: "tailor test std", Machine: machineText()}
	reasons, err := conformance.Known()
	if err != nil {
		return nil, about, err
	}
	vm, t, err := s.vmRunner(ctx)
	if err != nil {
		return nil, about, err
	}
	about.Go = t.Version
	if s.pkgs, err = stdPackages(ctx, t); err != nil {
		return nil, about, err
	}
	linux, err := s.linux(ctx, t)
	if err != nil {
		return nil, about, err
	}
	began := time.Now()
	s.a.msg.Infof("running the tests of %d packages in virtual machines", len(s.pkgs))
	vm.Done = s.progress("virtual machine")
	flags := append(slices.Clone(s.flags), reasons.Skip()...)
	got, err := vm.Run(ctx, s.pkgs, flags...)
	if err != nil {
		return nil, about, err
	}
	vm.Done = nil
	if err := vm.Complete(ctx, linux, got, flags...); err != nil {
		return nil, about, err
	}
	about.Minutes = time.Since(began).Minutes()
	return conformance.Compare(linux, got, reasons), about, nil
}

// vmRunner runs tests in virtual machines.
func (s *stdRun) vmRunner(ctx context.Context) (conformance.Runner, *build.Test, error) {
	if _, ok := s.line.Last("m"); !ok {
		s.line = gotest.Parse(append([]string{"-m", stdMemory}, s.line.Args...), "m")
	}
	self, command, err := s.a.execCommand(s.line)
	if err != nil {
		return conformance.Runner{}, nil, err
	}
	cfg, err := s.a.testConfig(self)
	if err != nil {
		return conformance.Runner{}, nil, err
	}
	cfg.Dir, cfg.Exec = s.dir, command
	t, err := build.NewTest(ctx, cfg)
	if err != nil {
		return conformance.Runner{}, nil, err
	}
	s.shared, err = newTestDir(factsOf(t))
	return conformance.Runner{
		Go: t.Go, Args: t.Args, Env: append(t.Env, testDirVar+"="+string(s.shared)), Dir: s.dir,
		Timeout: vmTimeout, Stderr: s.a.msg,
	}, t, err
}

// linux returns how the tests end as processes, as it was kept or found out now.
func (s *stdRun) linux(ctx context.Context, t *build.Test) (conformance.Results, error) {
	dir, err := cache.Dir()
	if err != nil {
		return nil, err
	}
	key := hash16(strings.Join(append(s.flags, t.GOROOT), "\x00"))
	file := filepath.Join(dir, cache.Conformance, fmt.Sprintf("%s-%x.json", t.Version, key[:4]))
	if r, err := conformance.Load(file); err == nil {
		cache.Touch(file)
		s.a.msg.Infof("on Linux: as kept in %s", file)
		return r, nil
	}
	s.a.msg.Infof("running the tests of %d packages on Linux, once for %s", len(s.pkgs), t.Version)
	r, err := conformance.Runner{
		Go: t.Go, Args: []string{"test", "-p", strconv.Itoa(runtime.NumCPU())}, Dir: s.dir, Timeout: linuxTimeout, Stderr: s.a.msg,
		Env:  []string{"CGO_ENABLED=0", "GOMAXPROCS=1", "GOROOT=" + t.GOROOT, "GOTOOLCHAIN=local"},
		Done: s.progress("Linux"),
	}.Run(ctx, s.pkgs, s.flags...)
	if err != nil {
		return nil, err
	}
	return r, r.Save(file)
}

// stdPackages lists the packages of the standard library that have tests.
func stdPackages(ctx context.Context, t *build.Test) ([]string, error) {
	cmd := exec.CommandContext(ctx, t.Go, "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}", "std")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOROOT="+t.GOROOT, "GOTOOLCHAIN=local")
	cmd.Stderr = os.Stderr
	cmd.Dir = t.Dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list std: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// progress says which package has ended.
func (s *stdRun) progress(where string) func(pkg string) {
	n := 0
	return func(pkg string) {
		n++
		s.a.msg.Infof("%s: %d of %d: %s", where, n, len(s.pkgs), pkg)
	}
}

// write writes the page; tests without an explanation are a failure.
func (s *stdRun) write(r *conformance.Report, about conformance.About) (int, error) {
	name := "conformance.md"
	if isDir(filepath.Join(s.a.dir, "docs")) {
		name = filepath.Join("docs", name)
	}
	if err := os.WriteFile(filepath.Join(s.a.dir, name), []byte(r.Page(about)), 0o666); err != nil {
		return 0, err
	}
	fmt.Fprintf(s.a.stdout, "%s: %d of %d tests that pass on Linux pass in a virtual machine (%.2f %%), %d others have no explanation\n",
		name, r.Total.Both, r.Total.Linux, r.Total.Share(), r.Unexplained)
	if r.Unexplained > 0 {
		return exitNothing, nil
	}
	return exitOK, nil
}

// machineText says what the tests ran on.
func machineText() string {
	return fmt.Sprintf("%d processors, Linux %s/%s", runtime.NumCPU(), kernelRelease(), runtime.GOARCH)
}

// kernelRelease returns the release of the host's kernel.
func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
