// Package e2e tests the tool as its users meet it: it builds images of real
// programs, boots them, and looks at what they print and how they end.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/xtest"
)

// limit bounds every wait for a virtual machine.
const limit = 30 * time.Second

var work string // folder for the tool and the images, removed at the end

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if work, err = os.MkdirTemp("", "tailor-e2e-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(work)
		return m.Run()
	}())
}

// lookAtSources looks at the files that the tool and the images are made of. The
// go command remembers what a test has looked at, and reports a cached result
// only while that is unchanged; what programs it starts look at, it cannot know.
// Nor what TestMain looks at.
func lookAtSources() error {
	return filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin"):
			return filepath.SkipDir
		case slices.Contains([]string{".go", ".s", ".h", ".mod", ".sum"}, filepath.Ext(path)):
			_, err = os.Stat(path)
			if errors.Is(err, os.ErrNotExist) { // another's file of the moment
				err = nil
			}
		}
		return err
	})
}

// tool builds the tool, once.
var tool = sync.OnceValues(func() (string, error) {
	if err := lookAtSources(); err != nil {
		return "", err
	}
	path := filepath.Join(work, "tailor")
	out, err := exec.Command("go", "build", "-o", path, "github.com/tailor-os/tailor/cmd/tailor").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the tool: %w\n%s", err, out)
	}
	return path, nil
})

func needTool(t testing.TB) string {
	t.Helper()
	path, err := tool()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var images sync.Map // package to func() (string, error)

// buildImage builds the image of a package for a target, once.
func buildImage(t testing.TB, target, pkg string) string {
	t.Helper()
	key := target + " " + pkg
	once, _ := images.LoadOrStore(key, sync.OnceValues(func() (string, error) {
		path := filepath.Join(work, strings.NewReplacer("/", "_", ".", "_", " ", "-").Replace(key)+".img")
		tailor, err := tool()
		if err != nil {
			return "", err
		}
		out, err := exec.Command(tailor, "build", "-t", target, "-o", path, pkg).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("tailor build -t %s %s: %w\n%s", target, pkg, err, out)
		}
		return path, nil
	}))
	path, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

const guestPkg = "./testdata/guest"

// A result is how a program ended.
type result struct {
	stdout, stderr string
	code           int
	took           time.Duration
}

// A proc is a run of the tool that has been started.
type proc struct {
	t      testing.TB
	cmd    *exec.Cmd
	out    *lineBuffer
	errOut *lineBuffer
	start  time.Time
	limit  time.Duration
	done   chan struct{}
	err    error
}

// A setting is how the tool is started. The zero value is the usual way.
type setting struct {
	stdin io.Reader
	limit time.Duration // 0: limit
	ns    *namespace    // nil: the test's own
	env   []string      // added to the test's own
}

// start runs the tool with arguments and an optional standard input.
func start(t testing.TB, stdin io.Reader, args ...string) *proc {
	t.Helper()
	return setting{stdin: stdin}.start(t, args...)
}

func (s setting) start(t testing.TB, args ...string) *proc {
	t.Helper()
	return s.exec(t, needTool(t), args...)
}

// exec runs any program.
func (s setting) exec(t testing.TB, path string, args ...string) *proc {
	t.Helper()
	if s.limit == 0 {
		s.limit = limit
	}
	ctx, cancel := context.WithTimeout(t.Context(), s.limit)
	p := &proc{t: t, out: newLineBuffer(), errOut: newLineBuffer(), start: time.Now(), limit: s.limit, done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, path, args...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = s.stdin, p.out, p.errOut
	p.cmd.Env = append(os.Environ(), s.env...)
	p.cmd.WaitDelay = 5 * time.Second
	if err := s.ns.do(p.cmd.Start); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		cancel()
		p.out.close()
		p.errOut.close()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// wait returns how the run ended.
func (p *proc) wait() result {
	p.t.Helper()
	<-p.done
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		p.t.Fatalf("%v: %v", p.cmd.Args, p.err)
	}
	if time.Since(p.start) >= p.limit {
		p.t.Fatalf("%v did not end within %v\nstdout:\n%s\nstderr:\n%s", p.cmd.Args, p.limit, clip(p.out.String()), clip(p.errOut.String()))
	}
	return result{p.out.String(), p.errOut.String(), p.cmd.ProcessState.ExitCode(), time.Since(p.start)}
}

func (p *proc) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// run runs the tool and waits.
func run(t testing.TB, args ...string) result {
	t.Helper()
	return start(t, nil, args...).wait()
}

// guest runs a command of the guest program as a virtual machine.
func guest(t testing.TB, args ...string) result {
	t.Helper()
	return startGuest(t, nil, args...).wait()
}

func startGuest(t testing.TB, stdin io.Reader, args ...string) *proc {
	t.Helper()
	xtest.NeedKVM(t)
	return start(t, stdin, append([]string{"run", buildImage(t, "hvt", guestPkg)}, args...)...)
}

// A lineBuffer collects output and lets a test wait for a piece of it.
type lineBuffer struct {
	mu     sync.Mutex
	cond   *sync.Cond
	buf    bytes.Buffer
	closed bool
}

func newLineBuffer() *lineBuffer {
	b := &lineBuffer{}
	b.cond = sync.NewCond(&b.mu)
	return b
}

func (b *lineBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.cond.Broadcast()
	return b.buf.Write(p)
}

func (b *lineBuffer) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.cond.Broadcast()
}

func (b *lineBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// await waits until the output has text in it; false if it ended without.
func (b *lineBuffer) await(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !strings.Contains(b.buf.String(), text) {
		if b.closed {
			return false
		}
		b.cond.Wait()
	}
	return true
}

// expect waits for a piece of standard output.
func (p *proc) expect(text string) {
	p.t.Helper()
	if !p.out.await(text) {
		p.t.Fatalf("%v ended without printing %q\nstdout:\n%s\nstderr:\n%s", p.cmd.Args, text, p.out, p.errOut)
	}
}

// want checks how a run ended; each string must be in the respective output.
func (r result) want(t testing.TB, code int, stdout, stderr []string) {
	t.Helper()
	ok := r.code == code
	for _, s := range stdout {
		ok = ok && strings.Contains(r.stdout, s)
	}
	for _, s := range stderr {
		ok = ok && strings.Contains(r.stderr, s)
	}
	if !ok {
		t.Errorf("exit code %d, want %d; stdout must have %q, stderr %q\nstdout:\n%s\nstderr:\n%s",
			r.code, code, stdout, stderr, clip(r.stdout), clip(r.stderr))
	}
}

func clip(s string) string {
	const most = 4000
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
