package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/hostfs"
	"github.com/tailor-os/tailor/internal/volfile"
	"github.com/tailor-os/tailor/internal/volume"
)

// volumeOptions are the flags of run for what a guest keeps or is told beside its
// image.
type volumeOptions struct {
	volumes []cli.Volume
	secrets []cli.Secret
}

func mountFlags(o *volumeOptions) []cli.Flag {
	return []cli.Flag{
		cli.ListFlag(&o.volumes, "volume", 0, "NAME=FILE:/PATH[:ro]", "mount a volume (tailor help volume), or a folder of\nthe host, at PATH; repeatable", cli.ParseVolume),
		cli.ListFlag(&o.secrets, "secret", 0, "NAME=FILE", "show a file of the host as /run/secrets/NAME, and\nnowhere else; repeatable", cli.ParseSecret),
	}
}

// any reports whether the guest is to see volumes.
func (o *volumeOptions) any() bool { return len(o.volumes)+len(o.secrets) > 0 }

// blocks reports whether some of them are block devices.
func (o *volumeOptions) blocks() bool {
	files := slices.ContainsFunc(o.volumes, func(v cli.Volume) bool { return !isDir(v.Source) })
	return files || len(o.secrets) > 0
}

// configure asks for an image that can mount them.
func (o *volumeOptions) configure(cfg *build.Config) {
	cfg.Shares = cfg.Shares || slices.ContainsFunc(o.volumes, func(v cli.Volume) bool { return isDir(v.Source) })
	cfg.Volumes = cfg.Volumes || o.blocks()
}

// checkUnix refuses what a plain process cannot have.
func (o *volumeOptions) checkUnix() error {
	if !o.any() {
		return nil
	}
	return hint.Errorf("use -t hvt or -t spt, or give the program the paths of the host's files",
		"--volume and --secret: a plain process (target unix) has the host's own files")
}

// opened is what a guest has of the host's volumes, until it is closed.
type opened struct {
	volumes []guest.Volume
	shares  []guest.Share
	secrets *volume.Secrets // nil for none
	close   func()
}

// open opens, and locks, what the flags name. The first failure of each volume's
// file goes to log.
func (o *volumeOptions) open(log *cli.Printer) (_ *opened, err error) {
	got := &opened{}
	var files []*volfile.File
	got.close = func() {
		for _, f := range files {
			f.Close()
		}
		if got.secrets != nil {
			got.secrets.Wipe()
		}
	}
	defer func() {
		if err != nil {
			got.close()
		}
	}()
	for _, v := range o.volumes {
		if isDir(v.Source) {
			share, err := folder(v)
			if err != nil {
				return nil, err
			}
			got.shares = append(got.shares, share)
			continue
		}
		f, err := volfile.Open(v.Source, v.ReadOnly)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		if err := checkPlain(f); err != nil {
			return nil, err
		}
		f.Report(func(err error) { log.Warnf("volume %s: %v; the guest sees an input/output error", v.Name, err) })
		got.volumes = append(got.volumes, guest.Volume{Name: v.Name, Disk: f, Path: v.Path, ReadOnly: v.ReadOnly})
	}
	return got, o.openSecrets(got)
}

// checkPlain refuses what no image can mount yet.
func checkPlain(f *volfile.File) error {
	head := make([]byte, f.SectorSize())
	if err := f.ReadAt(head, 0); err != nil {
		return err
	}
	if !strings.HasPrefix(string(head), "LUKS\xba\xbe") {
		return nil
	}
	return hint.Errorf("copy what is needed: tailor volume cp --key-file KEY "+f.Name()+":/PATH .",
		"%s is encrypted, and encrypted volumes cannot be mounted yet", f.Name())
}

// secretsVolume is the name of the device that carries secrets.
const secretsVolume = "secrets"

func (o *volumeOptions) openSecrets(got *opened) error {
	if len(o.secrets) == 0 {
		return nil
	}
	files := map[string]string{}
	for _, s := range o.secrets {
		if files[s.Name] != "" {
			return errors.New("--secret: two have the name " + s.Name)
		}
		files[s.Name] = s.File
	}
	var err error
	if got.secrets, err = volume.NewSecrets(files, nil); err != nil {
		return err
	}
	got.volumes = append(got.volumes, guest.Volume{Name: secretsVolume, Disk: got.secrets, ReadOnly: true})
	return nil
}

// folder is a folder of the host as the guest sees it.
func folder(v cli.Volume) (guest.Share, error) {
	dir, err := filepath.Abs(v.Source)
	if err != nil {
		return guest.Share{}, err
	}
	mode := hostfs.ReadWrite
	if v.ReadOnly {
		mode = hostfs.ReadOnly
	}
	return guest.Share{Share: hostfs.Share{Dir: dir, Mode: mode}, Path: v.Path}, nil
}

// sources are the files of volumes by name.
func (o *volumeOptions) sources() map[string]string {
	m := map[string]string{}
	for _, v := range o.volumes {
		m[v.Name] = v.Source
	}
	return m
}

// named are the guest's volumes without what is behind them.
func (o *volumeOptions) named() (list []guest.Volume) {
	for _, v := range o.volumes {
		list = append(list, guest.Volume{Name: v.Name, Path: v.Path, ReadOnly: v.ReadOnly})
	}
	if len(o.secrets) > 0 {
		list = append(list, guest.Volume{Name: secretsVolume, ReadOnly: true})
	}
	return list
}

// describe says what the guest would see.
func (o *volumeOptions) describe() string {
	var b strings.Builder
	for _, v := range o.volumes {
		b.WriteString(", volume " + v.String())
	}
	for _, s := range o.secrets {
		b.WriteString(", secret " + s.Name)
	}
	return b.String()
}
