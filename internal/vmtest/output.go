package vmtest

import (
	"bytes"
	"strings"
	"sync"
)

// An Output collects what a program prints, and lets a test wait for a piece of
// it. Any number of goroutines may use it.
type Output struct {
	mu     sync.Mutex
	cond   *sync.Cond
	buf    bytes.Buffer
	closed bool
}

// NewOutput returns an empty Output, to be closed by who writes to it.
func NewOutput() *Output {
	b := &Output{}
	b.cond = sync.NewCond(&b.mu)
	return b
}

// Write adds to what was printed. It does not fail.
func (b *Output) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.cond.Broadcast()
	return b.buf.Write(p)
}

// Close says that nothing more comes.
func (b *Output) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.cond.Broadcast()
	return nil
}

// String returns what was printed so far.
func (b *Output) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Await waits until the output has text in it; false if it ended without.
func (b *Output) Await(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !strings.Contains(b.buf.String(), text) {
		if b.closed {
			return false
		}
		b.cond.Wait()
	}
	return true
}

// Clip shortens a program's output for a message.
func Clip(s string) string {
	const most = 4000
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
