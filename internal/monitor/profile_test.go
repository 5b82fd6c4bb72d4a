package monitor

import (
	"testing"
	"time"
)

// Samples come at the timer's beat, none while nothing is due; a thread that others
// keep from running has few more than its running time.
func TestProfileTake(t *testing.T) {
	const period = time.Hour // so long that a busy machine does not make one due
	for _, tt := range []struct {
		name       string
		share      int // of each period that the thread runs, in percent
		want, most int
	}{{"all", 100, 100, 100}, {"half", 50, 50, 50 + slack + 1}, {"hardly", 1, 1, 2 + slack}} {
		p := profile{period: period}
		taken := 0
		for i := range 100 {
			p.next = time.Now()
			if p.take(time.Duration(i+1) * period * time.Duration(tt.share) / 100) {
				taken++
			}
			if p.take(0) || !p.next.After(time.Now().Add(-period)) {
				t.Fatal("a sample that is not due")
			}
		}
		if taken < tt.want || taken > tt.most {
			t.Errorf("%s: %d samples, want %d to %d", tt.name, taken, tt.want, tt.most)
		}
	}
	if p := (&profile{}); p.due() || p.take(time.Hour) {
		t.Error("a sample without a profile")
	}
}

// One that is late is one, and the next comes with the timer.
func TestProfileLate(t *testing.T) {
	const period = time.Hour
	begin := time.Now()
	p := profile{period: period, next: begin.Add(-period * 5 / 2)}
	p.skip()
	if d := p.next.Sub(begin); d < period/2-time.Minute || d > period/2+time.Minute {
		t.Errorf("the next is due in %v", d)
	}
}
