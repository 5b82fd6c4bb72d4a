package inventory

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/anatomy"
)

// Lines are the lines of source from which a program's code was compiled: each
// counts once, however often it was inlined, under the layer of its own file.
// Lines of comments, declarations and what was not linked do not count.
type Lines struct {
	Total    int         `json:"total"` // of Go and assembly
	Assembly int         `json:"assembly"`
	Layers   []LineLayer `json:"layers"`
	// Unnamed are those whose file the compiler made up.
	Unnamed int `json:"unnamed"`
}

// A LineLayer is what a layer has of the lines.
type LineLayer struct {
	Name     string `json:"name"`
	Go       int    `json:"go"`
	Assembly int    `json:"assembly"`
	Files    int    `json:"files"`
}

// CountLines counts lines of source in p.
func (r *Report) CountLines(p *anatomy.Program) {
	r.Lines = &Lines{}
	layers, packages, modules := map[layer]*LineLayer{}, filePackages(p), modulesOf(p)
	for file, n := range linked(p) {
		if file == "" || strings.HasPrefix(file, "<") {
			r.Lines.Unnamed += n
			continue
		}
		pkg := packages[file]
		if pkg == "" { // all of it was inlined
			pkg = path.Dir(file)
		}
		name := modules.layerOf(anatomy.Owner{Package: pkg, File: file})
		l := layers[name]
		if l == nil {
			l = &LineLayer{Name: string(name)}
			layers[name] = l
		}
		l.Files++
		r.Lines.Total += n
		if strings.HasSuffix(file, ".s") {
			l.Assembly += n
			r.Lines.Assembly += n
		} else {
			l.Go += n
		}
	}
	for _, name := range sortedLayers(slices.Collect(maps.Keys(layers))) {
		r.Lines.Layers = append(r.Lines.Layers, *layers[name])
	}
}

// linked counts the distinct lines of each file.
func linked(p *anatomy.Program) map[string]int {
	type line struct {
		file string
		n    int
	}
	seen := map[line]bool{}
	counts := map[string]int{}
	for i := range p.Functions {
		p.Lines(&p.Functions[i], func(file string, n int) {
			if l := (line{file, n}); !seen[l] {
				seen[l] = true
				counts[file]++
			}
		})
	}
	return counts
}

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

// lines writes the table of lines, if they were counted.
func (r *Report) lines(b *strings.Builder) {
	if r.Lines == nil {
		return
	}
	rows := [][]string{{"LAYER", "  GO LINES", "  ASSEMBLY", "     FILES"}}
	for _, l := range r.Lines.Layers {
		rows = append(rows, []string{l.Name, number(uint64(l.Go)), number(uint64(l.Assembly)), number(uint64(l.Files))})
	}
	rows = append(rows, []string{"linked", number(uint64(r.Lines.Total - r.Lines.Assembly)), number(uint64(r.Lines.Assembly))})
	b.WriteString("\n")
	table(b, rows)
}
