//go:build tailoros

package volumes

import (
	"errors"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/boot/event"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/libos/extfs"
	"github.com/tailor-os/tailor/libos/tarmount"
)

// mount opens the file system on a device, whichever it is. unlock returns what is
// in the device if that is encrypted; nil: it is in an encrypted one itself.
func mount(d block.Device, readOnly bool, unlock func() (block.Device, error)) (libos.FileSystem, error) {
	head := make([]byte, 4096)
	if err := d.ReadAt(head[:min(int64(len(head)), d.Size())], 0); err != nil {
		return nil, err
	}
	switch {
	case head[1024+56] == 0x53 && head[1024+57] == 0xef: // the superblock's magic
		fs, err := extfs.Open(d, extfs.Options{ReadOnly: readOnly, Fixed: event.Fixed, Report: report})
		if err != nil {
			return nil, damaged(err)
		}
		return fs, nil
	case string(head[257:262]) == "ustar" || isOldTar(head):
		if !readOnly {
			return nil, errors.New("a tar can only be read: mount it with :ro")
		}
		fs, err := tarmount.Open(d, event.Fixed)
		if err != nil {
			return nil, damaged(err)
		}
		return fs, nil
	case string(head[:6]) == "LUKS\xba\xbe" && unlock != nil:
		inner, err := unlock()
		if err != nil {
			return nil, err
		}
		return mount(inner, readOnly, nil)
	}
	return nil, errors.New("it holds no file system that is known here (ext4 or tar, encrypted with LUKS or not)")
}

// damaged says where to look for more about what is wrong with a volume.
func damaged(err error) error { return errors.New(err.Error() + "; see: tailor volume check") }

// report says what of a volume no system call can.
func report(text string) { println("tailor: volume:", text) }

// isOldTar reports whether the first block is a header of the tar of Unix V7:
// its checksum, in octal, is the sum of its bytes with the checksum as spaces.
func isOldTar(b []byte) bool {
	sum, want := 0, 0
	for i, c := range b[:512] {
		switch {
		case i < 148 || i >= 156:
			sum += int(c)
		default:
			sum += ' '
			if c >= '0' && c <= '7' {
				want = want*8 + int(c-'0')
			}
		}
	}
	return b[0] != 0 && sum == want
}
