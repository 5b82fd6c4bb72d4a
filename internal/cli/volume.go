package cli

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/params"
)

// A Volume is what a guest is to find at a path: --volume NAME=SOURCE:/PATH. Or it is
// what the program is to find as a block device: --disk NAME=SOURCE.
type Volume struct {
	Name     string // of the device
	Source   string // a file or block device of the host, or of a volume a folder
	Path     string // in the guest, absolute; "" for a disk
	ReadOnly bool
}

// IsDisk reports whether v is a disk.
func (v Volume) IsDisk() bool { return v.Path == "" }

// Noun is what v is called.
func (v Volume) Noun() string {
	if v.IsDisk() {
		return "disk"
	}
	return "volume"
}

// String writes v the way [ParseVolume] or [ParseDisk] reads it.
func (v Volume) String() string {
	s := v.Name + "=" + v.Source
	switch {
	case !v.IsDisk():
		s += ":" + v.Path
	case !v.ReadOnly:
		return s + ":rw" // the file's name may end in a mode
	}
	if v.ReadOnly {
		s += ":ro"
	}
	return s
}

const diskHint = "write NAME=FILE, such as data=disk.img, or data=disk.img:ro"

// ParseDisk reads NAME=SOURCE[:ro|:rw].
func ParseDisk(s string) (v Volume, err error) {
	name, source, ok := strings.Cut(s, "=")
	if !ok {
		return v, hint.Errorf(diskHint, "not a disk")
	}
	if err := deviceName("disk", name); err != nil {
		return v, err
	}
	v = Volume{Name: name, Source: source}
	if file, ok := strings.CutSuffix(source, ":ro"); ok {
		v.Source, v.ReadOnly = file, true
	} else if file, ok := strings.CutSuffix(source, ":rw"); ok {
		v.Source = file
	}
	if v.Source == "" {
		return v, hint.Errorf(diskHint, "the file of the disk is missing")
	}
	return v, nil
}

const volumeHint = "write NAME=FILE:/PATH, such as data=data.img:/data, or conf=conf.img:/etc/app:ro"

// maxVolumeName is the length of the serial number by which a guest finds a
// block device, in bytes (virtio 1.2, section 5.2.6).
const maxVolumeName = 20

// ParseVolume reads NAME=SOURCE:/PATH[:ro|:rw].
func ParseVolume(s string) (v Volume, err error) {
	name, rest, ok := strings.Cut(s, "=")
	if !ok {
		return v, hint.Errorf(volumeHint, "not a volume")
	}
	if err := deviceName("volume", name); err != nil {
		return v, err
	}
	i := strings.LastIndex(rest, ":/")
	switch {
	case i < 0 && strings.Contains(rest, ":"):
		return v, hint.Errorf(volumeHint, "%q is not an absolute path in the guest", rest[strings.LastIndex(rest, ":")+1:])
	case i < 0:
		return v, hint.Errorf("write "+name+"="+rest+":/PATH", "where it is to be in the guest is missing")
	case i == 0:
		return v, hint.Errorf(volumeHint, "the file of the volume is missing")
	}
	place, mode, hasMode := strings.Cut(rest[i+1:], ":")
	if hasMode && mode != "ro" && mode != "rw" {
		return v, hint.Errorf("write "+name+"="+rest[:i]+":"+place+":ro, or :rw as it is without; a path in the guest has no colon", "unknown mode %q", mode)
	}
	v = Volume{Name: name, Source: rest[:i], Path: path.Clean(place), ReadOnly: mode == "ro"}
	if strings.ContainsFunc(v.Path, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		return v, errors.New("the path in the guest has control characters")
	}
	return v, CheckPlace(v.Path, v.ReadOnly)
}

// CheckPlace refuses a place in the guest, a clean path, at which something would
// take the guest's own away.
func CheckPlace(place string, readOnly bool) error {
	dir, below := params.Own(place, readOnly)
	switch {
	case dir == "":
		return nil
	case below:
		return hint.Errorf("name a place below it, such as "+path.Join(dir, "app"), "%s is the guest's own", dir)
	}
	return hint.Errorf("choose another place, such as /srv", "%s is the guest's own", dir)
}

// ParseVolumeName reads the name of a volume.
func ParseVolumeName(s string) (string, error) { return s, deviceName("volume", s) }

// ParseDiskName reads the name of a disk.
func ParseDiskName(s string) (string, error) { return s, deviceName("disk", s) }

// deviceName checks what a device is called, which is a volume or a disk.
func deviceName(noun, name string) error {
	bad := strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	})
	usage := volumeHint
	if noun == "disk" {
		usage = diskHint
	}
	switch {
	case name == "":
		return hint.Errorf(usage, "the %s has no name", noun)
	case bad || name[0] == '-' || name[0] == '.':
		return fmt.Errorf("%q cannot be the name of a %s: letters, digits, and inside - . _", name, noun)
	case len(name) > maxVolumeName:
		return fmt.Errorf("%q is longer than %d bytes", name, maxVolumeName)
	}
	return nil
}

// A Secret is a file that a guest is to find at /run/secrets/NAME, or the key of the
// volume NAME.
type Secret struct{ Name, File string }

// ParseSecret reads NAME=FILE.
func ParseSecret(s string) (Secret, error) {
	name, file, ok := strings.Cut(s, "=")
	switch {
	case !ok || file == "":
		return Secret{}, hint.Errorf("write NAME=FILE, such as tls.key=./server.key", "the file of the secret is missing")
	case name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "/\x00"):
		return Secret{}, fmt.Errorf("%q cannot be the name of a file", name)
	}
	return Secret{name, file}, nil
}

// A Partition says which partition of a disk the volume Name is.
type Partition struct {
	Name   string
	Number int // from 1 on
}

// ParsePartition reads NAME=N.
func ParsePartition(s string) (Partition, error) {
	name, number, ok := strings.Cut(s, "=")
	if !ok {
		return Partition{}, hint.Errorf("write NAME=N, such as data=2 for the volume data", "the volume or the number is missing")
	}
	n, err := ParsePartitionNumber(number)
	return Partition{name, n}, cmp.Or(deviceName("volume", name), err)
}

// ParsePartitionNumber reads the number of a partition.
func ParsePartitionNumber(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, errors.New("not the number of a partition")
	}
	return n, nil
}

// ParseKey reads NAME=FILE: the name of a volume and the file that its key is in.
func ParseKey(s string) (Secret, error) {
	name, file, ok := strings.Cut(s, "=")
	if !ok || file == "" {
		return Secret{}, hint.Errorf("write NAME=FILE, such as data=data.key for the volume data", "the volume or the file is missing")
	}
	return Secret{name, file}, deviceName("volume", name)
}
