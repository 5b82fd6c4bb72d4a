package inventory

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/anatomy"
)

// Lines are the lines of source of a program, counted in three ways, of which
// docs/lines.md says what they mean: those with instructions, those of linked
// declarations and those of the packages that were compiled. The latter two need
// the sources, and are lines of code: comments and blank lines are apart.
type Lines struct {
	// Lines with instructions: each counts once, however often it was inlined,
	// under the layer of its own file.
	Total    int         `json:"total"` // of Go and assembly
	Assembly int         `json:"assembly"`
	Layers   []LineLayer `json:"layers"`
	// Unnamed are those whose file the compiler made up; Unmatched are those of
	// files that are not among the sources, with their names.
	Unnamed        int      `json:"unnamed"`
	Unmatched      int      `json:"unmatched"`
	UnmatchedFiles []string `json:"unmatched_files,omitempty"`
	// Linked and Compiled are nil without sources.
	Linked   *Tally `json:"linked,omitempty"`
	Compiled *Tally `json:"compiled,omitempty"`
	// Declarations is how many of the sources' are linked.
	Declarations int `json:"declarations,omitempty"`
}

// A LineLayer is what a layer has of the lines.
type LineLayer struct {
	Name     string `json:"name"`
	Go       int    `json:"go"` // with instructions
	Assembly int    `json:"assembly"`
	Files    int    `json:"files"` // that have some

	Linked   *Tally `json:"linked,omitempty"`
	Compiled *Tally `json:"compiled,omitempty"`
}

// A Tally is lines of code by what wrote them, and what is no code.
type Tally struct {
	Go                int `json:"go"` // by people
	Assembly          int `json:"assembly"`
	GeneratedGo       int `json:"generated_go"` // by programs
	GeneratedAssembly int `json:"generated_assembly"`
	Comment           int `json:"comment"`
	Blank             int `json:"blank"`
	Files             int `json:"files"`
}

// Code returns all lines of code.
func (t *Tally) Code() int { return t.Go + t.Assembly + t.Generated() }

// Generated returns the lines of code that programs wrote.
func (t *Tally) Generated() int { return t.GeneratedGo + t.GeneratedAssembly }

func (t *Tally) add(o Tally) {
	t.Go += o.Go
	t.Assembly += o.Assembly
	t.GeneratedGo += o.GeneratedGo
	t.GeneratedAssembly += o.GeneratedAssembly
	t.Comment += o.Comment
	t.Blank += o.Blank
	t.Files += o.Files
}

// CountLines counts lines of source in p. Without sources, of which nothing
// is known then, only those with instructions.
func (r *Report) CountLines(p *anatomy.Program, sources []Source) error {
	c := counter{
		lines: &Lines{}, layers: map[layer]*LineLayer{}, modules: modulesOf(p),
		packages: filePackages(p), withSource: sources != nil,
	}
	c.findLinked(p)
	if c.withSource {
		c.lines.Linked, c.lines.Compiled = &Tally{}, &Tally{}
	}
	known := map[string]bool{}
	for _, s := range sources {
		known[s.Name] = true
		c.packages[s.Name] = s.Package
		if err := c.source(s); err != nil {
			return err
		}
	}
	for _, file := range slices.Sorted(maps.Keys(c.linked)) {
		c.instructions(file, known[file])
	}
	for _, name := range sortedLayers(slices.Collect(maps.Keys(c.layers))) {
		c.lines.Layers = append(c.lines.Layers, *c.layers[name])
	}
	r.Lines = c.lines
	if !c.withSource {
		r.Unknown = append(r.Unknown, "lines of code of what is linked, and of whole packages: their source is not here")
	}
	return nil
}

// A counter adds lines up.
type counter struct {
	lines      *Lines
	layers     map[layer]*LineLayer
	modules    modules
	packages   map[string]string       // of files
	linked     map[string]map[int]bool // lines with instructions by file
	withSource bool
}

// layer returns the one that has what is in a file of a package.
func (c *counter) layer(pkg, file string) *LineLayer {
	name := c.modules.layerOf(anatomy.Owner{Package: pkg, File: file})
	l := c.layers[name]
	if l == nil {
		l = &LineLayer{Name: string(name)}
		if c.withSource {
			l.Linked, l.Compiled = &Tally{}, &Tally{}
		}
		c.layers[name] = l
	}
	return l
}

// instructions counts the lines of a file that have some.
func (c *counter) instructions(file string, known bool) {
	n := len(c.linked[file])
	if file == "" || strings.HasPrefix(file, "<") {
		c.lines.Unnamed += n
		return
	}
	pkg := c.packages[file]
	if c.withSource && !known {
		c.lines.Unmatched += n
		c.lines.UnmatchedFiles = append(c.lines.UnmatchedFiles, file)
	}
	l := c.layer(pkg, file)
	l.Files++
	c.lines.Total += n
	if strings.HasSuffix(file, ".s") {
		l.Assembly += n
		c.lines.Assembly += n
	} else {
		l.Go += n
	}
}

// findLinked finds the lines of each file that have instructions.
func (c *counter) findLinked(p *anatomy.Program) {
	c.linked = map[string]map[int]bool{}
	for i := range p.Functions {
		f := &p.Functions[i]
		p.Lines(f, func(file string, n int) {
			if c.linked[file] == nil {
				c.linked[file] = map[int]bool{}
			}
			c.linked[file][n] = true
			if c.packages[file] == "" {
				c.packages[file] = packageOfFile(file, f)
			}
		})
	}
}

// packageOfFile is the package of a file of which all is inlined; f has some of it.
func packageOfFile(file string, f *anatomy.Function) string {
	dir := path.Dir(file)
	if dir == "." { // a comment //line names it, or the command line
		return f.Package
	}
	return atVersion.ReplaceAllString(dir, "")
}

// atVersion is what follows the path of a module in the names of its files.
var atVersion = regexp.MustCompile(`@v[^/]*`)

// filePackages maps files to the packages of the functions in them.
func filePackages(p *anatomy.Program) map[string]string {
	m := map[string]string{}
	for i := range p.Functions {
		f := &p.Functions[i]
		if m[f.File] == "" || path.Dir(f.File) == f.Package {
			m[f.File] = f.Package
		}
	}
	return m
}
