package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/tailor-os/tailor"

// root is the repository, seen from this package.
const root = "../.."

// A file is one of the repository's texts.
type file struct {
	name string // slash-separated, from the root
	text []byte
}

// files returns every file that is committed or will be: all but what
// .gitignore names, which is also what the build and the tests leave behind.
var files = sync.OnceValues(func() ([]file, error) {
	var all []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if d.IsDir() && (name == ".git" || name == "bin") {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() || slices.Contains([]string{".img", ".elf"}, path.Ext(name)) {
			return nil
		}
		text, err := os.ReadFile(p)
		all = append(all, file{name, text})
		return err
	})
	return all, err
})

// matching returns the files whose name has one of the suffixes.
func matching(t *testing.T, suffixes ...string) []file {
	t.Helper()
	all, err := files()
	if err != nil {
		t.Fatal(err)
	}
	var found []file
	for _, f := range all {
		if slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(f.name, s) }) {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		t.Fatalf("no file in %s ends in %v: looking in the wrong place", root, suffixes)
	}
	return found
}

// A source is a parsed Go file.
type source struct {
	file
	*ast.File
	fset *token.FileSet
}

// sources returns every Go file, with its comments.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, f := range matching(t, ".go") {
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, f.name, f.text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		all = append(all, source{f, parsed, fset})
	}
	return all
}

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

// dir is the folder of the file, "." for the root.
func (f file) dir() string { return path.Dir(f.name) }

func isGenerated(text []byte) bool {
	return regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`).Match(text)
}

// One format, so that a change shows what was changed.
func TestGofmt(t *testing.T) {
	for _, f := range matching(t, ".go") {
		want, err := format.Source(f.text)
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
		} else if !bytes.Equal(f.text, want) {
			t.Errorf("%s is not formatted; run: gofmt -w %s", f.name, f.name)
		}
	}
}

// A file that one reads in one sitting.
func TestFileLength(t *testing.T) {
	const limit = 600
	for _, f := range matching(t, ".go", ".s") {
		if n := bytes.Count(f.text, []byte("\n")); n > limit && !isGenerated(f.text) {
			t.Errorf("%s has %d lines, the limit is %d; split it by topic", f.name, n, limit)
		}
	}
}

// Most functions fit on a screen: 90 of 100 have under 50 lines.
func TestFunctionLength(t *testing.T) {
	var lengths []int
	for _, s := range sources(t) {
		if s.isTest() || isGenerated(s.text) {
			continue
		}
		for _, d := range s.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			n := s.fset.Position(fn.End()).Line - s.fset.Position(fn.Pos()).Line + 1
			lengths = append(lengths, n)
			if n > 60 {
				t.Logf("%s: %s has %d lines", s.name, fn.Name.Name, n)
			}
		}
	}
	slices.Sort(lengths)
	median, p90 := lengths[len(lengths)/2], lengths[len(lengths)*9/10]
	t.Logf("%d functions: median %d lines, 90 %% up to %d, longest %d", len(lengths), median, p90, lengths[len(lengths)-1])
	if median > 12 || p90 >= 50 {
		t.Errorf("functions have grown: median %d lines (12 at the most), 90 %% up to %d (under 50)", median, p90)
	}
}

// Work left over belongs in the tracker, where somebody looks.
func TestNoLeftovers(t *testing.T) {
	marker := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`)
	for _, f := range matching(t, ".go", ".s", ".sh", ".md", ".mod", "Makefile", "run") {
		for i, line := range bytes.Split(f.text, []byte("\n")) {
			if m := marker.Find(line); m != nil {
				t.Errorf("%s:%d: %s; finish it or file an issue", f.name, i+1, m)
			}
		}
	}
}

// Files that everything else refers to.
func TestHouseFiles(t *testing.T) {
	for _, name := range []string{
		"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md",
		"LICENSE", "NOTICE", "Makefile", ".ci/run", "docs/security.md",
	} {
		st, err := os.Stat(filepath.Join(root, name))
		if err != nil || st.Size() == 0 {
			t.Errorf("%s is missing or empty", name)
		}
		if name == ".ci/run" && err == nil && st.Mode()&0o111 == 0 {
			t.Errorf("%s is not executable", name)
		}
	}
}

func position(s source, n ast.Node) string {
	p := s.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", s.name, p.Line)
}
