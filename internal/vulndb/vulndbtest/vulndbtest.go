// Package vulndbtest makes small vulnerability databases for tests.
package vulndbtest

import (
	"archive/zip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Flaw is a vulnerability of one module.
type Flaw struct {
	ID      string
	Aliases []string
	Module  string
	// Events are versions, by turns one that introduces the flaw ("0" for the
	// beginning) and one that fixes it.
	Events []string
	// Package has it, in Symbols (all if nil); "" for a flaw of which that is not
	// known.
	Package string
	Symbols []string
	GOOS    []string
	// Withdrawn makes it one that is none.
	Withdrawn bool
}

type object = map[string]any

// entry is the flaw in the OSV format.
func (f Flaw) entry(modified time.Time) object {
	var events []object
	for i, v := range f.Events {
		events = append(events, object{[]string{"introduced", "fixed"}[i%2]: v})
	}
	imports := []object{}
	if f.Package != "" {
		p := object{"path": f.Package}
		if f.Symbols != nil {
			p["symbols"] = f.Symbols
		}
		if f.GOOS != nil {
			p["goos"] = f.GOOS
		}
		imports = append(imports, p)
	}
	e := object{
		"schema_version": "1.3.1", "id": f.ID, "modified": modified, "published": modified, "aliases": f.Aliases,
		"summary": "Flaw " + f.ID + " in " + f.Module, "details": "For a test.",
		"affected": []object{{
			"package": object{"name": f.Module, "ecosystem": "Go"}, "ranges": []object{{"type": "SEMVER", "events": events}},
			"ecosystem_specific": object{"imports": imports},
		}},
		"database_specific": object{"url": "https://pkg.go.dev/vuln/" + f.ID},
	}
	if f.Withdrawn {
		e["withdrawn"] = modified
	}
	return e
}

// Write makes a database of flaws in a new folder, whose path it returns.
func Write(t testing.TB, modified time.Time, flaws ...Flaw) string {
	t.Helper()
	dir := t.TempDir()
	type vuln struct {
		ID       string    `json:"id"`
		Modified time.Time `json:"modified"`
	}
	type module struct {
		Path  string `json:"path"`
		Vulns []vuln `json:"vulns"`
	}
	modules := []module{}
	for _, f := range flaws {
		put(t, dir, "ID/"+f.ID+".json", f.entry(modified))
		i := slices.IndexFunc(modules, func(m module) bool { return m.Path == f.Module })
		if i < 0 {
			i, modules = len(modules), append(modules, module{Path: f.Module})
		}
		modules[i].Vulns = append(modules[i].Vulns, vuln{f.ID, modified})
	}
	put(t, dir, "index/modules.json", modules)
	put(t, dir, "index/db.json", object{"modified": modified})
	return dir
}

func put(t testing.TB, dir, name string, v any) {
	t.Helper()
	data, err := json.Marshal(v)
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Zip packs a database, and returns the path of the zip.
func Zip(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vulndb.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	if err := z.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
