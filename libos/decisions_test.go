package libos

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var updateDoc = flag.Bool("update", false, "rewrite docs/syscalls.md")

const callDocFile = "../docs/syscalls.md"

func TestCallDoc(t *testing.T) {
	reset(t)
	UseAll()
	if *updateDoc {
		if err := os.WriteFile(callDocFile, []byte(callDoc()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(callDocFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != callDoc() {
		t.Error("docs/syscalls.md is not what the tables say; run: go test ./libos -run CallDoc -update")
	}
}

// TestDecisions checks that each call is offered, absent or missing, and no two
// of these, and that what is not offered fails with the errno that is promised.
func TestDecisions(t *testing.T) {
	reset(t)
	numbers := map[string]uintptr{}
	for num := range uintptr(maxCall + 1) {
		if name := CallName(num); name != "" {
			numbers[name] = num
		}
	}
	decided, told := map[string]bool{}, map[uintptr]int{}
	Hooks.Unsupported = func(num uintptr) { told[num]++ }
	for _, d := range append(append([]decision(nil), byDesign...), missing...) {
		for _, name := range strings.Fields(d.calls) {
			num, known := numbers[name]
			switch {
			case !known:
				t.Errorf("%s: no such call", name)
				continue
			case decided[name]:
				t.Errorf("%s is decided twice", name)
			case offered(num):
				t.Errorf("%s is offered", name)
			}
			decided[name] = true
			if _, errno := sys(num); errno != d.errno {
				t.Errorf("%s: errno %d, want %d", name, errno, d.errno)
			}
			if sys(num); told[num] != 1 {
				t.Errorf("%s was reported %d times", name, told[num])
			}
		}
	}
	for name, num := range numbers {
		if !offered(num) && !decided[name] {
			t.Errorf("%s is neither offered nor decided", name)
		}
	}
	for _, d := range limits {
		for _, name := range strings.Fields(d.calls) {
			if !offered(numbers[name]) {
				t.Errorf("limits has %s, which is not offered", name)
			}
		}
	}
}

// TestKeepCaps: prctl remembers PR_SET_KEEPCAPS, and takes 0 and 1 alone.
func TestKeepCaps(t *testing.T) {
	UseAll()
	reset(t)
	for _, on := range []uintptr{1, 0} {
		_, errno := sys(nr_prctl, prSetKeepCaps, on)
		want(t, errno, 0)
		if got := must2(t)(sys(nr_prctl, prGetKeepCaps)); got != on {
			t.Errorf("got %d, set %d", got, on)
		}
	}
	_, errno := sys(nr_prctl, prSetKeepCaps, 2)
	want(t, errno, EINVAL)
}
