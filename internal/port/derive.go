package port

import (
	"fmt"
	"go/build"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tailor-os/tailor"
)

// guestModules are the modules whose packages the guest's use.
var guestModules = []string{
	"gvisor.dev/gvisor",
	rootsModule,
	"github.com/google/btree",
	"golang.org/x/exp",
	"golang.org/x/time",
}

// The build tags of files that only make sense in an image, and of those that
// only do in one for machines whose devices it finds itself (target virtio), or in
// a plain program (target unix).
const (
	guestTag  = "tailoros"
	virtioTag = "tailorvirtio"
	unixTag   = "tailorunix"
)

// tags are the guest's build tags.
func (d *deriver) tags() []string {
	switch {
	case d.virtio:
		return []string{guestTag, virtioTag}
	case d.unix:
		return []string{guestTag, unixTag}
	}
	return []string{guestTag}
}

// dropTag removes the build constraint of a guest's file, since the go command
// does not know the tags. ok is false for a file without one.
func dropTag(text string) (rest, expr string, ok bool) {
	line, rest, _ := strings.Cut(text, "\n")
	expr, ok = strings.CutPrefix(line, "//go:build ")
	if !ok || !strings.Contains(expr, guestTag) {
		return text, "", false
	}
	return rest, expr, true
}

// wants reports whether a build constraint is satisfied.
func (d *deriver) wants(expr string) (bool, error) {
	c, err := constraint.Parse("//go:build " + expr)
	if err != nil {
		return false, err
	}
	return c.Eval(func(tag string) bool { return slices.Contains(d.tags(), tag) }), nil
}

// deriver writes derived files below dir and notes for which paths they stand.
type deriver struct {
	goroot  string // GOROOT/src
	dir     string
	release string            // "1.26"
	virtio  bool              // the target
	unix    bool              // the target
	modules map[string]Module // by path
	replace map[string]string
	count   int             // edits made to files of GOROOT
	laid    map[string]bool // paths of modules of which something is laid
}

// put writes data as the file that stands in for name below GOROOT/src.
func (d *deriver) put(name string, data []byte) error {
	file := filepath.Join(d.dir, "src", filepath.FromSlash(name))
	d.replace[filepath.Join(d.goroot, filepath.FromSlash(name))] = file
	return writeFile(file, data)
}

// edits applies the table of edits to the files of GOROOT.
func (d *deriver) edits(cfg Config) error {
	version, list := cfg.Toolchain.Version, []Edit(nil)
	if !cfg.Unix {
		list = slices.Concat(Edits, DataEdits)
	}
	if cfg.logs() {
		list = slices.Concat(list, LogEdits)
	}
	if cfg.resolves() {
		list = slices.Concat(list, NameEdits)
	}
	byFile := map[string][]Edit{}
	var order []string
	for _, e := range list {
		if e.Release != "" && e.Release != d.release {
			continue
		}
		if byFile[e.File] == nil {
			order = append(order, e.File)
		}
		byFile[e.File] = append(byFile[e.File], e)
	}
	for _, name := range order {
		data, err := os.ReadFile(filepath.Join(d.goroot, filepath.FromSlash(name)))
		if err != nil {
			return &UnsupportedError{version, err.Error()}
		}
		text, err := applyEdits(string(data), byFile[name])
		if err != nil {
			return &UnsupportedError{version, fmt.Sprintf("%s: %v", name, err)}
		}
		d.count += len(byFile[name])
		if err := d.put(name, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// applyEdits applies the edits of one file in order. Each must match exactly
// as often as it says, in the text that the ones before it left.
func applyEdits(text string, edits []Edit) (string, error) {
	for _, e := range edits {
		want := max(e.Count, 1)
		if got := strings.Count(text, e.Old); got != want {
			return "", fmt.Errorf("edit %q matches %d times, not %d", firstLine(e.Old), got, want)
		}
		text = strings.ReplaceAll(text, e.Old, e.New)
	}
	return text, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// machine lays package machine's files into package runtime.
func (d *deriver) machine() error {
	entries, err := fs.ReadDir(tailor.Source, "machine")
	if err != nil {
		return err
	}
	for _, e := range entries {
		data, err := fs.ReadFile(tailor.Source, "machine/"+e.Name())
		if err != nil {
			return err
		}
		text, expr, found := dropTag(string(data))
		if !found {
			continue
		}
		if ok, err := d.wants(expr); err != nil {
			return fmt.Errorf("machine/%s: %w", e.Name(), err)
		} else if !ok {
			continue
		}
		name := "tailor_" + e.Name()
		if to, ok := machineFiles[e.Name()]; ok {
			name = to
		}
		if err := d.put("runtime/"+name, []byte(text)); err != nil {
			return err
		}
	}
	if d.virtio {
		return d.splitter()
	}
	return nil
}

// splitter lays the part of package params that splits a command line, which
// imports nothing, into package runtime.
func (d *deriver) splitter() error {
	data, err := fs.ReadFile(tailor.Source, "params/split.go")
	if err != nil {
		return err
	}
	text, err := applyEdits(string(data), []Edit{{Old: "package params\n", New: "package runtime\n"}})
	if err != nil {
		return fmt.Errorf("params/split.go: %w", err)
	}
	return d.put("runtime/tailor_params.go", []byte(text))
}

// packages lays the packages named by roots, and all they import that is not
// in the standard library, below GOROOT/src/Tailor.
func (d *deriver) packages(roots []string) error {
	queue := slices.Clone(roots)
	seen := map[string]bool{}
	for len(queue) > 0 {
		pkg := queue[0]
		queue = queue[1:]
		if seen[pkg] {
			continue
		}
		seen[pkg] = true
		fsys, dir, err := d.locate(pkg)
		if err != nil {
			return err
		}
		imports, err := d.copyPackage(pkg, fsys, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
		queue = append(queue, imports...)
	}
	return nil
}

// enable lays the source file name as to, with the constant that it declares
// true.
func (d *deriver) enable(name, to, constant string) error {
	data, err := fs.ReadFile(tailor.Source, name)
	if err != nil {
		return err
	}
	text, _, _ := dropTag(string(data))
	text, err = applyEdits(text, []Edit{
		{Old: "const " + constant + " = false\n", New: "const " + constant + " = true\n"},
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return d.put(to, []byte(text))
}

// leftOut reports whether a file is not wanted: tests, and gVisor's generated
// methods to save and restore each type, whose registration would keep most of
// its code in every image.
func leftOut(name string) bool {
	return strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_state_autogen.go")
}

// locate returns where a package's source is.
func (d *deriver) locate(pkg string) (fs.FS, string, error) {
	if rel, ok := strings.CutPrefix(pkg, tailor.Module+"/"); ok {
		return tailor.Source, rel, nil
	}
	for module, m := range d.modules {
		if rel, ok := strings.CutPrefix(pkg, module); ok && (rel == "" || rel[0] == '/') {
			d.laid[module] = true
			return os.DirFS(m.Dir), path.Join(".", strings.TrimPrefix(rel, "/")), nil
		}
	}
	return nil, "", fmt.Errorf("the guest's packages import %s, which no pinned module has", pkg)
}

// moduleEdits returns the edits of one file of a module.
func moduleEdits(file string) (edits []Edit) {
	for _, e := range ModuleEdits {
		if e.File == file {
			edits = append(edits, e)
		}
	}
	return edits
}

// guestPath returns the import path that a package has in an image, and
// whether it is one of ours (as against the standard library's).
func guestPath(pkg string) (string, bool) {
	if ours := substitutes[pkg]; ours != "" {
		pkg = ours
	}
	if home := homes[pkg]; home != "" {
		return home, true
	}
	if rel, ok := strings.CutPrefix(pkg, tailor.Module+"/"); ok {
		return Prefix + rel, true
	}
	for long, short := range shortPaths {
		if rel, ok := strings.CutPrefix(pkg, long); ok {
			return Prefix + short + rel, true
		}
	}
	return pkg, false
}

// copyPackage lays one package's files with their imports renamed and returns
// the imports that are to be laid too.
func (d *deriver) copyPackage(pkg string, fsys fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	to, _ := guestPath(pkg)
	ours := strings.HasPrefix(pkg, tailor.Module+"/")
	ctx := d.buildContext(fsys, ours)
	var imports []string
	for _, e := range entries {
		ext := path.Ext(e.Name())
		assembly := ext == ".s" && homes[pkg] != ""
		if e.IsDir() || ext != ".go" && !assembly || leftOut(e.Name()) {
			continue
		}
		match, err := ctx.MatchFile(dir, e.Name())
		if err != nil {
			return nil, err
		}
		if !match {
			continue
		}
		data, err := fs.ReadFile(fsys, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		text, _, _ := dropTag(string(data))
		if !ours {
			text = dropConstraints(text)
		}
		text, err = applyEdits(text, moduleEdits(pkg+"/"+e.Name()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		name := to + "/" + e.Name()
		if homes[pkg] != "" {
			name = to + "/tailor_" + e.Name()
		}
		if !assembly {
			var found []string
			if text, found, err = renameImports(pkg, e.Name(), text); err != nil {
				return nil, err
			}
			imports = append(imports, found...)
		}
		if err := d.put(name, []byte(text)); err != nil {
			return nil, err
		}
	}
	return imports, nil
}

// buildContext is the context in which build constraints are decided, at the
// release that will compile: for our packages the target's, for a module's that
// of a system and processor it knows nothing of, which leaves portable Go. (The
// assembler could not run in a folder that only the overlay has, either.)
func (d *deriver) buildContext(fsys fs.FS, ours bool) *build.Context {
	ctx := build.Default
	ctx.GOOS, ctx.GOARCH, ctx.CgoEnabled = "tailor", "portable", false
	if ours {
		ctx.GOOS, ctx.GOARCH = "linux", "amd64"
	}
	ctx.BuildTags = d.tags()
	ctx.ReleaseTags = nil
	minor, _ := strconv.Atoi(strings.TrimPrefix(d.release, "1."))
	for i := 1; i <= minor; i++ {
		ctx.ReleaseTags = append(ctx.ReleaseTags, "go1."+strconv.Itoa(i))
	}
	ctx.OpenFile = openIn(fsys)
	return &ctx
}

// dropConstraints removes the build constraints of a file that has been chosen,
// and a directive that does nothing but is refused in the standard library.
func dropConstraints(text string) string {
	lines := strings.SplitAfter(text, "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "//go:build ") || strings.HasPrefix(line, "// +build ") ||
			strings.TrimSpace(line) == "//go:inline"
	})
	return strings.Join(lines, "")
}

// renameImports rewrites the import declarations of one file of a package, and
// its package clause if the package becomes part of another.
func renameImports(pkg, name, text string) (string, []string, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ImportsOnly)
	if err != nil {
		return "", nil, err
	}
	var out strings.Builder
	var imports []string
	last := 0
	// replace writes new for what is between two places of the file.
	replace := func(from, to token.Pos, new string) {
		out.WriteString(text[last:set.Position(from).Offset] + new)
		last = set.Position(to).Offset
	}
	if home := homes[pkg]; home != "" {
		replace(file.Name.Pos(), file.Name.End(), path.Base(home))
	}
	for _, spec := range file.Imports {
		pkg, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return "", nil, err
		}
		to, ours := guestPath(pkg)
		if !ours {
			continue
		}
		if spec.Name == nil && path.Base(to) != path.Base(pkg) {
			replace(spec.Pos(), spec.Pos(), path.Base(pkg)+" ") // the name it is used by
		}
		if ours := substitutes[pkg]; ours != "" {
			pkg = ours
		}
		imports = append(imports, pkg)
		replace(spec.Path.Pos(), spec.Path.End(), strconv.Quote(to))
	}
	out.WriteString(text[last:])
	return out.String(), imports, nil
}
