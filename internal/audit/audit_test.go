package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/sbom"
	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/vulndb"
	"github.com/tailor-os/tailor/internal/vulndb/vulndbtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

func TestMain(m *testing.M) { os.Exit(vmtest.Main(m)) }

// The module that the program of these tests is built with: it is old.
const oldText = "golang.org/x/text@v0.3.5"

// program makes the module of a program that uses one function of it.
var program = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(vmtest.Dir(), "old")
	files := map[string]string{
		"go.mod": "module example.com/old\n\ngo 1.26\n\nrequire golang.org/x/text v0.3.5\n",
		"main.go": `package main

import (
	"fmt"
	"net/http"
	"os"

	"golang.org/x/text/language"
)

func main() {
	if len(os.Args) > 2 {
		fmt.Println(http.ListenAndServe(os.Args[2], nil))
	}
	fmt.Println(language.Parse(os.Args[len(os.Args)-1]))
}
`,
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return dir, command(dir, "go", "mod", "tidy")
})

func command(dir string, argv ...string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.New(strings.Join(argv, " ") + ": " + err.Error() + "\n" + string(out))
	}
	return nil
}

// built builds the program for a target, or as go does for "".
func built(t *testing.T, target string) string {
	t.Helper()
	xtest.NeedModule(t, oldText)
	dir, err := program()
	out := filepath.Join(vmtest.Dir(), "old."+target)
	if _, there := os.Stat(out); err == nil && there != nil {
		argv := []string{vmtest.Tool(t), "build", "-t", target, "-o", out, "."}
		if target == "" {
			argv = []string{"go", "build", "-o", out, "."}
		}
		err = command(dir, argv...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func read(t *testing.T, path string) *sbom.Bill {
	t.Helper()
	b, err := sbom.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func run(t *testing.T, o Options, bills []*sbom.Bill, flaws ...vulndbtest.Flaw) *Report {
	t.Helper()
	db, err := vulndb.Open(t.Context(), vulndbtest.Write(t, time.Unix(1e9, 0), flaws...))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r, err := Run(t.Context(), db, bills, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	text = "golang.org/x/text"
	lang = text + "/language"
)

// What is linked is told from what is only there: in a stripped image, and in plain
// programs, stripped or not.
func TestLevels(t *testing.T) {
	flaws := []vulndbtest.Flaw{
		{ID: "GO-1-SYMBOL", Aliases: []string{"CVE-2021-38561"}, Module: text, Events: []string{"0", "0.3.7"}, Package: lang, Symbols: []string{"MatchStrings", "Parse"}},
		{ID: "GO-2-PACKAGE", Module: text, Events: []string{"0", "0.3.7"}, Package: lang, Symbols: []string{"MatchStrings"}},
		{ID: "GO-3-MODULE", Module: text, Events: []string{"0", "0.3.7"}, Package: text + "/encoding/unicode", Symbols: []string{"utf16Decoder.Transform"}},
		{ID: "GO-4-FIXED", Module: text, Events: []string{"0", "0.3.5"}, Package: lang, Symbols: []string{"Parse"}},
		{ID: "GO-5-WINDOWS", Module: text, Events: []string{"0"}, Package: lang, Symbols: []string{"Parse"}, GOOS: []string{"windows"}},
		{ID: "GO-6-UNNAMED", Module: text, Events: []string{"0"}},
		{ID: "GO-7-WHOLE", Module: text, Events: []string{"0"}, Package: lang},
		{ID: "GO-8-WITHDRAWN", Module: text, Events: []string{"0"}, Package: lang, Symbols: []string{"Parse"}, Withdrawn: true},
		{ID: "GO-9-METHOD", Module: "stdlib", Events: []string{"0", "1.99.1"}, Package: "net/http", Symbols: []string{"Server.Serve", "Transport.nothing"}},
		{ID: "GO-A-COMMAND", Module: "toolchain", Events: []string{"0", "1.99.3"}, Package: "cmd/go", Symbols: []string{"main"}},
		{ID: "GO-B-OTHER", Module: "golang.org/x/tex", Events: []string{"0"}, Package: lang},
	}
	want := map[string]Level{
		"GO-1-SYMBOL": Symbol, "GO-2-PACKAGE": Package, "GO-3-MODULE": Module, "GO-6-UNNAMED": Symbol, "GO-7-WHOLE": Symbol, "GO-9-METHOD": Symbol, "GO-A-COMMAND": Module,
	}
	for _, target := range []string{"hvt", "unix", ""} {
		path := built(t, target)
		r := run(t, Options{Level: Symbol}, []*sbom.Bill{read(t, path)}, flaws...)
		got := map[string]Level{}
		for _, v := range r.Vulnerabilities {
			got[v.ID] = v.Findings[0].Level
			if v.Affected != (v.Findings[0].Level == Symbol) || len(v.Findings) != 1 {
				t.Errorf("target %q: %s is affected: %v; %+v", target, v.ID, v.Affected, v.Findings)
			}
		}
		for id, level := range want {
			if got[id] != level {
				t.Errorf("target %q: %s reaches %q, want %q", target, id, got[id], level)
			}
		}
		if len(got) != len(want) || !r.Affected || !r.Images[0].Affected {
			t.Errorf("target %q: found %v, affected %v", target, got, r.Affected)
		}
		if len(r.Images[0].Warnings)+len(r.Images[0].Unknown) > 0 {
			t.Errorf("target %q: warnings %q, unknown %q", target, r.Images[0].Warnings, r.Images[0].Unknown)
		}
		checkFinding(t, r, path)
	}
}

// checkFinding checks what is said of the flaws of TestLevels.
func checkFinding(t *testing.T, r *Report, path string) {
	t.Helper()
	f := r.Vulnerabilities[0].Findings[0]
	if f.File != path || f.Module != text || f.Version != "v0.3.5" || f.Fixed != "v0.3.7" || !slices.Equal(f.Packages, []string{lang}) ||
		!slices.Equal(f.Functions, []Function{{lang + ".Parse", true}}) || len(f.Unknown) > 0 {
		t.Errorf("a finding is %+v", f)
	}
	var b strings.Builder
	if err := r.WriteText(&b, 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"GO-1-SYMBOL (CVE-2021-38561): Flaw GO-1-SYMBOL in golang.org/x/text\n", "  function linked:\n    " + path + ": golang.org/x/text v0.3.5, fixed in v0.3.7: golang.org/x/text/language.Parse (inlined)\n",
		"  package linked:\n", "  module present:\n", ": the database names no functions\n", "Affected: 1 of 1 image, by 4 known vulnerabilities (function linked): " + path + ". 3 more do not reach",
		"  go get golang.org/x/text@v0.3.7\n", "\n  # no version of golang.org/x/text fixes all of it", "  GOTOOLCHAIN=go1.99.1 ", " build ", " -o " + path + " example.com/old\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

// What counts as affected is asked for; what is ignored does not count.
func TestCounts(t *testing.T) {
	b := read(t, built(t, ""))
	at := func(o Options, symbol string) bool {
		return run(t, o, []*sbom.Bill{b}, vulndbtest.Flaw{ID: "GO-1", Aliases: []string{"CVE-1"}, Module: text, Events: []string{"0"}, Package: symbol, Symbols: []string{"none"}}).Affected
	}
	for _, c := range []struct {
		o    Options
		pkg  string
		want bool
	}{
		{Options{Level: Symbol}, lang, false}, {Options{Level: Package}, lang, true}, {Options{Level: Module}, lang, true},
		{Options{Level: Package}, text + "/x", false}, {Options{Level: Module}, text + "/x", true},
		{Options{Level: Module, Ignore: []string{"GO-1"}}, lang, false}, {Options{Level: Module, Ignore: []string{"CVE-1"}}, lang, false},
		{Options{Level: Module, Ignore: []string{"CVE-2"}}, lang, true},
	} {
		if got := at(c.o, c.pkg); got != c.want {
			t.Errorf("%+v, flaw in %s: affected: %v", c.o, c.pkg, got)
		}
	}
}

// Flaws of what Tailor lays into the standard library's tree are found by the names
// that they have elsewhere, in the version that the note says; and those of functions
// of Go that Tailor has renamed.
func TestLaid(t *testing.T) {
	const gvisor = "gvisor.dev/gvisor"
	flaws := []vulndbtest.Flaw{
		{ID: "GO-1", Module: gvisor, Events: []string{"0", "0.0.1"}, Package: gvisor + "/pkg/tcpip/stack", Symbols: []string{"Stack.FindRoute", "New"}},
		{ID: "GO-2", Module: "stdlib", Events: []string{"0"}, Package: "crypto/x509", Symbols: []string{"Certificate.Verify"}},
		{ID: "GO-3", Module: gvisor, Events: []string{"0", "0.0.0-20200101000000-aaaaaaaaaaaa"}, Package: gvisor + "/pkg/tcpip/stack", Symbols: []string{"New"}},
	}
	b := read(t, built(t, "hvt"))
	r := run(t, Options{Level: Symbol}, []*sbom.Bill{b}, flaws...)
	if len(r.Vulnerabilities) != 2 || !r.Vulnerabilities[0].Affected || !r.Vulnerabilities[1].Affected {
		t.Fatalf("found %+v", r.Vulnerabilities)
	}
	if f := r.Vulnerabilities[0].Findings[0]; f.Module != gvisor || !strings.HasPrefix(f.Version, "v0.0.0-20") || len(f.Functions) != 2 {
		t.Errorf("gVisor's is %+v", f)
	}
	if !slices.ContainsFunc(r.Images[0].Commands, func(c string) bool { return strings.Contains(c, "comes with a newer tailor") }) {
		t.Errorf("to do: %q", r.Images[0].Commands)
	}
	for i := range b.Modules {
		if b.Modules[i].Kind == sbom.Laid {
			b.Modules[i].Version = "" // as without a note
		}
	}
	r = run(t, Options{Level: Symbol}, []*sbom.Bill{b}, flaws...)
	if len(r.Vulnerabilities) != 3 || !r.Vulnerabilities[2].Affected || !slices.Equal(r.Vulnerabilities[2].Findings[0].Unknown, []string{"version"}) {
		t.Errorf("without versions, found %+v", r.Vulnerabilities)
	}
}

// Of random functions, govulncheck says the same of a program with symbols as this
// package of it, and of the same program stripped. Only what is generic, and what is
// left of a function in its closures, it does not find.
func TestAgainstGovulncheck(t *testing.T) {
	xtest.NeedModule(t, "golang.org/x/vuln@v1.9.0")
	path := built(t, "")
	b := read(t, path)
	rnd := rand.New(rand.NewPCG(3, 4))
	var flaws []vulndbtest.Flaw
	add := func(module, pkg, symbol string) {
		id := "GO-2020-" + string(rune('A'+len(flaws)/26%26)) + string(rune('A'+len(flaws)%26)) + string(rune('A'+len(flaws)/676))
		flaws = append(flaws, vulndbtest.Flaw{ID: id, Module: module, Events: []string{"0", "1.99.0"}, Package: pkg, Symbols: []string{symbol}})
	}
	for _, m := range b.Modules {
		if m.Kind == sbom.Main {
			continue
		}
		for _, pkg := range m.Packages {
			symbols := b.Symbols(pkg)
			for range min(3, len(symbols)) {
				symbol := symbols[rnd.IntN(len(symbols))]
				add(m.Path, pkg, symbol)
				if rnd.IntN(3) == 0 {
					add(m.Path, pkg, symbol+"X")
				}
			}
		}
		add(m.Path, m.Path+"/nowhere", "F")
	}
	dir := vulndbtest.Write(t, time.Unix(1e9, 0), flaws...)
	want := govulncheck(t, dir, path)
	names, same := plainNames(t, path), 0
	stripped := built(t, "unix")
	for _, bill := range []*sbom.Bill{b, read(t, stripped)} {
		r := run(t, Options{Level: Symbol}, []*sbom.Bill{bill}, flaws...)
		got := map[string]Level{}
		for _, v := range r.Vulnerabilities {
			got[v.ID] = v.Findings[0].Level
		}
		for _, f := range flaws {
			name := f.Package + "." + f.Symbols[0]
			if got[f.ID] != want[f.ID] && (names[name] || got[f.ID] != Symbol || want[f.ID] != Package) {
				t.Errorf("%s: %s reaches %q, by govulncheck %q", bill.File, name, got[f.ID], want[f.ID])
			}
			if names[name] {
				same++
			}
		}
	}
	if same < len(flaws) {
		t.Errorf("only %d of %d flaws were of plain functions", same/2, len(flaws))
	}
	t.Logf("%d flaws, %d found", len(flaws), len(want))
}

// plainNames returns the names of all functions of a program as they are, but for the
// parentheses of receivers.
func plainNames(t *testing.T, path string) map[string]bool {
	t.Helper()
	p, err := anatomy.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	note := func(name string) { names[strings.NewReplacer("(*", "", ")", "").Replace(name)] = true }
	for i := range p.Functions {
		note(p.Functions[i].Name)
		p.Inlined(&p.Functions[i], note)
	}
	return names
}

// govulncheck returns how far each vulnerability reaches.
func govulncheck(t *testing.T, dir, path string) map[string]Level {
	t.Helper()
	cmd := exec.Command("go", "tool", "-modfile=../../tools/checksbom/go.mod", "govulncheck", "-mode", "binary", "-format", "json", "-db", "file://"+dir, path)
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	levels := map[string]Level{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var message struct {
			Finding *struct {
				OSV   string
				Trace []struct{ Package, Function string }
			}
		}
		if err := dec.Decode(&message); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if f := message.Finding; f != nil {
			level := Module
			switch {
			case f.Trace[0].Function != "":
				level = Symbol
			case f.Trace[0].Package != "":
				level = Package
			}
			if levels[f.OSV] == "" || level.AtLeast(levels[f.OSV]) {
				levels[f.OSV] = level
			}
		}
	}
	return levels
}

// Several images are told apart, and one that stands in for a flawed module counts
// although its version says nothing.
func TestSeveral(t *testing.T) {
	plain, stripped := read(t, built(t, "")), read(t, built(t, "unix"))
	for i := range stripped.Modules {
		if m := &stripped.Modules[i]; m.Path == text {
			m.Path, m.Version, m.Replaced = "example.com/fork", "v9.0.0", text
		}
	}
	flaws := []vulndbtest.Flaw{
		{ID: "GO-1", Module: text, Events: []string{"0", "0.3.7"}, Package: lang, Symbols: []string{"Parse"}},
		{ID: "GO-2", Module: "example.com/fork", Events: []string{"9.0.0"}, Package: "example.com/fork/language", Symbols: []string{"Parse"}},
		{ID: "GO-3", Module: "example.com/fork", Events: []string{"0", "9.0.0"}},
	}
	r := run(t, Options{Level: Symbol}, []*sbom.Bill{plain, stripped}, flaws...)
	if len(r.Vulnerabilities) != 2 || len(r.Vulnerabilities[0].Findings) != 2 || len(r.Vulnerabilities[1].Findings) != 1 {
		t.Fatalf("found %+v", r.Vulnerabilities)
	}
	one, fork, own := r.Vulnerabilities[0].Findings[0], r.Vulnerabilities[0].Findings[1], r.Vulnerabilities[1].Findings[0]
	if one.File != plain.File || one.Version != "v0.3.5" || len(one.Unknown) > 0 {
		t.Errorf("the module itself: %+v", one)
	}
	if fork.File != stripped.File || fork.Version != "" || fork.Fixed != "v0.3.7" || fork.Level != Symbol || !slices.Equal(fork.Unknown, []string{"version"}) {
		t.Errorf("what stands in for it: %+v", fork)
	}
	if own.Module != "example.com/fork" || own.Version != "v9.0.0" || own.Fixed != "" || own.Level != Symbol || own.Functions[0].Name != lang+".Parse" {
		t.Errorf("its own flaw: %+v", own)
	}
}
