package libos

import "sync"

// A dirFile is an open directory.
type dirFile struct {
	at  place
	mu  sync.Mutex
	pos int64 // 0: before ".", 1: before "..", then 2 + the last cookie read
}

func (d *dirFile) Read([]byte) (int, Errno)  { return 0, EISDIR }
func (d *dirFile) Write([]byte) (int, Errno) { return 0, EBADF }
func (d *dirFile) Close() Errno              { return 0 }

// ReadAt implements SeekFile.
func (d *dirFile) ReadAt([]byte, int64) (int, Errno) { return 0, EISDIR }

// WriteAt implements SeekFile.
func (d *dirFile) WriteAt([]byte, int64) (int, Errno) { return 0, EBADF }

// SeekTo implements SeekFile; positions are those that getdents gave, or 0.
func (d *dirFile) SeekTo(off int64, whence int) (int64, Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if whence > 1 {
		return 0, EINVAL
	}
	pos, errno := seekTo(off, whence, d.pos, 0)
	if errno == 0 {
		d.pos = pos
	}
	return pos, errno
}

// next returns the entry at the position, with the position behind it as its
// cookie.
func (d *dirFile) next() (Entry, bool, Errno) {
	if d.pos < 2 {
		p, name := d.at, "."
		if d.pos == 1 {
			p, name = p.up(), ".."
		}
		a, errno := p.attr()
		if errno != 0 {
			return Entry{}, false, errno
		}
		return Entry{d.pos + 1, a.Ino, ModeDir, name}, true, 0
	}
	e, ok, errno := d.at.node.(Directory).Next(d.pos - 2)
	e.Cookie += 2
	return e, ok, errno
}

// direntHead is the length in bytes of struct linux_dirent64 before the name.
const direntHead = 19

// list fills b with struct linux_dirent64.
func (d *dirFile) list(b []byte) (int, Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for {
		e, ok, errno := d.next()
		if errno != 0 && n == 0 {
			return 0, errno
		}
		if errno != 0 || !ok {
			return n, 0
		}
		k := putDirent(b[n:], &e)
		if k == 0 && n == 0 {
			return 0, EINVAL
		}
		if k == 0 {
			return n, 0
		}
		n += k
		d.pos = e.Cookie
	}
}

// putDirent writes one entry, padded to 8 bytes; 0 when it does not fit.
func putDirent(b []byte, e *Entry) int {
	size := (direntHead + len(e.Name) + 1 + 7) &^ 7
	if size > len(b) {
		return 0
	}
	clear(b[direntHead:size])
	putUint64(b, e.Ino)
	putUint64(b[8:], uint64(e.Cookie))
	b[16], b[17], b[18] = byte(size), byte(size>>8), byte(e.Mode>>12)
	copy(b[direntHead:], e.Name)
	return size
}

// putUint64 stores v little-endian, the order of all machines that run this.
func putUint64(b []byte, v uint64) {
	for i := range 8 {
		b[i] = byte(v >> (8 * i))
	}
}

func sysGetdents64(a args) (uintptr, Errno) {
	d, errno := fds.get(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	defer d.put()
	if d.flags.Load()&oPATH != 0 {
		return 0, EBADF
	}
	dir, ok := d.file.(*dirFile)
	if !ok {
		return 0, ENOTDIR
	}
	if dir.at.removed() {
		return 0, ENOENT
	}
	buf, errno := buffer(a.p[1], uintptr(uint32(a.i[2])))
	if errno != 0 {
		return 0, errno
	}
	n, errno := dir.list(buf)
	return uintptr(n), errno
}

func sysMkdir(a args) (uintptr, Errno) { return mkdir(&a, atFDCWD, 0, a.i[1]) }

func sysMkdirat(a args) (uintptr, Errno) { return mkdir(&a, a.fd(0), 1, a.i[2]) }

// mkdirPerm are the mode bits that mkdir heeds.
const mkdirPerm = 0o1777

func mkdir(a *args, dirfd, path int, mode uintptr) (uintptr, Errno) {
	return 0, make1(a, dirfd, path, &Attr{Mode: ModeDir | uint32(mode)&mkdirPerm}, "")
}

// make1 makes what mkdir, mknod and symlink make (filename_create in
// fs/namei.c).
func make1(a *args, dirfd, path int, attr *Attr, target string) Errno {
	name, errno := a.path(path)
	if errno != 0 {
		return errno
	}
	l, errno := newName(dirfd, name, attr.Mode&ModeFmt == ModeDir)
	if errno != 0 {
		return errno
	}
	_, errno = createAt(l, attr, target)
	return errno
}

// newName looks up a name that must not exist.
func newName(dirfd int, path string, dir bool) (lookup, Errno) {
	l, errno := parentOf(dirfd, path)
	if errno != 0 {
		return l, errno
	}
	if l.kind != lastName {
		return l, EEXIST
	}
	if _, errno = l.find(); errno == 0 {
		return l, EEXIST
	}
	if errno == ENOENT && !(l.slash && !dir) {
		errno = 0
	}
	return l, errno
}

func sysMknod(a args) (uintptr, Errno) { return mknod(&a, atFDCWD, 0, uint32(a.i[1])) }

func sysMknodat(a args) (uintptr, Errno) { return mknod(&a, a.fd(0), 1, uint32(a.i[2])) }

// mknod makes regular files and named pipes.
func mknod(a *args, dirfd, path int, mode uint32) (uintptr, Errno) {
	switch mode & ModeFmt {
	case 0, ModeReg:
		return 0, make1(a, dirfd, path, &Attr{Mode: ModeReg | mode&modePerm}, "")
	case ModeFIFO:
		return 0, make1(a, dirfd, path, &Attr{Mode: ModeFIFO | mode&modePerm}, "")
	case ModeDir:
		return 0, EPERM
	case ModeChar, ModeBlock, ModeSocket:
		return 0, EOPNOTSUPP
	}
	return 0, EINVAL
}

func sysSymlink(a args) (uintptr, Errno) { return symlink(&a, atFDCWD, 1) }

func sysSymlinkat(a args) (uintptr, Errno) { return symlink(&a, a.fd(1), 2) }

func symlink(a *args, dirfd, path int) (uintptr, Errno) {
	target, errno := a.path(0)
	if errno != 0 {
		return 0, errno
	}
	if target == "" {
		return 0, ENOENT
	}
	return 0, make1(a, dirfd, path, &Attr{Mode: ModeLink | 0o777}, target)
}

func sysLink(a args) (uintptr, Errno) { return link(&a, atFDCWD, 0, atFDCWD, 1, 0) }

func sysLinkat(a args) (uintptr, Errno) {
	return link(&a, a.fd(0), 1, a.fd(2), 3, a.i[4])
}

func link(a *args, oldDir, oldPath, newDir, newPath int, flags uintptr) (uintptr, Errno) {
	if flags&^(atSymlinkFollow|atEmptyPath) != 0 {
		return 0, EINVAL
	}
	old, errno := resolveLink(a, oldDir, oldPath, flags)
	if errno != 0 {
		return 0, errno
	}
	name, errno := a.path(newPath)
	if errno != 0 {
		return 0, errno
	}
	l, errno := newName(newDir, name, false)
	if errno != 0 {
		return 0, errno
	}
	if l.dir.mnt != old.mnt {
		return 0, EXDEV
	}
	dir, ok := l.dir.node.(WritableDirectory)
	if !ok {
		return 0, EROFS
	}
	return 0, dir.Link(l.name, old.node)
}

// resolveLink returns the old file of link, which follows only if asked to.
func resolveLink(a *args, dirfd, path int, flags uintptr) (place, Errno) {
	name, errno := a.path(path)
	if errno != 0 {
		return place{}, errno
	}
	if name == "" && flags&atEmptyPath != 0 {
		return startAt(dirfd)
	}
	mode := noFollow
	if flags&atSymlinkFollow != 0 {
		mode = followLast
	}
	return resolve(dirfd, name, mode)
}

func sysUnlink(a args) (uintptr, Errno) { return remove(&a, atFDCWD, 0, false) }

func sysRmdir(a args) (uintptr, Errno) { return remove(&a, atFDCWD, 0, true) }

func sysUnlinkat(a args) (uintptr, Errno) {
	if a.i[2]&^atRemovedir != 0 {
		return 0, EINVAL
	}
	return remove(&a, a.fd(0), 1, a.i[2] != 0)
}

func remove(a *args, dirfd, path int, dir bool) (uintptr, Errno) {
	name, errno := a.path(path)
	if errno != 0 {
		return 0, errno
	}
	l, errno := parentOf(dirfd, name)
	if errno != 0 {
		return 0, errno
	}
	if l.kind != lastName {
		return 0, removeSpecial(l.kind, dir)
	}
	p, errno := l.find()
	if errno != 0 {
		return 0, errno
	}
	if l.slash && !dir {
		if _, ok := p.node.(Directory); ok {
			return 0, EISDIR
		}
		return 0, ENOTDIR
	}
	if p.mnt != l.dir.mnt {
		return 0, EBUSY
	}
	w, ok := l.dir.node.(WritableDirectory)
	if !ok {
		return 0, EROFS
	}
	return 0, w.Unlink(l.name, dir)
}

// removeSpecial is the error of removing ".", ".." or "/".
func removeSpecial(kind lastKind, dir bool) Errno {
	switch {
	case !dir:
		return EISDIR
	case kind == lastDot:
		return EINVAL
	case kind == lastDotDot:
		return ENOTEMPTY
	}
	return EBUSY
}

// Flags of renameat2.
const (
	renameNoReplace = 1
	renameExchange  = 2
)

func sysRename(a args) (uintptr, Errno) { return rename(&a, atFDCWD, 0, atFDCWD, 1, 0) }

func sysRenameat(a args) (uintptr, Errno) {
	return rename(&a, a.fd(0), 1, a.fd(2), 3, 0)
}

func sysRenameat2(a args) (uintptr, Errno) {
	return rename(&a, a.fd(0), 1, a.fd(2), 3, uint32(a.i[4]))
}

func rename(a *args, oldDir, oldPath, newDir, newPath int, flags uint32) (uintptr, Errno) {
	if flags&^(renameNoReplace|renameExchange) != 0 || flags == renameNoReplace|renameExchange {
		return 0, EINVAL
	}
	oldName, errno := a.path(oldPath)
	if errno != 0 {
		return 0, errno
	}
	from, errno := parentOf(oldDir, oldName)
	if errno != 0 {
		return 0, errno
	}
	newName, errno := a.path(newPath)
	if errno != 0 {
		return 0, errno
	}
	to, errno := parentOf(newDir, newName)
	if errno != 0 {
		return 0, errno
	}
	if errno := checkRename(&from, &to, flags); errno != 0 {
		return 0, errno
	}
	w, ok := from.dir.node.(WritableDirectory)
	if !ok {
		return 0, EROFS
	}
	return 0, w.Rename(from.name, to.dir.node.(Directory), to.name, flags)
}

// checkRename checks what the file system cannot know: mounts, special names
// and slashes behind names, in the order of do_renameat2.
func checkRename(from, to *lookup, flags uint32) Errno {
	switch {
	case from.dir.mnt != to.dir.mnt:
		return EXDEV
	case from.kind != lastName:
		return EBUSY
	case to.kind != lastName && flags&renameNoReplace != 0:
		return EEXIST
	case to.kind != lastName:
		return EBUSY
	}
	old, errno := from.find()
	if errno != 0 {
		return errno
	}
	target, errno := to.find()
	if errno != 0 && (errno != ENOENT || to.dir.removed()) {
		return errno
	}
	exists := errno == 0
	if exists && flags&renameNoReplace != 0 {
		return EEXIST
	}
	if !exists && flags&renameExchange != 0 {
		return ENOENT
	}
	_, oldDir := old.node.(Directory)
	_, newDir := target.node.(Directory)
	if flags&renameExchange != 0 && !newDir && to.slash {
		return ENOTDIR
	}
	if !oldDir && (from.slash || flags&renameExchange == 0 && to.slash) {
		return ENOTDIR
	}
	if old.mnt != from.dir.mnt || exists && target.mnt != to.dir.mnt {
		return EBUSY
	}
	return 0
}

func sysReadlink(a args) (uintptr, Errno) {
	return readlink(&a, atFDCWD, 0)
}

func sysReadlinkat(a args) (uintptr, Errno) {
	return readlink(&a, a.fd(0), 1)
}

func readlink(a *args, dirfd, path int) (uintptr, Errno) {
	size := a.int(path + 2)
	if size <= 0 {
		return 0, EINVAL
	}
	name, errno := a.path(path)
	if errno != 0 {
		return 0, errno
	}
	p, errno := linkAt(dirfd, name)
	if errno != 0 {
		return 0, errno
	}
	l, ok := p.node.(Symlink)
	if !ok {
		if name == "" {
			return 0, ENOENT
		}
		return 0, EINVAL
	}
	target, errno := l.Readlink()
	if errno != 0 {
		return 0, errno
	}
	buf, errno := buffer(a.p[path+1], uintptr(size))
	return uintptr(copy(buf, target)), errno
}

// linkAt returns the link to read: dirfd itself for an empty path.
func linkAt(dirfd int, name string) (place, Errno) {
	if name == "" && dirfd != atFDCWD {
		return startAt(dirfd)
	}
	return resolve(dirfd, name, noFollow)
}

func sysGetcwd(a args) (uintptr, Errno) {
	path, errno := files.pathTo(files.workDir())
	if errno != 0 {
		return 0, errno
	}
	return putPath(&a, path)
}

// putPath gives the answer of getcwd.
func putPath(a *args, path string) (uintptr, Errno) {
	if uintptr(len(path)) >= a.i[1] {
		return 0, ERANGE
	}
	buf, errno := buffer(a.p[0], a.i[1])
	if errno != 0 {
		return 0, errno
	}
	buf[copy(buf, path)] = 0
	return uintptr(len(path) + 1), 0
}

func sysChdir(a args) (uintptr, Errno) {
	p, errno := resolveArg(&a, atFDCWD, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return 0, chdir(p)
}

func sysFchdir(a args) (uintptr, Errno) {
	if a.fd(0) == atFDCWD {
		return 0, EBADF
	}
	p, errno := startAt(a.fd(0))
	if errno != 0 {
		return 0, errno
	}
	return 0, chdir(p)
}

func chdir(p place) Errno {
	if _, ok := p.node.(Directory); !ok {
		return ENOTDIR
	}
	files.setWorkDir(p)
	return 0
}

func sysUmask(a args) (uintptr, Errno) {
	files.mu.Lock()
	defer files.mu.Unlock()
	old := files.umask
	files.umask = uint32(a.i[0]) & 0o777
	return uintptr(old), 0
}
