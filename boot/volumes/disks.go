//go:build tailoros

package volumes

import (
	"errors"
	"slices"

	"github.com/tailor-os/tailor/boot/event"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/libos/blockfile"
	"github.com/tailor-os/tailor/params"
)

// diskPath begins the path of a disk, which ends with its name: udev makes links of
// these names for the same devices (60-persistent-storage.rules).
const diskPath = "/dev/disk/by-id/virtio-"

// maxDisks bounds the disks of a guest, which has fewer queues than that.
const maxDisks = 256

// startDisks shows the disks of the boot parameters.
func startDisks(devs *devices, secrets vault, opener Opener) error {
	for i, value := range libos.BootParams().All("disk") {
		name, path, readOnly, ok := params.ParseDisk(value)
		switch {
		case !ok || i >= maxDisks:
			return errors.New("disk=" + value + " is not of the form NAME[:ro], or one too many")
		case slices.Contains([]byte(name), '/'):
			return errors.New("disk " + name + " cannot be the name of a file")
		case path != "":
			return errors.New("disk=" + value + ": only a plain process has the files of the host")
		}
		if err := showDisk(devs, secrets, opener, name, readOnly, uint8(i)); err != nil {
			return errors.New("disk " + name + ": " + err.Error())
		}
	}
	return nil
}

// showDisk shows the nth disk.
func showDisk(devs *devices, secrets vault, opener Opener, name string, readOnly bool, n uint8) error {
	d, err := devs.find(name, readOnly)
	if err == nil && secrets.hasKey(name) {
		d, err = secrets.unlock(d, name, opener)
	}
	if err != nil {
		return err
	}
	if errno := libos.MakeBlockDevice(diskPath+name, n, blockfile.New(d, event.Fixed).Open); errno != 0 {
		return errors.New("cannot be shown as " + diskPath + name + ": " + failed(errno).Error())
	}
	return nil
}
