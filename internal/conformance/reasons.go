package conformance

import (
	_ "embed"
	"fmt"
	"path"
	"strings"
)

//go:embed reasons.txt
var reasonsText string

// A reason explains why tests do not pass in a virtual machine.
type reason struct {
	pkg, test string // patterns
	output    string // text that is in the output, "" for any
	hangs     bool   // the test takes all of its package's time, or ends the program
	text      string
}

// Reasons are looked through in order.
type Reasons []reason

// Known returns the reasons of reasons.txt.
func Known() (Reasons, error) { return ParseReasons(reasonsText) }

// ParseReasons reads reasons, each a line
//
//	PACKAGE TEST [hangs] ["OUTPUT"]: REASON
//
// with patterns as for [path.Match]; a pattern of a test matches its subtests
// too, and "..." any package or test. REASON begins with "by design: " or
// "bug: ". Lines that are empty or begin with # mean nothing.
func ParseReasons(text string) (Reasons, error) {
	var list Reasons
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		r, err := parseReason(line)
		if err != nil {
			return nil, fmt.Errorf("reasons: line %d: %w", i+1, err)
		}
		list = append(list, r)
	}
	return list, nil
}

func parseReason(line string) (r reason, err error) {
	head, text, ok := strings.Cut(line, ": ")
	if before, quoted, found := strings.Cut(line, ` "`); found && len(before) < len(head) {
		head = before
		if r.output, text, ok = strings.Cut(quoted, `": `); !ok || r.output == "" {
			return r, fmt.Errorf("%q does not end", quoted)
		}
	}
	head, r.hangs = strings.CutSuffix(head, " hangs")
	r.pkg, r.test, _ = strings.Cut(head, " ")
	r.text = text
	_, err1 := path.Match(r.pkg, "")
	_, err2 := path.Match(r.test, "")
	switch {
	case !ok || r.pkg == "" || r.test == "" || strings.Contains(r.test, " "):
		return r, fmt.Errorf("%q is not of the form PACKAGE TEST: REASON", line)
	case err1 != nil || err2 != nil:
		return r, fmt.Errorf("%q has a bad pattern", line)
	case !strings.HasPrefix(text, "by design: ") && !strings.HasPrefix(text, "bug: "):
		return r, fmt.Errorf("%q is neither by design nor a bug", text)
	}
	return r, nil
}

// Find returns the first reason that explains d, "" if there is none.
func (list Reasons) Find(d Difference) string {
	for _, r := range list {
		if r.explains(d) {
			return r.text
		}
	}
	return ""
}

func (r reason) explains(d Difference) bool {
	return match(r.pkg, d.Package) && matchTest(r.test, d.Test) && strings.Contains(d.Output, r.output)
}

func match(pattern, name string) bool {
	ok, _ := path.Match(pattern, name)
	return ok || pattern == "..."
}

// matchTest matches a test or one that it is a subtest of.
func matchTest(pattern, name string) bool {
	for {
		if match(pattern, name) {
			return true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return false
		}
		name = name[:i]
	}
}

// Skip returns the flags of go test that leave out the tests that hang.
func (list Reasons) Skip() []string {
	var names []string
	for _, r := range list {
		if r.hangs {
			names = append(names, r.test)
		}
	}
	if names == nil {
		return nil
	}
	return []string{"-skip", exactly(names)}
}
