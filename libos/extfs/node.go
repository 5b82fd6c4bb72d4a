package extfs

import (
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/volume/ext4"
)

// A node is an inode. It is a value: the same file is always the same *ext4.Inode.
type node struct {
	fs *FS
	in *ext4.Inode
}

// The kinds of nodes. Those of volumes that can be written are besides an
// AttrSetter and a WritableDirectory, by which libos knows them.
type (
	directory   struct{ node }
	file        struct{ node }
	link        struct{ node }
	special     struct{ node } // a device, pipe or socket
	rwDirectory struct{ directory }
	rwFile      struct{ file }
	rwLink      struct{ link }
	rwSpecial   struct{ special }
)

// node returns an inode as what it is.
func (fs *FS) node(in *ext4.Inode) libos.Node {
	n := node{fs, in}
	if fs.readOnly {
		return n.reading()
	}
	return n.writing()
}

func (n node) reading() libos.Node {
	switch n.in.Type() {
	case ext4.ModeDir:
		return directory{n}
	case ext4.ModeReg:
		return file{n}
	case ext4.ModeLink:
		return link{n}
	}
	return special{n}
}

func (n node) writing() libos.Node {
	switch n.in.Type() {
	case ext4.ModeDir:
		return rwDirectory{directory{n}}
	case ext4.ModeReg:
		return rwFile{file{n}}
	case ext4.ModeLink:
		return rwLink{link{n}}
	}
	return rwSpecial{special{n}}
}

// timeOf returns nanoseconds since 1970 as a Time.
func timeOf(ns int64) libos.Time {
	t := libos.Time{Sec: ns / 1e9, Nsec: ns % 1e9}
	if t.Nsec < 0 {
		t.Sec, t.Nsec = t.Sec-1, t.Nsec+1e9
	}
	return t
}

// Seconds since 1970 at the least and the most: what an inode can hold (inodes.rst,
// "Inode Timestamps"), and what nanoseconds in 64 bits can, the year 2262.
const (
	minTime = -1 << 31
	maxTime = (1<<63-1)/1_000_000_000 - 1
)

// nanoseconds is the opposite; what does not fit becomes the nearest time that does.
func nanoseconds(t libos.Time) int64 {
	return min(max(t.Sec, minTime), maxTime)*1e9 + t.Nsec
}

// Attr implements libos.Node.
func (n node) Attr() (*libos.Attr, libos.Errno) {
	a := n.in.Attr()
	return &libos.Attr{
		Ino: uint64(a.Ino), Nlink: uint64(a.Links), Rdev: uint64(a.Rdev), Mode: a.Mode, UID: a.UID, GID: a.GID,
		Size: a.Size, Blocks: a.Sectors, Atime: timeOf(a.Atime), Mtime: timeOf(a.Mtime), Ctime: timeOf(a.Ctime),
	}, 0
}

// setAttr changes attributes, as libos.AttrSetter says.
func (n node) setAttr(which uint32, a *libos.Attr) libos.Errno {
	bits := 0
	for _, b := range [...][2]int{
		{libos.SetMode, ext4.SetMode}, {libos.SetOwner, ext4.SetOwner}, {libos.SetSize, ext4.SetSize},
		{libos.SetAtime, ext4.SetAtime}, {libos.SetMtime, ext4.SetMtime},
	} {
		if int(which)&b[0] != 0 {
			bits |= b[1]
		}
	}
	return errnoOf(n.in.SetAttr(bits, ext4.Attr{
		Mode: a.Mode, UID: a.UID, GID: a.GID, Size: a.Size, Atime: nanoseconds(a.Atime), Mtime: nanoseconds(a.Mtime),
	}))
}

// SetAttr implements libos.AttrSetter.
func (d rwDirectory) SetAttr(which uint32, a *libos.Attr) libos.Errno { return d.setAttr(which, a) }

// SetAttr implements libos.AttrSetter.
func (l rwLink) SetAttr(which uint32, a *libos.Attr) libos.Errno { return l.setAttr(which, a) }

// SetAttr implements libos.AttrSetter.
func (s rwSpecial) SetAttr(which uint32, a *libos.Attr) libos.Errno { return s.setAttr(which, a) }

// Sync implements libos.Syncer, for directories too.
func (n node) Sync() libos.Errno { return errnoOf(n.in.Sync()) }

// Open implements libos.Node for what is not opened here.
func (n node) Open(uint32) (libos.File, libos.Errno) { return nil, libos.ENXIO }

// Readlink implements libos.Symlink.
func (l link) Readlink() (string, libos.Errno) {
	s, err := l.in.Readlink()
	return s, errnoOf(err)
}

// Open implements libos.Node: named pipes can be opened, devices and sockets not.
func (s rwSpecial) Open(flags uint32) (libos.File, libos.Errno) {
	if s.in.Type() != ext4.ModeFIFO {
		return nil, libos.ENXIO
	}
	p := s.fs.fifo(s.in)
	if p == nil {
		return nil, libos.ENXIO
	}
	return p.Open(flags)
}

// fifo returns the pipe that an inode stands for, nil if pipes are not in use. It
// stays until its last name is gone.
func (fs *FS) fifo(in *ext4.Inode) libos.Node {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if p := fs.fifos[in]; p != nil {
		return p
	}
	p := libos.NewFifo()
	if p == nil {
		return nil
	}
	if fs.fifos == nil {
		fs.fifos = map[*ext4.Inode]libos.Node{}
	}
	for old := range fs.fifos {
		if old.Attr().Links == 0 { // nobody can open it any more
			delete(fs.fifos, old)
		}
	}
	fs.fifos[in] = p
	return p
}
