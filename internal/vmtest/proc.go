package vmtest

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Limit bounds a run whose Setting says nothing else.
const Limit = 30 * time.Second

// A Setting is how a program is started. The zero value is the usual way.
type Setting struct {
	Stdin io.Reader                  // nil: nothing to read
	Limit time.Duration              // after which the program is killed; 0: [Limit]
	Env   []string                   // added to the test's own
	Dir   string                     // working directory, "": the test's
	Do    func(f func() error) error // runs the function that starts the program; nil: calls it
}

// A Proc is a program that was started.
type Proc struct {
	Cmd         *exec.Cmd
	Out, ErrOut *Output
	Done        chan struct{} // closed when the program has ended

	t     testing.TB
	start time.Time
	limit time.Duration
	err   error
}

// A Result is how a program ended.
type Result struct {
	Stdout, Stderr string
	Code           int
	Took           time.Duration
}

// Start starts the tool with arguments.
func (s Setting) Start(t testing.TB, args ...string) *Proc {
	t.Helper()
	return s.Exec(t, Tool(t), args...)
}

// Exec starts any program. It is killed at the end of the test.
func (s Setting) Exec(t testing.TB, path string, args ...string) *Proc {
	t.Helper()
	if s.Limit == 0 {
		s.Limit = Limit
	}
	ctx, cancel := context.WithTimeout(t.Context(), s.Limit)
	p := &Proc{t: t, Out: NewOutput(), ErrOut: NewOutput(), start: time.Now(), limit: s.Limit, Done: make(chan struct{})}
	p.Cmd = exec.CommandContext(ctx, path, args...)
	p.Cmd.Stdin, p.Cmd.Stdout, p.Cmd.Stderr = s.Stdin, p.Out, p.ErrOut
	p.Cmd.Env = append(os.Environ(), s.Env...)
	p.Cmd.Dir = s.Dir
	p.Cmd.WaitDelay = 5 * time.Second
	if s.Do == nil {
		s.Do = func(f func() error) error { return f() }
	}
	if err := s.Do(p.Cmd.Start); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		p.err = p.Cmd.Wait()
		cancel()
		p.Out.Close()
		p.ErrOut.Close()
		close(p.Done)
	}()
	t.Cleanup(p.Kill)
	return p
}

// Kill ends the program, if it has not ended, and waits for that.
func (p *Proc) Kill() {
	p.Cmd.Process.Kill()
	<-p.Done
}

// Wait returns how the program ended.
func (p *Proc) Wait() Result {
	p.t.Helper()
	<-p.Done
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		p.t.Fatalf("%v: %v", p.Cmd.Args, p.err)
	}
	if time.Since(p.start) >= p.limit {
		p.t.Fatalf("%v did not end within %v\nstdout:\n%s\nstderr:\n%s", p.Cmd.Args, p.limit, Clip(p.Out.String()), Clip(p.ErrOut.String()))
	}
	return Result{p.Out.String(), p.ErrOut.String(), p.Cmd.ProcessState.ExitCode(), time.Since(p.start)}
}

// Signal sends the program a signal.
func (p *Proc) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Expect waits for a piece of standard output.
func (p *Proc) Expect(text string) {
	p.t.Helper()
	if !p.Out.Await(text) {
		p.t.Fatalf("%v ended without printing %q\nstdout:\n%s\nstderr:\n%s", p.Cmd.Args, text, p.Out, p.ErrOut)
	}
}

// Want checks how a run ended; each string must be in the respective output.
func (r Result) Want(t testing.TB, code int, stdout, stderr []string) {
	t.Helper()
	ok := r.Code == code
	for _, s := range stdout {
		ok = ok && strings.Contains(r.Stdout, s)
	}
	for _, s := range stderr {
		ok = ok && strings.Contains(r.Stderr, s)
	}
	if !ok {
		t.Errorf("exit code %d, want %d; stdout must have %q, stderr %q\nstdout:\n%s\nstderr:\n%s",
			r.Code, code, stdout, stderr, Clip(r.Stdout), Clip(r.Stderr))
	}
}
