package e2e

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInitFailures: a program that ends before main has begun.
func TestInitFailures(t *testing.T) { each(t, testInitFailures) }

func testInitFailures(t *testing.T, on target) {
	img := on.image(t, guestPkg)
	deadlock := "goroutine 1 [chan receive]:"
	if !on.has(oneThread) {
		deadlock = "goroutine 1 [chan receive, locked to thread]:"
	}
	for _, tt := range []struct {
		how    string
		code   int
		stderr []string
	}{
		{"exit", 5, nil},
		{"panic", 2, []string{"panic: too early", "goroutine 1 [running]:", "main.init."}},
		{"deadlock", 2, []string{"fatal error: all goroutines are asleep - deadlock!", deadlock, "main.init."}},
	} {
		r := on.run(t, "-e", "T_INIT="+tt.how, img, "exit", "0")
		r.want(t, tt.code, nil, tt.stderr)
		if r.stdout != "" {
			t.Errorf("%s: printed %q", tt.how, r.stdout)
		}
	}
}

// A meter counts bytes and keeps none. It takes its time for the first ones.
type meter struct{ n int64 }

func (m *meter) Write(p []byte) (int, error) {
	if m.n == 0 {
		time.Sleep(500 * time.Millisecond)
	}
	m.n += int64(len(p))
	return len(p), nil
}

// TestPour: 100 MiB of output pass through, and neither the guest nor the host
// keeps them, however slow the reader is.
func TestPour(t *testing.T) { each(t, testPour, separate) }

func testPour(t *testing.T, on target) {
	img := on.image(t, guestPkg)
	maxRSS := func(mib int) int64 {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		cmd := exec.CommandContext(ctx, needTool(t), on.line("-m", "32M", img, "pour", fmt.Sprint(mib))...)
		var out meter
		var errOut strings.Builder
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = &errOut
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, copyErr := io.Copy(&out, pipe)
		if err := cmd.Wait(); err != nil || copyErr != nil || !strings.Contains(errOut.String(), "poured\n") {
			t.Fatalf("%v, %v\n%s", err, copyErr, errOut.String())
		}
		if want := int64(mib) << 20; out.n != want {
			t.Errorf("%d bytes of %d", out.n, want)
		}
		return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss // KiB
	}
	little, much := maxRSS(1), maxRSS(100)
	t.Logf("the tool took %d KiB for 1 MiB of output, %d KiB for 100", little, much)
	if much > little+24<<10 {
		t.Errorf("memory grows with the output: %d KiB for 1 MiB, %d KiB for 100", little, much)
	}
}
