package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A guest that breaks its virtqueues is stopped with a message that says what
// it did, whatever queue it is.
func TestHostileRings(t *testing.T) { each(t, testHostileRings, ourMonitor) }

func testHostileRings(t *testing.T, on target) {
	img := on.image(t, netGuestPkg)
	const (
		outside   = "not within the guest memory that devices may use"
		readOnly  = "write of 16 bytes at guest address"
		direction = "wrong direction"
	)
	attacks := []struct{ name, says string }{
		{"index-jump", "available index"},
		{"index-back", "available index"},
		{"index-far", "available index"},
		{"head", "names a descriptor that does not exist"},
		{"head-max", "names a descriptor that does not exist"},
		{"loop-self", "descriptor chain has a loop"},
		{"loop-two", "descriptor chain has a loop"},
		{"next", "continues at one that does not exist"},
		{"zero-length", "zero length"},
		{"indirect", "indirect"},
		{"direction", direction},
		{"addr-null", outside},
		{"addr-bell", outside},
		{"addr-clock", outside},
		{"addr-system", outside},
		{"addr-tables", outside},
		{"addr-high", outside},
		{"addr-wrap", outside},
		{"len-end", outside},
		{"len-max", outside},
	}
	queues := []struct {
		device string
		queue  int
		dir    string
		called string
	}{
		{"console", 0, "in", "virtqueue console input: "},
		{"console", 1, "out", "virtqueue console output 1: "},
		{"console", 2, "out", "virtqueue console output 2: "},
		{"net", 0, "in", "virtqueue net receive: "},
		{"net", 1, "out", "virtqueue net transmit: "},
	}
	for _, q := range queues {
		t.Run(fmt.Sprintf("%s-%d", q.device, q.queue), func(t *testing.T) {
			list := attacks
			if q.dir == "in" { // which alone the device writes to
				list = append(slices.Clone(list), struct{ name, says string }{"text", readOnly})
			}
			for _, a := range list {
				if a.name == "index-back" && q.device == "net" && q.dir == "in" {
					continue // its driver puts that right before the monitor looks
				}
				t.Run(a.name, func(t *testing.T) {
					r := on.run(t, "-e", "DIR="+q.dir, img, "ring", a.name, q.device, fmt.Sprint(q.queue))
					stopped(t, r, "the guest was stopped: "+q.called, a.says)
				})
			}
			t.Run("flip", func(t *testing.T) {
				r := on.run(t, "-e", "DIR="+q.dir, img, "ring", "flip", q.device, fmt.Sprint(q.queue))
				if r.code != 0 { // the guest may win the race each time
					stopped(t, r, "the guest was stopped: "+q.called)
				}
			})
		})
	}
}

// stopped checks that a run ended because of what the guest did: code 125, one
// line of error, no panic of the tool's.
func stopped(t *testing.T, r result, says ...string) {
	t.Helper()
	lines := errorLines(r)
	ok := r.code == 125 && len(lines) == 1 && !strings.Contains(r.stdout, "SURVIVED") && !strings.Contains(r.stderr, "goroutine ")
	for _, s := range says {
		ok = ok && strings.Contains(lines[0], s)
	}
	if !ok {
		t.Errorf("exit code %d, want 125 and one line of error with %q\nstdout:\n%s\nstderr:\n%s", r.code, says, clip(r.stdout), clip(r.stderr))
	}
}

// errorLines returns the tool's lines of error.
func errorLines(r result) (lines []string) {
	for line := range strings.Lines(r.stderr) {
		if strings.HasPrefix(line, "tailor: error: ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// Abuse of the doorbell.
func TestHostileBell(t *testing.T) { each(t, testHostileBell, bell) }

func testHostileBell(t *testing.T, on target) {
	img := on.image(t, netGuestPkg)
	for _, a := range []struct{ name, says string }{
		{"no-queue", "queue 99, which does not exist"},
		{"no-queue-max", "queue 18446744073709551615, which does not exist"},
		{"register", "doorbell register 0x7f8, which does not exist"},
		{"misaligned", "doorbell register 0x4, which does not exist"},
		{"narrow", "access of 4 bytes to address 0x10000"},
		{"byte", "access of 1 bytes to address 0x10010"},
		{"read", "access of 8 bytes to address 0x10000"},
		{"trap", "exception 14"},
	} {
		t.Run(a.name, func(t *testing.T) {
			stopped(t, on.run(t, img, "bell", a.name), "the guest was stopped: ", a.says)
		})
	}
	// These harm nobody but the guest, which must still obey.
	for _, name := range []string{"endless", "endless-idle", "sleep"} {
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(name+" "+s.String(), func(t *testing.T) {
				p := on.start(t, nil, img, "bell", name)
				p.expect("ready\n")
				p.signal(s)
				p.wait().want(t, 128+int(s), nil, nil)
			})
		}
	}
}
