package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/sbom"
	"github.com/tailor-os/tailor/internal/vulndb/vulndbtest"
)

// A package whose module neither the linker nor the names of files tell counts as one
// of every module that the database knows by the beginning of its path.
func TestLost(t *testing.T) {
	b := read(t, built(t, ""))
	at := slices.IndexFunc(b.Modules, func(m sbom.Module) bool { return m.Path == text })
	b.Lost = b.Modules[at].Packages
	b.Modules = slices.Delete(slices.Clone(b.Modules), at, at+1)
	r := run(t, Options{Level: Symbol}, []*sbom.Bill{b},
		vulndbtest.Flaw{ID: "GO-1", Module: text, Events: []string{"0", "0.3.0"}, Package: lang, Symbols: []string{"Parse"}},
		vulndbtest.Flaw{ID: "GO-2", Module: text, Events: []string{"0", "0.3.0"}, Package: lang, Symbols: []string{"none"}},
		vulndbtest.Flaw{ID: "GO-3", Module: "golang.org/x/tex", Events: []string{"0"}},
		vulndbtest.Flaw{ID: "GO-4", Module: lang, Events: []string{"0"}},
	)
	got := map[string]Level{}
	for _, v := range r.Vulnerabilities {
		got[v.ID] = v.Findings[0].Level
		if f := v.Findings[0]; f.Version != "" || !slices.Contains(f.Unknown, "version") {
			t.Errorf("%s: %+v", v.ID, f)
		}
	}
	if len(got) != 3 || got["GO-1"] != Symbol || got["GO-2"] != Package || got["GO-4"] != Symbol {
		t.Errorf("found %v", got)
	}
}

// Without the linker's record, a flawed function is found all the same: in a stripped
// image, by the names of files, and in a program that has none that tell its modules.
func TestNoRecord(t *testing.T) {
	for _, target := range []string{"hvt", ""} {
		data, err := os.ReadFile(built(t, target))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "changed")
		for _, pair := range [][2]string{{"\xff Go buildinf:", "\xff No buildinf:"}, {"text@v0.3.5/", "text/v0.3.5/"}} {
			if data = bytes.ReplaceAll(data, []byte(pair[0]), []byte(pair[1])); os.WriteFile(path, data, 0o600) != nil {
				t.Fatal("cannot write")
			}
			r := run(t, Options{Level: Symbol}, []*sbom.Bill{read(t, path)},
				vulndbtest.Flaw{ID: "GO-1", Module: text, Events: []string{"0", "0.3.7"}, Package: lang, Symbols: []string{"Parse"}})
			if !r.Affected {
				t.Errorf("target %q, %s: not affected: %+v", target, pair[1], r)
			}
		}
	}
}

// If the linker's record and the names of files say different versions, what affects
// one of them counts, under that version.
func TestTwoVersions(t *testing.T) {
	data, err := os.ReadFile(built(t, "hvt"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "changed")
	data = bytes.ReplaceAll(data, []byte(text+"\tv0.3.5\t"), []byte(text+"\tv0.9.9\t"))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	b := read(t, path)
	r := run(t, Options{Level: Symbol}, []*sbom.Bill{b},
		vulndbtest.Flaw{ID: "GO-1", Module: text, Events: []string{"0", "0.3.7"}, Package: lang, Symbols: []string{"Parse"}},
		vulndbtest.Flaw{ID: "GO-2", Module: text, Events: []string{"0.9.0"}, Package: lang, Symbols: []string{"Parse"}},
		vulndbtest.Flaw{ID: "GO-3", Module: text, Events: []string{"0", "0.3.5"}, Package: lang, Symbols: []string{"Parse"}})
	if len(r.Vulnerabilities) != 2 || !r.Vulnerabilities[0].Affected || !r.Vulnerabilities[1].Affected || len(b.Warnings) == 0 {
		t.Fatalf("warnings %q, found %+v", b.Warnings, r.Vulnerabilities)
	}
	for i, version := range []string{"v0.3.5", "v0.9.9"} {
		if f := r.Vulnerabilities[i].Findings; len(f) != 1 || f[0].Version != version || !slices.Equal(f[0].Unknown, []string{"version"}) {
			t.Errorf("%s: %+v, want of %s", r.Vulnerabilities[i].ID, f, version)
		}
	}
	var w bytes.Buffer
	if err := r.WriteText(&w, 0); err != nil || !strings.Contains(w.String(), text+" v0.3.5 or another version, fixed in v0.3.7: ") {
		t.Errorf("%v in\n%s", err, w.String())
	}
}

// A flaw that Go's release has fixed may be in the FIPS 140-3 module that was frozen
// before.
func TestFrozen(t *testing.T) {
	dir := t.TempDir()
	const source = "package main\n\nimport (\n\"crypto/sha256\"\n\"os\"\n)\n\nfunc main() { s := sha256.Sum256([]byte(os.Args[0])); os.Stdout.Write(s[:]) }\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]bool{"v1.0.0": true, "off": false} {
		path := filepath.Join(dir, value)
		if err := command(dir, "env", "GOFIPS140="+value, "go", "build", "-o", path, "main.go"); err != nil {
			t.Fatal(err)
		}
		const pkg = "crypto/internal/fips140/sha256"
		r := run(t, Options{Level: Symbol}, []*sbom.Bill{read(t, path)},
			vulndbtest.Flaw{ID: "GO-1", Module: "stdlib", Events: []string{"0", "1.25.0"}, Package: pkg, Symbols: []string{"Digest.Write"}},
			vulndbtest.Flaw{ID: "GO-2", Module: "stdlib", Events: []string{"0", "1.25.0"}, Package: "os", Symbols: []string{"File.Write"}})
		if r.Affected != want || len(r.Vulnerabilities) > 1 {
			t.Errorf("GOFIPS140=%s: affected %v, %+v", value, r.Affected, r.Vulnerabilities)
		}
		if want && !slices.Equal(r.Vulnerabilities[0].Findings[0].Unknown, []string{"version"}) {
			t.Errorf("GOFIPS140=%s: %+v", value, r.Vulnerabilities[0].Findings)
		}
	}
}

// If what was inlined cannot be read, a function that is not found may be.
func TestIncomplete(t *testing.T) {
	b := read(t, built(t, ""))
	b.Incomplete = true
	r := run(t, Options{Level: Symbol}, []*sbom.Bill{b},
		vulndbtest.Flaw{ID: "GO-1", Module: text, Events: []string{"0"}, Package: lang, Symbols: []string{"none"}},
		vulndbtest.Flaw{ID: "GO-2", Module: "toolchain", Events: []string{"0"}, Package: "cmd/go"},
		vulndbtest.Flaw{ID: "GO-3", Module: text, Events: []string{"0", "0.3.5"}, Package: lang, Symbols: []string{"none"}},
	)
	if len(r.Vulnerabilities) != 2 || !r.Vulnerabilities[0].Affected || !slices.Equal(r.Vulnerabilities[0].Findings[0].Unknown, []string{"inlined"}) || r.Vulnerabilities[1].Affected {
		t.Errorf("found %+v", r.Vulnerabilities)
	}
	var w strings.Builder
	if err := r.WriteText(&w, 0); err != nil || !strings.Contains(w.String(), ": it may be inlined, which cannot be read\n") {
		t.Errorf("%v\n%s", err, w.String())
	}
}
