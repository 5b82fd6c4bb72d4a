package ext4

import "strings"

// Attr is what is known of a file, directory, link or device.
type Attr struct {
	Ino                 uint32
	Mode                uint32 // type (ModeFmt) and permissions
	UID, GID            uint32
	Links               uint32
	Rdev                uint32 // of a device, as struct stat of Linux has it
	Size                int64  // bytes
	Sectors             int64  // of 512 bytes that it takes on the volume
	Atime, Mtime, Ctime int64  // nanoseconds since 1970
}

// Set* say which fields SetAttr sets.
const (
	SetMode  = 1 << iota // the permissions of Mode
	SetOwner             // UID and GID
	SetSize              // Size, of a regular file
	SetAtime
	SetMtime
)

// Usage says how full a file system is.
type Usage struct {
	BlockSize         int
	Blocks, Free      uint64 // of BlockSize bytes
	Inodes, FreeInode uint64
}

// Number is the inode's number.
func (in *Inode) Number() uint32 { return in.ino }

// Mode is the type of the inode, which never changes.
func (in *Inode) Type() uint32 { return in.mode & ModeFmt }

// Attr returns the attributes.
func (in *Inode) Attr() Attr {
	in.fs.mu.Lock()
	defer in.fs.mu.Unlock()
	a := Attr{Ino: in.ino, Mode: in.mode, UID: in.uid, GID: in.gid, Links: in.links, Size: in.size,
		Sectors: int64(in.sectors), Atime: in.atime, Mtime: in.mtime, Ctime: in.ctime}
	if t := in.mode & ModeFmt; t == ModeChar || t == ModeBlock {
		a.Rdev = in.device()
	}
	return a
}

// device returns the number of a device: 16 bits of old, or what struct stat has.
func (in *Inode) device() uint32 {
	if old := u32(in.block[:], 0); old != 0 {
		return old & 0xFFFF
	}
	return u32(in.block[:], 4)
}

func (in *Inode) setDevice(dev uint32) {
	if dev>>16 == 0 {
		put32(in.block[:], 0, dev)
		return
	}
	put32(in.block[:], 4, dev)
}

// Usage returns how full the file system is.
func (fs *FS) Usage() Usage {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	free := fs.freeBlocks - min(fs.freeBlocks, fs.delayed)
	return Usage{fs.bs, fs.blocks, free, uint64(fs.geometry.inodes), fs.freeInodes}
}

// Identity returns what the superblock calls the file system.
func (fs *FS) Identity() (uuid [16]byte, label string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	sb := fs.super()
	label, _, _ = strings.Cut(string(sb[sbLabel:sbLabel+labelBytes]), "\x00")
	return [16]byte(sb[sbUUID:]), label
}

// SetAttr changes the attributes that which names, Set*.
func (in *Inode) SetAttr(which int, a Attr) error {
	fs := in.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if which&SetSize != 0 {
		if err := in.truncate(a.Size); err != nil {
			return err
		}
		if which&^SetSize == 0 {
			return nil
		}
	}
	if in.dead { // it is only shown still
		in.set(which, a)
		return nil
	}
	if err := fs.begin(); err != nil {
		return err
	}
	in.touch()
	in.set(which, a)
	if in.dead {
		return fs.end(nil)
	}
	return fs.end(in.store())
}

// set changes all but the size.
func (in *Inode) set(which int, a Attr) {
	if which&SetMode != 0 {
		in.mode = in.mode&ModeFmt | a.Mode&modePerm
	}
	if which&SetOwner != 0 {
		in.uid, in.gid = a.UID, a.GID
	}
	if which&SetAtime != 0 {
		in.atime = a.Atime
	}
	if which&SetMtime != 0 {
		in.mtime = a.Mtime
	}
	in.ctime = in.fs.now()
}

// Truncate changes the size of a regular file, in bytes.
func (in *Inode) Truncate(size int64) error {
	in.fs.mu.Lock()
	defer in.fs.mu.Unlock()
	return in.truncate(size)
}

func (in *Inode) truncate(size int64) error {
	fs := in.fs
	if err := in.changeable(); err != nil {
		return err
	}
	switch {
	case size < 0:
		return EINVAL
	case size > fs.maxFile():
		return EFBIG
	case size < in.size:
		return in.shrink(size)
	}
	if size > in.size {
		if err := in.zeroTail(); err != nil {
			return err
		}
		in.size = max(in.size, size)
	}
	in.mtime = fs.now()
	in.ctime = in.mtime
	in.unsaved = true
	fs.note(in)
	return nil
}

// beginAlone begins an operation at a time when no block of in is being read or
// written.
func (in *Inode) beginAlone() error {
	for {
		in.quiet()
		if err := in.fs.begin(); err != nil {
			return err
		}
		if in.io == 0 && !in.flushes {
			return nil
		}
		_ = in.fs.end(nil)
	}
}

// shrink makes a file shorter. What takes many steps goes on after a crash, since
// the file is listed as an orphan meanwhile.
func (in *Inode) shrink(size int64) error {
	fs := in.fs
	if err := in.beginAlone(); err != nil {
		return err
	}
	if size >= in.size || in.dead {
		return fs.end(nil) // it has changed meanwhile
	}
	in.touch()
	in.size, in.stored = size, min(in.stored, size)
	in.mtime = fs.now()
	in.ctime = in.mtime
	first := uint64(size+int64(fs.bs)-1) >> fs.shift
	done, err := in.cut(first)
	if err == nil && !done {
		err = in.adopt()
	}
	if err == nil {
		err = in.store()
	}
	if fs.end(err) != nil {
		return err
	}
	in.closeWindow()
	fs.forgetPages(in, first)
	if p := in.pages[uint32(size>>fs.shift)]; p != nil {
		clear(p.data[size&int64(fs.bs-1):])
	}
	if done {
		return nil
	}
	fs.orphans = append(fs.orphans, in)
	return in.cutRest(first)
}

// cutRest frees the blocks of an orphan from block l on, and takes it off the list.
func (in *Inode) cutRest(l uint64) error {
	fs := in.fs
	for done := false; !done; {
		if err := in.beginAlone(); err != nil {
			return err
		}
		// Whoever made it longer again since wants what is there now.
		l = max(l, uint64(in.size+int64(fs.bs)-1)>>fs.shift)
		var err error
		if done, err = in.cut(l); err == nil && done {
			err = in.disown()
		}
		if err == nil {
			err = in.store()
		}
		if fs.end(err) != nil {
			return err
		}
	}
	fs.unlist(in)
	return nil
}
