// Package audit says which programs a known vulnerability touches, and how far: the
// module is there, the package is linked, or the flawed function is.
//
// What is linked is read from the bytes of each program (package sbom), stripped or
// not, so a flaw that the linker left out is told from one that can be reached. Where
// something is not known, a program counts as affected, and the finding says why.
package audit

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/tailor-os/tailor/internal/sbom"
	"github.com/tailor-os/tailor/internal/vulndb"
)

// A Level says how far a vulnerability reaches.
type Level string

// The levels, each of which implies those before it.
const (
	Module  Level = "module"  // a version of the module that has the flaw is there
	Package Level = "package" // something of the package with the flaw is linked
	Symbol  Level = "symbol"  // the flawed function is
)

// Levels lists the levels, the farthest last.
var Levels = []Level{Module, Package, Symbol}

// AtLeast reports whether l reaches as far as other.
func (l Level) AtLeast(other Level) bool {
	return slices.Index(Levels, l) >= slices.Index(Levels, other)
}

// Options say what counts.
type Options struct {
	Level  Level    // from which on a program is affected
	Ignore []string // identifiers, or aliases, of what does not count
}

// A Report is the result of an audit. Its JSON form is documented in docs/cli.md and
// only ever grows.
type Report struct {
	Database Database `json:"database"`
	Level    Level    `json:"level"`
	Affected bool     `json:"affected"` // one of the images is
	Images   []Image  `json:"images"`
	// Vulnerabilities are those that touch an image: first those that one is affected
	// by.
	Vulnerabilities []Vulnerability `json:"vulnerabilities"`
	Failed          []Failure       `json:"failed"` // images that could not be read
}

// A Database is where vulnerabilities are known from.
type Database struct {
	Source   string    `json:"source"`
	Modified time.Time `json:"modified"`
}

// An Image is a program that was looked at.
type Image struct {
	File     string `json:"file"`
	Package  string `json:"package"` // import path of package main, "" if not known
	Go       string `json:"go"`      // release, "" if not known
	Tailor   string `json:"tailor"`  // version, by its note; "" if not known
	Target   string `json:"target"`  // by its note, "" if it has none
	Modules  int    `json:"modules"`
	Affected bool   `json:"affected"`
	// Commands say what to do about what affects it.
	Commands []string `json:"commands"`
	// Warnings say where its note and its bytes disagree, Unknown what cannot be known
	// of it.
	Warnings []string `json:"warnings"`
	Unknown  []string `json:"unknown"`

	bill *sbom.Bill
}

// A Vulnerability is a known one, and the images that have it.
type Vulnerability struct {
	ID       string    `json:"id"`
	Aliases  []string  `json:"aliases"`
	Summary  string    `json:"summary"`
	URL      string    `json:"url"`
	Affected bool      `json:"affected"` // an image is, and it is not ignored
	Ignored  bool      `json:"ignored"`
	Findings []Finding `json:"findings"`
}

// A Finding is a vulnerability in an image, by way of one module.
type Finding struct {
	File    string `json:"file"`
	Module  string `json:"module"`
	Version string `json:"version"` // "" if it is not known
	Fixed   string `json:"fixed"`   // version, "" for none
	Level   Level  `json:"level"`
	// Packages are those with the flaw that are linked, Functions the flawed ones.
	Packages  []string   `json:"packages"`
	Functions []Function `json:"functions"`
	// Unknown says why the image counts as affected although something is not known:
	// "version", "functions" (the database does not name any) or "inlined" (its tables of
	// what was inlined cannot be read, so the function may be there).
	Unknown []string `json:"unknown"`

	kind sbom.Kind
}

// A Function is a flawed one that is linked.
type Function struct {
	Name string `json:"name"` // import path and symbol
	// Inlined is set if it is part of its callers, and none for itself.
	Inlined bool `json:"inlined"`
}

// A Failure is an image that could not be read.
type Failure struct {
	File  string `json:"file"`
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
}

// Run looks for what db knows in programs. The error is of the database.
func Run(ctx context.Context, db *vulndb.DB, bills []*sbom.Bill, o Options) (*Report, error) {
	r := &Report{
		Database: Database{db.Source, db.Modified}, Level: o.Level,
		Images: []Image{}, Vulnerabilities: []Vulnerability{}, Failed: []Failure{},
	}
	found := map[string]*Vulnerability{}
	for _, b := range bills {
		img := imageOf(b)
		for _, m := range slices.Concat(b.Modules, lost(db, b.Lost)) {
			if err := img.module(ctx, db, &m, found); err != nil {
				return nil, err
			}
		}
		r.Images = append(r.Images, img)
	}
	r.judge(found, o)
	return r, nil
}

func imageOf(b *sbom.Bill) Image {
	img := Image{
		File: b.File, Package: b.Main, Go: b.Go, Tailor: b.TailorVersion(), Modules: len(b.Modules), bill: b,
		Commands: []string{}, Warnings: append([]string{}, b.Warnings...), Unknown: append([]string{}, b.Unknown...),
	}
	if b.Note != nil {
		img.Target = b.Note.Target
	}
	return img
}

const maxPath = 1024 // bytes of an import path that may be of a module

// lost are the modules that db knows which packages may be of, whose module the
// program does not tell: of each, all that its import path begins with.
func lost(db *vulndb.DB, pkgs []string) (list []sbom.Module) {
	of := map[string][]string{}
	for _, pkg := range pkgs {
		for i := range min(len(pkg), maxPath) + 1 {
			if (i == len(pkg) || pkg[i] == '/') && db.Has(pkg[:i]) {
				of[pkg[:i]] = append(of[pkg[:i]], pkg)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(of)) {
		list = append(list, sbom.Module{Path: path, Kind: sbom.Dependency, Packages: of[path]})
	}
	return list
}

// A subject is a module under a name that the database may know it by.
type subject struct {
	*sbom.Module
	name    string
	version string // as package semver takes it, "" if it is not known
	shown   string // as it is shown
	unsure  bool   // it may be another, too
}

// subjects returns the names of m: Go's packages are of two, and what stands in for
// another module may have the flaws of both.
func subjects(m *sbom.Module) []subject {
	if m.Kind == sbom.Standard {
		version, _ := vulndb.GoVersion(m.Version)
		return []subject{{m, vulndb.Stdlib, version, m.Version, false}, {m, vulndb.Toolchain, version, m.Version, false}}
	}
	list := []subject{{m, m.Path, comparableOr(m.Version), m.Version, m.InFiles != ""}}
	if m.InFiles != "" {
		list = append(list, subject{m, m.Path, comparableOr(m.InFiles), m.InFiles, true})
	}
	if m.Replaced != "" { // it has the version of what stands in for it
		list = append(list, subject{m, m.Replaced, "", "", false})
	}
	return list
}

// comparableOr returns version if it can be compared, else "": of a folder, or of a
// tailor that was not released.
func comparableOr(version string) string {
	if !semver.IsValid(version) {
		return ""
	}
	return version
}

// module adds to found what db knows of m.
func (img *Image) module(ctx context.Context, db *vulndb.DB, m *sbom.Module, found map[string]*Vulnerability) error {
	for _, s := range subjects(m) {
		entries, err := db.Of(ctx, s.name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			f, ok := img.look(&s, e)
			if !ok {
				continue
			}
			v := found[e.ID]
			if v == nil {
				v = &Vulnerability{ID: e.ID, Aliases: append([]string{}, e.Aliases...), Summary: e.Summary, URL: e.Database.URL}
				found[e.ID] = v
			}
			v.add(f)
		}
	}
	return nil
}

// look looks for one vulnerability in one module; ok is false if its version does not
// have it, or not on Linux and amd64, which all images are for.
func (img *Image) look(s *subject, e *vulndb.Entry) (f Finding, ok bool) {
	f = Finding{File: img.File, Module: s.name, Version: s.shown, Level: Module, Packages: []string{}, Functions: []Function{}, Unknown: []string{}, kind: s.Kind}
	for i := range e.Affected {
		a := &e.Affected[i]
		frozen := img.frozen(s, a)
		if a.Module.Name != s.name || s.version != "" && !a.Affects(s.version) && !frozen {
			continue
		}
		here := slices.DeleteFunc(slices.Clone(a.Specific.Imports), func(p vulndb.Package) bool { return !p.On("linux", "amd64") })
		if len(here) == 0 && len(a.Specific.Imports) > 0 {
			continue
		}
		ok = true
		if frozen {
			f.Unknown = append(f.Unknown, "version")
		}
		f.Fixed = laterOf(f.Fixed, a.FixedIn(s.version))
		if len(here) == 0 {
			img.unnamed(s, &f)
		}
		for _, p := range here {
			img.lookIn(s, &p, &f)
		}
	}
	if s.version == "" || s.unsure {
		f.Unknown = append(f.Unknown, "version")
	}
	if img.bill.Incomplete && f.Level != Symbol && s.name != vulndb.Toolchain {
		f.Level, f.Unknown = Symbol, append(f.Unknown, "inlined")
	}
	if s.Kind == sbom.Standard && f.Fixed != "" {
		f.Fixed = vulndb.GoRelease(f.Fixed)
	}
	f.tidy()
	return f, ok
}

// frozen reports whether the release of Go does not tell if a flaw is there: the flaw is
// in Go's FIPS 140-3 module, and the program has a version of that from before.
func (img *Image) frozen(s *subject, a *vulndb.Affected) bool {
	return s.name == vulndb.Stdlib && img.bill.FIPS != "" && slices.ContainsFunc(a.Specific.Imports, func(p vulndb.Package) bool {
		return p.Path == sbom.FIPSModule || strings.HasPrefix(p.Path, sbom.FIPSModule+"/")
	})
}

// laterOf is the later of two versions, of which "" is the earliest.
func laterOf(a, b string) string {
	if later(a, b) {
		return a
	}
	return b
}

// unnamed is for a flaw of which the database does not say where it is: whoever has
// anything of the module counts as affected.
func (img *Image) unnamed(s *subject, f *Finding) {
	if s.name == vulndb.Toolchain || len(s.Packages) == 0 {
		return
	}
	f.Level = Symbol
	f.Packages = append(f.Packages, s.Packages...)
	f.Unknown = append(f.Unknown, "functions")
}

// lookIn looks for the flawed functions of one package.
func (img *Image) lookIn(s *subject, p *vulndb.Package, f *Finding) {
	pkg := p.Path
	if s.Replaced != "" && s.name == s.Path { // its packages go by the other's name
		if rest, ok := strings.CutPrefix(pkg, s.Path); ok {
			pkg = s.Replaced + rest
		}
	}
	if !img.bill.Linked(pkg) || s.name == vulndb.Toolchain {
		return
	}
	f.Packages = append(f.Packages, pkg)
	if f.Level == Module {
		f.Level = Package
	}
	symbols := p.Symbols
	if len(symbols) == 0 { // all are
		symbols = img.bill.Symbols(pkg)
		f.Level = Symbol
	}
	for _, symbol := range symbols {
		if linked, inlined := img.bill.Function(pkg, symbol); linked {
			f.Level = Symbol
			f.Functions = append(f.Functions, Function{pkg + "." + symbol, inlined})
		}
	}
}

// tidy sorts what was found, and drops what was found twice.
func (f *Finding) tidy() {
	slices.Sort(f.Packages)
	f.Packages = slices.Compact(f.Packages)
	slices.SortFunc(f.Functions, func(a, b Function) int { return cmp.Compare(a.Name, b.Name) })
	f.Functions = slices.Compact(f.Functions)
	slices.Sort(f.Unknown)
	f.Unknown = slices.Compact(f.Unknown)
}

// add adds a finding, unless it is known of the same module already, which an image
// may have by two ways.
func (v *Vulnerability) add(f Finding) {
	for i := range v.Findings {
		g := &v.Findings[i]
		if g.File == f.File && g.Module == f.Module && g.kind == f.kind && g.Version == f.Version {
			if !g.Level.AtLeast(f.Level) {
				*g = f
			}
			return
		}
	}
	v.Findings = append(v.Findings, f)
}

// judge decides who is affected, and what is to be done.
func (r *Report) judge(found map[string]*Vulnerability, o Options) {
	for _, v := range found {
		v.Ignored = slices.ContainsFunc(append([]string{v.ID}, v.Aliases...), func(id string) bool { return slices.Contains(o.Ignore, id) })
		v.Affected = !v.Ignored && slices.ContainsFunc(v.Findings, func(f Finding) bool { return f.Level.AtLeast(o.Level) })
		r.Affected = r.Affected || v.Affected
		r.Vulnerabilities = append(r.Vulnerabilities, *v)
	}
	slices.SortFunc(r.Vulnerabilities, func(a, b Vulnerability) int {
		if a.Affected != b.Affected {
			return map[bool]int{true: -1, false: 1}[a.Affected]
		}
		return cmp.Compare(a.ID, b.ID)
	})
	for i := range r.Images {
		img := &r.Images[i]
		var affects []Finding
		for _, v := range r.Vulnerabilities {
			for _, f := range v.Findings {
				if f.File == img.File && v.Affected && f.Level.AtLeast(o.Level) {
					affects = append(affects, f)
				}
			}
		}
		img.Affected = len(affects) > 0
		img.Commands = append(img.Commands, img.remedy(affects)...)
	}
}
