package conformance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Runner runs go test -json.
type Runner struct {
	Go   string   // the go command
	Args []string // that come first, "test" and flags
	Env  []string // added to the environment
	Dir  string   // where it runs, outside of any module
	// Timeout bounds the tests of one package.
	Timeout time.Duration
	Stderr  io.Writer
	// Done, if not nil, is told of each package that has ended.
	Done func(pkg string)

	grace time.Duration // after an interrupt, 0 for the default
}

// Run runs the tests of packages. That tests fail is no error; what go said is
// in the results.
func (r Runner) Run(ctx context.Context, pkgs []string, flags ...string) (Results, error) {
	args := slices.Concat(r.Args, []string{"-json", "-timeout", r.Timeout.String()}, flags, pkgs)
	cmd := exec.CommandContext(ctx, r.Go, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = r.Dir, append(os.Environ(), r.Env...), r.Stderr
	defer r.interruptAll(cmd)()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	results := Results{}
	err = results.Read(io.TeeReader(out, &watcher{done: r.Done}))
	io.Copy(io.Discard, out)
	werr := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	case werr != nil && !errors.As(werr, &exit), len(results) == 0:
		return nil, fmt.Errorf("go test: %w", errors.Join(werr, errors.New("it has run no test")))
	}
	return results, nil
}

// interruptAll makes the end of cmd's context an interrupt for the go command and
// all that it runs, since it leaves its tests to end themselves; what is there
// after the grace period is killed. The function it returns is to be called
// when the command has ended.
func (r Runner) interruptAll(cmd *exec.Cmd) (ended func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = cmp.Or(r.grace, 10*time.Second)
	done := make(chan struct{})
	interrupted := false
	cmd.Cancel = func() error {
		interrupted = true
		group := -cmd.Process.Pid
		go func() {
			select {
			case <-done:
			case <-time.After(cmd.WaitDelay):
				syscall.Kill(group, syscall.SIGKILL)
			}
		}()
		return syscall.Kill(group, syscall.SIGINT)
	}
	return func() {
		close(done)
		if interrupted {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	}
}

// A watcher sees go by which package has ended.
type watcher struct {
	done func(pkg string)
	line []byte
}

// Write implements io.Writer.
func (w *watcher) Write(b []byte) (int, error) {
	for _, c := range b {
		if w.line = append(w.line, c); c == '\n' {
			w.look()
			w.line = w.line[:0]
		}
	}
	return len(b), nil
}

func (w *watcher) look() {
	var e event
	if w.done == nil || json.Unmarshal(w.line, &e) != nil || e.Package == "" || e.Test != "" {
		return
	}
	if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
		w.done(e.Package)
	}
}

// maxRounds bounds how often [Runner.Complete] runs the rest of a package.
const maxRounds = 4

// Complete runs once more, for each package, the tests that pass in want and
// did not begin in got, or were waiting for their turn, because another one had
// ended the program. It runs as many packages at a time as there are processors.
func (r Runner) Complete(ctx context.Context, want, got Results, flags ...string) error {
	turns := make(chan struct{}, runtime.NumCPU())
	errs := make(chan error, len(got))
	for _, pkg := range sortedKeys(got) {
		turns <- struct{}{}
		go func() {
			errs <- r.complete(ctx, pkg, want[pkg], got[pkg], flags)
			<-turns
		}()
	}
	var err error
	for range got {
		err = errors.Join(err, <-errs)
	}
	return err
}

func (r Runner) complete(ctx context.Context, pkg string, want, got *Package, flags []string) error {
	for range maxRounds {
		rest := missing(want, got)
		if len(rest) == 0 {
			return nil
		}
		res, err := r.Run(ctx, []string{pkg}, append(slices.Clone(flags), "-run", exactly(rest))...)
		if err != nil {
			return err
		}
		if res[pkg] == nil || len(res[pkg].Tests) == 0 {
			return nil // it does not even start
		}
		got.Merge(res[pkg])
	}
	return nil
}

// exactly returns a pattern for -run and -skip that matches these tests.
func exactly(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = regexp.QuoteMeta(n)
	}
	return "^(" + strings.Join(quoted, "|") + ")$"
}

// missing returns the top-level tests that pass in want and, in got, neither
// ended nor were running when the program was ended.
func missing(want, got *Package) (names []string) {
	if want == nil || got.Status == Pass {
		return nil
	}
	for name, t := range want.Tests {
		if t.Status != Pass || strings.Contains(name, "/") {
			continue
		}
		if g := got.Tests[name]; g == nil || g.Status == Cut && g.paused() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func sortedKeys(r Results) (keys []string) {
	for k := range r {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Load reads results that Save has written.
func Load(file string) (Results, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var r Results
	return r, json.Unmarshal(data, &r)
}

// Save writes results to a file, whole or not at all.
func (r Results) Save(file string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d.tmp", file, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o666); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}
