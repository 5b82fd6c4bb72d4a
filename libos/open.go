package libos

import "unsafe"

func sysOpen(a args) (uintptr, Errno) {
	return openPath(&a, atFDCWD, 0, uint32(a.i[1]), uint32(a.i[2]))
}

func sysOpenat(a args) (uintptr, Errno) {
	return openPath(&a, a.fd(0), 1, uint32(a.i[2]), uint32(a.i[3]))
}

func sysCreat(a args) (uintptr, Errno) {
	return openPath(&a, atFDCWD, 0, oCREAT|oWRONLY|oTRUNC, uint32(a.i[1]))
}

// openFlags are all flags that open knows; others are ignored.
const openFlags = oACCMODE | oCREAT | oEXCL | oNOCTTY | oTRUNC | oAPPEND | oNONBLOCK | oASYNC |
	oDIRECT | oLARGEFILE | oDIRECTORY | oNOFOLLOW | oNOATIME | oCLOEXEC | oPATH | oTMPFILE |
	0x101000 // O_SYNC

// checkOpenFlags does what build_open_flags does (fs/open.c).
func checkOpenFlags(flags uint32) (uint32, Errno) {
	flags &= openFlags
	switch {
	case flags&oPATH != 0:
		return flags & (oDIRECTORY | oNOFOLLOW | oPATH | oCLOEXEC), 0
	case flags&oTMPFILE != 0:
		return 0, EOPNOTSUPP
	case flags&(oCREAT|oDIRECTORY) == oCREAT|oDIRECTORY:
		return 0, EINVAL
	}
	return flags | oLARGEFILE, 0
}

func openPath(a *args, dirfd, path int, flags, mode uint32) (uintptr, Errno) {
	flags, errno := checkOpenFlags(flags)
	if errno != 0 {
		return 0, errno
	}
	name, errno := a.path(path)
	if errno != 0 {
		return 0, errno
	}
	if beforeResolver != nil && name == "/etc/resolv.conf" {
		beforeResolver()
	}
	d, errno := openDesc(dirfd, name, flags, mode)
	if errno != 0 {
		return 0, errno
	}
	fd, errno := fds.add(d, 0, flags&oCLOEXEC != 0)
	return uintptr(fd), errno
}

// createRetries bounds how often open starts again because another goroutine
// made or removed the file meanwhile.
const createRetries = 8

// openDesc opens a path, making the file with O_CREAT.
func openDesc(dirfd int, name string, flags, mode uint32) (*desc, Errno) {
	for range createRetries {
		p, created, errno := findOrCreate(dirfd, name, flags, mode)
		if errno == EEXIST && flags&oEXCL == 0 {
			continue
		}
		if errno != 0 {
			return nil, errno
		}
		d, errno := openPlace(p, flags, created)
		if errno == ENOENT && flags&oCREAT != 0 {
			continue
		}
		return d, errno
	}
	return nil, EEXIST
}

func findOrCreate(dirfd int, name string, flags, mode uint32) (p place, created bool, errno Errno) {
	w, errno := newWalker(dirfd, name)
	if errno != 0 {
		return p, false, errno
	}
	create := flags&oCREAT != 0
	excl := create && flags&oEXCL != 0
	w.create = create
	p, l, errno := w.end(!excl && flags&oNOFOLLOW == 0)
	if create && l.dir.node != nil && l.kind != lastName {
		if excl {
			return p, false, EEXIST
		}
		return p, false, EISDIR
	}
	switch {
	case errno == 0 && excl:
		return p, false, EEXIST
	case errno == 0 && create && l.dir.node != nil && inSticky(l.dir, p):
		return p, false, EACCES
	}
	if errno != ENOENT || !create || l.dir.node == nil {
		return p, false, errno
	}
	p, errno = createAt(l, &Attr{Mode: ModeReg | mode&modePerm}, "")
	return p, true, errno
}

// inSticky reports whether O_CREAT may not open what is there: in a directory
// that is everybody's and sticky, somebody else's (may_create_in_sticky in
// fs/namei.c). Files and named pipes are left to fs.protected_regular and
// fs.protected_fifos, which are off.
func inSticky(dir, p place) bool {
	d, errno := dir.node.Attr()
	if errno != 0 || d.Mode&0o1002 != 0o1002 {
		return false
	}
	n, errno := p.node.Attr()
	if errno != 0 || n.UID == d.UID || n.UID == 0 {
		return false
	}
	t := n.Mode & ModeFmt
	return t != ModeDir && t != ModeReg && t != ModeFIFO
}

// createAt makes a node of the type and permissions in a.Mode, less the umask.
func createAt(l lookup, a *Attr, target string) (place, Errno) {
	dir, ok := l.dir.node.(WritableDirectory)
	if !ok {
		return place{}, EROFS
	}
	if a.Mode&ModeFmt != ModeLink {
		files.mu.RLock()
		a.Mode &^= files.umask
		files.mu.RUnlock()
	}
	n, errno := dir.Create(l.name, a, target)
	return place{l.dir.mnt, n}, errno
}

// openPlace opens what was found, or made, at p (do_open in fs/namei.c).
func openPlace(p place, flags uint32, created bool) (*desc, Errno) {
	_, isDir := p.node.(Directory)
	if !isDir && flags&oDIRECTORY != 0 {
		return nil, ENOTDIR
	}
	if flags&oPATH != 0 {
		return p.describe(pathFile{}, flags), 0
	}
	if _, ok := p.node.(Symlink); ok {
		return nil, ELOOP
	}
	if isDir {
		if flags&(oACCMODE|oCREAT|oTRUNC) != 0 {
			return nil, EISDIR
		}
		return p.describe(&dirFile{at: p}, flags), 0
	}
	if flags&oTRUNC != 0 && !created {
		if errno := p.truncateOpen(); errno != 0 {
			return nil, errno
		}
	}
	f, errno := p.node.Open(flags)
	if errno != 0 {
		return nil, errno
	}
	return p.describe(f, flags), 0
}

// truncateOpen empties p for O_TRUNC, which only regular files heed.
func (p place) truncateOpen() Errno {
	a, errno := p.node.Attr()
	if errno != 0 || a.Mode&ModeFmt != ModeReg {
		return errno
	}
	return p.setAttr(SetSize, &Attr{})
}

// describe makes the description of a file opened at p.
func (p place) describe(f File, flags uint32) *desc {
	d := newDesc(f, flags&^(oCREAT|oEXCL|oNOCTTY|oTRUNC|oCLOEXEC))
	d.at = p
	return d
}

// A pathFile is what O_PATH opens: it only names a node.
type pathFile struct{}

func (pathFile) Read([]byte) (int, Errno)  { return 0, EBADF }
func (pathFile) Write([]byte) (int, Errno) { return 0, EBADF }
func (pathFile) Close() Errno              { return 0 }

// openHow is struct open_how.
type openHow struct{ flags, mode, resolve uint64 }

// sysOpenat2 offers no RESOLVE_ flags: with one it fails with EINVAL, as a
// kernel does that is older than the flag.
func sysOpenat2(a args) (uintptr, Errno) {
	if a.i[3] != unsafe.Sizeof(openHow{}) {
		return 0, EINVAL
	}
	how, errno := load[openHow](a.p[2])
	if errno != 0 {
		return 0, errno
	}
	mode := how.mode
	if how.resolve != 0 || how.flags&^openFlags != 0 || mode&^modePerm != 0 ||
		mode != 0 && how.flags&oCREAT == 0 {
		return 0, EINVAL
	}
	return openPath(&a, a.fd(0), 1, uint32(how.flags), uint32(mode))
}

// Writes reports whether flags of open(2) ask for a file that can be written.
func Writes(flags uint32) bool {
	return flags&oACCMODE == oWRONLY || flags&oACCMODE == oRDWR
}
