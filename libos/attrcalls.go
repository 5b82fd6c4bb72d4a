package libos

// fdPlace returns the node that a descriptor was opened on.
func fdPlace(fd int) (place, Errno) {
	d, errno := fds.get(fd)
	if errno != 0 {
		return place{}, errno
	}
	defer d.put()
	if d.flags.Load()&oPATH != 0 {
		return place{}, EBADF
	}
	if d.at.node == nil {
		return place{}, EINVAL
	}
	return d.at, 0
}

func sysChmod(a args) (uintptr, Errno) { return chmod(&a, atFDCWD, 0, a.i[1], 0) }

func sysFchmodat(a args) (uintptr, Errno) { return chmod(&a, a.fd(0), 1, a.i[2], 0) }

func sysFchmodat2(a args) (uintptr, Errno) {
	if a.i[3]&^(atSymlinkNofollow|atEmptyPath) != 0 {
		return 0, EINVAL
	}
	return chmod(&a, a.fd(0), 1, a.i[2], a.i[3])
}

func chmod(a *args, dirfd, path int, mode, flags uintptr) (uintptr, Errno) {
	p, errno := resolveArg(a, dirfd, path, flags)
	if errno != 0 {
		return 0, errno
	}
	if _, ok := p.node.(Symlink); ok {
		return 0, EOPNOTSUPP
	}
	return 0, p.setAttr(SetMode, &Attr{Mode: uint32(mode) & modePerm})
}

func sysFchmod(a args) (uintptr, Errno) {
	p, errno := fdPlace(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	return 0, p.setAttr(SetMode, &Attr{Mode: uint32(a.i[1]) & modePerm})
}

func sysChown(a args) (uintptr, Errno) { return chown(&a, atFDCWD, 0, 1, 0) }

func sysLchown(a args) (uintptr, Errno) {
	return chown(&a, atFDCWD, 0, 1, atSymlinkNofollow)
}

func sysFchownat(a args) (uintptr, Errno) {
	if a.i[4]&^(atSymlinkNofollow|atEmptyPath) != 0 {
		return 0, EINVAL
	}
	return chown(&a, a.fd(0), 1, 2, a.i[4])
}

func chown(a *args, dirfd, path, ids int, flags uintptr) (uintptr, Errno) {
	p, errno := resolveArg(a, dirfd, path, flags)
	if errno != 0 {
		return 0, errno
	}
	return 0, p.setOwner(uint32(a.i[ids]), uint32(a.i[ids+1]))
}

func sysFchown(a args) (uintptr, Errno) {
	p, errno := fdPlace(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	return 0, p.setOwner(uint32(a.i[1]), uint32(a.i[2]))
}

// keepID leaves the user or group as it is.
const keepID = 1<<32 - 1

// setOwner changes the owner and, but of a directory, takes away the bits that
// lend the owner's rights (chown_common in fs/open.c).
func (p place) setOwner(uid, gid uint32) Errno {
	t, errno := p.node.Attr()
	if errno != 0 {
		return errno
	}
	which := uint32(SetOwner)
	if t.Mode&ModeFmt != ModeDir {
		which |= SetMode
		t.Mode &^= modeSetUID
		if t.Mode&modeGrpExec != 0 {
			t.Mode &^= modeSetGID
		}
	}
	if uid != keepID {
		t.UID = uid
	}
	if gid != keepID {
		t.GID = gid
	}
	return p.setAttr(which, t)
}

func sysTruncate(a args) (uintptr, Errno) {
	size := int64(a.i[1])
	if size < 0 {
		return 0, EINVAL
	}
	p, errno := resolveArg(&a, atFDCWD, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	if _, ok := p.node.(Directory); ok {
		return 0, EISDIR
	}
	// Other than ftruncate and O_TRUNC, it leaves the times alone when it changes
	// nothing (do_truncate in fs/open.c).
	t, errno := p.node.Attr()
	if _, ok := p.node.(AttrSetter); ok && errno == 0 && t.Mode&ModeFmt == ModeReg && t.Size == size {
		return 0, 0
	}
	return 0, p.setAttr(SetSize, &Attr{Size: size})
}

func sysFtruncate(a args) (uintptr, Errno) {
	size := int64(a.i[1])
	if size < 0 {
		return 0, EINVAL
	}
	d, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	if d.flags.Load()&oPATH != 0 {
		return 0, EBADF
	}
	if d.at.node == nil || !d.writable() {
		return 0, EINVAL
	}
	return 0, d.at.setAttr(SetSize, &Attr{Size: size})
}

// Bits of fallocate's mode.
const (
	fallocKeepSize  = 1
	fallocPunchHole = 2
	fallocZeroRange = 0x10
)

// knownMode reports whether fallocate knows a mode, of a device or another file.
func knownMode(mode uintptr, device bool) bool {
	switch mode &^ fallocKeepSize {
	case 0:
		return true
	case fallocZeroRange:
		return device
	case fallocPunchHole:
		return device && mode&fallocKeepSize != 0
	}
	return false
}

// sysFallocate makes files longer. Memory is taken when it is written to; other
// modes are refused, which programs take for a file system without them, but for
// those that an [Allocator] knows.
func sysFallocate(a args) (uintptr, Errno) {
	off, n := int64(a.i[2]), int64(a.i[3])
	if off < 0 || n <= 0 {
		return 0, EINVAL
	}
	d, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	device, ok := d.file.(Allocator)
	if !knownMode(a.i[1], ok) {
		return 0, EOPNOTSUPP
	}
	if !d.writable() {
		return 0, EBADF
	}
	if d.at.node == nil {
		return 0, ESPIPE
	}
	if n > maxInt64-off {
		return 0, EFBIG
	}
	if ok {
		return 0, device.Allocate(uint32(a.i[1]), off, n)
	}
	t, errno := d.at.node.Attr()
	if errno != 0 {
		return 0, errno
	}
	if t.Mode&ModeFmt != ModeReg {
		return 0, ENODEV
	}
	if a.i[1]&fallocKeepSize != 0 || off+n <= t.Size {
		return 0, 0
	}
	return 0, d.at.setAttr(SetSize, &Attr{Size: off + n})
}

// Special values of a nanosecond field (include/linux/stat.h).
const (
	utimeNow  = 1<<30 - 1
	utimeOmit = 1<<30 - 2
)

// timesPair are the access and modification times of utimensat.
type timesPair [2]Time

// setTimes changes the times of p.
func (p place) setTimes(t timesPair) Errno {
	if !validTimes(t) {
		return EINVAL
	}
	which, clock := uint32(SetAtime|SetMtime), now()
	for i := range t {
		switch n := t[i].Nsec; {
		case n == utimeNow:
			t[i] = clock
		case n == utimeOmit:
			which &^= SetAtime << i
		}
	}
	if which == 0 {
		return 0
	}
	return p.setAttr(which, &Attr{Atime: t[0], Mtime: t[1]})
}

// validTimes checks the nanoseconds.
func validTimes(t timesPair) bool {
	for i := range t {
		n := t[i].Nsec
		if n != utimeNow && n != utimeOmit && (n < 0 || n >= 1e9) {
			return false
		}
	}
	return true
}

// timesArg returns the times at argument n, now for a null pointer.
func timesArg(a *args, n int) (timesPair, Errno) {
	if a.i[n] == 0 {
		return timesPair{{Nsec: utimeNow}, {Nsec: utimeNow}}, 0
	}
	return load[timesPair](a.p[n])
}

func sysUtimensat(a args) (uintptr, Errno) {
	t, errno := timesArg(&a, 2)
	if errno != 0 {
		return 0, errno
	}
	if t[0].Nsec == utimeOmit && t[1].Nsec == utimeOmit {
		return 0, 0
	}
	if a.i[1] != 0 && a.i[3]&^(atSymlinkNofollow|atEmptyPath) != 0 {
		return 0, EINVAL
	}
	return setTimesAt(&a, t, a.i[3])
}

// setTimesAt sets the times of the path in argument 1, or of the descriptor in
// argument 0 if there is none.
func setTimesAt(a *args, t timesPair, flags uintptr) (uintptr, Errno) {
	var p place
	var errno Errno
	switch {
	case a.i[1] != 0 || a.fd(0) == atFDCWD:
		p, errno = resolveArg(a, a.fd(0), 1, flags)
	case flags != 0:
		errno = EINVAL
	default:
		p, errno = fdPlace(a.fd(0))
	}
	if errno != 0 {
		return 0, errno
	}
	return 0, p.setTimes(t)
}

// microTimes turns struct timeval into struct timespec.
func microTimes(t timesPair, null bool) (timesPair, Errno) {
	for i := range t {
		if null {
			break
		}
		if t[i].Nsec < 0 || t[i].Nsec >= 1e6 {
			return t, EINVAL
		}
		t[i].Nsec *= 1000
	}
	return t, 0
}

func sysUtimes(a args) (uintptr, Errno) {
	t, errno := timesArg(&a, 1)
	if errno == 0 {
		t, errno = microTimes(t, a.i[1] == 0)
	}
	if errno != 0 {
		return 0, errno
	}
	p, errno := resolveArg(&a, atFDCWD, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return 0, p.setTimes(t)
}

func sysFutimesat(a args) (uintptr, Errno) {
	t, errno := timesArg(&a, 2)
	if errno == 0 {
		t, errno = microTimes(t, a.i[2] == 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return setTimesAt(&a, t, 0)
}

func sysUtime(a args) (uintptr, Errno) {
	t := timesPair{{Nsec: utimeNow}, {Nsec: utimeNow}}
	if a.i[1] != 0 {
		sec, errno := load[[2]int64](a.p[1])
		if errno != 0 {
			return 0, errno
		}
		t = timesPair{{Sec: sec[0]}, {Sec: sec[1]}}
	}
	p, errno := resolveArg(&a, atFDCWD, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return 0, p.setTimes(t)
}

// A Syncer is a file, a directory, or a file system, which may not be on stable
// storage yet.
type Syncer interface{ Sync() Errno }

func sysFsync(a args) (uintptr, Errno) { return syncFile(a) }

func syncFile(a args) (uintptr, Errno) {
	d, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	if d.flags.Load()&oPATH != 0 {
		return 0, EBADF
	}
	if s, ok := d.file.(Syncer); ok {
		return 0, s.Sync()
	}
	if s, ok := d.at.node.(Syncer); ok { // a directory
		return 0, s.Sync()
	}
	if d.at.node == nil {
		return 0, EINVAL
	}
	return 0, 0
}

// sysSyncfs makes a file system durable, or one file where that is all it offers.
func sysSyncfs(a args) (uintptr, Errno) {
	d, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	if m := d.at.mnt; m != nil && d.flags.Load()&oPATH == 0 {
		if s, ok := m.fs.(Syncer); ok {
			return 0, s.Sync()
		}
	}
	return syncFile(a)
}

// sysSync makes all file systems durable; it cannot fail (sync(2)).
func sysSync(args) (uintptr, Errno) {
	for _, m := range files.list() {
		if s, ok := m.fs.(Syncer); ok {
			s.Sync()
		}
	}
	return 0, 0
}

// nothing answers calls that have nothing to do here.
func nothing(args) (uintptr, Errno) { return 0, 0 }

// notSupported answers the copying calls: Go then copies by read and write.
func notSupported(args) (uintptr, Errno) { return 0, EINVAL }

func sysMemfdCreate(a args) (uintptr, Errno) {
	const known = 0x1f // MFD_CLOEXEC, ALLOW_SEALING, HUGETLB, NOEXEC_SEAL, EXEC
	if _, errno := cstring(a.p[0], 250); errno == EFAULT {
		return 0, errno
	} else if errno != 0 || a.i[1]&^known != 0 || a.i[1]&4 != 0 {
		return 0, EINVAL
	}
	m := files.root().mnt
	fs, ok := m.fs.(*memFS)
	if !ok {
		return 0, ENOMEM
	}
	fs.mu.Lock()
	f := new(memFile)
	fs.adopt(f, &Attr{Mode: ModeReg | 0o777})
	unlinked(f)
	fs.mu.Unlock()
	d, errno := openPlace(place{m, f}, oRDWR|oLARGEFILE, true)
	if errno != 0 {
		return 0, errno
	}
	fd, errno := fds.add(d, 0, a.i[1]&1 != 0)
	return uintptr(fd), errno
}
