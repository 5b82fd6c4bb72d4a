// Package e2e tests the tool as its users meet it: it builds images of real
// programs, boots them, and looks at what they print and how they end.
package e2e

import (
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
)

// limit bounds every wait for a virtual machine.
const limit = vmtest.Limit

func TestMain(m *testing.M) { os.Exit(vmtest.Main(m)) }

func needTool(t testing.TB) string {
	t.Helper()
	return vmtest.Tool(t)
}

// buildImage builds the image of a package for a target, once.
func buildImage(t testing.TB, target, pkg string) string {
	t.Helper()
	return vmtest.Image(t, target, pkg)
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
	*vmtest.Proc
	cmd         *exec.Cmd
	out, errOut *vmtest.Output
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
	p := vmtest.Setting{Stdin: s.stdin, Limit: s.limit, Env: s.env, Do: s.ns.do}.Exec(t, path, args...)
	return &proc{p, p.Cmd, p.Out, p.ErrOut}
}

// wait returns how the run ended.
func (p *proc) wait() result {
	r := p.Wait()
	return result{r.Stdout, r.Stderr, r.Code, r.Took}
}

func (p *proc) signal(s syscall.Signal) { p.Signal(s) }

// run runs the tool and waits.
func run(t testing.TB, args ...string) result {
	t.Helper()
	return start(t, nil, args...).wait()
}

// expect waits for a piece of standard output.
func (p *proc) expect(text string) {
	p.Expect(text)
}

// want checks how a run ended; each string must be in the respective output.
func (r result) want(t testing.TB, code int, stdout, stderr []string) {
	t.Helper()
	vmtest.Result{Stdout: r.stdout, Stderr: r.stderr, Code: r.code, Took: r.took}.Want(t, code, stdout, stderr)
}

func clip(s string) string { return vmtest.Clip(s) }
