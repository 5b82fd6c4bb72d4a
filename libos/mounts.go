package libos

// What brings file systems up at boot, and file systems themselves, need of this
// package besides the interfaces.

// MakeDirectories makes the directory at an absolute path and those above it, as
// far as they are missing, readable by everybody.
func MakeDirectories(path string) Errno {
	w, errno := newWalker(atFDCWD, path)
	if errno != 0 {
		return errno
	}
	for at := w.at; ; {
		name, _ := w.next()
		if name == "" {
			return 0
		}
		l := lookup{dir: at, name: name, kind: kindOf(name)}
		next, errno := l.find()
		if errno == ENOENT {
			next, errno = createAt(l, &Attr{Mode: ModeDir | 0o755}, "")
		}
		if errno != 0 {
			return errno
		}
		if _, ok := next.node.(Directory); !ok {
			return ENOTDIR
		}
		at = next
	}
}

// MountEmpty covers the directory at a path with an empty one in memory.
func MountEmpty(path string) Errno {
	UseFiles()
	fs := newMemFS()
	fs.held = memBudget
	return Mount(path, fs)
}

// ChangeDirectory makes the directory at a path the working directory.
func ChangeDirectory(path string) Errno {
	p, errno := resolve(atFDCWD, path, followLast)
	if errno != 0 {
		return errno
	}
	return chdir(p)
}

// BootParams returns what [Boot] was given.
func BootParams() Params { return bootParams }

// Seek computes a file's new position from the arguments of lseek(2), its
// position and its size. Holes count as data.
func Seek(off int64, whence int, pos, size int64) (int64, Errno) {
	return seekTo(off, whence, pos, size)
}
