// Package volume looks into volumes of every kind, makes them and changes them,
// while no virtual machine uses them: what is behind the verb tailor volume.
package volume

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/block/crypt"
	"github.com/tailor-os/tailor/block/crypt/gocrypto"
	"github.com/tailor-os/tailor/block/part"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/volfile"
	"github.com/tailor-os/tailor/volume/ext4"
	"github.com/tailor-os/tailor/volume/tarfs"
)

// A Kind is what the first sectors of a device say that it holds.
type Kind string

// The kinds of volumes.
const (
	Tar        Kind = "tar"
	Ext4       Kind = "ext4"
	Encrypted  Kind = "luks"
	Partitions Kind = "partitions"
	Blank      Kind = "blank" // nothing but zeros where others have something
	Unknown    Kind = "unknown"
)

// headLen is how many bytes of a device say what it holds.
const headLen = 4096

// Detect finds out what is on d. The error is the device's.
func Detect(d block.Device) (Kind, error) {
	head := make([]byte, min(headLen, d.Size()))
	if err := block.ReadBytes(d, head, 0); err != nil {
		return "", err
	}
	switch {
	case crypt.Is(head):
		return Encrypted, nil
	case tarfs.Is(head):
		return Tar, nil
	case ext4.Is(head):
		return Ext4, nil
	}
	if _, err := part.Read(d); !errors.Is(err, part.ErrNone) {
		return Partitions, nil // a damaged table too
	}
	for _, c := range head {
		if c != 0 {
			return Unknown, nil
		}
	}
	return Blank, nil
}

// Options say how a volume is opened.
type Options struct {
	Write     bool
	KeyFile   string // of an encrypted volume
	Partition int    // of a disk with a partition table; 0 for none
	// Raw leaves an encrypted volume closed, and does not open the file
	// system.
	Raw bool
}

// A Volume is an open volume.
type Volume struct {
	file *volfile.File
	// Dev is what the file system is on: the file, a partition of it, what an
	// encrypted one holds.
	Dev    block.Device
	Kind   Kind // of Dev
	Table  *part.Table
	Header *crypt.Header // of an encrypted volume
	// FS is what is in the volume; its Tree is a Writer if it can be changed.
	FS FS

	tar     *tarfs.FS
	ext4    *ext4.FS
	reports []string // of ext4
}

// Open opens a volume. The caller closes it.
func Open(path string, o Options) (*Volume, error) {
	f, err := volfile.Open(path, !o.Write)
	if err != nil {
		return nil, err
	}
	v := &Volume{file: f, Dev: f}
	if err := v.open(o); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// Close writes what is to be written, and ends the use of the volume.
func (v *Volume) Close() error {
	return errors.Join(v.unmount(), v.file.Close())
}

// unmount ends the use of the file system.
func (v *Volume) unmount() error {
	if u, ok := v.FS.Tree.(interface{ Unmount() error }); ok {
		return u.Unmount()
	}
	return nil
}

// open goes from the file to the file system.
func (v *Volume) open(o Options) (err error) {
	if v.Kind, err = Detect(v.Dev); err != nil {
		return err
	}
	if v.Kind == Partitions {
		if err := v.openPartition(o); err != nil {
			return err
		}
	} else if o.Partition != 0 {
		return noPartitions(o.Partition)
	}
	if v.Kind == Encrypted {
		if err := v.unlock(o); err != nil || o.Raw {
			return err
		}
	} else if o.KeyFile != "" {
		return hint.Errorf("remove --key-file", "it is not encrypted, and no key would change that")
	}
	if o.Raw {
		return nil
	}
	return v.mount(o)
}

func (v *Volume) openPartition(o Options) (err error) {
	if v.Table, err = part.Read(v.Dev); err != nil || o.Partition == 0 && o.Raw {
		return err
	}
	if o.Partition == 0 {
		return hint.Errorf("choose one with --partition N; tailor volume info says more", "%s", isDisk(v.Table, v.Dev))
	}
	if v.Dev, err = v.Table.Open(v.Dev, o.Partition); err != nil {
		return err
	}
	v.Kind, err = Detect(v.Dev)
	return err
}

// unlock opens what an encrypted volume holds.
func (v *Volume) unlock(o Options) (err error) {
	if v.Header, err = crypt.ReadHeader(v.Dev); err != nil || o.Raw && o.KeyFile == "" {
		return err
	}
	key, err := readKey(o.KeyFile)
	if err != nil {
		return err
	}
	d, err := crypt.Open(v.Dev, gocrypto.Crypto, key)
	if errors.Is(err, crypt.ErrKey) {
		return hint.Errorf("all bytes of the file count, a newline at the end too", "the key in %s does not fit", o.KeyFile)
	}
	if err != nil {
		return err
	}
	v.Dev = d
	v.Kind, err = Detect(d)
	return err
}

// maxKey bounds a key, in bytes.
const maxKey = 8 << 10

// readKey returns the bytes of a key file.
func readKey(path string) ([]byte, error) {
	if path == "" {
		return nil, hint.Errorf("give the file that has the key: --key-file F", "it is encrypted")
	}
	key, err := readBounded(path, make([]byte, maxKey+1))
	switch remedy := "make a key with: head -c 64 /dev/urandom > " + path; {
	case errors.Is(err, fs.ErrNotExist):
		return nil, hint.With(fmt.Errorf("key: %w", err), remedy)
	case err != nil:
		return nil, fmt.Errorf("key: %w", err)
	case len(key) == 0:
		return nil, hint.Errorf(remedy, "key: %s is empty", path)
	}
	return key, nil
}

// readBounded reads all of a file of the host, which may be a pipe or a device,
// into b, which has space for one byte more than the file may have. After an
// error b is clear.
func readBounded(path string, b []byte) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return nil, err
	} else if st.IsDir() {
		return nil, hint.Errorf("name a file in it", "%s is a folder", path)
	}
	n, err := io.ReadFull(f, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return b[:n], nil
	}
	clear(b)
	if err == nil {
		err = fmt.Errorf("%s has more than %d bytes", path, len(b)-1)
	}
	return nil, err
}

// mount opens the file system.
func (v *Volume) mount(o Options) error {
	switch v.Kind {
	case Tar:
		if o.Write {
			return hint.Errorf("pack it anew with: tailor volume pack FILE FOLDER", "a tar cannot be changed")
		}
		t, err := tarfs.Open(v.Dev)
		if err != nil {
			return err
		}
		v.tar, v.FS = t, FS{tarTree{t}}
		return nil
	case Ext4:
		return v.mountExt4(o)
	case Blank:
		return hint.Errorf("make a volume with: tailor volume create FILE --size 256M", "there is nothing on it")
	case Partitions, Encrypted:
		return fmt.Errorf("volumes of this kind within another (%s) are not supported", v.Kind)
	}
	return hint.Errorf("volumes are ext4 or tar, encrypted with LUKS or not", "it is of no kind that tailor knows")
}

// Notes says what of a tar is not shown; skipped counts all that is not.
func (v *Volume) Notes() (notes []string, skipped int) {
	if v.tar == nil {
		return nil, 0
	}
	return v.tar.Notes()
}

// Rekey changes the key of the encrypted volume at path.
func Rekey(path, oldFile, newFile string, keepOld bool) error {
	v, err := Open(path, Options{Write: true, Raw: true})
	if err != nil {
		return err
	}
	defer v.file.Close()
	if v.Kind != Encrypted {
		return fmt.Errorf("%s is not encrypted", path)
	}
	old, err := readKey(oldFile)
	if err != nil {
		return err
	}
	key, err := readKey(newFile)
	if err != nil {
		return err
	}
	change := crypt.ChangeKey
	if keepOld {
		change = crypt.AddKey
	}
	err = change(v.Dev, gocrypto.Crypto, old, key, crypt.Iterations(key))
	switch {
	case errors.Is(err, crypt.ErrKey):
		return hint.Errorf("all bytes of the file count, a newline at the end too", "%s: the key in %s does not fit", path, oldFile)
	case errors.Is(err, crypt.ErrFull):
		return hint.Errorf("remove one with: cryptsetup luksRemoveKey", "%s has all the keys that there can be", path)
	}
	return err
}
