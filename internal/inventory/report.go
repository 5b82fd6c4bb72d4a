// Package inventory says what is in a program that is linked: the services and
// drivers of an operating system, which implementation of each, who brings it in,
// and what it costs.
//
// What is linked is read from the bytes of the program (package anatomy); who
// imports it from the import graph of the package, if there is one.
package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/image"
)

// A Report is what is known of a program. Its JSON form is documented in
// docs/cli.md and only ever grows.
type Report struct {
	File    string `json:"file"`
	Bytes   uint64 `json:"bytes"`   // of the file
	Package string `json:"package"` // import path of package main, "" if not known
	Go      string `json:"go"`      // release, "" if not known
	// Kind is where the program runs, by what is linked: "vm" (targets hvt and
	// spt), "virtio" or "unix".
	Kind      string            `json:"kind"`
	Target    string            `json:"target"`         // as asked for, or as the note says; "" if not known
	Note      *Note             `json:"note,omitempty"` // nil for none
	Services  []Service         `json:"services"`
	Absent    []string          `json:"absent"` // known services that are not linked
	Layers    []Layer           `json:"layers"`
	Parts     map[string]uint64 `json:"parts"`     // bytes of the file by what they are
	Functions int               `json:"functions"` // linked
	Lines     *Lines            `json:"lines,omitempty"`
	// Comparison is nil unless it was asked for.
	Comparison *Comparison `json:"comparison,omitempty"`
	// Rebuild is the command that builds it again, as its note says; "" if it does not.
	Rebuild string `json:"rebuild,omitempty"`
	// Unknown is what cannot be known of this file, Warnings where its note and
	// its bytes disagree.
	Unknown  []string `json:"unknown"`
	Warnings []string `json:"warnings"`

	graph *Graph
}

// A Note is what an image says of itself.
type Note struct {
	Tailor  string   `json:"tailor"`
	Target  string   `json:"target"`
	Main    string   `json:"main"`
	Go      string   `json:"go"`
	Devices []string `json:"devices"`
	// Build is what it was built from and how, nil if it does not say.
	Build *image.Build `json:"build,omitempty"`
}

// A Service is one that is linked.
type Service struct {
	Name           string `json:"name"`
	Kind           string `json:"kind"` // "service" or "driver"
	Implementation string `json:"implementation"`
	Bytes          uint64 `json:"bytes"`
	// Packages are those of which something is linked.
	Packages []string `json:"packages"`
	// Imports is the shortest chain of imports from package main to one of them,
	// nil if that is not known.
	Imports []string `json:"imports,omitempty"`
	// Importers are the packages outside of it that import one of its packages.
	Importers []string `json:"importers,omitempty"`
}

// A Layer is a part of the program, or a module.
type Layer struct {
	Name  string `json:"name"`
	Bytes uint64 `json:"bytes"`
	Code  uint64 `json:"code"`
	Data  uint64 `json:"data"` // all other bytes
}

// New describes a program. target is what it was built for, "" if it is not known;
// graph is nil if it is not known who imports whom.
func New(p *anatomy.Program, target string, graph *Graph) *Report {
	r := &Report{
		File: p.Path, Bytes: p.Size, Target: target, Kind: kindOf(p), graph: graph,
		Absent: []string{}, Unknown: []string{}, Warnings: []string{},
		Parts: map[string]uint64{}, Functions: len(p.Functions),
	}
	if p.Build != nil {
		r.Package, r.Go = p.Build.Path, p.Build.GoVersion
	}
	for part, n := range p.Sizes.Parts() {
		r.Parts[string(part)] = n
	}
	r.addNote(p)
	r.addServices(p)
	r.addLayers(p)
	r.addUnknown(p)
	return r
}

// kindOf says where the program runs.
func kindOf(p *anatomy.Program) string {
	switch {
	case hasFunction(p, []pattern{"Tailor/boot/platform"}):
		return kindVirtio
	case hasFunction(p, libosAlways):
		return kindVM
	}
	return kindUnix
}

// addNote takes over what the note says, and says where the bytes say otherwise.
func (r *Report) addNote(p *anatomy.Program) {
	if p.Note == nil {
		return
	}
	n := &Note{Tailor: p.Note.Tailor, Target: p.Note.Target, Main: p.Note.Main, Go: p.Note.Go, Devices: []string{}, Build: p.Note.Build}
	for _, d := range p.Note.Devices {
		n.Devices = append(n.Devices, d.Type)
	}
	r.Note = n
	if r.Target == "" {
		r.Target = n.Target
	}
	wrong := func(what, note, found string) {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the note says %s %s, the bytes say %s", what, note, found))
	}
	if kind := noteKind(n.Target); kind != r.Kind {
		wrong("target", n.Target, "it is made for "+targetsOf[r.Kind])
	}
	if r.Package != "" && r.Package != n.Main && r.Package != "command-line-arguments" {
		wrong("package", n.Main, r.Package)
	}
	if r.Go != "" && r.Go != n.Go {
		wrong("release", n.Go, r.Go)
	}
	network := hasFunction(p, []pattern{"Tailor/boot/network"})
	if network != slices.Contains(n.Devices, "net") {
		wrong("devices", fmt.Sprint(n.Devices), map[bool]string{true: "there is a driver of a network", false: "there is no driver of a network"}[network])
	}
}

// targetsOf says which targets are of a kind.
var targetsOf = map[string]string{kindVM: "hvt or spt", kindVirtio: "virtio", kindUnix: "unix"}

func noteKind(target string) string {
	switch target {
	case "hvt", "spt":
		return kindVM
	}
	return target
}

func (r *Report) addServices(p *anatomy.Program) {
	costs := make([]cost, len(known))
	for o, n := range p.Sizes {
		if i := owner(o.Package, o.File); i >= 0 {
			costs[i].add(o.Package, n)
		}
	}
	var chains map[string][]string
	if r.graph != nil {
		chains = r.graph.chains()
	}
	for i := range known {
		s := &known[i]
		impl := s.implementationOf(r.Kind, p)
		if impl == nil {
			r.Absent = append(r.Absent, s.name)
			continue
		}
		packages := slices.Sorted(maps.Keys(costs[i].packages))
		from := packages
		if len(from) == 0 { // the host's
			from = signPackages(impl.signs)
		}
		r.Services = append(r.Services, Service{
			Name: s.name, Kind: s.kind, Implementation: impl.text, Bytes: costs[i].bytes,
			Packages: append([]string{}, packages...), Imports: shortest(chains, from), Importers: r.graph.importers(from),
		})
	}
}

// signPackages returns the packages that patterns name.
func signPackages(signs []pattern) (list []string) {
	for _, s := range signs {
		name, isFunc := strings.CutPrefix(string(s), "func ")
		switch {
		case isFunc:
			slash := strings.LastIndexByte(name, '/') + 1
			base, _, _ := strings.Cut(name[slash:], ".")
			list = append(list, name[:slash]+base)
		case strings.HasSuffix(name, ".go"):
			list = append(list, path.Dir(name))
		default:
			list = append(list, name)
		}
	}
	return list
}

// A cost is what a service has.
type cost struct {
	bytes    uint64
	packages map[string]bool
}

func (c *cost) add(pkg string, n uint64) {
	if c.packages == nil {
		c.packages = map[string]bool{}
	}
	c.packages[pkg] = true
	c.bytes += n
}

func (r *Report) addLayers(p *anatomy.Program) {
	layers, modules := map[layer]*Layer{}, modulesOf(p)
	for o, n := range p.Sizes {
		name := modules.layerOf(o)
		l := layers[name]
		if l == nil {
			l = &Layer{Name: string(name)}
			layers[name] = l
		}
		l.Bytes += n
		if o.Part == anatomy.Code {
			l.Code += n
		} else {
			l.Data += n
		}
	}
	for _, name := range sortedLayers(slices.Collect(maps.Keys(layers))) {
		r.Layers = append(r.Layers, *layers[name])
	}
}

// sortedLayers puts layers into the order in which they are shown.
func sortedLayers(list []layer) []layer {
	rank := func(l layer) int {
		if i := slices.Index(layerOrder, l); i >= 0 {
			return 2 * i
		}
		return 2*len(layerOrder) - 5 // modules, before the application
	}
	slices.SortFunc(list, func(a, b layer) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	return list
}

// addUnknown says what cannot be known.
func (r *Report) addUnknown(p *anatomy.Program) {
	if r.graph == nil {
		help := ""
		if r.Package != "" {
			help = "; tailor describe " + r.Package + " does, where its source is"
		}
		r.Unknown = append(r.Unknown, "who imports what: a linked program does not say"+help)
	}
	if p.Note == nil && r.Target != kindUnix {
		r.Unknown = append(r.Unknown, "what its note would say: it "+p.NoteProblem)
	}
	if p.Build == nil {
		r.Unknown = append(r.Unknown, "its package, modules and Go release: the linker's record is missing")
	}
	r.Unknown = append(r.Unknown, "whose most constants and all variables are; \"of several packages\" has them, and what packages share")
}
