package libos

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTableIsTheOnlyRoot keeps it possible to leave calls out of an image: with
// nil for its handler in the table, the linker drops what only that needs. So
// no other file may name a handler.
func TestTableIsTheOnlyRoot(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	handler := regexp.MustCompile(`\bsys[A-Z]\w+\b`)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || name == "table.go" {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(src), "\n") {
			if strings.HasPrefix(line, "func sys") || strings.HasPrefix(line, "//") ||
				strings.HasPrefix(line, "type ") {
				continue
			}
			if m := handler.FindString(line); m != "" && !strings.Contains(line, "sysInfo{") {
				t.Errorf("%s names %s: %s", name, m, strings.TrimSpace(line))
			}
		}
	}
}

// TestTableLines checks the shape of the table's lines, on which a tool that
// leaves calls out relies: nr_name: {mask, handler},
func TestTableLines(t *testing.T) {
	src, err := os.ReadFile("table.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(src), "var table")
	body, _, _ = strings.Cut(body, "\n}\n")
	line := regexp.MustCompile(`^\tnr_\w+:\s*\{(0|ptr[0-5]( \| ptr[0-5])*), \w+\},$`)
	n := 0
	for _, l := range strings.Split(body, "\n")[1:] {
		switch {
		case line.MatchString(l):
			n++
		case l != "" && !strings.HasPrefix(l, "\t//"):
			t.Errorf("unexpected line %q", l)
		}
	}
	if n < 150 {
		t.Errorf("%d calls", n)
	}
}
