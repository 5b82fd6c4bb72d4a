package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	lineRate  = 1   // lines a second of a log that strangers cause
	lineBurst = 50  // lines at once
	lineMax   = 300 // bytes of a line
)

// A throttle passes some lines on and counts the others, so that strangers cannot fill
// a log. Each Write is one line. Several goroutines may use it.
type throttle struct {
	to  io.Writer
	now func() time.Time

	mu     sync.Mutex
	tokens float64
	last   time.Time
	lost   int
}

func newThrottle(to io.Writer) *throttle {
	return &throttle{to: to, now: time.Now, tokens: lineBurst, last: time.Now()}
}

// Write passes a line on, or not.
func (t *throttle) Write(line []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.tokens = min(lineBurst, t.tokens+lineRate*now.Sub(t.last).Seconds())
	t.last = now
	if t.tokens < 1 {
		t.lost++
		return len(line), nil
	}
	t.tokens--
	if t.lost > 0 {
		fmt.Fprintf(t.to, "%d lines left out\n", t.lost)
		t.lost = 0
	}
	text := line
	if len(text) > lineMax {
		text = append(text[:lineMax:lineMax], "...\n"...)
	}
	if _, err := t.to.Write(text); err != nil {
		return 0, err
	}
	return len(line), nil
}
