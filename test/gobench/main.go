// Command gobench runs benchmarks of Go's own standard library in virtual
// machines and as plain processes, in turns and on the same processor, and
// compares their times.
//
//	go run ./test/gobench                      # all suites, about 20 minutes
//	go run ./test/gobench -run 'sort|json'     # some of them
//	go run ./test/gobench -rounds 3 -markdown  # the table for docs/performance.md
//
// The plain process has GOMAXPROCS=1, as the virtual machine has. Figures are
// medians of the rounds; the ratio of a suite is the geometric mean of its
// benchmarks' ratios, virtual machine over plain process.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

// A suite is the benchmarks of one package.
type suite struct {
	pkg   string
	bench string // as go test -bench has it
}

var suites = []suite{
	{"bytes", "."},
	{"strings", "."},
	{"sort", "."},
	{"encoding/json", "."},
	{"compress/flate", "."},
	{"crypto/aes", "."},
	{"crypto/sha256", "."},
	{"regexp", "."},
	{"sync", "."},
	{"runtime", "^Benchmark(Chan|Select|Map|Malloc|GC|New|Append|Growslice|Defer|Goroutine|Wakeup|CreateGoroutines|Stack|Yield|PingPong)"},
	{"time", "."},
}

type config struct {
	rounds    int
	benchtime string
	markdown  bool
	only      *regexp.Regexp
	dir       string // for what is built
	tool      string // the tailor command
}

func main() {
	c, err := parse()
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gobench:", err)
		os.Exit(1)
	}
}

func parse() (c config, err error) {
	only := flag.String("run", ".", "measure the packages that match `REGEXP`")
	flag.IntVar(&c.rounds, "rounds", 5, "measure so often")
	flag.StringVar(&c.benchtime, "benchtime", "20ms", "time for each benchmark, as go test has it")
	flag.BoolVar(&c.markdown, "markdown", false, "print the tables only, without Go benchmark lines")
	flag.Parse()
	c.only, err = regexp.Compile(*only)
	return c, err
}

// skip leaves out what takes minutes or gigabytes to say what its smaller
// neighbours say, and what never ends on one thread without preemption: the hog
// of PingPongHog spins until it is preempted (docs/concurrency.md). A pattern
// without slashes matches the names of whole benchmarks alone.
const skip = "RepeatLarge|PingPongHog|./(64M|32M|4M)|././(64M|32M|4M)"

func run(ctx context.Context, c config) error {
	dir, err := os.MkdirTemp("", "gobench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c.dir = dir
	if c.tool, err = buildTool(ctx, dir); err != nil {
		return err
	}
	var results []result
	for _, s := range suites {
		if !c.only.MatchString(s.pkg) || err != nil {
			continue
		}
		fmt.Fprintln(os.Stderr, "gobench:", s.pkg)
		var r result
		if r, err = measure(ctx, c, s); len(r.order) > 0 {
			results = append(results, r) // what there is before an error, too
		}
	}
	if !c.markdown {
		for _, r := range results {
			r.lines(os.Stdout)
		}
	}
	report(os.Stdout, results)
	return err
}
