package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/tailor-os/tailor/internal/hint"
)

// forced are the settings of every go command: what an image is compiled for,
// whatever the user's environment says. Contradictions are refused before, by
// checkEnv.
var forced = []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64"}

// goCmd is the user's go command and what all its runs have in common.
type goCmd struct {
	path   string
	stderr io.Writer
	trace  func(string)
	flags  *goFlags
}

// ErrNoGo is the error of a machine without a go command.
var ErrNoGo = errors.New("no Go toolchain found: no go command on PATH or in GOROOT/bin")

// FindGo returns the path of the go command: the one on PATH, else the one in
// GOROOT.
func FindGo() (string, error) {
	path, err := exec.LookPath("go")
	if err == nil {
		return filepath.Abs(path)
	}
	if errors.Is(err, exec.ErrDot) {
		return "", fmt.Errorf("the go command on PATH is in the current folder, which is not trusted: %w", err)
	}
	if root := os.Getenv("GOROOT"); root != "" {
		if path, err := exec.LookPath(filepath.Join(root, "bin", "go")); err == nil {
			return path, nil
		}
	}
	return "", hint.With(ErrNoGo, noGoHint())
}

// noGoHint says how to get Go, or to find the one that is there.
func noGoHint() string {
	for _, dir := range []string{"/usr/local/go/bin", "/usr/lib/go/bin"} {
		if _, err := os.Stat(filepath.Join(dir, "go")); err == nil {
			return "export PATH=$PATH:" + dir
		}
	}
	return "install Go from https://go.dev/dl/ and have its bin folder on PATH"
}

func findGo(cfg Config) (*goCmd, error) {
	path, err := FindGo()
	if err != nil {
		return nil, err
	}
	return &goCmd{path: path, stderr: cfg.Stderr, trace: cfg.Trace}, nil
}

// GoEnv is the part of go env's output that matters here.
type GoEnv struct {
	GOROOT, GOVERSION, GOFLAGS, GOMOD, GOWORK, GOMODCACHE, GOTOOLCHAIN, GOENV string
}

var goEnvNames = []string{"GOROOT", "GOVERSION", "GOFLAGS", "GOMOD", "GOWORK", "GOMODCACHE", "GOTOOLCHAIN", "GOENV"}

// env runs go env in dir, so that go.mod's toolchain, go.work and GOTOOLCHAIN
// have their say.
func (g *goCmd) env(ctx context.Context, dir string, env []string) (e GoEnv, err error) {
	out, err := g.output(ctx, dir, env, append([]string{"env", "-json"}, goEnvNames...)...)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(out, &e); err != nil {
		return e, fmt.Errorf("read the output of go env: %w", err)
	}
	return e, nil
}

// ReadGoEnv runs go env in dir.
func ReadGoEnv(ctx context.Context, goPath, dir string) (GoEnv, error) {
	g := &goCmd{path: goPath, stderr: io.Discard}
	return g.env(ctx, dir, nil)
}

// A commandError is a go command that failed, with what it said.
type commandError struct {
	args   []string
	stderr string
	err    error
}

func (e *commandError) Error() string {
	if e.stderr != "" {
		return e.stderr
	}
	return fmt.Sprintf("go %s: %v", strings.Join(e.args, " "), e.err)
}

func (e *commandError) Unwrap() error { return e.err }

// output runs a go command that is asked a question and returns its answer.
func (g *goCmd) output(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	c := command{path: g.path, args: args, dir: dir, env: env, stdout: &stdout, stderr: &stderr}
	if err := c.run(ctx, g.trace); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &commandError{args, strings.TrimSpace(stderr.String()), err}
	}
	return stdout.Bytes(), nil
}

// A command is one run of a program that ends when its context does.
type command struct {
	path           string
	args           []string
	dir            string
	env            []string // added to forced
	stdout, stderr io.Writer
}

// graceful is how long an interrupted command may take to end; tests shorten
// it.
var graceful = 5 * time.Second

// run starts the program in a process group of its own, so that an interrupt
// ends it and all that it started.
func (c command) run(ctx context.Context, trace func(string)) error {
	if trace != nil {
		trace(c.String())
	}
	// The death signal comes when the thread that started the child ends, so
	// this goroutine must keep its thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, c.stdout, c.stderr
	cmd.Env = append(append(os.Environ(), forced...), c.env...)
	cmd.Env = append(cmd.Env, "PWD="+c.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = graceful
	err := cmd.Run()
	if ctx.Err() != nil {
		if cmd.Process != nil {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what outlived go itself
		}
		return context.Cause(ctx)
	}
	return err
}

// RunTool runs a program, this tool for one, in folder dir with settings on top of the
// environment. It ends, with all that it has started, when ctx does.
func RunTool(ctx context.Context, path string, args []string, dir string, env []string, stdout, stderr io.Writer) error {
	return command{path: path, args: args, dir: dir, env: env, stdout: stdout, stderr: stderr}.run(ctx, nil)
}

// String returns the command as a shell would take it.
func (c command) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cd %s && ", quote(c.dir))
	for _, e := range append(forced, c.env...) {
		b.WriteString(quote(e) + " ")
	}
	b.WriteString(quote(c.path))
	for _, a := range c.args {
		b.WriteString(" " + quote(a))
	}
	return b.String()
}

// quote returns s as one word of a POSIX shell, but for overlayVar, which is
// shown as a variable.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%"
	if s != "" && strings.Trim(strings.Replace(s, overlayVar, "", 1), plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
