package compare

import (
	"cmp"
	"slices"

	"github.com/tailor-os/tailor/internal/anatomy"
)

// A FunctionChange is one of a function. Sizes are bytes of code, 0 where it is not
// linked. What has one name (an instance for each way of calling it) is one.
type FunctionChange struct {
	Name    string `json:"name"`
	Package string `json:"package"`
	A       uint64 `json:"a"`
	B       uint64 `json:"b"`
}

// A PackageChange counts those of a package.
type PackageChange struct {
	Package string `json:"package"` // "" for functions of none
	Added   int    `json:"added"`
	Removed int    `json:"removed"`
	Changed int    `json:"changed"`
	A       uint64 `json:"a"` // bytes of its code
	B       uint64 `json:"b"`
}

// functions compares by name what is linked.
func (r *Report) functions(a, b *anatomy.Program) {
	type key struct{ pkg, name string }
	all := map[key]*FunctionChange{}
	at := func(f *anatomy.Function) *FunctionChange {
		k := key{f.Package, f.Name}
		if all[k] == nil {
			all[k] = &FunctionChange{Name: f.Name, Package: f.Package}
		}
		return all[k]
	}
	for i := range a.Functions {
		at(&a.Functions[i]).A += a.Functions[i].Size
	}
	for i := range b.Functions {
		at(&b.Functions[i]).B += b.Functions[i].Size
	}
	packages := map[string]*PackageChange{}
	for _, f := range all {
		p := packages[f.Package]
		if p == nil {
			p = &PackageChange{Package: f.Package}
			packages[f.Package] = p
		}
		p.add(f)
		if f.A != f.B {
			r.Functions = append(r.Functions, *f)
		}
	}
	slices.SortFunc(r.Functions, func(a, b FunctionChange) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Name, b.Name))
	})
	for _, p := range packages {
		if p.Added+p.Removed+p.Changed > 0 {
			r.Packages = append(r.Packages, *p)
		}
	}
	slices.SortFunc(r.Packages, func(a, b PackageChange) int {
		return cmp.Or(cmp.Compare(distance(b.A, b.B), distance(a.A, a.B)), cmp.Compare(a.Package, b.Package))
	})
}

func (p *PackageChange) add(f *FunctionChange) {
	p.A += f.A
	p.B += f.B
	switch {
	case f.A == f.B:
	case f.A == 0:
		p.Added++
	case f.B == 0:
		p.Removed++
	default:
		p.Changed++
	}
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }
