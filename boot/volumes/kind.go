//go:build tailoros

package volumes

import (
	"errors"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/boot/event"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/libos/extfs"
	"github.com/tailor-os/tailor/libos/tarmount"
	"github.com/tailor-os/tailor/volume/ext4"
	"github.com/tailor-os/tailor/volume/tarfs"
)

// mount opens the file system on a device, whichever it is: what the tool takes it
// for (internal/volume). unlock returns what is
// in the device if that is encrypted; nil: it is in an encrypted one itself.
func mount(d block.Device, readOnly bool, unlock func() (block.Device, error)) (libos.FileSystem, error) {
	head := make([]byte, 4096)
	if err := d.ReadAt(head[:min(int64(len(head)), d.Size())], 0); err != nil {
		return nil, err
	}
	switch {
	case string(head[:6]) == "LUKS\xba\xbe" && unlock != nil: // not crypt.Is, for images without it
		inner, err := unlock()
		if err != nil {
			return nil, err
		}
		return mount(inner, readOnly, nil)
	case tarfs.Is(head):
		if !readOnly {
			return nil, errors.New("a tar can only be read: mount it with :ro")
		}
		fs, err := tarmount.Open(d, event.Fixed)
		if err != nil {
			return nil, damaged(err)
		}
		return fs, nil
	case ext4.Is(head):
		fs, err := extfs.Open(d, extfs.Options{ReadOnly: readOnly, Fixed: event.Fixed, Report: report})
		if err != nil {
			return nil, damaged(err)
		}
		return fs, nil
	}
	return nil, errors.New("it holds no file system that is known here (ext4 or tar, encrypted with LUKS or not)")
}

// damaged says where to look for more about what is wrong with a volume.
func damaged(err error) error { return errors.New(err.Error() + "; see: tailor volume check") }

// report says what of a volume no system call can.
func report(text string) { println("tailor: volume:", text) }
