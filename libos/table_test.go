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

// TestTableLines checks that each group names each call once, and that a call of
// several groups has the same pointers in all.
func TestTableLines(t *testing.T) {
	all := map[string][]listed{
		"base": baseCalls, "file": fileCalls, "pipe": pipeCalls, "map": mapCalls,
		"socket": socketCalls, "other": otherCalls,
	}
	masks := map[uint16]uint8{}
	for name, group := range all {
		seen := map[uint16]bool{}
		for _, c := range group {
			if seen[c.num] {
				t.Errorf("%s: %s is there twice", name, CallName(uintptr(c.num)))
			}
			seen[c.num] = true
			if c.fn == nil {
				t.Errorf("%s: %s has no handler", name, CallName(uintptr(c.num)))
			}
			if m, ok := masks[c.num]; ok && m != c.ptrs && m != 0 && c.ptrs != 0 {
				t.Errorf("%s: %s has pointers %b and %b", name, CallName(uintptr(c.num)), m, c.ptrs)
			}
			masks[c.num] = c.ptrs
		}
	}
	if len(masks) < 150 {
		t.Errorf("%d calls", len(masks))
	}
}
