// Package conformance compares how the tests of Go's standard library end in a
// virtual machine with how they end on Linux: it reads what go test -json
// prints, compares test by test, and writes a page about it.
package conformance

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A Status is how a test ended.
type Status string

// The ends of a test. Cut is one that began and did not end: it ended the
// program, or the time was up.
const (
	Pass Status = "pass"
	Fail Status = "fail"
	Skip Status = "skip"
	Cut  Status = "cut"
)

// A Test is how one test or subtest ended.
type Test struct {
	Status Status
	// Output is the end of what it printed, if it did not pass.
	Output string `json:",omitempty"`
}

// A Package is how the tests of one package ended, by name.
type Package struct {
	Status  Status
	Tests   map[string]*Test
	Output  string  `json:",omitempty"` // the end of what it printed outside of tests, if it did not pass
	Elapsed float64 // seconds
}

// Results are the packages by import path.
type Results map[string]*Package

// outputLimit bounds what is kept of the output of one test, in bytes.
const outputLimit = 4 << 10

// An event is one line of go test -json (go doc test2json).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// Read reads the output of go test -json to its end and adds it to r. Lines
// that are no JSON, as the go command prints some, are ignored.
func (r Results) Read(from io.Reader) error {
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil && e.Package != "" {
			r.add(e)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the output of go test -json: %w", err)
		}
	}
	for _, p := range r {
		p.finish()
	}
	return nil
}

// add notes one event.
func (r Results) add(e event) {
	p := r[e.Package]
	if p == nil {
		p = &Package{Tests: map[string]*Test{}}
		r[e.Package] = p
	}
	var t *Test
	if e.Test != "" {
		if t = p.Tests[e.Test]; t == nil {
			t = &Test{Status: Cut}
			p.Tests[e.Test] = t
		}
	}
	switch e.Action {
	case "output":
		p.output(t, e.Output)
	case "pass", "fail", "skip":
		if t == nil {
			p.Status, p.Elapsed = Status(e.Action), e.Elapsed
			return
		}
		t.Status = Status(e.Action)
		if t.Status == Pass {
			t.Output = ""
		}
	}
}

// output keeps the end of what test t, or the package itself, has printed.
func (p *Package) output(t *Test, text string) {
	to := &p.Output
	if t != nil {
		to = &t.Output
	}
	*to += text
	if n := len(*to) - outputLimit; n > 0 {
		*to = (*to)[n:]
	}
}

// finish is called at the end of the output. What ended with the program had
// not ended itself, though test2json says that it failed.
func (p *Package) finish() {
	if p.Status == "" {
		p.Status = Cut
	}
	if p.Status == Pass {
		p.Output = ""
	}
	for _, t := range p.Tests {
		if t.Status == Fail && !strings.Contains(t.Output, "--- FAIL: ") {
			t.Status = Cut
		}
	}
}

// paused reports whether the test had stopped to wait for others that run in
// parallel (testing.T.Parallel).
func (t *Test) paused() bool {
	lines := strings.Split(strings.TrimSpace(t.Output), "\n")
	return strings.HasPrefix(lines[len(lines)-1], "=== PAUSE")
}

// Merge adds the tests of another run of the same package, which left some out;
// those that both have stay as they are unless they were cut off in the first.
func (p *Package) Merge(other *Package) {
	for name, t := range other.Tests {
		if old := p.Tests[name]; old == nil || old.Status == Cut && t.Status != Cut {
			p.Tests[name] = t
		}
	}
	p.Elapsed += other.Elapsed
}
