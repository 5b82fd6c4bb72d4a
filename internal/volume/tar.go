package volume

import (
	"io/fs"
	"time"

	"github.com/tailor-os/tailor/volume/tarfs"
)

// tarTree is an archive as a Tree.
type tarTree struct{ tar *tarfs.FS }

// Root implements Tree.
func (t tarTree) Root() (Node, error) { return tarfs.Ino(0), nil }

// Lookup implements Tree.
func (t tarTree) Lookup(dir Node, name string) (Node, error) {
	i, ok := t.tar.Lookup(dir.(tarfs.Ino), name)
	if !ok {
		return nil, fs.ErrNotExist
	}
	return i, nil
}

// Stat implements Tree.
func (t tarTree) Stat(n Node) (Attr, error) {
	i := t.tar.Stat(n.(tarfs.Ino))
	return Attr{Mode: goMode(i.Mode), UID: i.UID, GID: i.GID, Links: i.Links, Size: i.Size, Time: time.Unix(i.Sec, int64(i.Nsec))}, nil
}

// List implements Tree.
func (t tarTree) List(dir Node) (list []string, err error) {
	for i := 0; ; i++ {
		name, _, ok := t.tar.Entry(dir.(tarfs.Ino), i)
		if !ok {
			return list, nil
		}
		list = append(list, name)
	}
}

// ReadAt implements Tree.
func (t tarTree) ReadAt(n Node, p []byte, off int64) (int, error) {
	return t.tar.ReadAt(n.(tarfs.Ino), p, off)
}

// Readlink implements Tree.
func (t tarTree) Readlink(n Node) (string, error) { return t.tar.Stat(n.(tarfs.Ino)).Target, nil }

// Bits of st_mode, as in inode(7).
const (
	unixSetuid = 0o4000
	unixSetgid = 0o2000
	unixSticky = 0o1000
)

var unixTypes = map[uint32]fs.FileMode{
	0o010000: fs.ModeNamedPipe, 0o020000: fs.ModeDevice | fs.ModeCharDevice, 0o040000: fs.ModeDir,
	0o060000: fs.ModeDevice, 0o100000: 0, 0o120000: fs.ModeSymlink, 0o140000: fs.ModeSocket,
}

// goMode turns st_mode into what Go has for it.
func goMode(m uint32) fs.FileMode {
	kind, ok := unixTypes[m&0o170000]
	if !ok {
		kind = fs.ModeIrregular
	}
	mode := fs.FileMode(m&0o777) | kind
	for bit, to := range map[uint32]fs.FileMode{unixSetuid: fs.ModeSetuid, unixSetgid: fs.ModeSetgid, unixSticky: fs.ModeSticky} {
		if m&bit != 0 {
			mode |= to
		}
	}
	return mode
}
