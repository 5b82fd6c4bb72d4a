package build

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Modules are found by the packages that they give, in a vendor folder too, each with
// what stands in for it and with its licences.
func TestModules(t *testing.T) {
	root := t.TempDir()
	vendored := filepath.Join(root, "vendor", "example.com", "dep")
	text, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(vendored, "p", "q"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(vendored, "LICENSE"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	dep := &listedModule{Path: "example.com/dep", Version: "v1.2.3"}
	p := Plan{modules: modulesOf([]listed{
		{ImportPath: "fmt", Standard: true},
		{ImportPath: "example.com/m", Dir: root, Module: &listedModule{Path: "example.com/m", Dir: root}},
		{ImportPath: "example.com/dep/p/q", Dir: filepath.Join(vendored, "p", "q"), Module: dep},
		{ImportPath: "example.com/dep", Dir: vendored, Module: dep},
		{ImportPath: "example.com/a", Dir: root, Module: &listedModule{Path: "example.com/a", Version: "v1.0.0", Dir: root, Replace: &struct{ Path, Version string }{"example.com/b", "v2.0.0"}}},
		{ImportPath: "command-line-arguments"},
	})}
	p.findLicences()
	want := []module{{path: "example.com/a", version: "v2.0.0", dir: root}, {path: "example.com/dep", version: "v1.2.3", dir: vendored}, {path: "example.com/m", dir: root}}
	if len(p.modules) != len(want) {
		t.Fatalf("modules %+v", p.modules)
	}
	for i, m := range p.modules {
		if m.path != want[i].path || m.version != want[i].version || m.dir != want[i].dir {
			t.Errorf("module %d is %s %s in %s, want %+v", i, m.path, m.version, m.dir, want[i])
		}
		if ids := m.licences(); slices.Equal(ids, []string{"ISC"}) != (m.path == dep.Path) {
			t.Errorf("%s is under %q", m.path, ids)
		}
	}
}
