package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/volume"
)

type lsOptions struct {
	volume.Options
	long, recursive, json bool
}

func lsVerb() *verb {
	var o lsOptions
	return &verb{
		name:    "volume ls",
		args:    "[-l] [-R] [--json] FILE [PATH]",
		summary: "list what is in a volume",
		about: `Ls lists a directory of a volume, or names a file. Paths begin at the volume's
root; links are followed as they would be with the volume mounted there.`,
		flags: append([]cli.Flag{
			cli.BoolFlag(&o.long, "long", 'l', "mode, owner, group, size, time and target of links"),
			cli.BoolFlag(&o.recursive, "recursive", 'R', "what is in directories too"),
			cli.BoolFlag(&o.json, "json", 0, "print JSON"),
		}, volumeFlags(&o.Options)...),
		examples: `  tailor volume ls data.img
  tailor volume ls -lR conf.img /etc
  tailor volume ls --json data.img | jq '.[].path'
`,
		run: func(_ context.Context, a *app, args []string) (int, error) {
			if err := want("volume ls", "FILE [PATH]", args, 1, 2); err != nil {
				return 0, err
			}
			return exitOK, a.volumeLs(o, args[0], append(args, "/")[1])
		},
	}
}

// A listed file is what ls --json prints.
type listed struct {
	Path   string    `json:"path"`
	Type   string    `json:"type"` // file, dir, link or other
	Mode   string    `json:"mode"` // permissions, octal
	UID    uint32    `json:"uid"`
	GID    uint32    `json:"gid"`
	Links  uint32    `json:"links"`
	Size   int64     `json:"size"`
	Time   time.Time `json:"time"`
	Target string    `json:"target,omitempty"`
	bits   fs.FileMode
}

// modeString is what ls -l shows of f.
func (f listed) modeString() string {
	return map[string]string{"file": "-", "dir": "d", "link": "l"}[f.Type] + f.bits.Perm().String()[1:]
}

func (a *app) volumeLs(o lsOptions, file, at string) error {
	v, err := volume.Open(file, o.Options)
	if err != nil {
		return err
	}
	defer v.Close()
	files, err := list(v.FS.Once(), inVolume(at), o.recursive)
	if err != nil {
		return inFile(file, err)
	}
	a.printNotes(v)
	if o.json {
		return printJSON(a.stdout, files)
	}
	var b strings.Builder
	for _, f := range files {
		if o.long {
			fmt.Fprintf(&b, "%10s %5d %5d %12d %s ", f.modeString(), f.UID, f.GID, f.Size, f.Time.UTC().Format("2006-01-02 15:04:05"))
		}
		b.WriteString(cli.Printable(f.Path))
		if o.long && f.Target != "" {
			b.WriteString(" -> " + cli.Printable(f.Target))
		}
		b.WriteByte('\n')
	}
	_, err = io.WriteString(a.stdout, b.String())
	return err
}

// inFile says in which volume something was asked for that is not there.
func inFile(file string, err error) error {
	return hint.With(fmt.Errorf("%s: %w", file, err), "see what there is: tailor volume ls -R "+file)
}

// list returns what is at a path: the entries of a directory, or the file.
func list(fsys volume.FS, at string, recursive bool) (files []listed, err error) {
	i, err := fsys.Stat(at)
	if err != nil {
		return nil, err
	}
	if !i.IsDir() {
		f, err := describe(fsys, at, at)
		return []listed{f}, err
	}
	// A link to a directory is listed as the directory.
	entries, err := fsys.ReadDir(at)
	if err != nil {
		return nil, err
	}
	files = []listed{}
	for _, e := range entries {
		full := path.Join(at, e.Name())
		f, err := describe(fsys, full, e.Name())
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		if !recursive || !e.IsDir() {
			continue
		}
		below, err := list(fsys, full, true)
		if err != nil {
			return nil, err
		}
		for _, f := range below {
			f.Path = e.Name() + "/" + f.Path
			files = append(files, f)
		}
	}
	return files, nil
}

func describe(fsys volume.FS, full, name string) (listed, error) {
	i, err := fsys.Lstat(full)
	if err != nil {
		return listed{}, err
	}
	attr, _ := i.Sys().(volume.Attr)
	f := listed{
		Path: name, Type: typeName(i.Mode()), Mode: fmt.Sprintf("%04o", i.Mode().Perm()),
		UID: attr.UID, GID: attr.GID, Links: attr.Links, Size: i.Size(), Time: i.ModTime().UTC(), bits: i.Mode(),
	}
	if i.Mode().Type() == fs.ModeSymlink {
		f.Target, err = fsys.ReadLink(full)
	}
	return f, err
}

func typeName(m fs.FileMode) string {
	switch m.Type() {
	case 0:
		return "file"
	case fs.ModeDir:
		return "dir"
	case fs.ModeSymlink:
		return "link"
	}
	return "other"
}

func catVerb() *verb {
	var o volume.Options
	return &verb{
		name:    "volume cat",
		args:    "FILE PATH",
		summary: "print a file of a volume",
		about:   "Cat writes the contents of a file in a volume to standard output.",
		flags:   volumeFlags(&o),
		examples: `  tailor volume cat conf.img /etc/app.json
`,
		run: func(_ context.Context, a *app, args []string) (int, error) {
			if err := want("volume cat", "FILE PATH", args, 2, 2); err != nil {
				return 0, err
			}
			v, err := volume.Open(args[0], o)
			if err != nil {
				return 0, err
			}
			defer v.Close()
			f, err := v.FS.Open(inVolume(args[1]))
			if err != nil {
				return 0, inFile(args[0], err)
			}
			if i, _ := f.Stat(); !i.Mode().IsRegular() {
				return 0, hint.Errorf("see what is in it: tailor volume ls "+args[0]+" "+args[1], "%s: %s is not a file", args[0], args[1])
			}
			_, err = io.Copy(a.stdout, f)
			return exitOK, err
		},
	}
}

func infoVerb() *verb {
	var o volume.Options
	var asJSON bool
	return &verb{
		name:    "volume info",
		args:    "[--json] FILE",
		summary: "show what a volume is",
		about: `Info shows the kind and size of a volume, its partitions and keys, and what of
an archive is left out. An encrypted volume is opened only with --key-file.`,
		flags: append([]cli.Flag{cli.BoolFlag(&asJSON, "json", 0, "print JSON")}, volumeFlags(&o)...),
		examples: `  tailor volume info data.img
  tailor volume info --json disk.img
`,
		run: func(_ context.Context, a *app, args []string) (int, error) {
			if err := want("volume info", "FILE", args, 1, 1); err != nil {
				return 0, err
			}
			r, err := volume.Describe(args[0], o)
			if err != nil {
				return 0, err
			}
			return exitOK, a.printReport(r, asJSON)
		},
	}
}

func checkVerb() *verb {
	var o volume.Options
	var asJSON bool
	return &verb{
		name:    "volume check",
		args:    "[--json] FILE",
		summary: "look for damage in a volume",
		about: `Check reads a volume and says what is damaged. It changes nothing. Exit code 1:
something is damaged.`,
		flags: append([]cli.Flag{cli.BoolFlag(&asJSON, "json", 0, "print JSON")}, volumeFlags(&o)...),
		examples: `  tailor volume check data.img && tailor run --volume data=data.img:/data ./server
`,
		run: func(_ context.Context, a *app, args []string) (int, error) {
			if err := want("volume check", "FILE", args, 1, 1); err != nil {
				return 0, err
			}
			end := a.msg.Progress("checking " + args[0])
			r, err := volume.Check(args[0], o)
			end()
			if err != nil {
				return 0, err
			}
			if err := a.printReport(r, asJSON); err != nil {
				return 0, err
			}
			if len(r.Problems) > 0 {
				return exitDamaged, nil
			}
			return exitOK, nil
		},
	}
}

// printReport prints what info and check found.
func (a *app) printReport(r *volume.Report, asJSON bool) error {
	if asJSON {
		return printJSON(a.stdout, r)
	}
	var b strings.Builder
	line := func(name, format string, args ...any) {
		b.WriteString(cli.Printable(fmt.Sprintf("%-11s "+format, append([]any{name}, args...)...)) + "\n")
	}
	line("volume", "%s", r.Path)
	line("kind", "%s", r.Kind)
	line("size", "%s (%d bytes)", cli.FormatSize(uint64(r.Bytes)), r.Bytes)
	if e := r.Encryption; e != nil {
		line("encrypted", "%s, %s, keys in slots %v, %s", e.Format, e.Cipher, e.Keys, e.UUID)
	}
	if r.Label != "" {
		line("label", "%s", r.Label)
	}
	if r.UUID != "" {
		line("uuid", "%s", r.UUID)
	}
	if r.Files > 0 {
		line("files", "%d", r.Files)
	}
	if r.Kind == volume.Ext4 {
		line("space", "%d bytes, %d free", r.Capacity, r.Free)
	}
	if t := r.Table; t != nil {
		line("table", "%s %s", t.Scheme, t.ID)
		for _, p := range t.Partitions {
			line("partition", "%d: %s, %s at byte %d, type %s %s", p.Number, p.Kind, cli.FormatSize(uint64(p.Bytes)), p.Start, p.Type, p.Name)
		}
	}
	for _, n := range r.Notes {
		line("left out", "%s", n)
	}
	for _, p := range r.Problems {
		line("damaged", "%s", p)
	}
	_, err := io.WriteString(a.stdout, b.String())
	return err
}
