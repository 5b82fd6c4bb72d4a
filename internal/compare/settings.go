package compare

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/inventory"
)

// differing returns what two maps have differently, by name.
func differing(a, b map[string]string) []Change {
	list := []Change{}
	all := map[string]bool{}
	for name := range a {
		all[name] = true
	}
	for name := range b {
		all[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if a[name] != b[name] {
			list = append(list, Change{name, a[name], b[name]})
		}
	}
	return list
}

// settings compares how the two were built.
func (r *Report) settings(a, b *anatomy.Program, x, y *inventory.Report) {
	r.Settings = append(differing(builtAs(a, x), builtAs(b, y)), differing(noted(a.Note), noted(b.Note))...)
	for _, p := range []*anatomy.Program{a, b} {
		switch {
		case p.Build == nil:
			r.Unknown = append(r.Unknown, "package, modules and settings of "+p.Path+": the linker's record is missing")
		case p.Note == nil && p.NoteProblem != "has none":
			r.Unknown = append(r.Unknown, "what the note of "+p.Path+" says: it "+p.NoteProblem)
		}
	}
	for _, s := range []*inventory.Report{x, y} {
		for _, w := range s.Warnings {
			r.Unknown = append(r.Unknown, "whether the note of "+s.File+" is right: "+w)
		}
	}
}

// builtAs is what the bytes say of how a program was built.
func builtAs(p *anatomy.Program, r *inventory.Report) map[string]string {
	m := map[string]string{"kind": r.Kind}
	if p.Build == nil {
		return m
	}
	m["package"], m["Go"] = p.Build.Path, p.Build.GoVersion
	for _, s := range p.Build.Settings {
		m[s.Key] = s.Value
	}
	return m
}

// noted is what a note says.
func noted(n *image.Note) map[string]string {
	m := map[string]string{}
	if n == nil {
		return m
	}
	var devices []string
	for _, d := range n.Devices {
		devices = append(devices, strings.TrimSuffix(d.Type+" "+d.Name, " "))
	}
	m["note: Tailor"], m["note: target"] = n.Tailor, n.Target
	m["note: package"], m["note: Go"] = n.Main, n.Go
	m["note: devices"] = strings.Join(devices, ", ")
	m["note: services"] = strings.Join(n.Services, ", ")
	m["note: trace"] = strings.Join(n.Trace, ", ")
	if n.Parts != nil {
		notedParts(n.Parts, m)
	}
	if b := n.Build; b != nil {
		m["note: sources of Tailor"], m["note: source of the program"], m["note: files"] = b.Tool, b.Source, b.Files
		m["note: flags"], m["note: arguments"], m["note: environment"] = strings.Join(b.Flags, " "), strings.Join(b.Args, " "), strings.Join(b.Env, " ")
	}
	return m
}

// notedParts adds what a note says of modules and of the port.
func notedParts(p *image.Parts, m map[string]string) {
	for _, mod := range p.Modules {
		m["note: licences of "+mod.Path] = strings.Join(mod.Licences, ", ")
		if mod.Laid {
			m["note: module laid, "+mod.Path] = strings.TrimSpace(mod.Version + " " + mod.Sum)
		}
	}
	if p.Port != nil {
		m["note: port"] = fmt.Sprintf("%d edits, %d files added, sha256 %s", p.Port.Edits, p.Port.Added, p.Port.SHA256)
	}
}

// modules compares what the linker recorded of modules.
func (r *Report) modules(a, b *anatomy.Program) {
	r.Modules = differing(modulesOf(a.Build), modulesOf(b.Build))
	for i, c := range r.Modules { // the sums, only where they alone tell the two apart
		x, xsum, _ := strings.Cut(c.A, "\n")
		y, ysum, _ := strings.Cut(c.B, "\n")
		if x == y {
			x, y = strings.TrimSpace(x+" "+xsum), strings.TrimSpace(y+" "+ysum)
		}
		r.Modules[i].A, r.Modules[i].B = x, y
	}
}

// modulesOf is the version of each module, then, on a line of its own, its sum.
func modulesOf(info *debug.BuildInfo) map[string]string {
	m := map[string]string{}
	if info == nil {
		return m
	}
	for _, d := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if d.Path == "" {
			continue
		}
		text, sum := d.Version, d.Sum
		if d.Replace != nil {
			text, sum = text+" => "+strings.TrimSpace(d.Replace.Path+" "+d.Replace.Version), d.Replace.Sum
		}
		m[d.Path] = text + "\n" + sum
	}
	return m
}

// inventories compares services and layers.
func (r *Report) inventories(a, b *inventory.Report) {
	services := map[string]*ServiceChange{}
	var names []string
	at := func(name string) *ServiceChange {
		if services[name] == nil {
			services[name] = &ServiceChange{Name: name}
			names = append(names, name)
		}
		return services[name]
	}
	for _, s := range a.Services {
		c := at(s.Name)
		c.A, c.ABytes = s.Implementation, s.Bytes
	}
	for _, s := range b.Services {
		c := at(s.Name)
		c.B, c.BBytes = s.Implementation, s.Bytes
	}
	for _, name := range names {
		if c := services[name]; c.A != c.B || c.ABytes != c.BBytes {
			r.Services = append(r.Services, *c)
		}
	}
	r.Layers = append(r.Layers, sizes(layersOf(a), layersOf(b))...)
}

func layersOf(r *inventory.Report) (list []SizeChange) {
	for _, l := range r.Layers {
		list = append(list, SizeChange{Name: l.Name, A: l.Bytes})
	}
	return list
}

// sizes returns those of a and b, whose sizes are in field A, that differ.
func sizes(a, b []SizeChange) (list []SizeChange) {
	for _, x := range a {
		i := slices.IndexFunc(b, func(y SizeChange) bool { return y.Name == x.Name })
		if i >= 0 {
			x.B = b[i].A
		}
		if x.A != x.B {
			list = append(list, x)
		}
	}
	for _, y := range b {
		if !slices.ContainsFunc(a, func(x SizeChange) bool { return x.Name == y.Name }) {
			list = append(list, SizeChange{Name: y.Name, B: y.A})
		}
	}
	return list
}
