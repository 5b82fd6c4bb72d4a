package volume

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/block/crypt"
	"github.com/tailor-os/tailor/block/crypt/gocrypto"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/volfile"
	"github.com/tailor-os/tailor/volume/ext4"
)

// maxLabel is the length of a label, in bytes.
const maxLabel = 16

// CreateOptions say how a volume is made.
type CreateOptions struct {
	Size    int64  // bytes, of the file
	Label   string // up to 16 bytes
	KeyFile string // encrypts it; "" for not
}

// Create makes a file with an empty ext4 file system, encrypted or not. If that
// fails, there is no file.
func Create(path string, o CreateOptions) (err error) {
	least := int64(ext4.MinSize)
	if o.KeyFile != "" {
		least += crypt.MinSize
	}
	switch {
	case o.Size < least:
		return hint.Errorf("give "+cli.FormatSize(uint64(least))+" or more", "a volume of %d bytes is too small", o.Size)
	case o.Size > ext4.MaxSize:
		return hint.Errorf("give 16T or less", "a volume of %d bytes is too large", o.Size)
	case len(o.Label) > maxLabel:
		return fmt.Errorf("the label %q has more than %d bytes", o.Label, maxLabel)
	}
	var key []byte
	if o.KeyFile != "" {
		if key, err = readKey(o.KeyFile); err != nil {
			return err
		}
	}
	f, err := volfile.Create(path, o.Size)
	if err != nil {
		return err
	}
	if err = errors.Join(fill(f, key, o.Label), f.Close()); err != nil {
		os.Remove(path)
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// fill makes the file system on d.
func fill(d block.Device, key []byte, label string) error {
	if key != nil {
		inner, err := crypt.Format(d, gocrypto.Crypto, key, crypt.Iterations(key))
		if err != nil {
			return err
		}
		d = inner
	}
	o := ext4.MkfsOptions{Time: time.Now().UnixNano(), Label: label}
	if _, err := rand.Read(o.UUID[:]); err != nil {
		return err
	}
	o.UUID[6], o.UUID[8] = o.UUID[6]&0x0F|0x40, o.UUID[8]&0x3F|0x80 // RFC 9562, version 4
	return errors.Join(posix(ext4.Mkfs(d, o)), d.Flush())
}
