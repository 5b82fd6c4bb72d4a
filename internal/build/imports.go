package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tailor-os/tailor/internal/port"
)

// Imports is who imports whom in a program as it is built, with the runtime port:
// for each package the import paths that it imports.
type Imports map[string][]string

// Imports asks the go command for the import graph of the program, with the
// packages that the runtime port lays over the standard library. It compiles
// nothing.
func (p *Plan) Imports(ctx context.Context) (Imports, error) {
	pkgs, _, err := p.listBuilt(ctx, "-json=ImportPath,Imports")
	if err != nil {
		return nil, err
	}
	graph := Imports{}
	for i := range pkgs {
		graph[pkgs[i].ImportPath] = pkgs[i].Imports
	}
	return graph, nil
}

// listBuilt lists the packages of the program as it is built. overlay is the file
// of what is laid over the source, "" for none.
func (p *Plan) listBuilt(ctx context.Context, fields string) (pkgs []listed, overlay string, err error) {
	args := []string{"list", "-e", "-deps", fields}
	g := *p.g
	if p.hasPort() {
		if overlay, err = port.Prepare(ctx, p.port); err != nil {
			return nil, "", err
		}
		args = append(args, "-overlay="+overlay)
		g.path = p.port.Toolchain.Go
	}
	args = append(append(args, p.g.flags.buildArgs()...), "--")
	out, err := g.output(ctx, p.src.dir, slices.Clone(p.src.env), append(args, p.src.args...)...)
	if err != nil {
		return nil, "", err
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg listed
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			return pkgs, overlay, nil
		} else if err != nil {
			return nil, "", fmt.Errorf("read the output of go list: %w", err)
		}
		pkgs = append(pkgs, pkg)
	}
}
