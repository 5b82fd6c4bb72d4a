package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/hint"
)

// A listed is one package as go list describes it.
type listed struct {
	ImportPath, Name, Dir   string
	Standard, DepOnly       bool
	GoFiles, IgnoredGoFiles []string
	CgoFiles, SFiles        []string
	HFiles, SysoFiles       []string
	EmbedFiles              []string
	Imports                 []string
	Module                  *listedModule
	Error                   *struct{ Err string }
}

// A listedModule is the module of a package.
type listedModule struct {
	Path, Version string
	Dir           string // "" in a vendor folder
	Replace       *struct{ Path, Version string }
}

const listFields = "-json=ImportPath,Name,Dir,Standard,DepOnly,GoFiles,IgnoredGoFiles,CgoFiles,SFiles,HFiles,SysoFiles,EmbedFiles,Imports,Module,Error"

// A program is what go list tells about the program to be built.
type program struct {
	listed
	all     []listed
	network bool // net is among its packages
	calls   bool // it makes system calls past the standard library
	// diagnostics says that runtime/trace or runtime/metrics is among them.
	diagnostics bool
	// services are what is linked beside it; attributes says that it has log/slog.
	services   []string
	attributes bool
	modules    []module
}

// list reads the import graph of src and checks that it is one that can be
// built.
func (g *goCmd) list(ctx context.Context, src source, cfg Config) (program, error) {
	pkgs, err := g.listPackages(ctx, src, nil)
	if err != nil {
		return program{}, hint.With(err, listHint(err.Error(), cfg))
	}
	root, err := findRoot(pkgs, cfg)
	if err != nil {
		return program{}, err
	}
	p := program{listed: *root, all: pkgs}
	for _, pkg := range pkgs {
		if files := cgoOnly(pkg); files != nil {
			return p, needsCgo(root, pkg, files)
		}
		p.network = p.network || pkg.Standard && pkg.ImportPath == "net"
		p.diagnostics = p.diagnostics || pkg.ImportPath == "runtime/trace" || pkg.ImportPath == "runtime/metrics"
	}
	p.calls, p.modules = makesCalls(pkgs), modulesOf(pkgs)
	p.linkServices(cfg, pkgs)
	if p.Name != "main" && p.Name != "" {
		return p, hint.Errorf(g.commandsHint(ctx, src), "%s is a library (package %s), not a command: only package main can be run",
			p.ImportPath, p.Name)
	}
	return p, nil
}

func (g *goCmd) listPackages(ctx context.Context, src source, env []string) ([]listed, error) {
	args := append([]string{"list", "-e", "-deps", listFields}, g.flags.buildArgs()...)
	args = append(append(args, "--"), src.args...)
	out, err := g.output(ctx, src.dir, append(slices.Clone(src.env), env...), args...)
	if err != nil {
		return nil, err
	}
	var pkgs []listed
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the output of go list: %w", err)
		}
		pkgs = append(pkgs, p)
	}
}

// findRoot returns the package that was asked for. A package that is there but
// has errors is returned too: the compiler tells them better.
func findRoot(pkgs []listed, cfg Config) (*listed, error) {
	var root *listed
	for i := range pkgs {
		if pkgs[i].DepOnly {
			continue
		}
		if root != nil {
			return nil, hint.Errorf("name one package", "%s is more than one package: %s, %s",
				strings.Join(cfg.Args, " "), root.ImportPath, pkgs[i].ImportPath)
		}
		root = &pkgs[i]
	}
	switch {
	case root == nil:
		return nil, fmt.Errorf("%s matches no package", strings.Join(cfg.Args, " "))
	case root.Error != nil && len(root.GoFiles) == 0 && cgoOnly(*root) == nil:
		return nil, hint.Errorf(listHint(root.Error.Err, cfg), "%s", strings.TrimSpace(root.Error.Err))
	}
	return root, nil
}

// listHint is the remedy for what go list says is wrong with the package
// itself.
func listHint(msg string, cfg Config) string {
	arg := strings.Join(cfg.Args, " ")
	switch {
	case strings.Contains(msg, "go.mod file not found"):
		return "make the folder a module: go mod init NAME"
	case strings.Contains(msg, "no Go files in"):
		return "name a folder with package main, such as ./cmd/NAME"
	case isLocal(arg) || strings.Contains(arg, "@"):
		return ""
	case isDir(abs(cfg.Dir, arg)):
		return "did you mean the folder ./" + arg + "?"
	case strings.Contains(msg, "is not in std"):
		return "a folder is written with a leading ./, a module's package with its full import path"
	case strings.Contains(msg, "no required module provides"), strings.Contains(msg, "cannot find module"):
		return "to build it straight from its module, name a version: " + arg + "@latest"
	}
	return ""
}

// cgoOnly returns the files of pkg that use cgo if it has no others. With cgo
// off go list counts them among the ignored.
func cgoOnly(pkg listed) (files []string) {
	if len(pkg.GoFiles) > 0 || pkg.Standard {
		return nil
	}
	for _, name := range pkg.IgnoredGoFiles {
		file := filepath.Join(pkg.Dir, name)
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			continue
		}
		for _, imp := range f.Imports {
			if imp.Path.Value == `"C"` {
				files = append(files, name)
				break
			}
		}
	}
	return files
}

func needsCgo(root *listed, pkg listed, files []string) error {
	who := pkg.ImportPath
	if who != root.ImportPath {
		who = root.ImportPath + " imports " + who + ", which"
	}
	return hint.Errorf("use a pure Go replacement, or a build tag of the package that leaves C out: --tags NAME",
		"%s cannot be built without cgo (%s), and an image holds no C: there is no C library and no operating system below it",
		who, strings.Join(files, ", "))
}

// commandsHint lists the commands that lie below a library.
func (g *goCmd) commandsHint(ctx context.Context, src source) string {
	const fallback = "name a folder with package main, such as ./cmd/NAME"
	if src.files || len(src.args) != 1 {
		return fallback
	}
	pattern := strings.TrimSuffix(src.args[0], "/") + "/..."
	out, err := g.output(ctx, src.dir, src.env, "list", "-e", "-find", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`, "--", pattern)
	names := strings.Fields(string(out))
	if err != nil || len(names) == 0 {
		return fallback
	}
	if len(names) > 3 {
		names = append(names[:3], "...")
	}
	return "commands below it: " + strings.Join(names, " ")
}

// cgoUsers returns the packages of src outside the standard library that would
// use cgo if it were on: likely culprits when a build without it fails.
func (g *goCmd) cgoUsers(ctx context.Context, src source) (users []string) {
	pkgs, err := g.listPackages(ctx, src, []string{"CGO_ENABLED=1"})
	if err != nil {
		return nil
	}
	for _, p := range pkgs {
		if !p.Standard && len(p.CgoFiles) > 0 {
			users = append(users, p.ImportPath)
		}
	}
	return users
}
