package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/hostfs"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/volfile"
	"github.com/tailor-os/tailor/internal/volume"
)

// volumeOptions are the flags of run for what a guest keeps or is told beside its
// image.
type volumeOptions struct {
	volumes []cli.Volume
	secrets []cli.Secret
	keys    []cli.Secret // of volumes
}

func mountFlags(o *volumeOptions) []cli.Flag {
	return []cli.Flag{
		cli.ListFlag(&o.volumes, "volume", 0, "NAME=FILE:/PATH[:ro]", "mount a volume (tailor help volume), or a folder of\nthe host, at PATH; repeatable", cli.ParseVolume),
		cli.ListFlag(&o.secrets, "secret", 0, "NAME=FILE", "show a file of the host as /run/secrets/NAME, and\nnowhere else; repeatable", cli.ParseSecret),
		cli.ListFlag(&o.keys, "key-file", 0, "NAME=FILE", "key of the encrypted volume NAME: all bytes of\nFILE, which are no file in the guest; repeatable", cli.ParseKey),
	}
}

// any reports whether the guest is to see volumes.
func (o *volumeOptions) any() bool { return len(o.volumes)+len(o.secrets)+len(o.keys) > 0 }

// hasSecrets reports whether there is to be a volume of secrets.
func (o *volumeOptions) hasSecrets() bool { return len(o.secrets)+len(o.keys) > 0 }

// blocks reports whether some of them are block devices.
func (o *volumeOptions) blocks() bool {
	files := slices.ContainsFunc(o.volumes, func(v cli.Volume) bool { return !isDir(v.Source) })
	return files || o.hasSecrets()
}

// encrypted reports whether some of them are. Those that need a key have one when
// [volumeOptions.checkKeys] is content.
func (o *volumeOptions) encrypted() bool { return len(o.keys) > 0 }

// configure asks for an image that can mount them.
func (o *volumeOptions) configure(cfg *build.Config) {
	cfg.Shares = cfg.Shares || slices.ContainsFunc(o.volumes, func(v cli.Volume) bool { return isDir(v.Source) })
	cfg.Volumes = cfg.Volumes || o.blocks()
	cfg.LUKS = cfg.LUKS || o.encrypted()
}

// checkKeys refuses an encrypted volume without a key, and a key without one, as far
// as can be seen: what cannot be read yet is for open to say.
func (o *volumeOptions) checkKeys() error {
	for i, k := range o.keys {
		named := func(l cli.Secret) bool { return l.Name == k.Name }
		if slices.ContainsFunc(o.keys[:i], named) {
			return fmt.Errorf("--key-file: two are for the volume %s", k.Name)
		}
		if !slices.ContainsFunc(o.volumes, func(v cli.Volume) bool { return v.Name == k.Name }) {
			return hint.Errorf("give it: --volume "+k.Name+"=FILE:/PATH", "--key-file %s=%s: there is no volume of that name", k.Name, k.File)
		}
	}
	for _, v := range o.volumes {
		encrypted, err := volume.IsEncrypted(v.Source)
		if err != nil {
			continue
		}
		key := slices.ContainsFunc(o.keys, func(k cli.Secret) bool { return k.Name == v.Name })
		switch {
		case encrypted && !key:
			return hint.Errorf("give its key: --key-file "+v.Name+"=FILE", "volume %s: %s is encrypted", v.Name, v.Source)
		case key && !encrypted:
			return hint.Errorf("make one that is: tailor volume create --encrypt --key-file KEY FILE, or remove --key-file",
				"volume %s: %s is not encrypted, and no key would change that", v.Name, v.Source)
		}
	}
	return nil
}

// checkLUKS refuses encrypted volumes for an image that cannot open them.
func (o *volumeOptions) checkLUKS(path string, n image.Note) error {
	if !o.encrypted() || slices.Contains(n.Services, "luks") {
		return nil
	}
	return errLacks(path, "what opens encrypted volumes", "--luks", n.Main)
}

// checkUnix refuses what a plain process cannot have.
func (o *volumeOptions) checkUnix() error {
	if !o.any() {
		return nil
	}
	return hint.Errorf("use -t hvt or -t spt, or give the program the paths of the host's files",
		"--volume, --secret and --key-file: a plain process (target unix) has the host's own files")
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
		f.Report(func(err error) { log.Warnf("volume %s: %v; the guest sees an input/output error", v.Name, err) })
		got.volumes = append(got.volumes, guest.Volume{Name: v.Name, Disk: f, Path: v.Path, ReadOnly: v.ReadOnly})
	}
	return got, o.openSecrets(got)
}

// secretsVolume is the name of the device that carries secrets.
const secretsVolume = "secrets"

func (o *volumeOptions) openSecrets(got *opened) error {
	if !o.hasSecrets() {
		return nil
	}
	files, keys := map[string]string{}, map[string]string{}
	for _, s := range o.secrets {
		if files[s.Name] != "" {
			return errors.New("--secret: two have the name " + s.Name)
		}
		files[s.Name] = s.File
	}
	for _, k := range o.keys {
		keys[k.Name] = k.File
	}
	var err error
	if got.secrets, err = volume.NewSecrets(files, keys); err != nil {
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
	if o.hasSecrets() {
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
	for _, k := range o.keys {
		b.WriteString(", key of " + k.Name)
	}
	return b.String()
}
