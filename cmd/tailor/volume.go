package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/volume"
)

// exitDamaged is volume check's code for a volume that is damaged.
const exitDamaged = 1

// volumeVerbs are what tailor volume can do; each is a verb by itself, made anew
// for each use.
func volumeVerbs() []*verb {
	return []*verb{createVerb(), packVerb(), lsVerb(), catVerb(), cpVerb(), rmVerb(), mkdirVerb(), infoVerb(), checkVerb(), rekeyVerb()}
}

func volumeVerb() *verb {
	v := &verb{
		name:    "volume",
		args:    "VERB [FLAGS] [ARGUMENTS]",
		summary: "make volumes, look inside, copy in and out",
		raw:     true,
		examples: `  tailor volume create --size 256M data.img
  tailor volume pack conf.img ./conf/
  tailor volume ls -l conf.img
  tailor volume help cp
`,
		run: func(ctx context.Context, a *app, args []string) (int, error) { return a.volume(ctx, args) },
	}
	var b strings.Builder
	b.WriteString(`A volume is a file or block device that virtual machines keep files on. Tailor
works on it while none uses it for writing. docs/volumes.md has more.

Verbs:
`)
	for _, sub := range volumeVerbs() {
		fmt.Fprintf(&b, "  %-9s%s\n", strings.TrimPrefix(sub.name, "volume "), sub.summary)
	}
	v.about = strings.TrimRight(b.String(), "\n")
	return v
}

// volume runs the verb below volume that args name.
func (a *app) volume(ctx context.Context, args []string) (int, error) {
	if len(args) > 0 && args[0] == "help" {
		if args = args[1:]; len(args) == 0 {
			_, err := io.WriteString(a.stdout, volumeVerb().help())
			return exitOK, err
		}
		args = []string{args[0], "--help"}
	}
	var names []string
	for _, v := range volumeVerbs() {
		name := strings.TrimPrefix(v.name, "volume ")
		names = append(names, name)
		if len(args) > 0 && args[0] == name {
			return a.volumeVerb(ctx, v, args[1:])
		}
	}
	if len(args) == 0 {
		return 0, hint.Errorf("verbs are: "+strings.Join(names, ", ")+"; see: tailor help volume", "no verb for volume given")
	}
	remedy := "verbs are: " + strings.Join(names, ", ") + "; see: tailor help volume"
	if near := cli.Nearest(args[0], names); near != "" {
		remedy = "did you mean tailor volume " + near + "?"
	}
	return 0, hint.Errorf(remedy, "unknown verb %q for volume", args[0])
}

func (a *app) volumeVerb(ctx context.Context, v *verb, args []string) (int, error) {
	rest, err := v.parse(args)
	if errors.Is(err, cli.ErrHelp) {
		_, err = io.WriteString(a.stdout, v.help())
		return exitOK, err
	}
	if err != nil {
		return 0, err
	}
	return v.run(ctx, a, rest)
}

// volumeFlags are those of all verbs that open a volume.
func volumeFlags(o *volume.Options) []cli.Flag {
	return []cli.Flag{
		cli.StringFlag(&o.KeyFile, "key-file", 0, "FILE", "key of an encrypted volume: all bytes of FILE"),
		cli.ValueFlag(&o.Partition, "partition", 0, "N", "the volume is partition N of a disk", cli.ParsePartitionNumber),
	}
}

// want returns an error unless there are min to max arguments.
func want(verb, usage string, args []string, min, max int) error {
	if len(args) >= min && len(args) <= max {
		return nil
	}
	what := "too few arguments"
	if len(args) > max {
		what = "too many arguments: " + strings.Join(args[max:], " ")
	}
	return hint.Errorf("write: tailor "+verb+" "+usage, "%s", what)
}

// inVolume returns a path in a volume as package io/fs writes it. It always
// begins at the root.
func inVolume(p string) string {
	if p = path.Clean("/" + p)[1:]; p == "" {
		return "."
	}
	return p
}

// printNotes says what a volume does not show.
func (a *app) printNotes(v *volume.Volume) {
	if _, skipped := v.Notes(); skipped > 0 {
		a.msg.Warnf("%d entries of the archive are not shown; tailor volume info says which", skipped)
	}
}
