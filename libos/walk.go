package libos

// How the last component of a path is treated.
const (
	noFollow   = iota // a symbolic link is the result itself
	followLast        // it is followed
)

// lastKind is the kind of a path's last component.
type lastKind uint8

const (
	lastName   lastKind = iota
	lastDot             // "."
	lastDotDot          // ".."
	lastRoot            // there is none: the path is all slashes
)

// A lookup is where a path leads but for its last component.
type lookup struct {
	dir   place // a directory
	name  string
	kind  lastKind
	slash bool // the path ended in a slash
}

// A walker goes down a path.
type walker struct {
	at     place
	rest   string
	links  int  // symbolic links followed
	create bool // the last component may be made as a file: no slash behind it
}

// newWalker returns a walker at the beginning of path: the root, the working
// directory, or the descriptor dirfd.
func newWalker(dirfd int, path string) (*walker, Errno) {
	switch {
	case path == "":
		return nil, ENOENT
	case path[0] == '/':
		return &walker{at: files.root(), rest: path}, 0
	}
	at, errno := startAt(dirfd)
	if errno != 0 {
		return nil, errno
	}
	if _, ok := at.node.(Directory); !ok {
		return nil, ENOTDIR
	}
	return &walker{at: at, rest: path}, 0
}

// startAt returns what dirfd refers to.
func startAt(dirfd int) (place, Errno) {
	if dirfd == atFDCWD {
		return files.workDir(), 0
	}
	d, errno := fds.get(dirfd)
	if errno != 0 {
		return place{}, errno
	}
	defer d.put()
	if d.at.node == nil {
		return place{}, ENOTDIR
	}
	return d.at, 0
}

// toLast walks all but the last component.
func (w *walker) toLast() (lookup, Errno) {
	l := lookup{kind: lastRoot}
	for {
		name, slash := w.next()
		if name == "" {
			l.dir = w.at
			return l, 0
		}
		l = lookup{name: name, kind: kindOf(name), slash: slash}
		if _, ok := w.at.node.(Directory); !ok {
			return l, ENOTDIR
		}
		if w.rest == "" {
			l.dir = w.at
			return l, 0
		}
		if errno := w.step(l); errno != 0 {
			return l, errno
		}
	}
}

// next takes a component and the slashes behind it off the rest.
func (w *walker) next() (name string, slash bool) {
	s := w.rest
	for s != "" && s[0] == '/' {
		s = s[1:]
	}
	n := 0
	for n < len(s) && s[n] != '/' {
		n++
	}
	name, s = s[:n], s[n:]
	slash = s != ""
	for s != "" && s[0] == '/' {
		s = s[1:]
	}
	w.rest = s
	return name, slash
}

func kindOf(name string) lastKind {
	switch name {
	case ".":
		return lastDot
	case "..":
		return lastDotDot
	}
	return lastName
}

// find returns what l names, without following a link.
func (l *lookup) find() (place, Errno) {
	switch l.kind {
	case lastDot, lastRoot:
		return l.dir, 0
	case lastDotDot:
		return l.dir.up(), 0
	}
	if len(l.name) > maxName {
		return place{}, l.dir.tooLong()
	}
	n, errno := l.dir.node.(Directory).Lookup(l.name)
	if errno != 0 {
		return place{}, errno
	}
	return files.covered(place{l.dir.mnt, n}), 0
}

// tooLong is the error for a name that is too long to be in directory p: that
// of a directory which was removed is noticed first.
func (p place) tooLong() Errno {
	if p.removed() {
		return ENOENT
	}
	return ENAMETOOLONG
}

// removed reports whether directory p was removed.
func (p place) removed() bool {
	_, name := p.node.(Directory).Parent()
	return name == "" && p.node != p.mnt.root
}

// step goes through one component in the middle of a path.
func (w *walker) step(l lookup) Errno {
	l.dir = w.at
	p, errno := l.find()
	if errno != 0 {
		return errno
	}
	if link, ok := p.node.(Symlink); ok {
		return w.follow(link, true)
	}
	if _, ok := p.node.(Directory); !ok {
		return ENOTDIR
	}
	w.at = p
	return 0
}

// follow replaces a link by its target, before the rest of the path. slash says
// that a slash followed the link.
func (w *walker) follow(link Symlink, slash bool) Errno {
	if w.links++; w.links > maxLinks {
		return ELOOP
	}
	target, errno := link.Readlink()
	if errno != 0 {
		return errno
	}
	if target == "" {
		return ENOENT
	}
	if slash {
		target += "/"
	}
	if target[0] == '/' {
		w.at = files.root()
	}
	w.rest = target + w.rest
	return 0
}

// parentOf returns the directory and the name that path ends in.
func parentOf(dirfd int, path string) (lookup, Errno) {
	w, errno := newWalker(dirfd, path)
	if errno != 0 {
		return lookup{}, errno
	}
	return w.toLast()
}

// end walks to what the path names. With follow, or a slash at its end, a link
// there is followed. The lookup is that of the name which was missing (ENOENT),
// or of what was found.
func (w *walker) end(follow bool) (place, lookup, Errno) {
	for {
		l, errno := w.toLast()
		if errno != 0 {
			return place{}, lookup{}, errno
		}
		if w.create && l.slash && l.kind == lastName {
			return place{}, lookup{}, EISDIR
		}
		p, errno := l.find()
		if errno != 0 {
			return place{}, l, errno
		}
		link, ok := p.node.(Symlink)
		if !ok || !follow && !l.slash {
			if _, dir := p.node.(Directory); l.slash && !dir {
				return place{}, l, ENOTDIR
			}
			return p, l, 0
		}
		w.at = l.dir
		if errno := w.follow(link, l.slash); errno != 0 {
			return place{}, lookup{}, errno
		}
	}
}

// resolve returns what path names. mode is followLast or noFollow.
func resolve(dirfd int, path string, mode int) (place, Errno) {
	w, errno := newWalker(dirfd, path)
	if errno != 0 {
		return place{}, errno
	}
	p, _, errno := w.end(mode == followLast)
	return p, errno
}

// resolveArg returns what the path at argument path names, starting at dirfd.
// flags are AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH.
func resolveArg(a *args, dirfd, path int, flags uintptr) (place, Errno) {
	name, errno := a.path(path)
	if errno != 0 {
		return place{}, errno
	}
	if name == "" && flags&atEmptyPath != 0 {
		return startAt(dirfd)
	}
	mode := followLast
	if flags&atSymlinkNofollow != 0 {
		mode = noFollow
	}
	return resolve(dirfd, name, mode)
}
