package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/compare"
	"github.com/tailor-os/tailor/internal/hint"
)

// The exit codes of diff, which are those of diff(1), and of build --verify.
const (
	exitDiffers = 1
	exitTrouble = 2
)

func diffVerb() *verb {
	var asJSON, functions bool
	return &verb{
		name:    "diff",
		args:    "[FLAGS] IMAGE IMAGE",
		summary: "show what differs between two images",
		about: `Diff compares two images, or plain programs of Go, stripped or not: how they
were built, modules and their versions, services that are linked, sizes by
layer, functions that came, went or changed their size, files that are packed,
and which bytes of the file. All of that is read from the bytes; lines that
begin with "note:" are what the images say of themselves.
Exit code 0: the same bytes; 1: they differ; 2: one of them cannot be read.`,
		flags: []cli.Flag{
			cli.BoolFlag(&functions, "functions", 0, "show each function and package that differs"),
			cli.BoolFlag(&asJSON, "json", 0, "print JSON, which has all functions"),
		},
		examples: `  tailor diff old.img new.img
  tailor diff --functions old.img new.img
  tailor diff --json old.img new.img
  tailor diff old.img new.img > /dev/null && echo the same
`,
		run: func(_ context.Context, a *app, args []string) (int, error) {
			return a.diff(args, functions, asJSON)
		},
	}
}

// diff fails with an exit code of its own, so that a script can tell it from "they
// differ".
func (a *app) diff(args []string, functions, asJSON bool) (int, error) {
	r, err := diffFiles(args)
	if err == nil && asJSON {
		err = printJSON(a.stdout, r)
	} else if err == nil {
		err = r.WriteText(a.stdout, cli.Width(a.stdout), functions)
	}
	switch {
	case err != nil:
		a.msg.Error(explain(err))
		return exitTrouble, nil
	case r.Same:
		return exitOK, nil
	}
	return exitDiffers, nil
}

func diffFiles(args []string) (*compare.Report, error) {
	if len(args) != 2 {
		return nil, hint.Errorf("tailor diff old.img new.img", "diff compares two files, %d given: %s", len(args), strings.Join(args, " "))
	}
	r, err := compare.Files(args[0], args[1])
	var path *fs.PathError
	if errors.As(err, &path) && hint.Of(err) == "" {
		err = fmt.Errorf("%s cannot be read: %w", path.Path, path.Err)
	}
	return r, err
}
