// Command bench measures programs as virtual machines side by side with the
// same programs as plain static Linux processes, in turns (A B A B), and
// prints medians and ratios. See docs/performance.md.
//
// Usage:
//
//	go run ./test/bench [-short] [-markdown] [-run REGEXP]
//
// It needs root, for network namespaces, and the programs ip, ping, taskset
// and wrk. What it makes it removes, also when it is interrupted. Figures go
// to standard output, what it is doing to standard error. The exit code is 1
// if something could not be measured; a goal that is not reached is a figure
// like any other.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A bench is one run of the benchmarks.
type bench struct {
	effort
	programs
	net      *network
	measures []*measure
}

// effort is how often and how long to measure.
type effort struct {
	starts  int           // process starts of each side
	rounds  int           // of each load on each side
	load    time.Duration // of one round
	idle    time.Duration
	pings   int
	rebuild int
}

// informal is the number of rounds for figures that have no goal.
func (e effort) informal() int { return min(e.rounds, 3) }

var (
	full  = effort{starts: 41, rounds: 5, load: 3 * time.Second, idle: 10 * time.Second, pings: 200, rebuild: 9}
	short = effort{starts: 7, rounds: 1, load: time.Second, idle: 3 * time.Second, pings: 50, rebuild: 3}
)

// groups are the measurements, in the order of the table.
var groups = []struct {
	name string
	run  func(*bench, context.Context) error
}{
	{"start", (*bench).measureStart},
	{"answer", (*bench).measureAnswer},
	{"size", (*bench).measureSize},
	{"memory", (*bench).measureMemory},
	{"http", (*bench).measureHTTP},
	{"bulk", (*bench).measureBulk},
	{"ping", (*bench).measurePing},
	{"idle", (*bench).measureIdle},
	{"usernet", (*bench).measureUsernet},
	{"files", (*bench).measureFiles},
	{"encrypted", (*bench).measureEncrypted},
	{"rebuild", (*bench).measureRebuild},
	{"tlsbulk", (*bench).measureTLSBulk},
	{"handshakes", (*bench).measureTLSHandshakes},
	{"qemu", (*bench).measureQEMU},
}

func main() {
	quick := flag.Bool("short", false, "measure less often and less long")
	markdown := flag.Bool("markdown", false, "print the table only, without Go benchmark lines")
	target := flag.String("target", "hvt", "what images run on: hvt or spt")
	only := flag.String("run", "", "measure the groups that match `REGEXP`: "+groupNames())
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	e := full
	if *quick {
		e = short
	}
	if err := run(ctx, e, *target, *only, *markdown); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func groupNames() string {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
	}
	return strings.Join(names, " ")
}

func run(ctx context.Context, e effort, target, only string, markdown bool) error {
	choice, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	b, err := newBench(ctx, e, target)
	if err != nil {
		return err
	}
	defer b.close()
	err = b.measure(ctx, choice)
	if !markdown {
		fmt.Println("goos: linux\ngoarch: " + runtime.GOARCH + "\npkg: github.com/tailor-os/tailor/test/bench")
		writeLines(os.Stdout, b.measures)
		fmt.Println()
	}
	fmt.Println(machineLine())
	fmt.Println()
	writeTable(os.Stdout, b.measures)
	return err
}

// newBench builds what is measured and makes the network for it.
func newBench(ctx context.Context, e effort, target string) (_ *bench, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("not root, which network namespaces need; try: sudo go run ./test/bench")
	}
	for _, tool := range []string{"ip", "ping", "taskset", "wrk"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w; install it (Debian: iproute2, iputils-ping, util-linux, wrk)", err)
		}
	}
	b := &bench{effort: e}
	b.target = target
	if err := b.programs.build(ctx); err != nil {
		return nil, err
	}
	if b.net, err = newNetwork(ctx); err != nil {
		b.programs.remove()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	if err := b.net.close(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	b.programs.remove()
}

// measure runs the groups; one that fails does not keep the others.
func (b *bench) measure(ctx context.Context, choice *regexp.Regexp) error {
	var errs []error
	for _, g := range groups {
		if !choice.MatchString(g.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", g.name)
		if err := g.run(b, ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", g.name, err))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// add adds a line to the report and returns it to be filled in.
func (b *bench) add(m measure) *measure {
	b.measures = append(b.measures, &m)
	return &m
}

func (m *measure) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...))
}

// serverPlace and clientPlace keep both sides apart, one processor each, where
// there are two.
func serverPlace(ns string) place { return place{ns, min(0, runtime.NumCPU()-2)} }
func clientPlace(ns string) place { return place{ns, min(1, runtime.NumCPU()-1)} }

// machineLine names what was measured on.
func machineLine() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		release = []byte("unknown")
	}
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(text); m != nil {
			model = string(m[1])
		}
	}
	return fmt.Sprintf("%s: %d x %s, Linux %s, %s, %s", time.Now().UTC().Format(time.DateOnly),
		runtime.NumCPU(), model, strings.TrimSpace(string(release)), kvmKind(), runtime.Version())
}

// kvmKind names what KVM runs on: a processor's own extensions, or none.
func kvmKind() string {
	for _, m := range []string{"kvm_intel", "kvm_amd", "kvm_pvm"} {
		if _, err := os.Stat("/sys/module/" + m); err == nil {
			return m
		}
	}
	return "unknown KVM"
}
