package virtio

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// The clock, compared with the timer at boot, goes as fast as the host's. What
// delays a line of output makes a single interval wrong, so the best of some counts;
// calibration by one look at each clock was wrong by 2 to 4 per cent in all.
func TestClockRate(t *testing.T) {
	const most = 1e-3
	p := qemu(t, "./testdata/clock", "microvm", "")
	best := math.Inf(1)
	var before, at time.Time
	var told, now int64
	for i := range 5 {
		line := fmt.Sprintf("%d: ", i)
		if !p.Out.Await(fmt.Sprintf(", %d told", i)) {
			t.Fatalf("ended:\n%s%s", p.Out, p.ErrOut)
		}
		before, at = at, time.Now()
		told, now = now, stamp(t, line, p.Out.String())
		if i > 1 {
			best = min(best, math.Abs(float64(now-told)/float64(at.Sub(before))-1))
		}
	}
	t.Logf("the clock's rate is within %.0f ppm", best*1e6)
	if best > most {
		t.Errorf("the clock's rate is wrong by %.2f per cent or more", best*100)
	}
}

// stamp returns the number behind a word.
func stamp(t *testing.T, word, text string) int64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + word + `(\d+), `).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %q in %q", word, text)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
