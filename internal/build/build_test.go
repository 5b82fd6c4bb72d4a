package build

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/hint"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestSplitQuoted(t *testing.T) {
	for s, want := range map[string][]string{
		"":                                  nil,
		"  ":                                nil,
		"-a -b=c":                           {"-a", "-b=c"},
		`'-ldflags=-s -w' -v`:               {"-ldflags=-s -w", "-v"},
		`"-ldflags=-X 'a=b'"` + "\t-tags=x": {"-ldflags=-X 'a=b'", "-tags=x"},
		`-a='b`:                             {"-a='b"},
	} {
		got, err := splitQuoted(s)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("splitQuoted(%q) = %q, %v, want %q", s, got, err, want)
		}
		var quoted []string
		for _, f := range got {
			quoted = append(quoted, quoteField(f))
		}
		if again, err := splitQuoted(strings.Join(quoted, " ")); err != nil || !slices.Equal(again, got) {
			t.Errorf("%q: quoted and split again: %q, %v", s, again, err)
		}
	}
	if _, err := splitQuoted(`a 'b c`); err == nil {
		t.Error("no error for an open quote")
	}
}

func TestCheckVersion(t *testing.T) {
	supported := []string{"1.26", "1.27"}
	for _, v := range []string{"go1.26", "go1.26.8", "go1.27rc1", "go1.27.4"} {
		if err := CheckVersion(v, supported); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
	for _, v := range []string{"go1.25.9", "go1.2", "go1.260.1", "devel go1.27-abcdef", "", "go", "go1"} {
		if err := CheckVersion(v, supported); !errors.Is(err, ErrUnsupportedGo) || hint.Of(err) == "" {
			t.Errorf("%q: %v", v, err)
		}
	}
}

func TestBaseName(t *testing.T) {
	for p, want := range map[string]string{
		"example.com/hello": "hello", "example.com/hello/v2": "hello", "example.com/v2/cmd/x": "x",
		"hello": "hello", "v2": "v2", "example.com/version": "version", "example.com/x/v": "v",
	} {
		if got := baseName(p); got != want {
			t.Errorf("baseName(%q) = %q, want %q", p, got, want)
		}
	}
}

func TestJoinLDFlags(t *testing.T) {
	for _, c := range []struct{ target, flags, env, want string }{
		{HVT, "", "", "-s -w -funcalign=16 -T 0x111000"},
		{Unix, "", "", "-s -w"},
		{HVT, "-X a.b=c", "-X d.e=f", "-s -w -funcalign=16 -X a.b=c -T 0x111000"},
		{Unix, "", "-X d.e=f", "-s -w -X d.e=f"},
	} {
		f, err := checkFlags("'-ldflags="+c.env+"'", Config{Target: c.target, LDFlags: c.flags})
		if err != nil || f.ldflags != c.want {
			t.Errorf("%+v: %+v, %v", c, f, err)
		}
	}
	for _, bad := range []string{"all=-s", "-linkmode external", "-linkmode=external", "-extld=gcc", "-T 0x1", "--T=0x1", "'open"} {
		if got, err := joinLDFlags(bad, HVT); err == nil {
			t.Errorf("%q: %q, want an error", bad, got)
		}
	}
}

// An overlay in GOFLAGS is carried over, since our own hides it.
func TestOverlayInGOFLAGS(t *testing.T) {
	file := filepath.Join(t.TempDir(), "overlay.json")
	write(t, file, `{"Replace": {"/a.go": "/b.go"}}`)
	f, err := checkFlags("-overlay="+file, Config{Target: HVT})
	if err != nil || f.overlay["/a.go"] != "/b.go" {
		t.Errorf("%+v, %v", f, err)
	}
	write(t, file, `{`)
	if _, err := checkFlags("-overlay="+file, Config{Target: HVT}); err == nil {
		t.Error("no error for a broken overlay")
	}
}

// quote is checked against the shell itself.
func TestQuote(t *testing.T) {
	words := []string{"", "plain", "with space", "it's", `"$HOME"`, "a\nb", "*", `back\slash`, "-ldflags=-s -w", "$x"}
	var script strings.Builder
	script.WriteString("printf '%s\\0'")
	for _, w := range words {
		script.WriteString(" " + quote(w))
	}
	out, err := exec.Command("/bin/sh", "-c", script.String()).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, words) {
		t.Errorf("the shell read %q, want %q", got, words)
	}
}

func TestReplaceFileFails(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "out")
	write(t, file, "old")
	boom := errors.New("boom")
	err := replaceFile(file, 0o666, func(w io.Writer) error {
		io.WriteString(w, "half")
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("err = %v", err)
	}
	if text, _ := os.ReadFile(file); string(text) != "old" {
		t.Errorf("the file now holds %q", text)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// An interrupt ends the command and all that it started, and gives it time to
// clean up.
func TestInterrupt(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "temporary")
	script := `trap 'rm -f "$1"; exit 1' INT; touch "$1"; sleep 100 & wait`
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	go func() {
		for {
			if _, err := os.Stat(file); err == nil {
				cancel(interrupted)
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	var out bytes.Buffer // a pipe that sleep holds open
	old := graceful
	graceful = time.Second
	defer func() { graceful = old }()
	begin := time.Now()
	err := command{path: "/bin/sh", args: []string{"-c", script, "sh", file}, dir: dir, stdout: &out, stderr: &out}.run(ctx, nil)
	if !errors.Is(err, interrupted) {
		t.Errorf("err = %v", err)
	}
	// Background jobs of a shell ignore SIGINT: sleep has to be killed.
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the command could not clean up")
	}
}

// config is a build for the unix target in a module of its own.
func config(t *testing.T, main string) Config {
	t.Helper()
	t.Setenv("CGO_ENABLED", "")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.com/m\n\ngo 1.26\n")
	write(t, filepath.Join(dir, "main.go"), main)
	return Config{
		Target: Unix, Args: []string{"."}, Dir: dir, Output: "out", Tool: "test",
		CacheDir: filepath.Join(dir, "cache"), Stderr: io.Discard,
	}
}

// A linker's output that is cut short, but has the build ID that go build looks
// at, is made again.
func TestDamagedCache(t *testing.T) {
	cfg := config(t, "package main\n\nfunc main() { println(1) }\n")
	p, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(p.Output)
	if err != nil {
		t.Fatal(err)
	}
	raw := p.Actions[0].Outputs[0]
	if err := os.Truncate(raw, int64(len(want)/2)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(p.Output); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the output has %d bytes, not %d: %v", len(got), len(want), err)
	}
}

// An interrupt during a real build leaves nothing: no output, no temporary
// file, no process.
func TestInterruptedBuild(t *testing.T) {
	cfg := config(t, "package main\n\nimport \"net/http\"\n\nfunc main() { http.ListenAndServe(\"\", nil) }\n")
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	t.Setenv("GOCACHE", t.TempDir()) // so that it takes long
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.Trace = func(line string) {
		if strings.Contains(line, "/go build ") {
			time.AfterFunc(500*time.Millisecond, cancel)
		}
	}
	if _, err := Build(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Fatalf("err = %v", err)
	}
	var left []string
	for _, dir := range []string{tmp, cfg.Dir} {
		filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				t.Error(err)
			} else if !d.IsDir() {
				left = append(left, filepath.Base(path))
			}
			return nil
		})
	}
	if want := []string{"lock", "go.mod", "main.go"}; !slices.Equal(left, want) {
		t.Errorf("left behind: %v, want %v", left, want)
	}
	// go and its children were of a process group of their own; none of ours
	// may be left.
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("a child is left: %d, %v", pid, err)
	}
}
