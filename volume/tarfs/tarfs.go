// Package tarfs is a read-only file system: a tar archive on a block device, as
// tar(1), git archive and container tools write them. Formats are V7, ustar and
// pax (POSIX.1-2017, pax, section "Extended Description") and GNU tar's.
//
// [Open] reads the headers once and keeps an index of some 150 bytes a name;
// contents stay on the device.
//
// # What is in it
//
// Files, directories, symbolic and hard links. What else is in an archive
// (devices, pipes, sparse files) is left out, and so is what cannot be at its
// place; [FS.Notes] says what and why:
//
//   - Names are taken from the root of the file system: "/a", "./a" and "a//" are
//     "a". A name with ".." in it, or one that leads through what is no
//     directory, is left out. Links are never followed.
//   - The last of several entries with one name counts. A directory keeps what
//     is in it when it comes again, and is not replaced by a file unless it is
//     empty; a directory replaces a file.
//   - Directories that have no entry of their own are there, with mode 0755.
//   - A hard link to what has not come before it is left out.
//
// An archive that is damaged or cut short is an error that says where.
package tarfs

import (
	"errors"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/tailor-os/tailor/block"
)

// Limits of archives. What exceeds one of the latter two is left out.
const (
	MaxFiles = 1 << 20 // files, directories and links together
	MaxPath  = 4095    // bytes of a path or of where a link leads
	MaxName  = 255     // bytes between two slashes
)

// Kinds of files, the values of Linux's S_IFMT.
const (
	TypeMask    = 0o170000
	TypeDir     = 0o040000
	TypeRegular = 0o100000
	TypeSymlink = 0o120000
)

// An Ino is the number of a file. The root's is 0.
type Ino int32

// Info is what there is to know of a file.
type Info struct {
	Mode     uint32 // its type and permissions
	UID, GID uint32
	Links    uint32
	Size     int64  // of a regular file, in bytes
	Sec      int64  // when it was changed, in seconds from 1970 on
	Nsec     int32  // and nanoseconds
	Target   string // where a symbolic link leads
}

// An inode is one file.
type inode struct {
	Info
	off    int64 // of its contents on the device
	parent Ino   // of a directory
	name   string
	// first and count say which of FS.entries are in a directory.
	first, count int32
}

// An entry is a name in a directory.
type entry struct {
	name string
	ino  Ino
}

// An FS is an archive that was opened. It does not change, and may be used by
// several goroutines at once.
type FS struct {
	d       block.Device
	inodes  []inode
	entries []entry // sorted by name within each directory
	notes   []string
	skipped int
	end     int64
	ahead   ahead

	// Fixed reports whether a buffer stays where it is while its goroutine is
	// parked. Such buffers are given to the device, others are copied to. nil:
	// all stay. It is set before the first use.
	Fixed func(p []byte) bool
}

// An Error says what is wrong with an archive.
type Error struct {
	Off  int64 // bytes from the beginning of the device
	What string
	Err  error // of the device, may be nil
}

func (e *Error) Error() string {
	s := "tar archive, byte " + strconv.FormatInt(e.Off, 10) + ": " + e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// ErrNone is the cause of an [Error] for a device that begins with no archive.
var ErrNone = errors.New("there is none here")

// Open reads the index of the archive on d. The error is an *Error.
func Open(d block.Device) (*FS, error) {
	fs := &FS{d: d}
	b := newBuilder(fs)
	r := reader{d: d}
	for {
		h, err := r.next()
		if err != nil {
			return nil, err
		}
		if h == nil {
			break
		}
		if err := b.add(h); err != nil {
			return nil, err
		}
	}
	fs.end = r.off
	b.finish()
	return fs, nil
}

// End returns where the archive ends, in bytes.
func (fs *FS) End() int64 { return fs.end }

// Len returns the number of files, directories and links.
func (fs *FS) Len() int { return len(fs.entries) + 1 }

// maxNotes bounds how many notes are kept.
const maxNotes = 100

// Notes says what was left out of the archive, and why. Of many, the first are
// told; skipped counts all.
func (fs *FS) Notes() (notes []string, skipped int) { return fs.notes, fs.skipped }

func (fs *FS) note(h *header, why string) {
	fs.skipped++
	if len(fs.notes) < maxNotes {
		name := h.name
		if len(name) > MaxName {
			name = name[:MaxName] + "..."
		}
		fs.notes = append(fs.notes, "byte "+strconv.FormatInt(h.off, 10)+": "+strconv.Quote(name)+" "+why)
	}
}

// Stat returns what there is to know of a file.
func (fs *FS) Stat(i Ino) Info { return fs.inodes[i].Info }

// Parent returns the directory that directory i is in, and its name there. The
// root returns itself and "".
func (fs *FS) Parent(i Ino) (Ino, string) { return fs.inodes[i].parent, fs.inodes[i].name }

// dir returns what is in directory i; nothing if it is none.
func (fs *FS) dir(i Ino) []entry {
	n := &fs.inodes[i]
	if n.Mode&TypeMask != TypeDir {
		return nil
	}
	return fs.entries[n.first : n.first+n.count]
}

// Lookup returns the file with a name in directory i.
func (fs *FS) Lookup(i Ino, name string) (Ino, bool) {
	list := fs.dir(i)
	k := sort.Search(len(list), func(k int) bool { return list[k].name >= name })
	if k == len(list) || list[k].name != name {
		return 0, false
	}
	return list[k].ino, true
}

// Entry returns name number n of directory i, in the order of their bytes. ok
// is false behind the last one.
func (fs *FS) Entry(i Ino, n int) (name string, ino Ino, ok bool) {
	list := fs.dir(i)
	if n < 0 || n >= len(list) {
		return "", 0, false
	}
	return list[n].name, list[n].ino, true
}

// bounceSize is how much is read at a time for a buffer that may move, in bytes.
const bounceSize = 128 << 10

var bounces = sync.Pool{New: func() any { return new([bounceSize]byte) }}

// ReadAt reads from byte off of file i on, until p is full or the file ends,
// which is no error. The error is that of the device.
func (fs *FS) ReadAt(i Ino, p []byte, off int64) (int, error) {
	n := &fs.inodes[i]
	if n.Mode&TypeMask != TypeRegular || off < 0 || off >= n.Size {
		return 0, nil
	}
	p = p[:min(int64(len(p)), n.Size-off)]
	direct := fs.Fixed == nil || fs.Fixed(p)
	sector := int64(fs.d.SectorSize())
	for done := 0; done < len(p); {
		at, rest := n.off+off+int64(done), p[done:]
		var k int
		var err error
		if len(p) < pieceSize {
			k, err = fs.short(rest, at)
		} else if whole := int64(len(rest)) &^ (sector - 1); direct && at&(sector-1) == 0 && whole > 0 {
			k, err = int(whole), fs.d.ReadAt(rest[:whole], at)
		} else {
			if direct {
				rest = rest[:min(int64(len(rest)), sector-at&(sector-1))]
			}
			k, err = fs.bounce(rest, at)
		}
		if err != nil {
			return done, err
		}
		done += k
	}
	return len(p), nil
}

// bounce reads some of p from byte at of the device through memory of its own.
func (fs *FS) bounce(p []byte, at int64) (int, error) {
	b := bounces.Get().(*[bounceSize]byte)
	defer bounces.Put(b)
	mask := int64(fs.d.SectorSize() - 1)
	start := at &^ mask
	end := min(at+int64(len(p))+mask, start+bounceSize) &^ mask
	if err := fs.d.ReadAt(b[:end-start], start); err != nil {
		return 0, err
	}
	return copy(p, b[at-start:end-start]), nil
}

// clean returns the names on the way to path; why is set if it leads nowhere
// that can be.
func clean(path string) (names []string, why string) {
	if len(path) > MaxPath {
		return nil, "has too long a path"
	}
	for name := range strings.SplitSeq(path, "/") {
		switch {
		case name == "" || name == ".":
		case name == "..":
			return nil, "leads upwards"
		case len(name) > MaxName:
			return nil, "has too long a name"
		case strings.IndexByte(name, 0) >= 0:
			return nil, "has a zero byte in its name"
		default:
			names = append(names, name)
		}
	}
	return names, ""
}
