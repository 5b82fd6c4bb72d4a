package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cache"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/gotest"
)

func testVerb() *verb {
	return &verb{
		name:    "test",
		args:    "[-m SIZE] [FLAGS OF GO TEST] [PACKAGES] [ARGUMENTS]",
		summary: "run go test, each test binary in a virtual machine",
		about: `Test is go test: the same flags, output and exit codes, with the same caching of
results. Each package's test is one virtual machine with 1 GiB of memory, or
what -m says; only what it uses is taken. See: go help test

--volume NAME=FILE:/PATH[:ro] mounts a volume, --disk NAME=FILE[:ro] shows a
block device, --partition NAME=N if it is one of a disk, --key-file NAME=FILE is
the key of an encrypted one, -e NAME=VALUE sets a variable, as for run. With a
volume or disk, results are not cached; with one that is written to, one
package is tested at a time.

"tailor test std" runs the standard library's tests on Linux (GOMAXPROCS=1) and
in virtual machines, -short unless -short=false, and writes what differs to
docs/conformance.md; its exit code is 1 if a difference has no explanation.

-race, -msan, -asan, -fuzz and -exec are refused. A failure of tailor's, as
against one of the test, is a line "tailor: error:" in the test's output and
exit code 125.`,
		examples: `  tailor test ./...
  tailor test -v -run TestServe -timeout 1m ./server
  tailor test -m 4G -bench . -benchmem ./index
  tailor test --volume v=tmp.img:/vol -e TMPDIR=/vol ./store
  tailor test -coverprofile cover.out ./... && go tool cover -html cover.out
`,
		raw: true,
		run: func(ctx context.Context, a *app, args []string) (int, error) { return a.test(ctx, args) },
	}
}

func (a *app) test(ctx context.Context, args []string) (int, error) {
	line := gotest.Parse(args, ownFlags...)
	if len(line.Packages) == 1 && line.Packages[0] == "std" {
		return a.testStd(ctx, line)
	}
	self, command, err := a.execCommand(line)
	if err != nil {
		return 0, err
	}
	cfg, err := a.testConfig(self)
	if err != nil {
		return 0, err
	}
	rest := line.Without(ownFlags...)
	o, err := testVolumes(a.dir, line)
	if err != nil {
		return 0, err
	}
	if o.any() {
		command, cfg.Volumes, cfg.AnyDisk, cfg.LUKS = append(command, o.words()...), o.blocks(), o.disks(), o.encrypted()
		if _, ok := line.Last("p"); !ok && o.locks() {
			rest = append([]string{"-p=1"}, rest...)
		}
	}
	cfg.Line = gotest.Parse(rest)
	cfg.Exec = command
	if err := checkVM(); err != nil {
		return 0, err
	}
	bctx, stop := untilInterrupt(ctx)
	end := a.msg.Progress("preparing the runtime port")
	t, err := build.NewTest(bctx, cfg)
	end()
	stop()
	if err != nil {
		return 0, err
	}
	return a.goTest(t)
}

// ownFlags are those of test that go test has not.
var ownFlags = []string{"m", "e", "volume", "disk", "partition", "key-file"}

// testVolumes reads the flags of volumes. Tests run in the folders of their packages.
func testVolumes(dir string, line gotest.Line) (o volumeOptions, err error) {
	flags := mountFlags(&o)
	for _, f := range line.Flags {
		i := slices.IndexFunc(flags, func(own cli.Flag) bool { return own.Long == f.Name })
		if i < 0 || !slices.Contains(ownFlags, f.Name) {
			continue
		}
		if err := flags[i].Set(f.Value); err != nil {
			return o, fmt.Errorf("--%s %s: %w", f.Name, f.Value, err)
		}
	}
	for i := range o.volumes {
		o.volumes[i].Source = abs(dir, o.volumes[i].Source)
	}
	for i := range o.keys {
		o.keys[i].File = abs(dir, o.keys[i].File)
	}
	return o, o.checkKeys()
}

// words are the flags by which exec knows o's volumes.
func (o *volumeOptions) words() (list []string) {
	for _, v := range o.volumes {
		list = append(list, "--"+v.Noun(), v.String())
	}
	for _, p := range o.partitions {
		list = append(list, "--partition", fmt.Sprintf("%s=%d", p.Name, p.Number))
	}
	for _, k := range o.keys {
		list = append(list, "--key-file", k.Name+"="+k.File)
	}
	return list
}

// locks reports whether only one virtual machine can have the volumes at a time.
func (o *volumeOptions) locks() bool {
	return slices.ContainsFunc(o.volumes, func(v cli.Volume) bool { return !v.ReadOnly && !isFolder(v) })
}

// execCommand is what go test runs each binary with.
func (a *app) execCommand(line gotest.Line) (self string, command []string, err error) {
	if self, err = selfPath(); err != nil {
		return "", nil, err
	}
	command = []string{self, "exec"}
	if f, ok := line.Last("m"); ok {
		size, err := cli.ParseSize(f.Value)
		if err != nil {
			return "", nil, fmt.Errorf("-m %s: %w", f.Value, err)
		}
		if err := checkMemory(size); err != nil {
			return "", nil, err
		}
		command = append(command, "-m", f.Value)
	}
	for _, f := range line.Flags {
		if f.Name != "e" {
			continue
		}
		if _, err := cli.ParseEnv(f.Value); err != nil {
			return "", nil, fmt.Errorf("-e %s: %w", f.Value, err)
		}
		command = append(command, "-e", f.Value)
	}
	return self, command, nil
}

func (a *app) testConfig(self string) (cfg build.TestConfig, err error) {
	cfg = build.TestConfig{Dir: a.dir, Version: toolVersion(), Stderr: a.msg}
	if cfg.CacheDir, err = cache.Dir(); err != nil {
		return cfg, err
	}
	cfg.Tool, err = toolID(self)
	return cfg, err
}

// goTest runs go test and returns its exit code, or an error if a virtual
// machine failed.
func (a *app) goTest(t *build.Test) (int, error) {
	d, err := newTestDir(factsOf(t))
	if err != nil {
		return 0, err
	}
	defer d.remove()
	cmd := exec.Command(t.Go, t.Args...)
	cmd.Dir = t.Dir
	cmd.Env = append(append(os.Environ(), t.Env...), testDirVar+"="+string(d), "PWD="+t.Dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, a.stdout, os.Stderr
	code, err := runForeground(cmd)
	if err != nil {
		return 0, err
	}
	return code, d.failures()
}

// factsOf is what exec may know of t.
func factsOf(t *build.Test) testFacts {
	return testFacts{GOROOT: []string{t.GOROOT, t.Links}, GOMODCACHE: t.GOMODCACHE, Env: userValues(t.Env)}
}

// runForeground runs a command in a process group of its own, and passes signals
// on to all of it: go test leaves an interrupt to the tests that it runs. Like a
// terminal, it does not tell who sent them.
func runForeground(cmd *exec.Cmd) (int, error) {
	// The death signal comes when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(ch)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("run %s: %w", cmd.Path, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-ch:
			if n, ok := s.(syscall.Signal); ok {
				syscall.Kill(-cmd.Process.Pid, n)
			}
		case err := <-done:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return 0, err
			}
			if st, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && st.Signaled() {
				return 128 + int(st.Signal()), nil
			}
			return cmd.ProcessState.ExitCode(), nil
		}
	}
}

// findTool returns the absolute path that a command's name stands for.
func findTool(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

func sameFile(a, b string) bool {
	ia, err1 := os.Stat(a)
	ib, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(ia, ib)
}

func hash16(s string) (h [16]byte) {
	sum := sha256.Sum256([]byte(s))
	copy(h[:], sum[:])
	return h
}
