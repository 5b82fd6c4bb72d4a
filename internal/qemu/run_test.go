package qemu

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/xtest"
)

// kernel assembles testdata/kernel.asm, which does what the last character of
// its command line says.
func kernel(t *testing.T) string {
	t.Helper()
	nasm := xtest.NeedCommand(t, "nasm", "nasm")
	out := filepath.Join(t.TempDir(), "kernel.elf")
	if msg, err := exec.Command(nasm, "-f", "bin", "-o", out, "testdata/kernel.asm").CombinedOutput(); err != nil {
		t.Fatalf("nasm: %v\n%s", err, msg)
	}
	return out
}

// A buffer may be written and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// waitFor waits until b has text.
func (b *buffer) waitFor(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(b.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %q in %q", text, b.String())
		}
	}
}

func config(t *testing.T, machine, image, line string, stderr io.Writer) Config {
	path := xtest.NeedCommand(t, Program, "qemu-system-x86")
	return Config{
		Path:    path,
		Machine: Machine{Type: machine, Image: image, CmdLine: line, Memory: 64 << 20},
		Stdout:  io.Discard, Stderr: stderr,
	}
}

// run runs a guest with a deadline and checks that no QEMU is left.
func run(t *testing.T, cfg Config) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return Run(ctx, cfg)
}

func TestExitCode(t *testing.T) {
	image := kernel(t)
	for _, machine := range Machines {
		for line, want := range map[string]int{"0 a=1": 0, `7 x="y z"`: 7} {
			var stderr buffer
			code, err := run(t, config(t, machine, image, line, &stderr))
			if code != want || err != nil || !strings.HasPrefix(stderr.String(), line) {
				t.Errorf("%s %q: exit code %d, %v; serial port %q", machine, line, code, err, &stderr)
			}
		}
	}
}

func TestSignal(t *testing.T) {
	image := kernel(t)
	for _, machine := range Machines {
		var stderr buffer
		cfg := config(t, machine, image, "w", &stderr)
		in, hold, err := os.Pipe() // standard input that does not end
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		defer hold.Close()
		signals := make(chan unix.Signal, 1)
		cfg.Signals, cfg.Stdin = signals, in
		go func() {
			stderr.waitFor(t, "ready")
			signals <- unix.SIGTERM
		}()
		if code, err := run(t, cfg); code != int(unix.SIGTERM) || err != nil {
			t.Errorf("%s: exit code %d, %v", machine, code, err)
		}
	}
}

// A guest is told when standard input has ended.
func TestEndOfInput(t *testing.T) {
	var stderr buffer
	if code, err := run(t, config(t, "microvm", kernel(t), "w", &stderr)); code != endOfInput || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestSecondSignal(t *testing.T) {
	var stderr buffer
	cfg := config(t, "microvm", kernel(t), "h", &stderr)
	signals := make(chan unix.Signal, 3)
	cfg.Signals = signals
	signals <- unix.SIGHUP
	signals <- unix.SIGINT
	signals <- unix.SIGTERM
	if code, err := run(t, cfg); code != 128+int(unix.SIGTERM) || err != nil || !strings.Contains(stderr.String(), "second signal") {
		t.Errorf("exit code %d, %v, %q", code, err, &stderr)
	}
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var stderr buffer
	cfg := config(t, "microvm", kernel(t), "h", &stderr)
	go func() {
		stderr.waitFor(t, "h ")
		cancel()
	}()
	if code, err := Run(ctx, cfg); !errors.Is(err, ErrCanceled) {
		t.Errorf("exit code %d, %v", code, err)
	}
}

// What is no exit code ends the guest with an error, never silently.
func TestNoExitCode(t *testing.T) {
	image := kernel(t)
	for line, want := range map[string]string{
		"x": "told no exit code",
		"b": `the guest wrote "exit for good\n" to the control channel`,
	} {
		var stderr buffer
		if code, err := run(t, config(t, "microvm", image, line, &stderr)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: exit code %d, %v", line, code, err)
		}
	}
}

// If QEMU fails, its own words are in the error.
func TestQEMUFails(t *testing.T) {
	var stderr buffer
	cfg := config(t, "microvm", filepath.Join(t.TempDir(), "missing"), "x", &stderr)
	if _, err := run(t, cfg); err == nil || !strings.Contains(err.Error(), "could not open kernel file") {
		t.Errorf("no kernel: %v", err)
	}
	cfg.Path = filepath.Join(t.TempDir(), "missing")
	if _, err := run(t, cfg); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no QEMU: %v", err)
	}
}

func TestLongCmdLine(t *testing.T) {
	image := kernel(t)
	for _, machine := range Machines {
		line := "3" + strings.Repeat("a", maxCmdLine(machine)-1)
		var stderr buffer
		if code, err := run(t, config(t, machine, image, line, &stderr)); code != 3 || err != nil {
			t.Errorf("%s, the longest line: exit code %d, %v", machine, code, err)
		}
		if _, err := run(t, config(t, machine, image, line+"a", &stderr)); err == nil || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%s, too long a line: %v", machine, err)
		}
	}
	if err := checkCmdLine("pc", "a\x00b"); err == nil {
		t.Error("a NUL byte is accepted")
	}
}
