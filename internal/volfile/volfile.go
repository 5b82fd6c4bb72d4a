// Package volfile opens files and block devices of the host as block devices for
// guests and for the tool.
//
// A volume is locked while it is open, with flock(2): exclusively for writing,
// shared for reading. So one that a guest writes to cannot be attached twice, or
// changed by the tool beneath it. The lock is gone when the process is, however
// it ends.
//
// Files are read and written through the host's page cache, not with O_DIRECT:
// docs/volumes.md has the figures. What was flushed is on the disk in any case
// (fdatasync).
package volfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/internal/hint"
)

// sectorSize is that of files, in bytes.
const sectorSize = 512

// A File is an open volume. It implements block.Device, so several goroutines
// may use it at once, but not during and after Close.
type File struct {
	f        *os.File
	fd       int   // of f
	base     int64 // where it begins in f, in bytes
	size     int64
	sector   int
	readOnly bool
	device   bool // a block device

	once   sync.Once // guards report
	report func(error)
}

// Report has f called with the first request that fails because of the medium: a
// guest is told no more than that one did. It is to be called before any request.
func (v *File) Report(f func(error)) { v.report = f }

// Open opens and locks the volume in a file or block device. The error says what
// is wrong with it, and for one that is in use by whom.
func Open(path string, readOnly bool) (*File, error) { return openFile(path, readOnly, true) }

// Look opens a volume to read what it is, without a lock: it may change meanwhile.
func Look(path string) (*File, error) { return openFile(path, true, false) }

func openFile(path string, readOnly, lock bool) (*File, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.Errorf("make one with: tailor volume create "+path+" --size 256M", "there is no volume %s", path)
	}
	if err != nil {
		return nil, err
	}
	flags := os.O_RDWR
	if readOnly {
		flags = os.O_RDONLY
	}
	device := st.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice
	switch {
	case st.IsDir():
		return nil, hint.Errorf("pack it with: tailor volume pack FILE "+path, "%s is a folder, not a volume", path)
	case !device && !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a file nor a block device", path)
	case device && !readOnly:
		flags |= os.O_EXCL // refused while it is mounted
	}
	f, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, hint.Errorf("unmount it, or attach it read-only", "%s is in use by this system: it is mounted, or part of another device", path)
	}
	if errors.Is(err, fs.ErrPermission) && !readOnly {
		return nil, hint.Errorf("attach it read-only, or change its permissions", "%s cannot be written to: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	v := &File{f: f, sector: sectorSize, readOnly: readOnly}
	if lock {
		err = v.lock()
	}
	if err == nil {
		err = v.prepare(device)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return v, nil
}

// Create makes a file of size bytes, whole sectors, of which nothing is
// allocated yet, and opens it for writing. It fails if path is there already.
func Create(path string, size int64) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, hint.Errorf("choose another name, or remove it first", "%s is there already", path)
	}
	if err != nil {
		return nil, err
	}
	v := &File{f: f, sector: sectorSize}
	if err = f.Truncate(size); err == nil {
		err = v.lock()
	}
	if err == nil {
		err = v.prepare(false)
	}
	if err != nil {
		f.Close()
		os.Remove(path)
		if errors.Is(err, unix.EFBIG) {
			err = hint.With(err, "give a smaller size, or another place: the file system here has no files of that size")
		}
		return nil, err
	}
	return v, nil
}

// prepare finds out the size of the file.
func (v *File) prepare(device bool) error {
	v.device, v.fd = device, int(v.f.Fd())
	size, err := v.f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if device {
		if v.sector, err = unix.IoctlGetInt(int(v.f.Fd()), unix.BLKSSZGET); err != nil {
			return fmt.Errorf("%s: size of a sector: %w", v.f.Name(), err)
		}
	}
	v.size = size
	switch {
	case size == 0:
		return hint.Errorf("make a volume with: tailor volume create FILE --size 256M, or tailor volume pack FILE FOLDER", "%s is empty, not a volume", v.f.Name())
	case size%int64(v.sector) != 0:
		return hint.Errorf("if nothing is missing at its end: truncate -s %"+fmt.Sprint(v.sector)+" "+v.f.Name(),
			"%s has %d bytes, which is not a number of whole sectors of %d", v.f.Name(), size, v.sector)
	}
	return nil
}

// Part returns the n bytes from byte off on, whole sectors, as a volume of its own.
// It ends with v, which is the one to close.
func (v *File) Part(off, n int64, readOnly bool) (*File, error) {
	if err := block.Check(v, off, n); err != nil {
		return nil, err
	}
	return &File{f: v.f, fd: v.fd, base: v.base + off, size: n, sector: v.sector, readOnly: v.readOnly || readOnly, device: v.device}, nil
}

// Base returns where the volume begins in its file, in bytes.
func (v *File) Base() int64 { return v.base }

// Name returns the path that the volume was opened with.
func (v *File) Name() string { return v.f.Name() }

// Dup returns the open file once more, for a hypervisor that is another process.
// The volume stays locked until that is closed, too.
func (v *File) Dup() (*os.File, error) {
	fd, err := unix.FcntlInt(v.f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	return os.NewFile(uintptr(fd), v.f.Name()), nil
}

// Close unlocks the volume. What was not flushed may be lost in a power cut.
func (v *File) Close() error { return v.f.Close() }

// Size implements block.Device.
func (v *File) Size() int64 { return v.size }

// SectorSize implements block.Device.
func (v *File) SectorSize() int { return v.sector }

// ReadOnly implements block.Device.
func (v *File) ReadOnly() bool { return v.readOnly }

// change returns why n bytes at off may not be changed.
func (v *File) change(off, n int64) error {
	if v.readOnly {
		return block.ErrReadOnly
	}
	return block.Check(v, off, n)
}

var errCut = errors.New("the file was cut short while it was in use")

// failed returns err of a request; for the end of a file that someone else has
// made shorter too.
func (v *File) failed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCut
	}
	err = fmt.Errorf("%w: %s: %w", block.ErrIO, v.f.Name(), err)
	if v.report != nil {
		v.once.Do(func() { v.report(err) })
	}
	return err
}

// ReadAt implements block.Device.
func (v *File) ReadAt(p []byte, off int64) error {
	if err := block.Check(v, off, int64(len(p))); err != nil {
		return err
	}
	if n, err := v.f.ReadAt(p, v.base+off); err != nil && n < len(p) {
		return v.failed(err)
	}
	return nil
}

// ReadNow is ReadAt if the host's page cache has all of it; false if it has not,
// or cannot be asked (Linux 4.6).
func (v *File) ReadNow(p []byte, off int64) bool {
	if len(p) == 0 || block.Check(v, off, int64(len(p))) != nil {
		return false
	}
	return readNow(v.fd, p, v.base+off) == len(p)
}

// WriteAt implements block.Device.
func (v *File) WriteAt(p []byte, off int64) error {
	if err := v.change(off, int64(len(p))); err != nil {
		return err
	}
	if _, err := v.f.WriteAt(p, v.base+off); err != nil {
		return v.failed(err)
	}
	return nil
}

// Flush implements block.Device. It fails if the file has no name any more, since
// what is in it would be gone with the last process that has it open.
func (v *File) Flush() error {
	if err := v.change(0, 0); err != nil {
		return err
	}
	if err := retry(func(fd int) error { return unix.Fdatasync(fd) }, v.f); err != nil {
		return v.failed(err)
	}
	return v.still()
}

// still returns what became of the file, if it is not what was opened any more.
func (v *File) still() error {
	var st unix.Stat_t
	switch {
	case v.device || unix.Fstat(int(v.f.Fd()), &st) != nil:
		return nil
	case st.Nlink == 0:
		return v.failed(errors.New("the file was removed or replaced while it was in use"))
	case st.Size < v.base+v.size:
		return v.failed(errCut)
	}
	return nil
}

// Discard implements block.Device: a file gives the space back to the host
// where its file system can, and has zeros there; a device is told.
func (v *File) Discard(off, n int64) error {
	if err := v.change(off, n); err != nil || n == 0 {
		return err
	}
	err := retry(func(fd int) error {
		if v.device {
			return discard(fd, v.base+off, n)
		}
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, v.base+off, n)
	}, v.f)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		return v.failed(err)
	}
	return nil
}

// retry makes a system call again that a signal has interrupted.
func retry(call func(fd int) error, f *os.File) error {
	for {
		if err := call(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
