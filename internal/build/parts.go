package build

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/licence"
	"github.com/tailor-os/tailor/internal/port"
)

// A module is one of which the program has packages.
type module struct {
	path, version string // of what is compiled, which may stand in for another
	dir           string // "" if it is not known

	licences func() []string // nil before findLicences
}

// modulesOf returns the modules of packages, by path.
func modulesOf(pkgs []listed) (list []module) {
	seen := map[string]bool{}
	for _, pkg := range pkgs {
		m := pkg.Module
		if m == nil || m.Path == "" || seen[m.Path] {
			continue
		}
		seen[m.Path] = true
		version, dir := m.Version, m.Dir
		if m.Replace != nil {
			version = m.Replace.Version
		}
		if dir == "" { // vendored: licences are copied, too
			dir = strings.TrimSuffix(pkg.Dir, filepath.FromSlash(strings.TrimPrefix(pkg.ImportPath, m.Path)))
		}
		list = append(list, module{path: m.Path, version: version, dir: dir})
	}
	slices.SortFunc(list, func(a, b module) int { return cmp.Compare(a.path, b.path) })
	return list
}

// findLicences starts to look for the licences of the modules.
func (p *Plan) findLicences() {
	for i := range p.modules {
		m := &p.modules[i]
		m.licences = sync.OnceValue(func() []string { return licence.Of(m.dir) })
	}
	go func() {
		for i := range p.modules {
			p.modules[i].licences()
		}
	}()
}

// parts is what the image is made of that its bytes do not tell.
func (p *Plan) parts() (*image.Parts, error) {
	parts := &image.Parts{Overlay: len(p.port.Extra)}
	for _, m := range p.modules {
		parts.Modules = append(parts.Modules, image.Module{Path: m.path, Version: m.version, Licences: m.licences()})
	}
	parts.Modules = append(parts.Modules, image.Module{Path: "stdlib", Version: p.Go, Licences: licence.Of(p.env.GOROOT)})
	if len(p.port.Services) > 0 {
		parts.Overlay-- // the file of linkMain
	}
	s, err := port.Summarize(p.port)
	if err != nil {
		return nil, fmt.Errorf("what was changed of the Go tree: %w", err)
	}
	parts.Port = &image.Port{Edits: s.Edits, Edited: s.Edited, Added: s.Added, SHA256: s.SHA256}
	for _, m := range s.Modules {
		parts.Modules = append(parts.Modules, image.Module{Path: m.Path, Version: m.Version, Sum: m.Sum, Licences: licence.Of(m.Dir), Laid: true})
	}
	return parts, nil
}
