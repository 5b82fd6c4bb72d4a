package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/inventory"
	"github.com/tailor-os/tailor/internal/yardstick"
)

// describeOptions are the flags of describe, besides those of build.
type describeOptions struct {
	json, dot, lines, compare bool
}

func describeVerb() *verb {
	var o buildOptions
	var d describeOptions
	flags := slices.DeleteFunc(o.flags("what to build a package for: hvt, spt, virtio\nor unix; hvt if not given", parseTarget),
		func(f cli.Flag) bool { return f.Long == "dry-run" })
	return &verb{
		name:    "describe",
		args:    "[FLAGS] PACKAGE | FILE.go... | IMAGE",
		summary: "show what is in an image, who brings it in, its size",
		about: `Describe shows the services and drivers of an operating system that are linked
into a program, which implementation of each the target has, the shortest chain
of imports from package main that brings it in, and the bytes that it has; then
the bytes of the whole file, by layer and by part. They add up to its size.
A package is built for it. Of an image, or a plain program of Go, stripped or
not, what its own tables say is shown, and what cannot be known from them; its
note is never believed against its bytes. docs/describe.md says how it counts.`,
		flags: append(append(flags, serviceFlags(&o)...),
			cli.ListFlag(&o.needs, "needs", 0, "NAME", "volume that the image mounts, as for build", cli.ParseVolumeName),
			cli.ListFlag(&o.diskSet, "disk", 0, "NAME", "disk that the image shows, as for build", cli.ParseDiskName),
			cli.BoolFlag(&d.lines, "lines", 0, "count lines of source that are linked, by layer\n(docs/lines.md)"),
			cli.BoolFlag(&d.compare, "compare", 0, "count lines, and print those of Linux, glibc and\nOpenSSL beside them"),
			cli.BoolFlag(&d.json, "json", 0, "print JSON"),
			cli.BoolFlag(&d.dot, "dot", 0, "print a graph for Graphviz")),
		examples: `  tailor describe ./examples/website
  tailor describe -t unix ./examples/website
  tailor describe hello.img
  tailor describe --lines ./examples/website
  tailor describe --compare ./examples/website
  tailor describe --json website.img
  tailor describe --dot ./examples/website | dot -Tsvg > website.svg
`,
		run: func(ctx context.Context, a *app, args []string) (int, error) {
			if d.json && d.dot {
				return 0, hint.Errorf("give one of them", "--json and --dot are two forms of one answer")
			}
			return exitOK, a.describe(ctx, o, d, args)
		},
	}
}

func (a *app) describe(ctx context.Context, o buildOptions, d describeOptions, args []string) error {
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	path, b := "", built{}
	if len(args) == 1 {
		if err := missingImage(args[0]); err != nil {
			return err
		}
	}
	if len(args) == 1 && isFile(args[0]) && !strings.HasSuffix(args[0], ".go") {
		if err := onlyImage(o, args[0]); err != nil {
			return err
		}
		path = args[0]
	} else {
		var err error
		if path, b, err = a.buildToDescribe(ctx, o, d, args); err != nil {
			return err
		}
	}
	program, err := anatomy.Open(path)
	if err != nil {
		return err
	}
	report := inventory.New(program, b.target, b.graph)
	report.Rebuild = build.Again(program.Note, program.Build)
	if err := addLines(report, program, b, d); err != nil {
		return err
	}
	for _, w := range report.Warnings {
		a.msg.Warnf("%s", w)
	}
	switch {
	case d.json:
		return printJSON(a.stdout, report)
	case d.dot:
		return report.WriteDOT(a.stdout)
	}
	return report.WriteText(a.stdout, cli.Width(a.stdout))
}

// addLines counts lines, if they were asked for.
func addLines(report *inventory.Report, program *anatomy.Program, b built, d describeOptions) error {
	if !d.lines && !d.compare {
		return nil
	}
	if err := report.CountLines(program, b.sources); err != nil || !d.compare {
		return err
	}
	figures, err := yardstick.Read()
	if err == nil {
		report.Compare(figures)
	}
	return err
}

// A built is what is known of a package that was built to be described; of an
// image nothing is.
type built struct {
	target  string
	graph   *inventory.Graph
	sources []inventory.Source // nil if nobody asked for lines
}

// buildToDescribe builds a package, in the cache, and reads its import graph.
func (a *app) buildToDescribe(ctx context.Context, o buildOptions, d describeOptions, args []string) (path string, b built, err error) {
	if o.target == "" {
		o.target = build.HVT
	}
	if o.target == build.Virtio {
		o.format = build.ELF
	}
	cfg, err := a.buildConfig(o, args)
	if err != nil {
		return "", b, err
	}
	plan, result, err := a.planAndBuild(ctx, cfg, false)
	if err != nil {
		return "", b, err
	}
	imports, err := plan.Imports(ctx)
	if err != nil {
		return "", b, fmt.Errorf("who imports what: %w", err)
	}
	b = built{target: result.Target, graph: &inventory.Graph{Main: result.Package, Imports: imports}}
	if d.lines || d.compare {
		sources, err := plan.Sources(ctx)
		if err != nil {
			return "", b, fmt.Errorf("which files it is made of: %w", err)
		}
		for _, s := range sources {
			b.sources = append(b.sources, inventory.Source(s))
		}
	}
	return result.Image, b, nil
}

// onlyImage refuses flags that change how a package is built.
func onlyImage(o buildOptions, path string) error {
	const remedy = "describe the package instead, or leave it out"
	switch {
	case o.target != "":
		return hint.Errorf(remedy, "-t is for a package: %s is built already", path)
	case o.trace != "":
		return hint.Errorf(remedy, "--trace is for a package: %s is built already", path)
	}
	return o.checkBuilt(path, remedy)
}
