package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A result is what was measured of one suite: nanoseconds per operation by
// benchmark, one for each round.
type result struct {
	suite
	order     []string // benchmarks, as they ran first
	vm, plain map[string][]float64
}

// buildTool builds the tailor command that is measured.
func buildTool(ctx context.Context, dir string) (string, error) {
	tool := filepath.Join(dir, "tailor")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", tool, "github.com/tailor-os/tailor/cmd/tailor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return tool, cmd.Run()
}

// memory is what a virtual machine has: some benchmarks of package bytes work on
// 1 GiB.
const memory = "4G"

// measure runs a suite in turns.
func measure(ctx context.Context, c config, s suite) (result, error) {
	r := result{suite: s, vm: map[string][]float64{}, plain: map[string][]float64{}}
	for range c.rounds {
		for _, side := range []struct {
			command []string
			to      map[string][]float64
		}{{[]string{c.tool, "test", "-m", memory}, r.vm}, {[]string{"go", "test"}, r.plain}} {
			out, err := runOn(ctx, c, side.command, s)
			if err != nil {
				return r, err
			}
			r.add(out, side.to)
		}
	}
	return r, nil
}

// runOn runs the benchmarks of a suite once, on one processor.
func runOn(ctx context.Context, c config, command []string, s suite) (string, error) {
	args := append(command[1:], "-run", "^$", "-bench", s.bench, "-skip", skip, "-benchtime", c.benchtime, "-timeout", "15m", s.pkg)
	cmd := exec.CommandContext(ctx, command[0], args...)
	// With a builder's name, encoding/json makes a thousand types, not a million,
	// to measure its cache of types.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOMAXPROCS=1", "GO_BUILDER_NAME=tailor")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	// An interrupt goes to all that the command has started.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 5 * time.Second
	// A process has the processors of the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return "", err
	}
	one.Set(runtime.NumCPU() - 1)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return "", err
	}
	defer unix.SchedSetaffinity(0, &before)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, tail(string(out)), tail(stderr.String()))
	}
	return string(out), nil
}

// tail returns the last lines of a text.
func tail(s string) string {
	lines := strings.SplitAfter(s, "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "")
}

var benchLine = regexp.MustCompile(`(?m)^(Benchmark\S+)\s+\d+\s+([0-9.]+) ns/op`)

// add reads what go test printed. Names have no -N at one processor.
func (r *result) add(out string, to map[string][]float64) {
	for _, m := range benchLine.FindAllStringSubmatch(out, -1) {
		ns, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			continue
		}
		if r.vm[m[1]] == nil && r.plain[m[1]] == nil {
			r.order = append(r.order, m[1])
		}
		to[m[1]] = append(to[m[1]], ns)
	}
}
