package house

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The package comment is the first thing that a reader looks for.
func TestPackageDocs(t *testing.T) {
	packages, documented := map[string]string{}, map[string]int{}
	for _, s := range sources(t) {
		if s.isTest() || ignored(s) {
			continue
		}
		packages[s.dir()] = s.File.Name.Name
		if s.Doc != nil {
			documented[s.dir()]++
			checkPackageDoc(t, s)
		}
	}
	for dir, name := range packages {
		switch n := documented[dir]; {
		case n == 0:
			t.Errorf("package %s in %s has no package comment", name, dir)
		case n > 1:
			t.Errorf("package %s in %s has %d package comments; keep one", name, dir, n)
		}
	}
}

func checkPackageDoc(t *testing.T, s source) {
	t.Helper()
	name := s.File.Name.Name
	want := []string{"Package " + name + " "}
	switch name {
	case "runtime": // a folder that is laid over Go's own package
		want = []string{"Package " + path.Base(s.dir()) + " "}
	case "main":
		cmd := path.Base(s.dir())
		want = []string{"Command " + cmd + " ", strings.ToUpper(cmd[:1]) + cmd[1:] + " "}
	}
	if !slices.ContainsFunc(want, func(w string) bool { return strings.HasPrefix(s.Doc.Text(), w) }) {
		t.Errorf("%s: the package comment begins %q, want %q", s.name, firstWords(s.Doc), want[0])
	}
}

func firstWords(c *ast.CommentGroup) string {
	line, _, _ := strings.Cut(c.Text(), "\n")
	return line[:min(len(line), 40)]
}

// Exported things say what they are, with units, errors and concurrency.
func TestExportedDocs(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || isGenerated(s.text) || s.File.Name.Name == "main" {
			continue
		}
		for _, d := range s.Decls {
			if name := undocumented(d); name != "" {
				t.Errorf("%s: %s is exported and has no comment", position(s, d), name)
			}
		}
	}
}

// wellKnown are methods whose meaning their interface in the standard library
// fixes.
var wellKnown = []string{"Error", "Is", "Unwrap", "String", "Read", "Write", "Close", "Len", "Less", "Swap"}

// undocumented returns the name of what d declares, exported and without a
// comment. A comment over a group of constants or variables counts for all.
func undocumented(d ast.Decl) string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		// Methods of unexported types are there for an interface that is
		// documented elsewhere.
		method := d.Recv != nil && (!ast.IsExported(receiver(d)) || slices.Contains(wellKnown, d.Name.Name))
		if d.Doc == nil && d.Name.IsExported() && !method {
			return d.Name.Name
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					return spec.Name.Name
				}
			case *ast.ValueSpec:
				if spec.Names[0].IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					return spec.Names[0].Name
				}
			}
		}
	}
	return ""
}

func receiver(d *ast.FuncDecl) string {
	name := ""
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return true
	})
	return name
}

// Links in the documents lead somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, f := range matching(t, ".md") {
		for _, m := range link.FindAllStringSubmatch(string(f.text), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, f.dir(), target)); err != nil {
				t.Errorf("%s links to %s: %v", f.name, target, err)
			}
		}
	}
}

// Each example shows one thing, says which, and is tested.
func TestExamples(t *testing.T) {
	all := matching(t, "main.go", "README.md", "_test.go")
	has := func(dir, suffix string) bool {
		return slices.ContainsFunc(all, func(f file) bool { return f.dir() == dir && strings.HasSuffix(f.name, suffix) })
	}
	for _, f := range all {
		dir := f.dir()
		if path.Dir(dir) != "examples" || path.Base(f.name) != "main.go" {
			continue
		}
		if !has(dir, "README.md") || !has(dir, "_test.go") {
			t.Errorf("%s needs a README.md and a test", dir)
		}
	}
}

// TestLicences: what is linked from elsewhere is named with its licence.
func TestLicences(t *testing.T) {
	license, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil || !strings.HasPrefix(string(license), "ISC License") {
		t.Errorf("LICENSE does not begin with \"ISC License\" (%v)", err)
	}
	notice, err := os.ReadFile(filepath.Join(root, "NOTICE"))
	if err != nil {
		t.Fatal(err)
	}
	modules := goList(t, "-e", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./...")
	slices.Sort(modules)
	for _, m := range slices.Compact(modules) {
		if m != module && !strings.Contains(string(notice), "\n"+m+" ") {
			t.Errorf("NOTICE does not name %s, which this repository links", m)
		}
	}
}
