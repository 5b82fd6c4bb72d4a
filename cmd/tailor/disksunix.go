package main

import (
	"path/filepath"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
)

// checkUnix refuses what a plain process cannot have: all but disks, which it opens
// itself, as they are.
func (o *volumeOptions) checkUnix() error {
	for _, v := range o.volumes {
		if !v.IsDisk() {
			return errFilesUnix()
		}
	}
	switch {
	case len(o.secrets) > 0 || len(o.volumes) == 0 && o.any():
		return errFilesUnix()
	case len(o.partitions)+len(o.keys) > 0:
		return hint.Errorf("use -t hvt or -t spt, or give the process a device that has it: losetup -P, cryptsetup open",
			"--partition and --key-file: a plain process (target unix) opens the file of a disk as it is")
	}
	return guest.CheckVolumes(image.Note{Devices: []image.Device{{Type: "disk"}}}, o.named())
}

func errFilesUnix() error {
	return hint.Errorf("use -t hvt or -t spt, or give the program the paths of the host's files",
		"--volume and what belongs to it, and --secret: a plain process (target unix) has the host's own files")
}

// unixDisks are the boot parameters by which a plain process finds its disks. They are
// looked at now, so that what is wrong with one is said before the program begins.
func (o *volumeOptions) unixDisks() (words []string, err error) {
	var disks disks
	defer disks.close()
	for _, v := range o.volumes {
		if _, err := disks.open(v, o); err != nil {
			return nil, err
		}
		word, err := unixDisk(v)
		if err != nil {
			return nil, err
		}
		words = append(words, word)
	}
	return words, nil
}

func unixDisk(v cli.Volume) (string, error) {
	path, err := filepath.Abs(v.Source)
	if err != nil {
		return "", err
	}
	word := "disk=" + v.Name + ":" + guest.EscapeParam(path)
	if v.ReadOnly {
		word += ":ro"
	}
	return word, nil
}
