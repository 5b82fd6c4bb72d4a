package main

import (
	"cmp"
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
	"github.com/tailor-os/tailor/internal/qemu"
	"github.com/tailor-os/tailor/internal/volume"
)

// volumeOptions are the flags of run for what a guest keeps or is told beside its
// image.
type volumeOptions struct {
	volumes    []cli.Volume // and disks
	partitions []cli.Partition
	secrets    []cli.Secret
	keys       []cli.Secret // of volumes
}

func mountFlags(o *volumeOptions) []cli.Flag {
	return []cli.Flag{
		cli.ListFlag(&o.volumes, "volume", 0, "NAME=FILE:/PATH[:ro]", "mount a volume (tailor help volume), or a folder of\nthe host, at PATH; repeatable", cli.ParseVolume),
		cli.ListFlag(&o.volumes, "disk", 0, "NAME=FILE[:ro]", "show a file or device of the host as the block\ndevice /dev/disk/by-id/virtio-NAME (docs/disks.md);\nrepeatable", cli.ParseDisk),
		cli.ListFlag(&o.partitions, "partition", 0, "NAME=N", "the volume or disk NAME is partition N of its file\n(tailor volume info FILE lists them); repeatable", cli.ParsePartition),
		cli.ListFlag(&o.secrets, "secret", 0, "NAME=FILE", "show a file of the host as /run/secrets/NAME, and\nnowhere else; repeatable", cli.ParseSecret),
		cli.ListFlag(&o.keys, "key-file", 0, "NAME=FILE", "key of the encrypted volume or disk NAME: all bytes\nof FILE, which are no file in the guest; repeatable", cli.ParseKey),
	}
}

// any reports whether the guest is to see volumes.
func (o *volumeOptions) any() bool {
	return len(o.volumes)+len(o.partitions)+len(o.secrets)+len(o.keys) > 0
}

// hasSecrets reports whether there is to be a volume of secrets.
func (o *volumeOptions) hasSecrets() bool { return len(o.secrets)+len(o.keys) > 0 }

// blocks reports whether the guest is to mount block devices.
func (o *volumeOptions) blocks() bool {
	files := slices.ContainsFunc(o.volumes, func(v cli.Volume) bool { return !v.IsDisk() && !isDir(v.Source) })
	return files || o.hasSecrets() && !o.disks() // which bring what secrets need
}

// disks reports whether the program is to see block devices.
func (o *volumeOptions) disks() bool { return slices.ContainsFunc(o.volumes, cli.Volume.IsDisk) }

// encrypted reports whether some of them are. Those that need a key have one when
// [volumeOptions.checkKeys] is content.
func (o *volumeOptions) encrypted() bool { return len(o.keys) > 0 }

// configure asks for an image that can mount them.
func (o *volumeOptions) configure(cfg *build.Config) {
	cfg.Shares = cfg.Shares || slices.ContainsFunc(o.volumes, isFolder)
	cfg.Volumes = cfg.Volumes || o.blocks()
	cfg.AnyDisk = cfg.AnyDisk || o.disks()
	cfg.LUKS = cfg.LUKS || o.encrypted()
}

// partition returns which of a disk's partitions a volume is, 0 for all of it.
func (o *volumeOptions) partition(name string) int {
	for _, p := range o.partitions {
		if p.Name == name {
			return p.Number
		}
	}
	return 0
}

// checkFor refuses flags that are each for a volume, if there is no such volume, or
// two are for one.
func (o *volumeOptions) checkFor(flag string, names []string) error {
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("%s: two are for %s", flag, name)
		}
		if !slices.ContainsFunc(o.volumes, func(v cli.Volume) bool { return v.Name == name }) {
			return hint.Errorf("give it: --volume "+name+"=FILE:/PATH, or --disk "+name+"=FILE", "%s %s=...: there is no volume or disk of that name", flag, name)
		}
	}
	return nil
}

// checkKeys refuses an encrypted volume without a key, and a key or partition without
// one, as far as can be seen: what cannot be read yet is for open to say.
func (o *volumeOptions) checkKeys() error {
	var keys, partitions []string
	for _, k := range o.keys {
		keys = append(keys, k.Name)
	}
	for _, p := range o.partitions {
		partitions = append(partitions, p.Name)
	}
	if err := cmp.Or(o.checkFor("--key-file", keys), o.checkFor("--partition", partitions)); err != nil {
		return err
	}
	for _, v := range o.volumes {
		key, number := slices.Contains(keys, v.Name), o.partition(v.Name)
		if isFolder(v) && (key || number != 0) {
			return hint.Errorf("remove --key-file and --partition", "volume %s: %s is a folder, which has no key and no partitions", v.Name, v.Source)
		}
		encrypted, err := volume.IsEncrypted(v.Source, number)
		if err != nil {
			continue
		}
		switch {
		case encrypted && !key && v.IsDisk(): // the program may have a use for it
		case encrypted && !key:
			return hint.Errorf("give its key: --key-file "+v.Name+"=FILE", "volume %s: %s is encrypted", v.Name, v.Source)
		case key && !encrypted:
			return hint.Errorf("make one that is: tailor volume create --encrypt --key-file KEY FILE, or remove --key-file",
				"%s %s: %s is not encrypted, and no key would change that", v.Noun(), v.Name, v.Source)
		}
	}
	return nil
}

// checkLUKS refuses encrypted volumes for an image that cannot open them.
func (o *volumeOptions) checkLUKS(path string, n image.Note) error {
	if !o.encrypted() || slices.Contains(n.Services, "luks") {
		return nil
	}
	return errLacks(path, "what opens encrypted volumes and disks", "--luks", n.Source())
}

// opened is what a guest has of the host's volumes, until it is closed.
type opened struct {
	volumes []guest.Volume
	shares  []guest.Share
	secrets *volume.Secrets // nil for none
	close   func()
}

// open opens, and locks, what the flags name. The first failure of each volume
// goes to log.
func (o *volumeOptions) open(log *cli.Printer) (_ *opened, err error) {
	got := &opened{}
	var disks disks
	got.close = func() {
		disks.close()
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
		if isFolder(v) {
			share, err := folder(v)
			if err != nil {
				return nil, err
			}
			got.shares = append(got.shares, share)
			continue
		}
		f, err := disks.open(v, o)
		if err != nil {
			return nil, err
		}
		f.Report(func(err error) { log.Warnf("%s %s: %v; the guest sees an input/output error", v.Noun(), v.Name, err) })
		got.volumes = append(got.volumes, guest.Volume{Name: v.Name, Disk: f, Path: v.Path, Raw: v.IsDisk(), ReadOnly: v.ReadOnly})
	}
	return got, o.openSecrets(got)
}

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
	got.volumes = append(got.volumes, guest.Volume{Name: guest.SecretsVolume, Disk: got.secrets, ReadOnly: true})
	return nil
}

// isFolder reports whether a volume is a folder of the host.
func isFolder(v cli.Volume) bool { return !v.IsDisk() && isDir(v.Source) }

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

// sources are what is behind volumes by name, for a command that is run by hand.
func (o *volumeOptions) sources() (map[string]qemu.Drive, error) {
	m := map[string]qemu.Drive{}
	for _, v := range o.volumes {
		d := qemu.Drive{Path: v.Source}
		if n := o.partition(v.Name); n != 0 {
			part, file, err := volume.Look(v.Source, n)
			if err != nil {
				return nil, err
			}
			file.Close()
			d.Offset, d.Size = part.Base(), part.Size()
		}
		m[v.Name] = d
	}
	return m, nil
}

// named are the guest's volumes without what is behind them.
func (o *volumeOptions) named() (list []guest.Volume) {
	for _, v := range o.volumes {
		list = append(list, guest.Volume{Name: v.Name, Path: v.Path, Raw: v.IsDisk(), ReadOnly: v.ReadOnly})
	}
	if o.hasSecrets() {
		list = append(list, guest.Volume{Name: guest.SecretsVolume, ReadOnly: true})
	}
	return list
}

// describe says what the guest would see.
func (o *volumeOptions) describe() string {
	var b strings.Builder
	for _, v := range o.volumes {
		b.WriteString(", " + v.Noun() + " " + v.String())
	}
	for _, p := range o.partitions {
		fmt.Fprintf(&b, ", partition %d for %s", p.Number, p.Name)
	}
	for _, s := range o.secrets {
		b.WriteString(", secret " + s.Name)
	}
	for _, k := range o.keys {
		b.WriteString(", key of " + k.Name)
	}
	return b.String()
}
