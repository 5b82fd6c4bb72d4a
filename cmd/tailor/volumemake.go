package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/volume"
)

func packVerb() *verb {
	return &verb{
		name:    "volume pack",
		args:    "FILE FOLDER",
		summary: "make a read-only volume of a folder",
		about: `Pack makes a tar of what is in FOLDER. Its bytes depend on nothing but names,
contents, permissions and links: owners are 0 and so are times, unless
SOURCE_DATE_EPOCH is set: then files keep their times up to that. A tar that is
at FILE already is replaced; virtual machines that use it keep the old one.`,
		examples: `  tailor volume pack conf.img ./conf/
  tailor run --volume conf=conf.img:/etc/app:ro ./server
`,
		run: func(_ context.Context, a *app, args []string) (int, error) {
			if err := want("volume pack", "FILE FOLDER", args, 2, 2); err != nil {
				return 0, err
			}
			epoch, err := sourceDateEpoch()
			if err != nil {
				return 0, err
			}
			end := a.msg.Progress("packing " + args[1])
			p, err := volume.Pack(args[0], args[1], epoch)
			end()
			if err != nil {
				return 0, err
			}
			for _, s := range p.Skipped {
				a.msg.Warnf("%s was left out: it is not a file, folder or link", s)
			}
			_, err = fmt.Fprintf(a.stdout, "%s: %d files, %d bytes\n", args[0], p.Files, p.Bytes)
			return exitOK, err
		},
	}
}

// sourceDateEpoch returns the time that the environment says files are not to
// be later than, the zero Time if it says none.
func sourceDateEpoch() (time.Time, error) {
	s := os.Getenv("SOURCE_DATE_EPOCH")
	if s == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, hint.Errorf("set it to seconds since 1970, or unset it", "SOURCE_DATE_EPOCH=%s is not a time", s)
	}
	return time.Unix(n, 0), nil
}

func rekeyVerb() *verb {
	var o volume.Options
	var fresh string
	var keep bool
	return &verb{
		name:    "volume rekey",
		args:    "--key-file OLD --new-key-file NEW FILE",
		summary: "change the key of an encrypted volume",
		about: `Rekey changes the key that opens an encrypted volume. Its data stays as it is:
whoever has both the old key and an old copy of the volume's first two MiB can
still read it.`,
		flags: []cli.Flag{
			cli.StringFlag(&o.KeyFile, "key-file", 0, "OLD", "the key that opens it now: all bytes of OLD"),
			cli.StringFlag(&fresh, "new-key-file", 0, "NEW", "the key that is to open it: all bytes of NEW"),
			cli.BoolFlag(&keep, "keep", 0, "keep the old key as well; there can be eight"),
		},
		examples: `  head -c 64 /dev/urandom > new.key
  tailor volume rekey --key-file old.key --new-key-file new.key data.img
`,
		run: func(_ context.Context, a *app, args []string) (int, error) {
			if err := want("volume rekey", "--key-file OLD --new-key-file NEW FILE", args, 1, 1); err != nil {
				return 0, err
			}
			if o.KeyFile == "" || fresh == "" {
				return 0, hint.Errorf("write: tailor volume rekey --key-file OLD --new-key-file NEW "+args[0], "the old or the new key is missing")
			}
			return exitOK, volume.Rekey(args[0], o.KeyFile, fresh, keep)
		},
	}
}
