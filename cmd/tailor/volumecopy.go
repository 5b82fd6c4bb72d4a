package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/volume"
)

func cpVerb() *verb {
	var o volume.Options
	var recursive bool
	return &verb{
		name:    "volume cp",
		args:    "[-r] FILE:PATH HOSTPATH | HOSTPATH FILE:PATH",
		summary: "copy between a volume and this host",
		about: `Cp copies a file, or with -r a folder, out of a volume or into it. PATH begins
with a slash. If the destination is a folder, the copy comes to lie in it.
Permissions and times are kept, but for the times of links copied out; owners in
a volume become 0.`,
		flags: append([]cli.Flag{cli.BoolFlag(&recursive, "recursive", 'r', "folders, with all that is in them")}, volumeFlags(&o)...),
		examples: `  tailor volume cp data.img:/var/log/app.log .
  tailor volume cp ./config.json data.img:/etc/
  tailor volume cp -r data.img:/ ./backup
`,
		run: func(_ context.Context, a *app, args []string) (int, error) {
			if err := want("volume cp", "[-r] FILE:PATH HOSTPATH, or HOSTPATH FILE:PATH", args, 2, 2); err != nil {
				return 0, err
			}
			return exitOK, a.volumeCp(o, args[0], args[1], recursive)
		},
	}
}

// splitVolume takes FILE:PATH apart; ok is false if arg is a path of the host.
func splitVolume(arg string) (file, path string, ok bool) {
	i := strings.LastIndex(arg, ":/")
	if i <= 0 || strings.HasPrefix(arg, "./") && !isFile(arg[:i]) {
		return "", "", false
	}
	return arg[:i], arg[i+1:], true
}

func (a *app) volumeCp(o volume.Options, from, to string, recursive bool) error {
	file, in, out := splitVolume(from)
	file2, in2, into := splitVolume(to)
	if out == into {
		return hint.Errorf("one of the two is a path in a volume, such as data.img:/a, the other one is of this host",
			"%s and %s are both %s", from, to, map[bool]string{true: "in volumes", false: "on this host"}[out])
	}
	o.Write = into
	if into {
		file = file2
		if _, err := os.Stat(from); err != nil {
			return err
		}
	}
	v, err := volume.Open(file, o)
	if err != nil {
		return err
	}
	end := a.msg.Progress("copying " + from + " to " + to)
	var c volume.Copy
	if out {
		c, err = v.FS.Out(inVolume(in), to, recursive)
	} else {
		c, err = v.FS.In(from, inVolume(in2), recursive)
	}
	end()
	for _, s := range c.Skipped {
		a.msg.Warnf("%s was left out: it is not a file, folder or link", s)
	}
	return errors.Join(volumeError(file, err), v.Close())
}

// volumeError says in which volume something failed.
func volumeError(file string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return inFile(file, err)
	case errors.Is(err, syscall.ENOSPC):
		err = hint.With(err, "remove something, or copy all to a larger one: tailor volume create; tailor volume info "+file+" has its size")
	}
	return fmt.Errorf("%s: %w", file, err)
}

func rmVerb() *verb {
	var o volume.Options
	var recursive bool
	return eachPath(&verb{
		name:    "volume rm",
		args:    "[-r] FILE PATH...",
		summary: "remove files of a volume",
		about:   "Rm removes files of a volume, or with -r directories and all that is in them.",
		flags:   append([]cli.Flag{cli.BoolFlag(&recursive, "recursive", 'r', "directories, with all that is in them")}, volumeFlags(&o)...),
		examples: `  tailor volume rm data.img /var/log/app.log
  tailor volume rm -r data.img /cache
`,
	}, &o, func(f volume.FS, p string) error { return f.Remove(p, recursive) })
}

func mkdirVerb() *verb {
	var o volume.Options
	var parents bool
	return eachPath(&verb{
		name:    "volume mkdir",
		args:    "[-p] FILE PATH...",
		summary: "make directories in a volume",
		about:   "Mkdir makes directories in a volume, with mode 0755 and owner 0.",
		flags:   append([]cli.Flag{cli.BoolFlag(&parents, "parents", 'p', "those above too; none is an error if it is there")}, volumeFlags(&o)...),
		examples: `  tailor volume mkdir -p data.img /var/log
`,
	}, &o, func(f volume.FS, p string) error { return f.Mkdir(p, parents) })
}

// eachPath has v call do for each path of a volume that is named.
func eachPath(v *verb, o *volume.Options, do func(f volume.FS, p string) error) *verb {
	v.run = func(_ context.Context, _ *app, args []string) (int, error) {
		if err := want(v.name, v.args, args, 2, 1<<30); err != nil {
			return 0, err
		}
		o.Write = true
		open, err := volume.Open(args[0], *o)
		if err != nil {
			return 0, err
		}
		for _, p := range args[1:] {
			if err = volumeError(args[0], do(open.FS, inVolume(p))); err != nil {
				break
			}
		}
		return exitOK, errors.Join(err, open.Close())
	}
	return v
}
