package inventory

import "slices"

// A Graph says who imports whom.
type Graph struct {
	Main    string              // import path of package main
	Imports map[string][]string // of each package
}

// chains finds the shortest chain of imports from package main to each package.
// Of several, it takes the one whose packages come first in the alphabet.
func (g *Graph) chains() map[string][]string {
	chains := map[string][]string{g.Main: {g.Main}}
	for queue := []string{g.Main}; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		next := slices.Sorted(slices.Values(g.Imports[from]))
		if from == g.Main {
			next = append(next, "runtime") // the linker adds it
		}
		for _, to := range next {
			if chains[to] == nil {
				chains[to] = append(slices.Clone(chains[from]), to)
				queue = append(queue, to)
			}
		}
	}
	return chains
}

// shortest returns the shortest of the chains to the packages, nil for none.
func shortest(chains map[string][]string, packages []string) (best []string) {
	for _, pkg := range packages {
		if c := chains[pkg]; c != nil && (best == nil || len(c) < len(best)) {
			best = c
		}
	}
	return best
}

// importers returns the packages that import one of packages and are none of
// them; nil without a graph.
func (g *Graph) importers(packages []string) (list []string) {
	if g == nil {
		return nil
	}
	for from, imports := range g.Imports {
		if !slices.Contains(packages, from) && slices.ContainsFunc(imports, func(to string) bool { return slices.Contains(packages, to) }) {
			list = append(list, from)
		}
	}
	slices.Sort(list)
	return list
}
