package sbom

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/tailor-os/tailor"
	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/licence"
	"github.com/tailor-os/tailor/internal/port"
)

// A reader fills in a Bill.
type reader struct {
	*Bill
	p      *anatomy.Program
	laid   map[string]string // package to module, of those that Tailor brings
	tailor bool              // something of Tailor is linked
	files  map[string]string // of functions: module path to version
}

func (r *reader) read() {
	r.laid, r.files = map[string]string{}, map[string]string{}
	r.facts()
	r.functions()
	r.recorded()
	r.standard()
	r.brought()
	r.fromFiles()
	r.compareNote()
	r.assign()
	sortModules(r.Modules)
}

func (r *reader) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, printable(fmt.Sprintf(format, args...)))
}

func (r *reader) unknown(format string, args ...any) {
	r.Unknown = append(r.Unknown, printable(fmt.Sprintf(format, args...)))
}

// facts takes over what the linker recorded of the program as a whole.
func (r *reader) facts() {
	if r.p.Note == nil && r.p.NoteProblem != "has none" {
		r.warn("it %s", r.p.NoteProblem)
	}
	if r.p.Build == nil {
		r.unknown("its package, modules and Go release: the linker's record is missing")
		return
	}
	r.Main, r.Go = printable(r.p.Build.Path), printable(r.p.Build.GoVersion)
	for _, s := range r.p.Build.Settings {
		r.Settings = append(r.Settings, debug.BuildSetting{Key: printable(s.Key), Value: printable(s.Value)})
	}
}

// inModule matches the file of a package of a module at a version, as the compiler
// records it with -trimpath, or the folder in Go's module cache.
var inModule = regexp.MustCompile(`^(?:.*/pkg/mod/)?(.+?)@(v[0-9][^/]*)/`)

// FIPSModule begins the import paths of Go's FIPS 140-3 module.
const FIPSModule = "crypto/internal/fips140"

// snapshot matches packages of a version of it that was frozen; they go by the names
// of the others as well (cmd/go/internal/fips140).
var snapshot = regexp.MustCompile(`^` + FIPSModule + `/(v[0-9][^/]*)`)

// moduleFile returns the module of such a file, its version, and what follows; ok is
// false for other files, and for those of a cache that is elsewhere.
func moduleFile(file string) (path, version, rest string, ok bool) {
	m := inModule.FindStringSubmatch(file)
	if m == nil || m[1][0] == '/' {
		return "", "", "", false
	}
	path, version = m[1], m[2]
	if s, err := module.UnescapePath(path); err == nil { // "!a" is "A" in the cache
		path = s
	}
	if s, err := module.UnescapeVersion(version); err == nil {
		version = s
	}
	return path, version, file[len(m[0]):], true
}

// functions notes what is linked, of which package and in which version.
func (r *reader) functions() {
	unread, seen := 0, map[string]bool{}
	for i := range r.p.Functions {
		f := &r.p.Functions[i]
		_, symbol := anatomy.Split(f.Name)
		r.add(f.Package, symbol, false)
		if strings.HasPrefix(f.File, "runtime/tailor_") || f.File == port.RootsFile {
			r.tailor = true
		}
		if f.File == port.RootsFile {
			r.laid[port.RootsModule] = port.RootsModule
			r.note(port.RootsModule, "", false)
		}
		if !seen[f.File] {
			seen[f.File] = true
			if path, version, _, ok := moduleFile(f.File); ok {
				r.files[path] = version
			}
		}
		ok := r.p.Inlined(f, func(name string) {
			pkg, symbol := anatomy.Split(name)
			r.add(pkg, symbol, true)
		})
		if !ok {
			unread++
		}
	}
	if r.Incomplete = unread > 0; r.Incomplete {
		r.unknown("what was inlined into %d of its %d functions: their tables are damaged, or of another Go release", unread, len(r.p.Functions))
	}
}

// add notes one function.
func (r *reader) add(pkg, symbol string, inlined bool) {
	if path, _, rest, ok := moduleFile(pkg + "/"); ok { // of assembly, by its file
		pkg = strings.TrimSuffix(path+"/"+rest, "/")
	}
	if pkg == "" || pkg[0] == '/' {
		return
	}
	if to, ok := port.ImportPath(pkg); ok {
		r.tailor = true
		r.laid[to] = moduleOf(to)
		pkg = to
	} else if pkg == "main" && r.Main != "" && r.Main != "command-line-arguments" {
		pkg = r.Main
	}
	if m := snapshot.FindStringSubmatch(pkg); m != nil {
		r.FIPS = printable(m[1])
		r.note(FIPSModule+pkg[len(m[0]):], symbol, inlined)
	}
	r.note(pkg, symbol, inlined)
	if name := port.MovedFrom(pkg, symbol); name != "" {
		r.note(pkg, name, inlined)
	}
}

func (r *reader) note(pkg, symbol string, inlined bool) {
	symbols := r.code[pkg]
	if symbols == nil {
		symbols = map[string]bool{}
		r.code[pkg] = symbols
	}
	if was, there := symbols[symbol]; !there || was && !inlined {
		symbols[symbol] = inlined
	}
}

// moduleOf is the module of a package that Tailor brings, by its path.
func moduleOf(pkg string) string {
	for p := pkg; p != "."; p = path.Dir(p) {
		if port.IsModule(p) {
			return p
		}
	}
	return tailor.Module
}

// recorded lists the modules that the linker recorded.
func (r *reader) recorded() {
	if r.p.Build == nil {
		return
	}
	if m := r.p.Build.Main; m.Path != "" {
		r.Modules = append(r.Modules, recordOf(&m, Main))
	}
	for _, m := range r.p.Build.Deps {
		r.Modules = append(r.Modules, recordOf(m, Dependency))
	}
}

func recordOf(m *debug.Module, kind Kind) Module {
	out, by := Module{Kind: kind, Source: Linker}, m
	if m.Replace != nil {
		by, out.Replaced, out.required = m.Replace, printable(m.Path), printable(m.Version)
	}
	out.Path, out.Version, out.Sum = printable(by.Path), printable(by.Version), printable(by.Sum)
	if out.Version == "(devel)" {
		out.Version = ""
	}
	if out.Replaced == out.Path {
		out.Replaced = ""
	}
	return out
}

// standard lists Go's own packages.
func (r *reader) standard() {
	r.Modules = append(r.Modules, Module{Path: Stdlib, Version: r.Go, Kind: Standard, Source: Linker})
}

// brought lists Tailor and the modules that it brings, whose versions only the note
// has.
func (r *reader) brought() {
	if !r.tailor {
		return
	}
	r.Modules = append(r.Modules, Module{Path: tailor.Module, Version: r.TailorVersion(), Kind: Tailor, Source: Note, Licences: []string{"ISC"}})
	said, paths := map[string]image.Module{}, slices.Collect(maps.Values(r.laid))
	for _, m := range r.noteModules() {
		if m.Laid {
			said[m.Path] = m
			paths = append(paths, m.Path) // nothing of it may be linked
		}
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		m := said[path]
		if path == tailor.Module {
			continue
		}
		r.Modules = append(r.Modules, Module{Path: path, Version: m.Version, Sum: m.Sum, Kind: Laid, Source: Note, Licences: valid(m.Licences)})
		if m.Version == "" {
			r.unknown("the version of %s, which tailor laid into it: only its note could say", path)
		}
	}
	if r.TailorVersion() == "" {
		r.unknown("the version of the tailor that made it: only its note could say")
	}
}

func (r *reader) noteModules() []image.Module {
	if r.p.Note == nil || r.p.Note.Parts == nil {
		return nil
	}
	return r.p.Note.Parts.Modules
}

// fromFiles compares the versions that the linker recorded with those in the names
// of files, and lists what it did not record.
func (r *reader) fromFiles() {
	known := map[string]int{} // places in r.Modules
	for i := range r.Modules {
		m := &r.Modules[i]
		known[m.Path], known[m.Prefix()] = i, i
	}
	for _, path := range slices.Sorted(maps.Keys(r.files)) {
		version := printable(r.files[path])
		i, ok := known[path]
		if !ok {
			r.Modules = append(r.Modules, Module{Path: printable(path), Version: version, Kind: Dependency, Source: Files})
			if r.p.Build != nil {
				r.warn("the linker did not record %s, of which there are files of %s", path, version)
			}
			continue
		}
		if m := &r.Modules[i]; m.Kind == Dependency && m.Version != version && m.required != version {
			m.InFiles = version
			r.warn("the linker recorded %s %s, the files of its functions are of %s", path, m.Version, version)
		}
	}
}

// compareNote compares what the note says with what the bytes say, and takes over
// what they do not say.
func (r *reader) compareNote() {
	n := r.p.Note
	if n == nil {
		return
	}
	wrong := func(what, note, found string) {
		if found != "" && note != "" && note != found {
			r.warn("the note says %s %s, the bytes say %s", what, note, found)
		}
	}
	wrong("Go release", n.Go, r.Go)
	if r.Main != "command-line-arguments" {
		wrong("package", n.Main, r.Main)
	}
	switch target := r.Target(); {
	case n.Target == target, n.Target == "spt" && target == "hvt":
	case target == "hvt":
		wrong("target", n.Target, "hvt or spt")
	default:
		wrong("target", n.Target, target)
	}
	if !r.tailor {
		r.warn("the note says that tailor %s made it, but nothing of Tailor is linked", n.Tailor)
	}
	if n.Parts == nil {
		return
	}
	r.Port = n.Parts.Port
	if n.Parts.Overlay > 0 {
		r.unknown("what is in the %d files of source that -overlay replaced when it was built", n.Parts.Overlay)
	}
	for _, said := range n.Parts.Modules {
		if !said.Laid {
			r.compareModule(said, wrong)
		}
	}
}

// compareModule compares what the note says of one module; its licences are taken
// over if it is the same version.
func (r *reader) compareModule(said image.Module, wrong func(what, note, found string)) {
	for i := range r.Modules {
		m := &r.Modules[i]
		if m.Prefix() != said.Path || m.Kind == Tailor || m.Kind == Laid {
			continue
		}
		if m.Version == said.Version || said.Version == "" || m.Version == "" {
			m.Licences = valid(said.Licences)
		} else {
			wrong(said.Path, said.Version, m.Version)
		}
		return
	}
	if r.p.Build != nil {
		r.warn("the note says that it has %s %s, the linker did not record that", said.Path, said.Version)
	}
}

// valid returns those of a note's licences that are some.
func valid(licences []string) (ids []string) {
	for _, id := range licences {
		if licence.Known(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// assign gives each package to its module.
func (r *reader) assign() {
	for _, pkg := range slices.Sorted(maps.Keys(r.code)) {
		if m := r.owner(pkg); m != nil {
			m.Packages = append(m.Packages, printable(pkg))
		} else {
			r.Lost = append(r.Lost, pkg)
		}
	}
	if len(r.Lost) > 0 && r.p.Build != nil {
		r.unknown("the module of %d packages, which the linker did not record", len(r.Lost))
	}
}

// owner is the module of a package, nil if it is not known.
func (r *reader) owner(pkg string) (best *Module) {
	module, brought := r.laid[pkg]
	for i := range r.Modules {
		m := &r.Modules[i]
		prefix := m.Prefix()
		switch {
		case brought && m.Path == module && (m.Kind == Laid || m.Kind == Tailor):
			return m
		case brought || m.Kind == Laid || m.Kind == Tailor || pkg != prefix && !strings.HasPrefix(pkg, prefix+"/"):
		case best == nil || len(prefix) > len(best.Prefix()):
			best = m
		}
	}
	if first, _, _ := strings.Cut(pkg, "/"); best == nil && !strings.Contains(first, ".") {
		i := slices.IndexFunc(r.Modules, func(m Module) bool { return m.Kind == Standard })
		return &r.Modules[i]
	}
	return best
}
