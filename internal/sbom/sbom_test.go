package sbom

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

func TestMain(m *testing.M) { os.Exit(vmtest.Main(m)) }

const website = "../../examples/website"

func read(t *testing.T, path string) *Bill {
	t.Helper()
	b, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// changed is a copy of the image of website, in which each old is replaced by what
// follows it, of the same length: in the note behind the last of "Tailor\0", or
// anywhere.
func changed(t *testing.T, note bool, pairs ...string) string {
	t.Helper()
	data, err := os.ReadFile(vmtest.Image(t, "hvt", website))
	if err != nil {
		t.Fatal(err)
	}
	part := data
	if note {
		part = data[bytes.LastIndex(data, []byte("Tailor\x00")):]
	}
	for i := 0; i < len(pairs); i += 2 {
		n := bytes.Index(part, []byte(pairs[i]))
		if n < 0 || len(pairs[i]) != len(pairs[i+1]) {
			t.Fatalf("%q is not there, or not as long as %q", pairs[i], pairs[i+1])
		}
		copy(part[n:], pairs[i+1])
	}
	path := filepath.Join(t.TempDir(), "changed.img")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func find(b *Bill, kind Kind, path string) *Module {
	for i := range b.Modules {
		if m := &b.Modules[i]; m.Kind == kind && m.Path == path {
			return m
		}
	}
	return &Module{}
}

// An image says what it is made of, and who says which version.
func TestImage(t *testing.T) {
	b := read(t, vmtest.Image(t, "hvt", website))
	if len(b.Warnings)+len(b.Unknown) > 0 || b.Main != "github.com/tailor-os/tailor/examples/website" || !strings.HasPrefix(b.Go, "go1.") {
		t.Errorf("warnings %q, unknown %q, package %s, %s", b.Warnings, b.Unknown, b.Main, b.Go)
	}
	std := find(b, Standard, Stdlib)
	if std.Version != b.Go || std.Source != Linker || !slices.Equal(std.Licences, []string{"BSD-3-Clause"}) || !slices.Contains(std.Packages, "net/http") {
		t.Errorf("Go is %+v", std)
	}
	gvisor := find(b, Laid, "gvisor.dev/gvisor")
	if gvisor.Source != Note || !strings.HasPrefix(gvisor.Version, "v0.0.0-") || !strings.HasPrefix(gvisor.Sum, "h1:") ||
		!slices.Contains(gvisor.Packages, "gvisor.dev/gvisor/pkg/tcpip/stack") || !slices.Contains(gvisor.Licences, "Apache-2.0") {
		t.Errorf("gVisor is %+v", gvisor)
	}
	ours := find(b, Tailor, "github.com/tailor-os/tailor")
	if !slices.Contains(ours.Packages, "github.com/tailor-os/tailor/libos") || !slices.Equal(ours.Licences, []string{"ISC"}) {
		t.Errorf("Tailor is %+v", ours)
	}
	if main := find(b, Main, "github.com/tailor-os/tailor"); !slices.Equal(main.Packages, []string{b.Main}) || !slices.Equal(main.Licences, []string{"ISC"}) {
		t.Errorf("the main module is %+v", main)
	}
	if roots := find(b, Laid, "golang.org/x/crypto/x509roots/fallback"); roots.Version == "" || len(roots.Packages) != 1 {
		t.Errorf("the roots are %+v", roots)
	}
	if b.Port == nil || b.Port.Edits < 50 || b.Port.Edited < 30 || b.Port.Added < 100 || len(b.Port.SHA256) != 64 {
		t.Errorf("the port is %+v", b.Port)
	}
	if linked, _ := b.Function("net/http", "Server.Serve"); !linked {
		t.Error("a server without net/http.Server.Serve")
	}
	for _, m := range b.Modules {
		if m.Kind == Dependency {
			t.Errorf("a dependency: %+v", m)
		}
	}
}

// A note is not believed against the bytes, and what only it says is gone with it.
func TestForgedNote(t *testing.T) {
	b := read(t, changed(t, true, `"go":"go1`, `"go":"go9`, `"target":"hvt"`, `"target":"xyz"`, "examples/website", "examples/xxxxxxx",
		`{"path":"github.com/tailor-os/tailor"`, `{"path":"github.com/tailor-os/tailoR"`,
		`"path":"stdlib","version":"go1`, `"path":"stdlib","version":"go9`, `"licences":["BSD-3-Clause"]`, `"licences":["BSD-9-Clause"]`))
	for _, want := range []string{
		"the note says Go release go9", "the note says package github.com/tailor-os/tailor/examples/xxxxxxx, the bytes say", "the note says that it has github.com/tailor-os/tailoR",
		"the note says stdlib go9", "the note says target xyz, the bytes say hvt or spt",
	} {
		if !slices.ContainsFunc(b.Warnings, func(w string) bool { return strings.HasPrefix(w, want) }) {
			t.Errorf("no warning %q in %q", want, b.Warnings)
		}
	}
	if len(b.Warnings) != 5 || !strings.HasPrefix(b.Go, "go1") || find(b, Standard, Stdlib).Licences != nil {
		t.Errorf("warnings %q, %s", b.Warnings, b.Go)
	}
	b = read(t, changed(t, true, "Tailor\x00", "Tayler\x00"))
	if gvisor := find(b, Laid, "gvisor.dev/gvisor"); gvisor.Version != "" || len(gvisor.Packages) == 0 {
		t.Errorf("without a note, gVisor is %+v", gvisor)
	}
	if b.Note != nil || b.Port != nil || !slices.Contains(b.Unknown, "the version of gvisor.dev/gvisor, which tailor laid into it: only its note could say") {
		t.Errorf("without a note: unknown %q", b.Unknown)
	}
	b = read(t, changed(t, true, `{"abi":`, `["abi":`))
	if b.Note != nil || len(b.Warnings) != 1 || !strings.HasPrefix(b.Warnings[0], "it has a bad note: ") {
		t.Errorf("with a damaged note: warnings %q", b.Warnings)
	}
	b = read(t, changed(t, true, "Apache-2.0", `Apache", 0`))
	if b.Note != nil || len(b.Warnings) != 1 {
		t.Errorf("with a note that is no JSON: warnings %q", b.Warnings)
	}
}

// Without the linker's record, what is linked is known all the same.
func TestWithoutRecord(t *testing.T) {
	b := read(t, changed(t, false, "\xff Go buildinf:", "\xff No buildinf:"))
	if b.Go != "" || b.Main != "" || len(b.Unknown) != 1 || !b.Linked("net/http") || find(b, Standard, Stdlib).Version != "" {
		t.Errorf("%q, %s, unknown %q, warnings %q", b.Go, b.Main, b.Unknown, b.Warnings)
	}
}

// Files that are no programs are refused.
func TestRefused(t *testing.T) {
	data, err := os.ReadFile(vmtest.Image(t, "hvt", website))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"empty": nil, "text": []byte("no program"), "cut": data[:len(data)/2]} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

// Documents are the same bytes each time, and what other tools take them for.
func TestDocuments(t *testing.T) {
	b := read(t, vmtest.Image(t, "hvt", website))
	var files []string
	for i, d := range []Document{{Tool: "v1.2.3"}, {Tool: "v1.2.3", Time: time.Unix(1e9, 0)}} {
		for format, write := range map[string]func(*bytes.Buffer) error{
			"cdx":  func(w *bytes.Buffer) error { return b.WriteCycloneDX(w, d) },
			"spdx": func(w *bytes.Buffer) error { return b.WriteSPDX(w, d) },
			"text": func(w *bytes.Buffer) error { return b.WriteText(w, 80) },
		} {
			var one, two bytes.Buffer
			if write(&one) != nil || write(&two) != nil || one.String() != two.String() {
				t.Errorf("%s is not the same each time", format)
			}
			if dated := strings.Contains(one.String(), "2001-09-09T01:46:40Z"); dated != (i == 1) && format != "text" {
				t.Errorf("%s has the date: %v", format, dated)
			}
			for _, want := range []string{"gvisor.dev/gvisor", "h1:", "Apache-2.0 AND BSD-3-Clause AND MIT", b.SHA256, b.Port.SHA256} {
				if !strings.Contains(one.String(), want) {
					t.Errorf("%s lacks %s", format, want)
				}
			}
			if format == "text" {
				continue
			}
			file := filepath.Join(t.TempDir(), format+".json")
			if err := os.WriteFile(file, one.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
	}
	for _, module := range []string{"github.com/CycloneDX/cyclonedx-go@v0.12.0", "github.com/spdx/tools-golang@v0.5.7", "github.com/santhosh-tekuri/jsonschema/v6@v6.0.3"} {
		xtest.NeedModule(t, module)
	}
	cmd := exec.Command("go", append([]string{"run", "."}, files...)...)
	cmd.Dir, cmd.Env = "../../tools/checksbom", append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), ": 8 components\n") != len(files) {
		t.Errorf("%v\n%s", err, out)
	}
}

// A linker's record that was tampered with, so that it has a module twice, or in another
// version than its files, makes no document with a name twice, and is told.
func TestTamperedRecord(t *testing.T) {
	b := &Bill{File: "x", Modules: []Module{
		{Path: "example.com/a", Version: "v1.0.0", Kind: Dependency, Source: Linker}, {Path: "example.com/a", Version: "v2.0.0", InFiles: "v1.9.0", Kind: Dependency, Source: Linker},
	}}
	var cdx, spdx bytes.Buffer
	if err := errors.Join(b.WriteCycloneDX(&cdx, Document{}), b.WriteSPDX(&spdx, Document{})); err != nil {
		t.Fatal(err)
	}
	refs := regexp.MustCompile(`"bom-ref": .*`).FindAllString(cdx.String(), -1)
	slices.Sort(refs)
	if len(refs) != 3 || len(slices.Compact(refs)) != 3 {
		t.Errorf("references: %q", refs)
	}
	if !strings.Contains(cdx.String(), `"tailor:version-in-files",`) || !strings.Contains(spdx.String(), "its files are of v1.9.0") {
		t.Errorf("the other version is missing in\n%s\n%s", &cdx, &spdx)
	}
}

// Package URLs are written as their specification has it.
func TestPURL(t *testing.T) {
	for want, m := range map[string]Module{
		"pkg:golang/github.com/burntsushi/toml@v1.4.0":       {Path: "github.com/BurntSushi/toml", Version: "v1.4.0"},
		"pkg:golang/example.com/a%20b@v2.0.0%2Bincompatible": {Path: "example.com/a b", Version: "v2.0.0+incompatible"},
		"pkg:golang/stdlib@1.26.8":                           {Path: Stdlib, Version: "go1.26.8 X:nodwarf5", Kind: Standard},
		"pkg:golang/example.com/m":                           {Path: "example.com/m"},
		"":                                                   {Path: "../fork"},
	} {
		if got := purl(&m); got != want {
			t.Errorf("%+v is %q, want %q", m, got, want)
		}
	}
	if got := cpe(&Module{Kind: Standard, Version: "go1.26.8"}); got != "cpe:2.3:a:golang:go:1.26.8:*:*:*:*:*:*:*" {
		t.Errorf("Go is %s", got)
	}
	if got := cpe(&Module{Kind: Standard, Version: "devel go1.27"}) + cpe(&Module{Version: "go1.2.3"}); got != "" {
		t.Errorf("what has no name is %s", got)
	}
}

// A module of another, and one that stands in for it, keep their names.
func TestReplaced(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":      "module example.com/m\n\ngo 1.26\n\nrequire example.com/dep v1.0.0\n\nreplace example.com/dep v1.0.0 => ./fork\n",
		"main.go":     "package main\n\nimport \"example.com/dep/p\"\n\nfunc main() { println(p.F()) }\n",
		"fork/go.mod": "module example.com/dep\n", "fork/p/p.go": "package p\n\n//go:noinline\nfunc F() int { return 1 }\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", "m", ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b := read(t, filepath.Join(dir, "m"))
	if len(b.Warnings) > 0 || len(b.Modules) != 3 { // the file of F is in example.com/dep@v1.0.0
		t.Errorf("warnings %q, modules %+v", b.Warnings, b.Modules)
	}
	dep := find(b, Dependency, "./fork")
	if dep.Replaced != "example.com/dep" || dep.Version != "" || !slices.Equal(dep.Packages, []string{"example.com/dep/p"}) {
		t.Errorf("the dependency is %+v of %+v", dep, b.Modules)
	}
	if linked, inlined := b.Function("example.com/dep/p", "F"); !linked || inlined {
		t.Errorf("its function is linked: %v, inlined: %v", linked, inlined)
	}
	var w bytes.Buffer
	if err := b.WriteCycloneDX(&w, Document{}); err != nil || !json.Valid(w.Bytes()) || !strings.Contains(w.String(), `"tailor:replaces"`) {
		t.Errorf("%v\n%s", err, w.String())
	}
}
