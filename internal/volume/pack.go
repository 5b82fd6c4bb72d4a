package volume

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/volfile"
)

// Packed says what Pack has done.
type Packed struct {
	Files   int      // folders and links included
	Bytes   int64    // of the volume
	Skipped []string // sockets, pipes and devices
}

// Pack makes a read-only volume of a folder: a tar whose bytes depend on
// nothing but the names, contents, permissions (of 0777) and links in it. Owners
// are 0, and times too unless epoch is set, which files are not later than (see
// SOURCE_DATE_EPOCH). A tar that is at path already is replaced at once; what
// has it open keeps the old one.
func Pack(path, folder string, epoch time.Time) (p Packed, err error) {
	if err := replaceable(path); err != nil {
		return p, err
	}
	if st, err := os.Stat(folder); err != nil {
		return p, err
	} else if !st.IsDir() {
		return p, hint.Errorf("name the folder that it is in", "%s is not a folder", folder)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*.tmp")
	if err != nil {
		return p, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	buf := bufio.NewWriterSize(f, 1<<20)
	k := packer{w: tar.NewWriter(buf), root: folder, epoch: epoch, out: f}
	err = filepath.WalkDir(folder, k.add)
	if err == nil {
		err = errors.Join(k.w.Close(), buf.Flush(), f.Chmod(0o644), f.Sync())
	}
	if err == nil {
		k.Bytes, err = f.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return k.Packed, err
}

// replaceable refuses to replace what is no tar.
func replaceable(path string) error {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	v, err := volfile.Open(path, true)
	if err != nil {
		return err
	}
	defer v.Close()
	if kind, err := Detect(v); err != nil || kind != Tar {
		return errors.Join(err, hint.Errorf("choose another name, or remove it first", "%s is there already, and is no tar", path))
	}
	return nil
}

// A packer writes one archive.
type packer struct {
	Packed
	w     *tar.Writer
	root  string
	epoch time.Time
	out   *os.File // not to be packed itself
}

// add is called by filepath.WalkDir, in the order of names.
func (k *packer) add(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	if st, err := k.out.Stat(); err != nil || os.SameFile(info, st) {
		return err
	}
	name, err := filepath.Rel(k.root, path)
	if err != nil {
		return err
	}
	h := &tar.Header{Format: tar.FormatPAX, Name: filepath.ToSlash(name), Mode: int64(info.Mode().Perm()), ModTime: k.time(info)}
	switch info.Mode().Type() {
	case 0:
		return k.file(path, h)
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	case fs.ModeSymlink:
		h.Typeflag, h.Mode = tar.TypeSymlink, 0o777
		if h.Linkname, err = os.Readlink(path); err != nil {
			return err
		}
	default:
		k.Skipped = append(k.Skipped, path)
		return nil
	}
	k.Files++
	return k.w.WriteHeader(h)
}

func (k *packer) time(info fs.FileInfo) time.Time {
	if k.epoch.IsZero() {
		return time.Unix(0, 0)
	}
	if t := info.ModTime().Truncate(time.Second); t.Before(k.epoch) {
		return t
	}
	return k.epoch
}

// file packs a regular file, which must not change meanwhile.
func (k *packer) file(path string, h *tar.Header) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, st.Size()
	if err := k.w.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(k.w, f)
	if errors.Is(err, tar.ErrWriteTooLong) || err == nil && n < h.Size {
		return fmt.Errorf("%s has changed while it was packed", path)
	}
	k.Files++
	return err
}
