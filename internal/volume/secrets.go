package volume

import (
	"archive/tar"
	"fmt"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/block"
)

// Folders of the tar that secrets travel in: what the program finds in
// /run/secrets, and the keys of encrypted volumes, which it does not see.
const (
	SecretsDir = "secrets"
	KeysDir    = "keys"
)

// Bounds of secrets, in bytes.
const (
	maxSecret  = 1 << 20
	maxSecrets = 16 << 20
)

// Secrets is a read-only volume that exists in memory alone: a tar of files that
// are to be neither in an argument list, nor in an image, nor on a disk. It is a
// block.Device; Wipe ends its use.
type Secrets struct{ data []byte }

// NewSecrets reads files of the host: secrets and keys by the names that they are
// to have.
func NewSecrets(secrets, keys map[string]string) (_ *Secrets, err error) {
	var b wiped
	defer func() {
		if err != nil {
			clear(b)
		}
	}()
	file := make([]byte, maxSecret+1)
	defer clear(file)
	w := tar.NewWriter(&b)
	for _, part := range []struct {
		dir, flag string
		files     map[string]string
	}{{SecretsDir, "--secret", secrets}, {KeysDir, "--key-file", keys}} {
		if len(part.files) == 0 {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: part.dir + "/", Mode: 0o500}); err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(part.files)) {
			// It may be a pipe: --secret key=<(pass show key).
			data, err := readBounded(part.files[name], file)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", part.flag, name, err)
			}
			if err := addSecret(w, part.dir+"/"+name, data); err != nil {
				return nil, err
			}
			if len(b) > maxSecrets {
				return nil, fmt.Errorf("the secrets have more than %d bytes together", maxSecrets)
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return &Secrets{b}, nil
}

func addSecret(w *tar.Writer, name string, data []byte) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o400, Size: int64(len(data)), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// wiped is memory that is written to. As it grows, it leaves no copies behind.
type wiped []byte

// Write implements io.Writer.
func (w *wiped) Write(p []byte) (int, error) {
	if old := *w; len(old)+len(p) > cap(old) {
		*w = append(make(wiped, 0, 2*cap(old)+len(p)), old...)
		clear(old)
	}
	*w = append(*w, p...)
	return len(p), nil
}

// Wipe overwrites the secrets, as far as they are in memory of s.
func (s *Secrets) Wipe() { clear(s.data) }

// Memfd returns the volume as a file that is nowhere on a disk and that nobody can
// change, for a hypervisor that is another process.
func (s *Secrets) Memfd() (*os.File, error) {
	fd, err := unix.MemfdCreate("secrets", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memory for secrets: %w", err)
	}
	f := os.NewFile(uintptr(fd), "secrets")
	if _, err = f.Write(s.data); err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("memory for secrets: %w", err)
	}
	return f, nil
}

// Size implements block.Device.
func (s *Secrets) Size() int64 { return int64(len(s.data)) }

// SectorSize implements block.Device.
func (s *Secrets) SectorSize() int { return 512 }

// ReadOnly implements block.Device.
func (s *Secrets) ReadOnly() bool { return true }

// ReadAt implements block.Device.
func (s *Secrets) ReadAt(p []byte, off int64) error {
	if err := block.Check(s, off, int64(len(p))); err != nil {
		return err
	}
	copy(p, s.data[off:])
	return nil
}

// ReadNow is ReadAt: memory never waits.
func (s *Secrets) ReadNow(p []byte, off int64) bool { return s.ReadAt(p, off) == nil }

// WriteAt implements block.Device.
func (s *Secrets) WriteAt([]byte, int64) error { return block.ErrReadOnly }

// Flush implements block.Device.
func (s *Secrets) Flush() error { return block.ErrReadOnly }

// Discard implements block.Device.
func (s *Secrets) Discard(int64, int64) error { return block.ErrReadOnly }
