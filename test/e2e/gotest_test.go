package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/xtest"
)

// tailorTest runs tailor test in the module of testdata/tested, or a copy.
func tailorTest(t *testing.T, s setting, args ...string) *proc {
	t.Helper()
	xtest.NeedKVM(t)
	s.limit = 3 * time.Minute // it compiles
	return s.start(t, append([]string{"test", "-C", "testdata/tested"}, args...)...)
}

// expect checks an exit code and that patterns match stdout.
func (r result) expect(t *testing.T, code int, patterns ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(r.stdout) {
			t.Errorf("stdout does not match %q", p)
		}
	}
	if t.Failed() {
		t.Fatalf("stdout:\n%s\nstderr:\n%s", clip(r.stdout), clip(r.stderr))
	}
}

func TestGoTest(t *testing.T) {
	dir, err := filepath.Abs("testdata/tested/sum")
	if err != nil {
		t.Fatal(err)
	}
	env := setting{env: []string{"COLOUR=red", "TMPDIR=" + t.TempDir()}}
	tests := []struct {
		name     string
		args     []string
		code     int
		patterns []string
	}{
		{"quiet", []string{"./sum"}, 0, []string{`^ok  \texample.com/tested/sum\t`}},
		{"again", []string{"./sum"}, 0, []string{`^ok  \texample.com/tested/sum\t\(cached\)`}},
		{"verbose", []string{"-v", "-run", "Place", "./sum", "-mine=x y"}, 0,
			[]string{`(?m)^=== RUN   TestPlace$`, `in ` + regexp.QuoteMeta(dir) + ` with "x y", COLOUR "red", TMPDIR ""`, `(?m)^--- PASS: TestPlace`}},
		{"no go command", []string{"-v", "-run", "NoGo", "./sum"}, 0, []string{`--- PASS: TestNoGo`}},
		{"short", []string{"-v", "-short", "-run", "Short", "-count=1", "./sum"}, 0, []string{`--- SKIP: TestShort`, `sum_test.go:\d+: short`}},
		{"json", []string{"-json", "-run", "Sum", "./sum"}, 0, []string{`"Action":"pass","Package":"example.com/tested/sum","Test":"TestSum"`}},
		{"bench", []string{"-run", "^$", "-bench", ".", "-benchtime", "100x", "-count=2", "./sum"}, 0, []string{`(?s)BenchmarkSum\s+100\s.* ns/op.* allocs/op.*BenchmarkSum`}},
		{"cover", []string{"-cover", "./sum"}, 0, []string{`coverage: 75.0% of statements`}},
		{"no tests", []string{"-run", "Nothing", "./sum"}, 0, []string{`\[no tests to run\]`}},
		{"fail", []string{"-run", "Fail", "./ends", "./sum"}, 1, []string{`--- FAIL: TestFail`, `on purpose`, `(?m)^FAIL\texample.com/tested/ends`, `(?m)^ok  \texample.com/tested/sum`}},
		{"panic", []string{"-run", "Panic", "./ends"}, 1, []string{`panic: on purpose`, `ends_test.go:12`}},
		{"exit in init", []string{"./early"}, 1, []string{`leaving early`, `FAIL\texample.com/tested/early`}},
		{"stack", []string{"-run", "Stack", "./ends"}, 1, []string{`goroutine stack exceeds`, `stack overflow`}},
		{"timeout", []string{"-run", "Forever", "-timeout", "1s", "./ends"}, 1, []string{`panic: test timed out after 1s`, `ends\.waitForever`}},
		{"memory", []string{"-m", "128M", "-run", "Memory", "./ends"}, 1,
			[]string{`fatal error: runtime: out of memory|fatal error: .*out of memory`, `tailor: hint: the guest ran out of its 128M of memory`}},
		// The timeout's timer keeps the program from being dead.
		{"deadlock", []string{"-run", "Deadlock", "-timeout", "0", "./ends"}, 1, []string{`fatal error: all goroutines are asleep - deadlock!`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tailorTest(t, env, tt.args...).wait()
			r.expect(t, tt.code, tt.patterns...)
			if strings.Contains(r.stdout+r.stderr, "tailor: error") {
				t.Errorf("an error of tailor's:\n%s\n%s", r.stdout, r.stderr)
			}
		})
	}
	for name, want := range map[string]bool{"want": true, "left": false} {
		if _, err := os.Stat(filepath.Join(dir, "testdata", name)); (err == nil) != want {
			t.Errorf("testdata/%s is there: %v, want %v", name, err == nil, want)
		}
	}
}

// What flags name is written on the host, with what the test has written to it.
func TestGoTestOutputs(t *testing.T) {
	out := t.TempDir()
	names := []string{"cover.out", "cpu.out", "mem.out", "block.out", "mutex.out", "trace.out"}
	args := []string{"-run", "Sum", "-o", filepath.Join(out, "sum.test"), "-coverprofile", filepath.Join(out, "cover.out"), "-outputdir", out}
	for _, name := range names[1:] {
		kind := strings.TrimSuffix(name, ".out")
		flag := "-" + kind + "profile"
		if kind == "trace" {
			flag = "-trace"
		}
		args = append(args, flag, name)
	}
	tailorTest(t, setting{}, append(args, "./sum")...).wait().expect(t, 0, `^ok `)
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(out, name))
		if err != nil || len(data) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
		if name == "cover.out" && !strings.Contains(string(data), "sum.go:5.") {
			t.Errorf("%s:\n%s", name, data)
		}
	}
	// The binary that -o names is an image that exec starts.
	r := start(t, nil, "exec", filepath.Join(out, "sum.test"), "-test.run=Short", "-test.v")
	r.wait().expect(t, 0, `--- PASS: TestShort`)
	r = start(t, nil, "exec", "--trace", "syscalls", filepath.Join(out, "sum.test"))
	if r := r.wait(); r.code != 125 || !strings.Contains(r.stderr, `go test -exec "tailor exec --trace syscalls"`) {
		t.Errorf("exec --trace of a binary without the tracer: %d\n%s", r.code, r.stderr)
	}
}

// Go's own mechanism: the binary is an ordinary one, which exec builds anew.
func TestGoTestExec(t *testing.T) {
	xtest.NeedKVM(t)
	exec := `-exec=` + needTool(t) + ` exec -m 512M`
	s := setting{limit: 3 * time.Minute}
	s.exec(t, "go", "test", "-C", "testdata/tested", exec, "-v", "-cover", "-run", "Sum|Place", "./sum").wait().
		expect(t, 0, `--- PASS: TestPlace`, `coverage: 75.0% of statements`)
	s.exec(t, "go", "test", "-C", "testdata/tested", exec, "-run", "Fail", "./ends").wait().
		expect(t, 1, `--- FAIL: TestFail`)
	s.exec(t, "go", "test", "-C", "testdata/tested", exec, "-v", "./cmd").wait().expect(t, 0, `--- PASS: TestAnswer`)
	traced := s.exec(t, "go", "test", "-C", "testdata/tested", exec+" --trace syscalls", "-v", "-run", "Sum", "./sum").wait()
	traced.expect(t, 0, `--- PASS: TestSum`)
	if !strings.Contains(traced.stdout+traced.stderr, ` openat(AT_FDCWD, "testdata/want", O_RDONLY`) {
		t.Errorf("no trace:\n%s\n%s", traced.stdout, traced.stderr)
	}
	r := s.exec(t, "go", "run", exec, "./testdata/guest", "exit", "3").wait()
	if r.code != 1 || !strings.Contains(r.stderr, "exit status 3") {
		t.Errorf("go run -exec: %d\n%s\n%s", r.code, r.stdout, r.stderr)
	}
}

func TestGoTestRefuses(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"-race ./sum", "-race cannot work in a virtual machine"},
		{"-fuzz Sum ./sum", "fuzzing starts worker processes"},
		{"-exec x ./sum", "the test binaries are images"},
		{"-buildmode=pie ./sum", "fixed address"},
		{"-m 1 ./sum", "-m 1: "},
		{"-ldflags=-linkmode=external ./sum", "no C linker"},
	} {
		r := tailorTest(t, setting{}, strings.Fields(tt.args)...).wait()
		if r.code != 125 || !strings.Contains(r.stderr, "tailor: error: ") || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%s: exit code %d\n%s%s", tt.args, r.code, r.stdout, r.stderr)
		}
	}
}

// A failure of tailor's is none of the test's, whatever go test makes of it.
func TestGoTestInfrastructure(t *testing.T) {
	r := tailorTest(t, setting{env: []string{"BIG=" + strings.Repeat("x", 80<<10)}}, "-run", "Sum", "./sum").wait()
	r.expect(t, 125, `tailor: error: arguments and environment of \d+ bytes do not fit`)
	if !strings.Contains(r.stderr, "tailor: error: tailor failed, not the tests") {
		t.Errorf("stderr:\n%s", r.stderr)
	}
}

// 100 MiB of output pass through, and are held nowhere.
func TestGoTestMuchOutput(t *testing.T) {
	p := tailorTest(t, setting{}, "-v", "-run", "Much", "./ends")
	r := p.wait()
	if r.code != 0 || len(r.stdout) < 100<<20 {
		t.Errorf("exit code %d, %d bytes", r.code, len(r.stdout))
	}
	usage, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if ok && usage.Maxrss > 512<<10 { // KiB; that of tailor's own children too
		t.Errorf("%d MiB of memory", usage.Maxrss>>10)
	}
}

// Ctrl-C ends go test, the virtual machine and tailor.
func TestGoTestInterrupt(t *testing.T) {
	p := tailorTest(t, setting{}, "-v", "-run", "Forever", "-timeout", "1m", "./ends")
	if !p.out.Await("=== RUN   TestForever") {
		t.Fatalf("it ended:\n%s", p.errOut.String())
	}
	p.signal(syscall.SIGINT)
	began := time.Now()
	if r := p.wait(); r.code == 0 || time.Since(began) > 20*time.Second {
		t.Errorf("exit code %d after %v\n%s", r.code, time.Since(began), clip(r.stdout))
	}
}
