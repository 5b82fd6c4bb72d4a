package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// guestFailures are commands of the guest program with Go's own reports of errors and
// Go's own exit codes.
var guestFailures = []struct {
	args   []string
	code   int
	stderr []string
}{
	{[]string{"exit", "0"}, 0, nil},
	{[]string{"exit", "3"}, 3, nil},
	{[]string{"exit", "255"}, 255, nil},
	{[]string{"panic"}, 2, []string{"panic: boo", "goroutine 1 [running]:", "main.init"}},
	{[]string{"overflow"}, 2, []string{"stack overflow", "goroutine stack exceeds", "main.recurse"}},
	{[]string{"wild"}, 2, []string{"fatal error: fault", "addr=0x5000000123", "goroutine 1"}},
	{[]string{"throw"}, 2, []string{"fatal error: sync: unlock of unlocked mutex", "goroutine 1"}},
	{[]string{"deadlock"}, 2, []string{"fatal error: all goroutines are asleep - deadlock!", "goroutine 1 [select (no cases)]"}},
	{[]string{"oom"}, 2, []string{"out of memory", "-m "}},
}

func TestFailures(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		for _, tt := range guestFailures {
			t.Run(strings.Join(tt.args, "-"), func(t *testing.T) {
				if tt.args[0] == "oom" {
					on.must(t, ownMemory)
				}
				on.guest(t, tt.args...).want(t, tt.code, nil, tt.stderr)
			})
		}
	})
}

func TestRecover(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		on.guest(t, "recover").want(t, 0, []string{
			"nil: runtime error: invalid memory address or nil pointer dereference\n",
			"div: runtime error: integer divide by zero\n",
			"index: runtime error: index out of range [3] with length 3\n",
			"method: runtime error: invalid memory address",
			"done\n",
		}, nil)
		on.guest(t, "vectors").want(t, 0, []string{"249750\n"}, nil)
	})
}

// guestAttacks are what a guest that has gone wrong must not be able to do.
var guestAttacks = []string{
	"poke-text", "poke-rodata", "poke-null", "poke-system", "poke-stubs", "poke-bootinfo",
	"poke-clock", "poke-guard", "poke-high", "exec-data",
}

func TestAttacks(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		for _, name := range guestAttacks {
			t.Run(name, func(t *testing.T) {
				if name == "poke-bootinfo" || name == "poke-clock" {
					on.must(t, sealedBoot)
				}
				r := on.guest(t, name)
				r.want(t, 2, nil, []string{"goroutine 1"})
				if strings.Contains(r.stdout, "SURVIVED") {
					t.Error("the access was not stopped")
				}
			})
		}
	}, layout)
}

func TestArguments(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		args := []string{"-x", "a b", "", "-m", `"`, "--", "virtio_mmio.device=1"}
		r := on.run(t, append([]string{"-e", "T_A=1", "-e", `T_B=two "words" \`, on.image(t, guestPkg), "args"}, args...)...)
		r.want(t, 0, []string{strings.Join(args, "|") + "\n", "T_A=1\n", "T_B=two \"words\" \\\n"}, []string{"to stderr\n"})
		if strings.Contains(r.stdout, "to stderr") {
			t.Error("standard error arrives on standard output")
		}
	})
}

func TestTime(t *testing.T) { each(t, testTime) }

func testTime(t *testing.T, on target) {
	before := time.Now()
	r := on.guest(t, "time")
	after := time.Now()
	r.want(t, 0, nil, nil)
	if strings.Contains(r.stdout, "FAIL") {
		t.Error(r.stdout)
	}
	var walls []time.Time
	for line := range strings.Lines(r.stdout) {
		var a, b int64
		if n, _ := fmt.Sscanf(line, "wall %d", &a); n == 1 {
			walls = append(walls, time.UnixMicro(a))
		}
		if n, _ := fmt.Sscanf(line, "slept %d %d", &a, &b); n == 2 && b < a {
			t.Errorf("a sleep of %d us took %d us", a, b)
		}
	}
	slack := 50 * time.Millisecond // of the two clocks
	if on.lacks[fineClock] != "" {
		slack = time.Second
	}
	if len(walls) != 2 || walls[0].Before(before.Add(-slack)) || walls[1].After(after.Add(slack)) || !walls[0].Before(walls[1]) {
		t.Errorf("wall clock %v, host's %v to %v", walls, before, after)
	}
}

func TestRandomDiffers(t *testing.T) {
	seen := map[string]bool{}
	each(t, func(t *testing.T, on target) {
		for range 4 {
			r := on.guest(t, "random")
			r.want(t, 0, nil, nil)
			if len(r.stdout) != 65 || seen[r.stdout] {
				t.Errorf("random bytes %q", r.stdout)
			}
			seen[r.stdout] = true
		}
	})
}

func TestStdin(t *testing.T) {
	text := strings.Repeat("0123456789abcdef\n", 20000)
	each(t, func(t *testing.T, on target) {
		r := on.startGuest(t, strings.NewReader(text), "cat").wait()
		r.want(t, 0, nil, []string{fmt.Sprintf("copied %d", len(text))})
		if r.stdout != text {
			t.Errorf("got %d bytes back of %d", len(r.stdout), len(text))
		}
		on.startGuest(t, strings.NewReader("one\ntwo"), "lines").wait().want(t, 0, []string{"line: one\nline: two\n"}, nil)
		on.guest(t, "lines").want(t, 0, nil, nil) // at its end from the start
	})
}

func TestFlood(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		r := on.guest(t, "flood")
		r.want(t, 0, nil, nil)
		if len(r.stdout) != 1<<20 {
			t.Errorf("%d bytes of output", len(r.stdout))
		}
	})
}

func TestRuntime(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		procs := "procs 1 1 1\n"
		if !on.has(oneThread) {
			procs = "procs "
		}
		on.guest(t, "goroutines").want(t, 0, []string{"sum 499500 " + procs, "locked ok\n"}, nil)
		on.guest(t, "gc").want(t, 0, []string{"collected true"}, nil)
		if on.has(ownFiles) {
			on.guest(t, "files").want(t, 0, []string{"hello\n", "open /tmp/none: no such file or directory\n", "true true"}, nil)
		}
	})
}

func TestUnsupportedCall(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		on.guest(t, "unsupported").want(t, 0, []string{"operation not permitted\noperation not permitted\ntrue\n"}, nil)
		r := on.run(t, "-v", on.image(t, guestPkg), "unsupported")
		if n := strings.Count(r.stderr, "ptrace"); n != 1 {
			t.Errorf("-v names ptrace %d times:\n%s", n, r.stderr)
		}
	}, ownSystem)
}

func TestSignals(t *testing.T) { each(t, testSignals) }

func testSignals(t *testing.T, on target) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			p := on.startGuest(t, nil, "signals")
			p.expect("ready")
			p.signal(s)
			p.wait().want(t, 7, []string{"got " + s.String()}, nil)
		})
	}
	t.Run("not caught", func(t *testing.T) {
		p := on.startGuest(t, nil, "sleep")
		p.expect("ready")
		p.signal(syscall.SIGTERM)
		p.wait().want(t, on.signaled(syscall.SIGTERM), nil, nil)
	})
	t.Run("not caught while computing", func(t *testing.T) {
		p := on.startGuest(t, nil, "spin")
		p.expect("ready")
		p.signal(syscall.SIGINT)
		p.wait().want(t, on.signaled(syscall.SIGINT), nil, nil)
	})
	t.Run("second", func(t *testing.T) {
		on.must(t, separate)
		p := on.startGuest(t, nil, "ignore-signals")
		p.expect("ready")
		p.signal(syscall.SIGTERM)
		p.expect("ignored terminated")
		p.signal(syscall.SIGTERM)
		p.wait().want(t, on.signaled(syscall.SIGTERM), nil, nil)
	})
	t.Run("quit", func(t *testing.T) {
		p := on.startGuest(t, nil, "sleep")
		p.expect("ready")
		time.Sleep(50 * time.Millisecond) // until it sleeps, in whatever thread
		p.signal(syscall.SIGQUIT)
		p.wait().want(t, 2, nil, []string{"SIGQUIT: quit", "goroutine 1", "time.Sleep"})
	})
}

// The smallest memory that is promised.
func TestSmallMemory(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		on.run(t, "-m", "8M", on.image(t, "../../examples/hello")).want(t, 0, []string{"\n"}, nil)
	}, ownMemory)
}
