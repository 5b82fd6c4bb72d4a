package build

import (
	"context"
	"path/filepath"
	"strings"
)

// A Source is a file that is compiled, or included by one, for a program.
type Source struct {
	Name    string // as the compiler records it: "net/http/server.go"
	Path    string // where it can be read; what the runtime port derives is in a cache
	Package string // import path; "main" for package main, as functions are named
}

// Sources asks the go command for the files of all packages of the program, with
// those that the runtime port lays over the standard library in place of the
// originals. It compiles nothing.
func (p *Plan) Sources(ctx context.Context) ([]Source, error) {
	pkgs, overlay, err := p.listBuilt(ctx, "-json=ImportPath,Name,Dir,GoFiles,SFiles,HFiles,Module")
	if err != nil {
		return nil, err
	}
	replaced := p.g.flags.overlay
	if overlay != "" {
		if replaced, err = readOverlay(overlay); err != nil {
			return nil, err
		}
	}
	var list []Source
	for i := range pkgs {
		pkg := &pkgs[i]
		name := pkg.ImportPath
		if pkg.Name == "main" {
			name = "main"
		}
		for _, files := range [][]string{pkg.GoFiles, pkg.SFiles, pkg.HFiles} {
			for _, file := range files {
				where := file
				if !filepath.IsAbs(file) { // those of another folder are named whole
					where = filepath.Join(pkg.Dir, file)
				}
				s := Source{Name: pkg.recorded() + "/" + filepath.Base(file), Path: where, Package: name}
				if other, there := replaced[where]; there {
					s.Path = other
				}
				list = append(list, s)
			}
		}
	}
	return list, nil
}

// recorded is what -trimpath makes of the package's folder (cmd/go, internal/work/gc.go).
func (l *listed) recorded() string {
	if m := l.Module; m != nil && m.Version != "" {
		return m.Path + "@" + m.Version + strings.TrimPrefix(l.ImportPath, m.Path)
	}
	if l.ImportPath == "command-line-arguments" {
		return "." // of files that are named on the command line
	}
	return l.ImportPath
}
