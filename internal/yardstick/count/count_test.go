package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/xtest"
	"github.com/tailor-os/tailor/internal/yardstick"
)

// add makes a file with text in a folder.
func add(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const mainC = `// A comment.
#include "inline.h"
#include "made.h"

struct s {
	int a;
};

static const char *table[] = { "{", "}", ";" };

int main(int argc, char **argv)
{
#if 1
	if (argc > 1) {
#else
	{
#endif
		return twice(argc);
	}
	/* };
	 */
	return table[0][0] + made();
}

int
other(void) { return 1; }
`

// What is counted of a program of C is what its source says.
func TestProgramOfC(t *testing.T) {
	gcc := xtest.NeedCommand(t, "gcc", "gcc")
	dir, build := t.TempDir(), t.TempDir()
	add(t, dir, "main.c", mainC)
	add(t, dir, "inline.h", "#pragma once\n\nextern int unused;\n\nstatic inline int twice(int n)\n{\n\treturn 2 * n;\n}\n")
	add(t, dir, "start.S", "/* c */\n# c\n#define X nop\n\t.globl other2\nother2:\n\tX\n\tret\n")
	add(t, build, "made.h", "static int made(void) { return 1; }\n")
	for _, version := range []string{"-gdwarf-4", "-gdwarf-5"} {
		cmd := exec.Command(gcc, "-O0", version, "-I"+build, "-fdebug-prefix-map="+build+"=/made", "-o", filepath.Join(build, "p"), "main.c", "start.S")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		into := filepath.Join(build, version+".json")
		c := &component{yardstick.Component{Name: "p"}}
		if err := run(c, dir+"="+dir, into, []string{filepath.Join(build, "p")}); err != nil {
			t.Fatal(err)
		}
		// main and what the preprocessor takes out of it, both functions else, and
		// two lines of assembly; of the files all that is no comment.
		const inMain, inOther, inTwice, ofAssembly = 11, 2, 4, 2
		if c.Linked != inMain+inOther+inTwice+ofAssembly || c.AssemblyInstructions != ofAssembly || c.Instructions < 8 || c.Instructions >= c.Linked {
			t.Errorf("%s: %+v", version, c.Component)
		}
		if c.Units != 2 || c.Compiled != 19+5 || c.AssemblyCompiled != 5 || c.HeaderFiles != 1 || c.Headers != 6 || c.MissingInstructions != 1 {
			t.Errorf("%s: %+v", version, c.Component)
		}
	}
	if err := run(&component{}, "", filepath.Join(build, "x.json"), []string{filepath.Join(dir, "main.c")}); err == nil {
		t.Error("a source is taken for a program")
	}
}

// Figures of a component replace those that were there.
func TestAddTo(t *testing.T) {
	into := filepath.Join(t.TempDir(), "f.json")
	for _, c := range []yardstick.Component{{Name: "a", Linked: 1}, {Name: "b"}, {Name: "a", Linked: 2}} {
		if err := (&component{c}).addTo(into); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(into)
	if err != nil || strings.Count(string(text), `"name": "a"`) != 1 || !strings.Contains(string(text), `"linked": 2`) {
		t.Errorf("%v\n%s", err, text)
	}
	add(t, filepath.Dir(into), "f.json", "{")
	if err := (&component{}).addTo(into); err == nil {
		t.Error("damaged figures are overwritten")
	}
}

// The same rule is applied to both sides: of a program of Go, which has DWARF and
// Go's own tables, both give the same lines with instructions.
func TestSameAsOfGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hello")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "../../../examples/hello")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dwarf := tables{files: map[string]*file{}}
	if err := dwarf.read(path); err != nil {
		t.Fatal(err)
	}
	p, err := anatomy.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]map[int]bool{}
	for i := range p.Functions {
		p.Lines(&p.Functions[i], func(name string, n int) {
			if own[name] == nil {
				own[name] = map[int]bool{}
			}
			own[name][n] = true
		})
	}
	sum := 0
	for name, f := range dwarf.files {
		sum += len(f.lines)
		if len(f.lines) != len(own[name]) {
			t.Errorf("%s has %d lines by DWARF, %d by Go's tables", name, len(f.lines), len(own[name]))
		}
	}
	t.Logf("%d lines", sum)
	if sum < 10_000 {
		t.Errorf("%d lines", sum)
	}
}

func TestDeclarations(t *testing.T) {
	for src, want := range map[string][]span{
		"":                                      nil,
		"int a;\nint b; int c;\n":               {{1, 1}, {2, 2}, {2, 2}},
		"int f(a)\nint a;\n{\n}\n":              {{1, 2}, {3, 4}},
		"// ;\n/* } */ int f() {\n;\n}\n\nx":    {{2, 4}},
		"#define X { \\\n ; \\\n }\nint a;\n":   {{4, 4}},
		"  # define Y /* \n */ {\nint a;\n":     {{3, 3}},
		"char *s = \"}\\\"\\\n;{\" ; int b;\n":  {{1, 2}, {2, 2}},
		"#error don't\nint c = ';' + '\\'';\n":  {{2, 2}},
		"struct {\n int a; } x;\nint b;":        {{1, 2}, {2, 2}, {3, 3}},
		"#if 1\nf() {{\n#else\n{\n#endif\n}\n}": {{2, 6}, {7, 7}},
		"for (;;) x;\nint a[] = { f(;) };":      {{1, 1}, {2, 2}, {2, 2}},
	} {
		got := declarations([]byte(src))
		if len(got) != len(want) {
			t.Errorf("%q: %v, want %v", src, got, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q: %v, want %v", src, got, want)
			}
		}
	}
}

// Whatever a file has, its declarations are of its lines.
func FuzzDeclarations(f *testing.F) {
	f.Add([]byte(mainC))
	f.Fuzz(func(t *testing.T, src []byte) {
		lines, last := strings.Count(string(src), "\n")+1, 0
		for _, d := range declarations(src) {
			if d.From < last || d.To < d.From || d.To > lines {
				t.Fatalf("%q: %v of %d lines", src, d, lines)
			}
			last = d.To
		}
	})
}
