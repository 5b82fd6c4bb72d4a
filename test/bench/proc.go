package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// limit bounds every wait for a program that should be done at once.
const limit = 20 * time.Second

// Where a program is to run: in a network namespace (none if "") and on one
// processor (any if negative). Both are set up by programs that then replace
// themselves, so that the process is the program.
type place struct {
	ns  string
	cpu int
}

var anywhere = place{cpu: -1}

func (p place) argv(args []string) []string {
	var argv []string
	if p.ns != "" {
		argv = append(argv, "ip", "netns", "exec", p.ns)
	}
	if p.cpu >= 0 {
		argv = append(argv, "taskset", "-c", strconv.Itoa(p.cpu))
	}
	return append(argv, args...)
}

// A proc is a program that was started and has not ended yet.
type proc struct {
	cmd    *exec.Cmd
	stderr syncBuffer
	done   chan struct{}
	base   uint64 // packets on its interface when it was up
}

// start starts a program, which the end of ctx kills.
func start(ctx context.Context, at place, args ...string) (*proc, error) {
	p := &proc{done: make(chan struct{})}
	argv := at.argv(args)
	p.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	p.cmd.Stderr = &p.stderr
	// Not the harness's group: an interrupt at the terminal is the harness's to
	// handle.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop ends the program as an interrupt would and returns what it wrote to
// standard error.
func (p *proc) stop() string {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(limit):
		p.cmd.Process.Kill()
		<-p.done
	}
	return p.stderr.String()
}

// ended returns an error if the program is no longer running.
func (p *proc) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%v ended early: %v\n%s", p.cmd.Args, p.cmd.ProcessState, &p.stderr)
	default:
		return nil
	}
}

// cpuTime returns the processor time that the process and its children have used,
// all threads, ended ones too, in user and kernel mode and as a virtual machine:
// what utime and stime of /proc/PID/stat count, in nanoseconds instead of ticks of
// 10 ms.
func (p *proc) cpuTime() (sum time.Duration, err error) {
	pid := p.cmd.Process.Pid
	pids := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				pids = append(pids, child)
			}
		}
	}
	for _, pid := range pids {
		// A process's clock by its number, see clock_getcpuclockid(3) and
		// CPUCLOCK_SCHED in Linux's include/linux/posix-timers_types.h.
		const sched = 2
		var ts unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|sched), &ts); err != nil {
			return 0, fmt.Errorf("processor time of %v: %w", p.cmd.Args, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// memory returns a line of /proc/PID/status in MiB, such as VmHWM.
func (p *proc) memory(line string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^` + line + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no %s in the status of %v", line, p.cmd.Args)
	}
	kib, err := strconv.ParseFloat(string(m[1]), 64)
	return kib / 1024, err
}

// packets returns how many packets have gone over an interface since the
// server was up; none if device is "".
func (p *proc) packets(device string) (uint64, error) {
	n, err := p.counted(device)
	return n - p.base, err
}

// counted returns how many packets have gone over an interface that the process
// sees, both ways, since the interface was made. A packet that is to be cut
// into segments counts as one, as it does on a virtqueue.
func (p *proc) counted(device string) (n uint64, err error) {
	if device == "" {
		return 0, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, counters, ok := strings.Cut(line, ":")
		f := strings.Fields(counters)
		if !ok || strings.TrimSpace(name) != device || len(f) < 10 {
			continue
		}
		rx, err1 := strconv.ParseUint(f[1], 10, 64)
		tx, err2 := strconv.ParseUint(f[9], 10, 64)
		return rx + tx, errors.Join(err1, err2)
	}
	return 0, fmt.Errorf("no interface %s", device)
}

// vmStats is what tailor run -v says at the end.
type vmStats struct {
	exits, notifies, idles uint64
	setup, first           time.Duration
}

var statsLine = regexp.MustCompile(`(\d+) VM exits, (\d+) notifications, (\d+) times idle; set up in (\S+), first notification after (\S+)`)

func parseStats(stderr string) (s vmStats, err error) {
	m := statsLine.FindStringSubmatch(stderr)
	if m == nil {
		return s, fmt.Errorf("no statistics in what tailor run -v printed:\n%s", stderr)
	}
	for i, v := range []*uint64{&s.exits, &s.notifies, &s.idles} {
		if *v, err = strconv.ParseUint(m[i+1], 10, 64); err != nil {
			return s, err
		}
	}
	for i, v := range []*time.Duration{&s.setup, &s.first} {
		if *v, err = time.ParseDuration(m[i+4]); err != nil {
			return s, err
		}
	}
	return s, nil
}

// output runs a program to its end and returns its standard output.
func output(ctx context.Context, at place, args ...string) (string, error) {
	argv := at.argv(args)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(argv, " "), err, out, stderr.Bytes())
	}
	return string(out), nil
}

// A syncBuffer may be read while a program still writes to it.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
