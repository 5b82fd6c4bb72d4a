// Package disk opens raw block devices by name: sectors, with no file system on them.
// A program that imports it finds the disks that it was started with in the same way on
// every target, and in a plain process:
//
//	tailor run --disk data=disk.img ./server
//
//	d, err := disk.Open("data")
//
// In a virtual machine a disk is a virtio block device, elsewhere a file or a block
// device of the host's, which TAILOR_PARAMS names (docs/disks.md). A [Disk] is a
// [block.Device]. A goroutine that waits for one blocks no other.
package disk

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/internal/volfile"
	"github.com/tailor-os/tailor/params"
)

// byID is where udev, and an image's own system, show virtio block devices by their
// serial numbers.
const byID = "/dev/disk/by-id/virtio-"

// variable has the disks of a plain process: words disk=NAME:PATH[:ro].
const variable = "TAILOR_PARAMS"

// A place is where a disk is.
type place struct {
	path     string
	readOnly bool
}

// given returns the disks that a plain process was started with, by their names.
func given() (map[string]place, error) {
	line, err := params.Split(os.Getenv(variable))
	if err != nil {
		return nil, fmt.Errorf("disk: %s: %w", variable, err)
	}
	list := map[string]place{}
	for _, word := range line.System {
		value, ok := strings.CutPrefix(word, "disk=")
		if !ok {
			continue
		}
		name, path, readOnly, ok := params.ParseDisk(value)
		if !ok || path == "" {
			return nil, fmt.Errorf("disk: %s has %s, which is not disk=NAME:PATH[:ro]", variable, word)
		}
		list[name] = place{path, readOnly}
	}
	return list, nil
}

// Names returns the names of the disks that there are, sorted. On a Linux system these
// are its virtio disks that have a serial number, unless the process was given others.
func Names() []string {
	var names []string
	list, _ := given()
	for name := range list {
		names = append(names, name)
	}
	if len(list) == 0 {
		paths, _ := filepath.Glob(byID + "*") // whose pattern is a good one
		for _, p := range paths {
			names = append(names, strings.TrimPrefix(p, byID))
		}
	}
	slices.Sort(names)
	return names
}

// find returns where the disk of a name is.
func find(name string) (place, error) {
	if strings.Contains(name, "/") {
		return place{path: name}, nil
	}
	list, err := given()
	if err != nil {
		return place{}, err
	}
	if p, ok := list[name]; ok {
		return p, nil
	}
	if _, err := os.Stat(byID + name); name == "" || len(list) > 0 || err != nil {
		return place{}, &unknownError{name, Names()}
	}
	return place{path: byID + name}, nil
}

// unknownError says that there is no disk of a name. It is an fs.ErrNotExist.
type unknownError struct {
	name  string
	known []string
}

// Error names the disks that there are.
func (e *unknownError) Error() string {
	if len(e.known) == 0 {
		return fmt.Sprintf("disk: there is no disk %q, and no other: give it with tailor run --disk %s=FILE", e.name, e.name)
	}
	return fmt.Sprintf("disk: there is no disk %q; there are: %s", e.name, strings.Join(e.known, ", "))
}

// Is makes it one of the errors of package io/fs.
func (e *unknownError) Is(target error) bool { return target == fs.ErrNotExist }

// A Disk is an open block device. Its methods, but Close, may be called by any number
// of goroutines at once. Offsets and lengths are multiples of SectorSize; errors are
// those of package block, wrapped: ErrRange for others and beyond the end, ErrReadOnly,
// and ErrIO for what the medium does not do.
type Disk struct {
	file *volfile.File
	name string
}

var _ block.Device = (*Disk)(nil)

// Open opens the disk of a name to read and write it, or only to read one that was
// given so. A name with a slash in it is a path instead. The disk is locked, with
// flock(2), until it is closed: one that can be written to is open once, in all of the
// system, and one that is only read any number of times. The error for a name that is
// not known lists those that are, and is an fs.ErrNotExist.
func Open(name string) (*Disk, error) { return open(name, false) }

// OpenReadOnly is Open for reading only, which others can do at the same time.
func OpenReadOnly(name string) (*Disk, error) { return open(name, true) }

func open(name string, readOnly bool) (*Disk, error) {
	p, err := find(name)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(p.path); err != nil {
		return nil, fmt.Errorf("disk %s: %w", name, err)
	}
	f, err := volfile.Open(p.path, readOnly || p.readOnly || isReadOnly(p.path))
	if err != nil {
		return nil, fmt.Errorf("disk %s: %w", name, err)
	}
	return &Disk{f, name}, nil
}

// isReadOnly reports whether a path is a block device that cannot be written to,
// whatever its permissions say.
func isReadOnly(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false // Open says more
	}
	defer f.Close()
	only, err := unix.IoctlGetInt(int(f.Fd()), unix.BLKROGET)
	return err == nil && only != 0
}

// Name returns the name that the disk was opened by.
func (d *Disk) Name() string { return d.name }

// Path returns a path by which package os can open the disk, at any offset: that of a
// block special file or, in a plain process, of a file.
func (d *Disk) Path() string { return d.file.Name() }

// Size implements block.Device.
func (d *Disk) Size() int64 { return d.file.Size() }

// SectorSize implements block.Device.
func (d *Disk) SectorSize() int { return d.file.SectorSize() }

// ReadOnly implements block.Device.
func (d *Disk) ReadOnly() bool { return d.file.ReadOnly() }

// ReadAt implements block.Device: it fills p from byte off on, or fails.
func (d *Disk) ReadAt(p []byte, off int64) error { return d.file.ReadAt(p, off) }

// WriteAt implements block.Device: it writes p at byte off, or fails.
func (d *Disk) WriteAt(p []byte, off int64) error { return d.file.WriteAt(p, off) }

// Flush implements block.Device: what was written before survives a power cut.
func (d *Disk) Flush() error { return d.file.Flush() }

// Discard implements block.Device: n bytes at off are not needed any more, and what is
// read there is undefined until they are written again.
func (d *Disk) Discard(off, n int64) error { return d.file.Discard(off, n) }

// Close ends the use of the disk and its lock. What was not flushed may be lost in a
// power cut.
func (d *Disk) Close() error { return d.file.Close() }
