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

func createVerb() *verb {
	var o volume.CreateOptions
	var size uint64
	var encrypt bool
	return &verb{
		name:    "volume create",
		args:    "--size SIZE [--label NAME] [--encrypt --key-file FILE] FILE",
		summary: "make an empty read-write volume",
		about: `Create makes a file with an empty ext4 file system, which Linux mounts too. It
takes space on the disk only as it is used. With --encrypt it is a LUKS volume,
which cryptsetup opens; the key is all bytes of a file, best random ones.`,
		flags: []cli.Flag{
			cli.ValueFlag(&size, "size", 0, "SIZE", "of the file, such as 256M or 10G", cli.ParseSize),
			cli.StringFlag(&o.Label, "label", 0, "NAME", "of the file system, up to 16 bytes"),
			cli.BoolFlag(&encrypt, "encrypt", 0, "encrypt all that is in it"),
			cli.StringFlag(&o.KeyFile, "key-file", 0, "FILE", "the key, with --encrypt: all bytes of FILE"),
		},
		examples: `  tailor volume create --size 256M data.img
  head -c 64 /dev/urandom > data.key
  tailor volume create --size 1G --encrypt --key-file data.key data.img
`,
		run: func(_ context.Context, a *app, args []string) (int, error) {
			if err := want("volume create", "--size SIZE FILE", args, 1, 1); err != nil {
				return 0, err
			}
			switch {
			case size == 0:
				return 0, hint.Errorf("write: tailor volume create --size 256M "+args[0], "the size of the volume is missing")
			case encrypt && o.KeyFile == "":
				return 0, hint.Errorf("make a key with: head -c 64 /dev/urandom > FILE, and add --key-file FILE", "--encrypt needs a key")
			case !encrypt && o.KeyFile != "":
				return 0, hint.Errorf("add --encrypt, or remove --key-file", "--key-file without --encrypt would leave the volume open to everybody")
			}
			o.Size = int64(size)
			end := a.msg.Progress("making " + args[0])
			defer end()
			return exitOK, volume.Create(args[0], o)
		},
	}
}

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
