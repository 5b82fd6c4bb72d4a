package libos

import "unsafe"

// A moder is a file without a node that tells fstat what it is.
type moder interface{ fileMode() uint32 }

// attr returns the attributes of the file behind a description.
func (d *desc) attr() (*Attr, Errno) {
	if d.at.node != nil {
		return d.at.attr()
	}
	// SAFETY: only the address is used, as a number that tells files apart.
	a := &Attr{Ino: uint64(uintptr(unsafe.Pointer(d))), Nlink: 1, Mode: 0o600}
	switch f := d.file.(type) {
	case moder:
		a.Mode = f.fileMode()
	case Socket:
		a.Mode = ModeSocket | 0o777
	}
	return a, 0
}

// fdAttr returns the attributes of a descriptor.
func fdAttr(fd int) (*Attr, Errno) {
	d, errno := fds.get(fd)
	if errno != 0 {
		return nil, errno
	}
	defer d.put()
	return d.attr()
}

// pathAttr returns the attributes of the path in an argument.
func pathAttr(a *args, dirfd, path int, flags uintptr) (*Attr, Errno) {
	name, errno := a.path(path)
	if errno != 0 {
		return nil, errno
	}
	if name == "" && flags&atEmptyPath != 0 && dirfd != atFDCWD {
		return fdAttr(dirfd)
	}
	p, errno := resolveArg(a, dirfd, path, flags)
	if errno != 0 {
		return nil, errno
	}
	return p.attr()
}

// putStat stores attributes as a struct stat.
func putStat(p unsafe.Pointer, t *Attr, errno Errno) (uintptr, Errno) {
	if errno != 0 {
		return 0, errno
	}
	return 0, put(p, stat{
		dev: t.Dev, ino: t.Ino, nlink: t.Nlink,
		mode: t.Mode, uid: t.UID, gid: t.GID, rdev: t.Rdev,
		size: t.Size, blksize: pageSize, blocks: t.Blocks,
		atime: t.Atime, mtime: t.Mtime, ctime: t.Ctime,
	})
}

func sysFstat(a args) (uintptr, Errno) {
	t, errno := fdAttr(a.fd(0))
	return putStat(a.p[1], t, errno)
}

func sysStat(a args) (uintptr, Errno) {
	t, errno := pathAttr(&a, atFDCWD, 0, 0)
	return putStat(a.p[1], t, errno)
}

func sysLstat(a args) (uintptr, Errno) {
	t, errno := pathAttr(&a, atFDCWD, 0, atSymlinkNofollow)
	return putStat(a.p[1], t, errno)
}

func sysNewfstatat(a args) (uintptr, Errno) {
	if a.i[3]&^(atSymlinkNofollow|atNoAutomount|atEmptyPath) != 0 {
		return 0, EINVAL
	}
	t, errno := pathAttr(&a, a.fd(0), 1, a.i[3])
	return putStat(a.p[2], t, errno)
}

// statxTime is struct statx_timestamp.
type statxTime struct {
	sec  int64
	nsec uint32
	_    int32
}

// statx is struct statx (include/uapi/linux/stat.h).
type statx struct {
	mask, blksize     uint32
	_                 uint64 // attributes
	nlink, uid, gid   uint32
	mode              uint16
	_                 uint16
	ino, size, blocks uint64
	_                 uint64    // attributes known
	atime, _          statxTime // access and birth
	ctime, mtime      statxTime
	rdev, dev         [2]uint32 // major, minor
	_                 [14]uint64
}

const (
	statxBasic    = 0x7ff // STATX_BASIC_STATS
	statxReserved = 1 << 31
	atStatxSync   = 0x6000
)

func statxTimeOf(t Time) statxTime { return statxTime{sec: t.Sec, nsec: uint32(t.Nsec)} }

func sysStatx(a args) (uintptr, Errno) {
	if a.i[2]&^(atSymlinkNofollow|atNoAutomount|atEmptyPath|atStatxSync) != 0 || a.i[3]&statxReserved != 0 {
		return 0, EINVAL
	}
	t, errno := pathAttr(&a, a.fd(0), 1, a.i[2])
	if errno != 0 {
		return 0, errno
	}
	return 0, put(a.p[4], statx{
		mask: statxBasic, blksize: pageSize, nlink: uint32(t.Nlink), uid: t.UID, gid: t.GID,
		mode: uint16(t.Mode), ino: t.Ino, size: uint64(t.Size), blocks: uint64(t.Blocks),
		atime: statxTimeOf(t.Atime), ctime: statxTimeOf(t.Ctime), mtime: statxTimeOf(t.Mtime),
		rdev: [2]uint32{uint32(t.Rdev >> 8 & 0xfff), uint32(t.Rdev & 0xff)},
		dev:  [2]uint32{0, uint32(t.Dev)},
	})
}

// statfs is struct statfs of 64-bit machines.
type statfs struct {
	typ, bsize                          uint64
	blocks, bfree, bavail, files, ffree uint64
	fsid                                [2]int32
	namelen, frsize                     uint64
	_                                   [5]uint64
}

func putStatfs(p unsafe.Pointer, m *mount) (uintptr, Errno) {
	u := m.fs.Usage()
	return 0, put(p, statfs{
		typ: u.Magic, bsize: u.BlockSize, frsize: u.BlockSize, namelen: u.NameLength,
		blocks: u.Blocks, bfree: u.Free, bavail: u.Free, files: u.Files, ffree: u.FreeFiles,
		fsid: [2]int32{int32(m.dev())},
	})
}

func sysStatfs(a args) (uintptr, Errno) {
	p, errno := resolveArg(&a, atFDCWD, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return putStatfs(a.p[1], p.mnt)
}

func sysFstatfs(a args) (uintptr, Errno) {
	d, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	if d.at.mnt == nil {
		return putStatfs(a.p[1], files.root().mnt)
	}
	return putStatfs(a.p[1], d.at.mnt)
}

func sysAccess(a args) (uintptr, Errno) { return access(&a, atFDCWD, 0, a.i[1], 0) }

func sysFaccessat(a args) (uintptr, Errno) { return access(&a, a.fd(0), 1, a.i[2], 0) }

func sysFaccessat2(a args) (uintptr, Errno) {
	return access(&a, a.fd(0), 1, a.i[2], a.i[3])
}

// Modes of access.
const (
	accessExec  = 1
	accessWrite = 2
)

// access answers for user 0, who may do all but execute what nobody may, and
// write where nothing can be written.
func access(a *args, dirfd, path int, mode, flags uintptr) (uintptr, Errno) {
	if mode&^7 != 0 || flags&^(atEaccess|atSymlinkNofollow|atEmptyPath) != 0 {
		return 0, EINVAL
	}
	p, errno := resolveArg(a, dirfd, path, flags)
	if errno != 0 {
		return 0, errno
	}
	t, errno := p.attr()
	if errno != 0 {
		return 0, errno
	}
	if _, ok := p.node.(AttrSetter); !ok && mode&accessWrite != 0 {
		return 0, EROFS
	}
	if mode&accessExec != 0 && t.Mode&ModeFmt != ModeDir && t.Mode&modeAnyExec == 0 {
		return 0, EACCES
	}
	return 0, 0
}
