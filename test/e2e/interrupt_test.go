package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
)

const concurrencyPkg = "./testdata/concurrency"

// A release is a target with an image of testdata/concurrency.
type release struct {
	target
	img string
}

// eachRelease runs f on each target, and on hvt with an image of the other Go
// release as well: how the runtime was changed for each is seen there.
func eachRelease(t *testing.T, f func(t *testing.T, on release), needs ...need) {
	each(t, func(t *testing.T, on target) { f(t, release{on, on.image(t, concurrencyPkg)}) }, needs...)
	t.Run(otherGo, func(t *testing.T) {
		on := targetHVT(t)
		img := filepath.Join(vmtest.Dir(), "concurrency-"+otherGo+".img")
		if _, err := os.Stat(img); err != nil {
			_, stderr, code := runIn(t, ".", []string{"GOTOOLCHAIN=" + otherGo}, "build", "-o", img, concurrencyPkg)
			if code != 0 {
				t.Fatalf("exit code %d\n%s", code, stderr)
			}
		}
		f(t, release{on, img})
	})
}

// A program that computes, and so never reaches its event loop, shows its
// goroutines all the same. (As on Linux, Go shows no callers of a function that is
// just moving its stack pointer, such as the one that reads the clock.)
func TestQuitWhileComputing(t *testing.T) {
	eachRelease(t, func(t *testing.T, on release) {
		for name, in := range map[string]string{"burn": "main.burn", "allocate": "main.allocateForever", "clock": "goroutine 1 gp="} {
			for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT} {
				t.Run(name+" "+sig.String(), func(t *testing.T) {
					tries := 1
					if name == "allocate" {
						tries = 3 // the collector, which an allocation may be in, reads the clock too
					}
					for try := 1; !strings.Contains(quitWhileComputing(t, on, name, sig), in); try++ {
						if try == tries {
							t.Fatalf("%s is in none of %d traces", in, try)
						}
					}
				})
			}
		}
	})
}

// quitWhileComputing returns the trace of a guest that computes.
func quitWhileComputing(t *testing.T, on release, name string, sig syscall.Signal) string {
	p := on.start(t, nil, on.img, name)
	p.expect("ready")
	time.Sleep(50 * time.Millisecond) // so that it computes
	p.signal(sig)
	r := p.wait()
	r.want(t, 2, nil, []string{"SIG", "goroutine 1 ", "main.parked"})
	if n := strings.Count(r.stderr, "main.parked()"); n != 1 {
		t.Errorf("the goroutine that waits is shown %d times\n%s", n, clip(r.stderr))
	}
	return r.stderr
}

// A CPU profile has a sample for each hundredth second that the guest ran, and
// knows which function did.
func TestProfile(t *testing.T) {
	eachRelease(t, func(t *testing.T, on release) {
		out := profile(t, on, "profile")
		one, three, all := cumulated(t, out, "main.burnOne"), cumulated(t, out, "main.burnThree"), cumulated(t, out, "main.main")
		t.Logf("burnOne %v ms, burnThree %v ms, main %v ms", one, three, all)
		// Two seconds of four are computed, less where the machine is busy.
		if all < 200 || all > 2500 || one+three < 0.9*all || three < 2*one || three > 4.5*one {
			t.Errorf("burnOne %v ms, burnThree %v ms, main %v ms:\n%s", one, three, all, out)
		}
	}, computing)
}

// TestProfileOften: the samples of a program that goes idle thousands of times a
// second are where it computes, and not where it goes idle.
func TestProfileOften(t *testing.T) {
	eachRelease(t, func(t *testing.T, on release) {
		out := profile(t, on, "profile-often")
		one, three, all := cumulated(t, out, "main.burnOne"), cumulated(t, out, "main.burnThree"), total(t, out)
		t.Logf("burnOne %v ms, burnThree %v ms of %v ms", one, three, all)
		if all < 100 || one+three < 0.5*all || three < 1.5*one { // Go's own, on unix, has no more than its ticks find
			t.Errorf("burnOne %v ms, burnThree %v ms of %v ms:\n%s", one, three, all, out)
		}
	}, computing)
}

// profile returns what pprof -top says of the profile that a program writes.
func profile(t *testing.T, on release, name string) []byte {
	t.Helper()
	r := on.run(t, on.img, name)
	r.want(t, 0, nil, nil)
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	if err := os.WriteFile(file, []byte(r.stdout), 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "tool", "pprof", "-top", "-cum", "-unit=ms", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// total returns the milliseconds of all samples that pprof -top has.
func total(t *testing.T, top []byte) float64 {
	t.Helper()
	m := regexp.MustCompile(`Total samples = ([0-9.]+m?s)`).FindSubmatch(top)
	if m == nil {
		t.Fatalf("no samples in the profile:\n%s", top)
	}
	d, err := time.ParseDuration(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return float64(d.Milliseconds())
}

// cumulated returns the milliseconds that pprof -top has for a function and what
// it called.
func cumulated(t *testing.T, top []byte, function string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)([0-9.]+)(?:ms)?\s+[0-9.]+%\s+` + regexp.QuoteMeta(function) + `$`).FindSubmatch(top)
	if m == nil {
		t.Fatalf("no %s in the profile:\n%s", function, top)
	}
	ms, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

// Interrupts leave vector registers alone.
func TestVectorsInterrupted(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		on.run(t, on.image(t, concurrencyPkg), "vectors").want(t, 0, []string{"same\n"}, nil)
	}, computing)
}

func TestStallWarning(t *testing.T) {
	const warning, over = "without blocking; all others, timers and the network wait\ngoroutine ", "tailor: warning: the event loop goes on after "
	eachRelease(t, func(t *testing.T, on release) {
		r := on.run(t, "--stall-warning", "300ms", on.img, "stall", "1500ms")
		r.want(t, 0, []string{"done\n"}, []string{warning, "main.stalled(", over})
		if strings.Count(r.stderr, warning) != 1 || strings.Count(r.stderr, over) != 1 {
			t.Errorf("more than one warning:\n%s", r.stderr)
		}
		waited, err := time.ParseDuration(regexp.MustCompile(over + `([0-9.]+s)`).FindStringSubmatch(r.stderr)[1])
		if err != nil || waited < 1250*time.Millisecond || waited > 10*time.Second {
			t.Errorf("the loop waited %v of 1.5 s, %v", waited, err)
		}
		for _, args := range [][]string{{"--stall-warning=0", on.img, "stall", "1500ms"}, {on.img, "stall", "300ms"}} {
			r := on.run(t, args...)
			r.want(t, 0, []string{"done\n"}, nil)
			if strings.Contains(r.stderr, "warning") {
				t.Errorf("%v: warned all the same:\n%s", args, r.stderr)
			}
		}
	}, oneThread, computing)
}

// TestTrapNowhere: an exception that nobody can take ends the guest by name.
func TestTrapNowhere(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		r := on.run(t, on.image(t, guestPkg), "trap-nowhere")
		r.want(t, 125, nil, []string{"tailor: ", "the guest was stopped", "exception ", " at rip 0x", "which its runtime could not handle"})
		if strings.Contains(r.stdout, "SURVIVED") {
			t.Error("the program went on")
		}
	}, ringZero)
}

// TestInterruptAttacks: what a guest puts where interrupts are agreed on hurts
// itself alone.
func TestInterruptAttacks(t *testing.T) { each(t, testInterruptAttacks, bell) }

func testInterruptAttacks(t *testing.T, on target) {
	img := on.image(t, guestPkg)
	for _, name := range []string{"resume-system", "resume-high", "resume-null", "resume-doorbell", "interrupt-system", "interrupt-null", "interrupt-high"} {
		t.Run(name, func(t *testing.T) {
			r := on.run(t, img, name)
			if r.code != 2 && (r.code != 125 || len(errorLines(r)) != 1) || strings.Contains(r.stdout, "SURVIVED") || strings.Contains(r.stderr, "internal/monitor") {
				t.Errorf("exit code %d\n%s\n%s", r.code, r.stdout, clip(r.stderr))
			}
			t.Log(r.code, errorLines(r))
		})
	}
	t.Run("profile-flood", func(t *testing.T) { on.run(t, img, "profile-flood").want(t, 0, []string{"done\n"}, nil) })
	t.Run("mask-all", func(t *testing.T) {
		p := on.start(t, nil, img, "mask-all")
		p.expect("ready")
		p.signal(syscall.SIGQUIT) // cannot be delivered
		time.Sleep(100 * time.Millisecond)
		p.signal(syscall.SIGTERM)
		p.wait().want(t, 128+15, nil, nil)
	})
	t.Run("random", func(t *testing.T) {
		for range 10 {
			p := on.start(t, nil, img, "interrupt-random")
			stop := time.AfterFunc(3*time.Second, func() { p.cmd.Process.Signal(syscall.SIGTERM) })
			r := p.wait()
			stop.Stop()
			if strings.Contains(r.stderr, "internal/monitor") || strings.Contains(r.stderr, "cmd/tailor") || r.code == 125 && len(errorLines(r)) != 1 {
				t.Errorf("exit code %d\n%s", r.code, clip(r.stderr))
			}
			t.Log(r.code, errorLines(r))
		}
	})
}
