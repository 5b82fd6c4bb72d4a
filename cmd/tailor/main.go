// Tailor builds Go programs into virtual machine images and runs them.
//
// "tailor help" shows what it can do; docs/cli.md is the reference. Each verb
// is in a file of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/cache"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
)

// The tool's exit codes, listed with their meaning in exitCodes. A program's
// own code is passed through.
const (
	exitOK          = 0
	exitNothing     = 1 // doctor: no target works here
	exitAffected    = 1 // audit: an image is affected
	exitFailure     = 125
	exitInterrupted = 130
)

func main() {
	dir, err := os.Getwd()
	a := &app{stdout: os.Stdout, msg: cli.NewPrinter("tailor", os.Stderr), dir: dir}
	if err != nil {
		os.Exit(a.fail(fmt.Errorf("the current folder: %w", err)))
	}
	os.Exit(a.main(os.Args[1:]))
}

// helpFlags ask for help.
var helpFlags = []string{"-h", "-help", "--help"}

// An app is one run of the tool.
type app struct {
	stdout io.Writer    // results, or the program's own output
	msg    *cli.Printer // everything else
	dir    string       // what relative paths start from, absolute
}

// A verb is one thing the tool does.
type verb struct {
	name     string
	args     string // as the usage line shows them
	summary  string // one line
	about    string // paragraphs for help
	examples string
	flags    []cli.Flag
	// stop is set if arguments after the first belong to a program.
	stop bool
	// raw is set if the verb reads its arguments itself, all but -h.
	raw bool
	run func(ctx context.Context, a *app, args []string) (exit int, err error)
}

// verbs are made anew for each use: flags point into their options.
func verbs() []*verb {
	return []*verb{runVerb(), buildVerb(), testVerb(), execVerb(), volumeVerb(), describeVerb(), sbomVerb(), auditVerb(), diffVerb(), targetsVerb(), doctorVerb(), cleanVerb(), versionVerb(), helpVerb()}
}

func findVerb(name string) *verb {
	for _, v := range verbs() {
		if v.name == name {
			return v
		}
	}
	return nil
}

// main runs the verb that args name and returns the exit code.
func (a *app) main(args []string) int {
	if len(args) == 0 {
		io.WriteString(a.msg, overview())
		return exitFailure
	}
	switch {
	case slices.Contains(helpFlags, args[0]):
		args[0] = "help"
	case args[0] == "-version" || args[0] == "--version":
		args[0] = "version"
	}
	v := findVerb(args[0])
	if v == nil {
		return a.fail(unknownVerb(args[0]))
	}
	rest, err := v.parse(args[1:])
	if errors.Is(err, cli.ErrHelp) {
		io.WriteString(a.stdout, v.help())
		return exitOK
	}
	if err != nil {
		return a.fail(err)
	}
	exit, err := v.run(context.Background(), a, rest)
	trimCache()
	if err != nil {
		return a.fail(err)
	}
	return exit
}

// trimCache keeps the cache from growing without bound.
func trimCache() {
	if dir, err := cache.Dir(); err == nil {
		cache.Trim(dir)
	}
}

// parse returns the arguments that are left after the verb's flags.
func (v *verb) parse(args []string) ([]string, error) {
	switch {
	case !v.raw:
		return cli.Parse(v.name, v.flags, args, v.stop)
	case len(args) > 0 && slices.Contains(helpFlags, args[0]):
		return nil, cli.ErrHelp
	}
	return args, nil
}

// fail prints err and returns the exit code for it.
func (a *app) fail(err error) int {
	if errors.Is(err, errInterrupted) {
		a.msg.Infof("%v", err)
		return exitInterrupted
	}
	a.msg.Error(explain(err))
	return exitFailure
}

func unknownVerb(name string) error {
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	help := "verbs are: " + strings.Join(names, ", ") + "; see: tailor help"
	if near := cli.Nearest(name, names); near != "" {
		help = fmt.Sprintf("did you mean %s?", near)
	} else if _, err := os.Stat(name); err == nil || strings.ContainsAny(name, "./@") {
		help = "to run a package or an image: tailor run " + name
	}
	if strings.HasPrefix(name, "-") {
		return hint.Errorf("flags come after the verb; see: tailor help", "unknown flag %s", name)
	}
	return hint.Errorf(help, "unknown verb %q", name)
}
