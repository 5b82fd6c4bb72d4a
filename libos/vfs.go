package libos

import "sync"

// Time is a point in time or a span, laid out as struct timespec.
type Time struct{ Sec, Nsec int64 }

// duration returns a span in nanoseconds, EINVAL if it is none.
func (t Time) duration() (int64, Errno) {
	if t.Sec < 0 || t.Nsec < 0 || t.Nsec >= 1e9 {
		return 0, EINVAL
	}
	if t.Sec > maxInt64/1_000_000_000-1 {
		return forever, 0
	}
	return t.Sec*1e9 + t.Nsec, 0
}

// timeOf returns nanoseconds as a Time.
func timeOf(ns int64) Time {
	t := Time{ns / 1e9, ns % 1e9}
	if t.Nsec < 0 {
		t.Sec, t.Nsec = t.Sec-1, t.Nsec+1e9
	}
	return t
}

func now() Time { return timeOf(Hooks.WallNow()) }

// Attr is what stat tells of a node.
type Attr struct {
	Dev, Ino, Nlink     uint64
	Rdev                uint64
	Mode, UID, GID      uint32 // Mode has the type (ModeFmt) and the permissions
	Size                int64  // bytes
	Blocks              int64  // of 512 bytes
	Atime, Mtime, Ctime Time
}

// A Node is a file, directory, link or device of a mounted file system. Nodes
// are compared with ==: the same file is always the same value. The methods of
// a Node may be called by several goroutines at once.
type Node interface {
	// Attr returns the attributes; they are the caller's to change.
	Attr() (*Attr, Errno)
	// Open makes an open file. It is not called for directories and links.
	// Truncation was done before; flags are those of open(2).
	Open(flags uint32) (File, Errno)
}

// A Directory is a Node that has names. The names given to it are neither empty
// nor "." or "..", have no slash and are at most 255 bytes long.
type Directory interface {
	Node
	Lookup(name string) (Node, Errno)
	// Parent returns the directory that it is in and its name there; the root
	// of a file system returns itself and "". A directory that was removed has
	// no name.
	Parent() (Directory, string)
	// Next returns the first entry whose Cookie is greater than after; ok is
	// false at the end. Cookies are positive and stay valid while other
	// entries come and go. "." and ".." are not among the entries.
	Next(after int64) (e Entry, ok bool, errno Errno)
}

// An Entry is one name of a directory.
type Entry struct {
	Cookie int64
	Ino    uint64
	Mode   uint32 // its type (ModeFmt)
	Name   string
}

// A Symlink is a Node that leads elsewhere.
type Symlink interface {
	Node
	Readlink() (string, Errno)
}

// A WritableDirectory is a Directory whose names can be changed. Each method is
// atomic, and fails with EEXIST, ENOENT, ENOTDIR, EISDIR or ENOTEMPTY as the
// system call of the same name does.
type WritableDirectory interface {
	Directory
	// Create makes a node with the type and permissions of a.Mode, and its
	// a.UID, a.GID and a.Rdev. target is where a symbolic link leads.
	Create(name string, a *Attr, target string) (Node, Errno)
	Link(name string, n Node) Errno
	// Unlink removes a name: that of a directory if dir, else of another.
	Unlink(name string, dir bool) Errno
	// Rename moves a name to the directory to of the same file system. flags
	// are RENAME_NOREPLACE 1 and RENAME_EXCHANGE 2.
	Rename(name string, to Directory, newName string, flags uint32) Errno
}

// Set* say which fields SetAttr sets.
const (
	SetMode  = 1 << iota // the permissions of Mode
	SetOwner             // UID and GID
	SetSize              // Size, of a regular file
	SetAtime
	SetMtime
)

// An AttrSetter is a Node whose attributes can be changed. SetAttr updates
// Ctime itself.
type AttrSetter interface {
	SetAttr(which uint32, a *Attr) Errno
}

// A FileSystem is a tree of nodes that can be mounted.
type FileSystem interface {
	Root() Directory
	// Usage is what statfs tells.
	Usage() Usage
}

// Usage tells how full a file system is. Zero totals stand for no limit.
type Usage struct {
	Magic                 uint64 // type of file system, as in statfs(2)
	Blocks, Free          uint64 // of BlockSize bytes
	Files, FreeFiles      uint64
	BlockSize, NameLength uint64
}

// A mount is a file system at its place in the tree.
type mount struct {
	_    func() // nobody compares two, so no image needs the code to do so
	fs   FileSystem
	root Node  // a directory but for MountNode
	on   place // what it covers; zero for the root
}

// A place is a node as reached through a mount.
type place struct {
	mnt  *mount
	node Node
}

// vfs is the tree of mounts and the process's view of it.
type vfs struct {
	mu     sync.RWMutex
	mounts []*mount // the first is the root
	cwd    place
	umask  uint32
}

var files vfs

// Mount makes fs visible at the directory path, covering what is there;
// directories on the way that are missing are made. It takes the calls for
// files into use. It is meant for the start of the system, before the program
// runs; path is taken from the root if it is relative.
func Mount(path string, fs FileSystem) Errno {
	return MountNode(path, fs, fs.Root())
}

// MountNode makes one node of fs visible at path, as [Mount] does the root. A
// file covers a file, which is made if it is missing.
func MountNode(path string, fs FileSystem, n Node) Errno {
	UseFiles()
	_, dir := n.(Directory)
	at, errno := makePlace("/"+path, dir)
	if errno != 0 {
		return errno
	}
	if _, ok := at.node.(Directory); ok && !dir {
		return EISDIR
	} else if !ok && dir {
		return ENOTDIR
	}
	files.mu.Lock()
	defer files.mu.Unlock()
	files.mounts = append(files.mounts, &mount{fs: fs, root: n, on: at})
	return 0
}

// makePlace returns what path names, made as a directory or as a file if it is
// missing; so are the directories on the way.
func makePlace(path string, dir bool) (place, Errno) {
	if dir {
		if errno := MakeDirectories(path); errno != 0 {
			return place{}, errno
		}
		return resolve(atFDCWD, path, followLast)
	}
	if errno := MakeDirectories(parentPath(path)); errno != 0 {
		return place{}, errno
	}
	p, errno := resolve(atFDCWD, path, followLast)
	if errno != ENOENT {
		return p, errno
	}
	l, errno := parentOf(atFDCWD, path)
	if errno != 0 {
		return place{}, errno
	}
	return createAt(l, &Attr{Mode: ModeReg | 0o644}, "")
}

// parentPath returns path without its last component.
func parentPath(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return "/"
}

// list returns the mounts.
func (v *vfs) list() []*mount {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.mounts[:len(v.mounts):len(v.mounts)]
}

// root returns the root directory.
func (v *vfs) root() place {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return place{v.mounts[0], v.mounts[0].root}
}

func (v *vfs) workDir() place {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.cwd
}

func (v *vfs) setWorkDir(p place) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cwd = p
}

// covered returns the root of what is mounted on p, or p itself.
func (v *vfs) covered(p place) place {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for i := len(v.mounts) - 1; i > 0; i-- {
		if m := v.mounts[i]; m.on == p {
			p = place{m, m.root}
			i = len(v.mounts)
		}
	}
	return p
}

// up returns the directory above p. The root is above itself.
func (p place) up() place {
	for p.mnt.on.node != nil && p.node == p.mnt.root {
		p = p.mnt.on
	}
	parent, _ := p.node.(Directory).Parent()
	return place{p.mnt, parent}
}

// pathTo returns the absolute path of directory p; ENOENT if it was removed.
func (v *vfs) pathTo(p place) (string, Errno) {
	root, path := v.root(), ""
	for p != root {
		for p.mnt.on.node != nil && p.node == p.mnt.root {
			p = p.mnt.on
		}
		parent, name := p.node.(Directory).Parent()
		if name == "" {
			return "", ENOENT
		}
		path = "/" + name + path
		p = place{p.mnt, parent}
	}
	if path == "" {
		path = "/"
	}
	return path, 0
}

// attr returns the attributes of p with its device number.
func (p place) attr() (*Attr, Errno) {
	a, errno := p.node.Attr()
	if errno == 0 && a.Dev == 0 {
		a.Dev = p.mnt.dev()
	}
	return a, errno
}

// dev returns the device number of a mount: its position in the list.
func (m *mount) dev() uint64 {
	files.mu.RLock()
	defer files.mu.RUnlock()
	for i := range files.mounts {
		if files.mounts[i] == m {
			return uint64(i) + 1
		}
	}
	return 0
}

// setAttr changes attributes of p.
func (p place) setAttr(which uint32, a *Attr) Errno {
	s, ok := p.node.(AttrSetter)
	if !ok {
		return EROFS
	}
	return s.SetAttr(which, a)
}
