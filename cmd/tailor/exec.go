package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/gotest"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/hostfs"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/params"
)

// testMemory is the memory of a test's virtual machine in bytes without -m. The
// host gives only what the guest touches.
const testMemory = 1 << 30

// execOptions are the flags of exec.
type execOptions struct {
	memory  uint64 // bytes, 0 if not given
	net     cli.Net
	env     []string
	trace   string
	verbose bool

	volumeOptions
}

func execVerb() *verb {
	var o execOptions
	return &verb{
		name:    "exec",
		args:    "[FLAGS] BINARY [ARGUMENTS]",
		summary: "run a binary of go test -exec or go run -exec",
		about: `Exec runs a binary of the go command's in a virtual machine with the caller's
arguments, environment and folder, and exits with its code. The program sees
its module or workspace, the Go tree and the module cache; what it changes
there stays in its memory. Files that the flags of a test name are written.

A binary that tailor test has built is started as it is. What any other one was
built from is built once more as an image: tailor test is faster, and caches
the results of tests.`,
		flags: append(mountFlags(&o.volumeOptions),
			cli.ValueFlag(&o.memory, "memory", 'm', "SIZE", "memory of the guest (default 1G; only what is used\nis taken)", cli.ParseSize),
			cli.ValueFlag(&o.net, "net", 0, "KIND", "user (default: behind this host) or none", cli.ParseNet),
			cli.ListFlag(&o.env, "env", 'e', "NAME=VALUE", "set a variable, on top of the caller's; repeatable", cli.ParseEnv),
			cli.ValueFlag(&o.trace, "trace", 0, "syscalls", "print a line for each system call, see\ndocs/syscalls.md; not with a binary of tailor test", parseTrace),
			cli.BoolFlag(&o.verbose, "verbose", 'v', "say what the guest asks for and has not"),
		),
		examples: `  go test -exec "tailor exec" ./...
  go run -exec "tailor exec -m 64M" ./cmd/server
  tailor test -c -o my.test ./pkg && tailor exec my.test -test.v
`,
		stop: true,
		run: func(ctx context.Context, a *app, args []string) (int, error) {
			d := testDir(os.Getenv(testDirVar))
			exit, err := a.exec(ctx, o, d, args)
			d.report(err)
			return exit, err
		},
	}
}

func (a *app) exec(ctx context.Context, o execOptions, d testDir, args []string) (int, error) {
	if len(args) == 0 {
		return 0, hint.Errorf("see: tailor help exec", "nothing to run: no binary given")
	}
	if o.net.Kind == "tap" {
		return 0, hint.Errorf("use tailor run for it", "--net tap:%s: programs that run at the same time cannot share a tap", o.net.Tap)
	}
	if err := checkVM(); err != nil {
		return 0, err
	}
	if err := o.checkKeys(); err != nil {
		return 0, err
	}
	facts, err := d.facts()
	if err != nil {
		return 0, err
	}
	binary := abs(a.dir, args[0])
	img, drop, err := a.openBinary(ctx, binary, o, &facts)
	if err != nil {
		return 0, err
	}
	defer drop()
	c := vmConfig{
		Image: img, Path: args[0], Name: args[0], Memory: o.memory, Env: mergeEnv(guestEnv(os.Environ(), facts.Env), o.env),
		Verbose: o.verbose, Nets: []cli.Net{o.net}, Log: a.msg, Trace: o.trace,
	}
	if c.Memory == 0 {
		c.Memory = testMemory
	}
	if !o.any() {
		args = append(args[:1:1], testArgs(d, binary, args[1:])...)
	}
	c.look(a.dir, binary, facts, args[1:])
	got, err := o.open(a.msg)
	if err != nil {
		return 0, err
	}
	defer got.close()
	c.Shares, c.Volumes, c.Secrets = append(c.Shares, got.shares...), got.volumes, got.secrets
	return startVM(ctx, c)
}

// look decides what the program sees of the host.
func (c *vmConfig) look(dir, binary string, facts testFacts, args []string) {
	if root := realRoot(dir, facts.GOROOT); root != "" {
		dir = root // not through the links that tailor test has made
	}
	home, _ := os.UserHomeDir()
	v := gotest.NewView(gotest.Host{
		Dir: dir, Binary: binary, Home: home, GOROOT: facts.GOROOT, GOMODCACHE: facts.GOMODCACHE,
	}, args)
	c.Args = v.Args
	for _, s := range v.Shares {
		if !isDir(s.Dir) {
			continue
		}
		share := guest.Share{Share: hostfs.Share{Dir: s.Dir, Names: s.Names}, Path: s.Path}
		switch s.Kind {
		case gotest.Look:
			share.Overlay = true
		case gotest.Named:
			share.Mode = hostfs.Named
		case gotest.Write:
			share.Mode = hostfs.ReadWrite
		}
		c.Shares = append(c.Shares, share)
	}
	c.Params = "cwd=" + guest.EscapeParam(dir)
	c.hideGo(facts.GOROOT)
	c.Params += " " + params.Quote("exe="+binary)
	c.Env = mergeEnv(c.Env, []string{"PWD=" + dir})
	if len(facts.GOROOT) > 1 {
		c.Env = mergeEnv([]string{"GOROOT=" + facts.GOROOT[0]}, c.Env) // not the links
	}
}

// hideGo makes the folders of the go command's programs look empty: they cannot
// be started, and tests that look for them do without.
func (c *vmConfig) hideGo(goroot []string) {
	if len(goroot) == 0 {
		return
	}
	for _, name := range []string{"bin", "pkg/tool"} {
		if dir := filepath.Join(goroot[0], name); isDir(dir) {
			c.Params += " empty=" + guest.EscapeParam(dir)
		}
	}
}

// realRoot returns where dir is in the Go tree, the first of goroot, if it is
// there.
func realRoot(dir string, goroot []string) string {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil || len(goroot) == 0 {
		return ""
	}
	if rel, err := filepath.Rel(goroot[0], real); err != nil || !filepath.IsLocal(rel) {
		return ""
	}
	return real
}

// openBinary opens the image that the binary is, or that is built of the same.
// drop closes and removes what was made.
func (a *app) openBinary(ctx context.Context, binary string, o execOptions, facts *testFacts) (img *image.Image, drop func(), err error) {
	img, err = image.OpenTest(binary)
	if err == nil {
		if o.trace != "" {
			img.Close()
			return nil, nil, hint.Errorf(`run the test with: go test -exec "tailor exec --trace syscalls"`, "%s has no tracer: tailor test has built it", binary)
		}
		if len(facts.GOROOT) == 0 {
			a.findFacts(ctx, facts)
		}
		return img, func() { img.Close() }, nil
	}
	if !errors.Is(err, image.NoNote) {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "tailor-exec-")
	if err != nil {
		return nil, nil, err
	}
	img, err = a.rebuild(ctx, binary, dir, o, facts)
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	return img, func() { img.Close(); os.RemoveAll(dir) }, nil
}

// findFacts asks the go command. Without one, the program sees no Go tree.
func (a *app) findFacts(ctx context.Context, facts *testFacts) {
	path, err := build.FindGo()
	if err != nil {
		return
	}
	env, err := build.ReadGoEnv(ctx, path, a.dir)
	if err == nil {
		facts.GOROOT, facts.GOMODCACHE = []string{env.GOROOT}, env.GOMODCACHE
	}
}

// rebuild builds as an image, in dir, what the binary was built from.
func (a *app) rebuild(ctx context.Context, binary, dir string, o execOptions, facts *testFacts) (*image.Image, error) {
	parent, err := build.FindParent(os.Getppid())
	if err != nil {
		return nil, hint.With(err, "run tests with: tailor test, programs with: tailor run")
	}
	self, err := selfPath()
	if err != nil {
		return nil, err
	}
	cfg, err := a.testConfig(self)
	if err != nil {
		return nil, err
	}
	cfg.TraceCalls, cfg.Volumes, cfg.AnyDisk, cfg.LUKS = o.trace != "", o.blocks(), o.disks(), o.encrypted()
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	r, err := build.Rebuild(ctx, cfg, parent, binary, dir)
	if err != nil {
		return nil, err
	}
	facts.GOROOT, facts.GOMODCACHE = r.GOROOT, r.GOMODCACHE
	if r.Test {
		return image.OpenTest(r.Path)
	}
	return image.Open(r.Path)
}

// testArgs returns the arguments for a test binary. The go command asks for no
// log of the files and variables that a test looks at if -exec runs it, and so
// cannot cache the result. Under tailor test it can: the binary's build ID says
// which tool runs it.
func testArgs(d testDir, binary string, args []string) []string {
	if d == "" || !slices.Contains(args, "-test.paniconexit0") ||
		slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "-test.testlogfile=") }) {
		return args
	}
	return append([]string{"-test.testlogfile=" + filepath.Join(filepath.Dir(binary), "testlog.txt")}, args...)
}

// selfPath returns this tool's path as it was started: by a test of the tool it
// is known by its name only.
func selfPath() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	if path, err := findTool(os.Args[0]); err == nil && sameFile(path, exe) {
		return path, nil
	}
	return exe, nil
}

// toolID tells builds of this tool apart.
func toolID(path string) ([16]byte, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return [16]byte{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return hash16(fmt.Sprint(st.Size, st.Mtim, toolVersion())), nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func abs(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
