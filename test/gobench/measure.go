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
	_, err := output(command(ctx, "go", "build", "-o", tool, "github.com/tailor-os/tailor/cmd/tailor"))
	return tool, err
}

// memory is what a virtual machine has: some benchmarks of package bytes work on
// 1 GiB.
const memory = "4G"

// A side is one way to run the benchmarks of a suite.
type side struct {
	command []string // what starts the benchmarks
	to      map[string][]float64
}

// measure runs a suite in turns, where go test would: in the package's folder.
func measure(ctx context.Context, c config, s suite) (result, error) {
	r := result{suite: s, vm: map[string][]float64{}, plain: map[string][]float64{}}
	vm, plain := filepath.Join(c.dir, "vm.test"), filepath.Join(c.dir, "plain.test")
	if _, err := output(command(ctx, c.tool, "test", "-vet=off", "-c", "-o", vm, s.pkg)); err != nil {
		return r, err
	}
	if _, err := output(command(ctx, "go", "test", "-c", "-o", plain, s.pkg)); err != nil {
		return r, err
	}
	folder, err := output(command(ctx, "go", "list", "-f", "{{.Dir}}", s.pkg))
	if err != nil {
		return r, err
	}
	for range c.rounds {
		for _, side := range []side{{[]string{c.tool, "exec", "-m", memory, vm}, r.vm}, {[]string{plain}, r.plain}} {
			out, err := onOne(ctx, c, side.command, s, strings.TrimSpace(folder))
			if err != nil {
				return r, err
			}
			r.add(out, side.to)
		}
	}
	return r, nil
}

// command prepares a command with the environment of both sides. An interrupt
// goes to all that it has started.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	// With a builder's name, encoding/json makes a thousand types, not a million,
	// to measure its cache of types.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOMAXPROCS=1", "GO_BUILDER_NAME=tailor")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// output runs a command and returns its output, of which an error has the end.
func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, tail(string(out)), tail(stderr.String()))
	}
	return string(out), err
}

// onOne runs the benchmarks of a suite once, on one processor.
func onOne(ctx context.Context, c config, start []string, s suite, folder string) (string, error) {
	cmd := command(ctx, append(start, "-test.run", "^$", "-test.bench", s.bench, "-test.skip", skip,
		"-test.benchtime", c.benchtime, "-test.timeout", "15m")...)
	cmd.Dir = folder
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
	if err := warm(); err != nil {
		return "", err
	}
	return output(cmd)
}

// warmMemory is how much of this machine's memory is touched before each turn.
const warmMemory = 1 << 30

// warm touches memory in large pages and frees it again. Where this machine is
// itself a virtual one that gives free pages back to its host (free page
// reporting, two seconds after they became free), a large page costs ten
// milliseconds when it is touched again. Otherwise the side that takes large
// pages from the machine would pay for these, and the one that takes small
// ones, which are not given back, would not.
func warm() error {
	b, err := unix.Mmap(-1, 0, warmMemory, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	unix.Madvise(b, unix.MADV_HUGEPAGE)
	for i := 0; i < len(b); i += os.Getpagesize() {
		b[i] = 1
	}
	return unix.Munmap(b)
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
