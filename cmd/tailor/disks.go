package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/volfile"
	"github.com/tailor-os/tailor/internal/volume"
)

// disks are files of volumes that are open, each once: a lock keeps out a second time
// in this process too, and a disk may have several volumes.
type disks struct {
	files []*volfile.File
	used  []use
}

// A use is a part of a file that is a volume.
type use struct {
	file   *volfile.File
	part   *volfile.File
	volume cli.Volume
}

func (d *disks) close() {
	for _, f := range d.files {
		f.Close()
	}
}

// open returns what is behind a volume of o.
func (d *disks) open(v cli.Volume, o *volumeOptions) (*volfile.File, error) {
	f, err := d.file(v, o)
	if err != nil {
		return nil, err
	}
	choose := volume.Choose
	if v.IsDisk() && o.partition(v.Name) == 0 { // whatever is on it
		choose = func(f *volfile.File, _ int, readOnly bool) (*volfile.File, error) {
			return f.Part(0, f.Size(), readOnly)
		}
	}
	part, err := choose(f, o.partition(v.Name), v.ReadOnly)
	if err != nil {
		return nil, err
	}
	for _, u := range d.used {
		apart := u.file != f || u.part.Base() >= part.Base()+part.Size() || part.Base() >= u.part.Base()+u.part.Size()
		if !apart && !(u.volume.ReadOnly && v.ReadOnly) {
			return nil, hint.Errorf("attach it once, or add :ro to both", "%s %s and %s %s are both %s", u.volume.Noun(), u.volume.Name, v.Noun(), v.Name, v.Source)
		}
	}
	d.used = append(d.used, use{f, part, v})
	return part, nil
}

// file returns the file of v, open for all the volumes of o that are in it.
func (d *disks) file(v cli.Volume, o *volumeOptions) (*volfile.File, error) {
	for _, u := range d.used {
		if sameFile(u.volume.Source, v.Source) {
			return u.file, nil
		}
	}
	readOnly := true
	for _, w := range o.volumes {
		readOnly = readOnly && (w.ReadOnly || !sameFile(w.Source, v.Source))
	}
	if v.IsDisk() {
		if err := checkDisk(v); err != nil {
			return nil, err
		}
	}
	f, err := volfile.Open(v.Source, readOnly)
	if err == nil {
		d.files = append(d.files, f)
	}
	return f, err
}

// checkDisk says of what is behind a disk that it cannot be one, in the words of disks.
func checkDisk(v cli.Volume) error {
	info, err := os.Stat(v.Source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hint.Errorf("make one with: truncate -s 1G "+v.Source, "disk %s: there is no file %s", v.Name, v.Source)
	case err != nil: // opening it says more
	case info.IsDir():
		return hint.Errorf("give a file or a block device, or mount the folder: --volume "+v.Name+"="+v.Source+":/PATH", "disk %s: %s is a folder", v.Name, v.Source)
	case info.Mode().IsRegular() && info.Size() == 0:
		return hint.Errorf("give it a size: truncate -s 1G "+v.Source, "disk %s: %s is empty", v.Name, v.Source)
	}
	return nil
}
