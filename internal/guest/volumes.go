package guest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
)

// Volumes that mean something to every guest that sees any: the one whose file
// tailor.params has settings, and the device that carries secrets.
const (
	ConfVolume    = "conf"
	SecretsVolume = "secrets"
)

// A kind is what block devices are to a guest: volumes, or disks for the program.
type kind struct {
	device string // type in an image's note
	noun   string
	given  string // how the tool is given one, behind --NOUN NAME=
	needs  string // flag of build for one that the image needs
	any    string // and for any
	sees   string // what an image without it does not see
}

var (
	volumes = kind{"block", "volume", "FILE:/PATH", "--needs", "--volumes", "volumes or secrets"}
	disks   = kind{"disk", "disk", "FILE", "--disk", "--disks", "disks"}
)

// kindOf returns what v is.
func kindOf(v Volume) kind {
	if v.Raw {
		return disks
	}
	return volumes
}

// CheckVolumes refuses volumes and disks that the image would not look at or does not
// know, and to start it without those that it needs.
func CheckVolumes(n image.Note, list []Volume) error {
	return cmp.Or(volumes.check(n, list), disks.check(n, list), checkTwice(list))
}

// wants returns the names of the devices of this kind that an image needs, and whether
// it takes any others.
func (k kind) wants(n image.Note) (needs []string, open bool) {
	for _, d := range n.Devices {
		switch {
		case d.Type != k.device:
		case d.Name == "":
			open = true
		default:
			needs = append(needs, d.Name)
		}
	}
	return needs, open
}

// check does what CheckVolumes does, for one kind. Secrets are for every image that
// sees block devices.
func (k kind) check(n image.Note, list []Volume) error {
	needs, open := k.wants(n)
	is := func(v Volume, name string) bool { return v.Name == name && kindOf(v) == k }
	for _, name := range needs {
		if slices.ContainsFunc(list, func(v Volume) bool { return is(v, name) }) {
			continue
		}
		if name == SecretsVolume && k == volumes {
			return hint.Errorf("give them: --secret NAME=FILE", "the image needs secrets")
		}
		return hint.Errorf("give it: --"+k.noun+" "+name+"="+k.given, "the image needs a %s %q", k.noun, name)
	}
	if open {
		return nil
	}
	for _, v := range list {
		carries := v.Name == SecretsVolume && !v.Raw && sees(n)
		switch {
		case kindOf(v) != k || carries || slices.Contains(needs, v.Name):
		case len(needs) == 0:
			return hint.Errorf("rebuild it with: tailor build "+k.any+" "+n.Source()+", or run the package", "the image was not built to see %s", k.sees)
		case k != volumes || v.Name != ConfVolume:
			return hint.Errorf("rebuild it with: tailor build "+k.needs+" "+strings.Join(append(needs, v.Name), " "+k.needs+" ")+" "+n.Source()+", or with "+k.any+" for any beside those it needs",
				"the image knows no %s %q; those that it was built for are: %s", k.noun, v.Name, strings.Join(needs, ", "))
		}
	}
	return nil
}

// sees reports whether an image has block devices at all.
func sees(n image.Note) bool {
	return slices.ContainsFunc(n.Devices, func(d image.Device) bool { return d.Type == volumes.device || d.Type == disks.device })
}

// checkTwice refuses two devices of one name, or at one place.
func checkTwice(list []Volume) error {
	for i, v := range list {
		if v.Raw && v.Name == SecretsVolume {
			return fmt.Errorf("a disk cannot have the name %q, which the device has that carries secrets", v.Name)
		}
		for _, w := range list[:i] {
			switch {
			case v.Name == w.Name && v.Raw != w.Raw:
				return fmt.Errorf("a volume and a disk have the name %q", v.Name)
			case v.Name == w.Name:
				return fmt.Errorf("two %ss have the name %q", kindOf(v).noun, v.Name)
			case v.Path != "" && v.Path == w.Path:
				return fmt.Errorf("two volumes are to be at %s", v.Path)
			}
		}
	}
	return nil
}
