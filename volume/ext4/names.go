package ext4

// Flags of Rename, as renameat2(2) has them.
const (
	RenameNoReplace = 1
	RenameExchange  = 2
)

// Root returns the root directory.
func (fs *FS) Root() (*Inode, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.inode(rootInode)
}

// directory returns an error unless in is a directory that is still there and
// name can be in one.
func (in *Inode) directory(name string) error {
	switch {
	case in.mode&ModeFmt != ModeDir:
		return ENOTDIR
	case in.dead:
		return ENOENT
	case len(name) > MaxName:
		return ENAMETOOLONG
	case name == "" || name == "." || name == ".." || impossible(name):
		return EINVAL
	}
	return nil
}

// Lookup returns what a name in a directory stands for, or ENOENT.
func (in *Inode) Lookup(name string) (*Inode, error) {
	fs := in.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := in.directory(name); err != nil {
		return nil, err
	}
	fs.cache.trim()
	var found *Inode
	err := fs.reading(func() (err error) {
		if in.dead {
			return ENOENT
		}
		_, found, err = in.find(name)
		return err
	})
	return found, err
}

// find returns the place of a name and its inode, or ENOENT.
func (in *Inode) find(name string) (place, *Inode, error) {
	at, ok, err := in.findName(name)
	if err != nil {
		return at, nil, err
	}
	if !ok {
		return at, nil, ENOENT
	}
	if at.e.ino < in.fs.firstIno {
		return at, nil, damage(in.where(at.l), "leads to "+inodeName(at.e.ino)+", which is not a file's")
	}
	found, err := in.fs.inode(at.e.ino)
	if err == nil && found.links == 0 {
		err = damage(in.where(at.l), "leads to "+inodeName(at.e.ino)+", which is free")
	}
	if err == nil && isDir(found) {
		found.hint = name
	}
	return at, found, err
}

// Parent returns the directory that a directory is in, and its name there: the root
// and "" for the root; that where it was, and "", if it was removed.
func (in *Inode) Parent() (dir *Inode, name string, err error) {
	fs := in.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	err = fs.reading(func() (err error) {
		dir, name, err = in.parent()
		return err
	})
	return dir, name, err
}

func (in *Inode) parent() (dir *Inode, name string, err error) {
	switch {
	case !isDir(in):
		return nil, "", ENOTDIR
	case in.ino == rootInode:
		return in, "", nil
	}
	if dir, err = in.above(); err != nil || in.dead {
		return dir, "", err
	}
	name, err = dir.nameOf(in)
	return dir, name, err
}

// nameOf returns the name of a directory in another: the one it was last found by,
// if that is still right, or it is searched for.
func (in *Inode) nameOf(sub *Inode) (name string, err error) {
	if sub.hint != "" {
		if at, ok, err := in.findName(sub.hint); err == nil && ok && at.e.ino == sub.ino {
			return sub.hint, nil
		}
	}
	for l := range in.dirBlocks() {
		b, err := in.dirBlock(l)
		if err != nil {
			return "", err
		}
		eachEntry(b.data, func(e dirent, _ int) bool {
			if e.ino == sub.ino && string(e.name) != "." && string(e.name) != ".." {
				name = string(e.name)
			}
			return name != ""
		})
		if name != "" {
			break
		}
	}
	sub.hint = name
	return name, nil
}

// A DirEntry is one name of a directory.
type DirEntry struct {
	Cookie int64 // positive, and the same as long as the name is there
	Ino    uint32
	Mode   uint32 // its type; 0 if the volume does not say
	Name   string
}

// ReadDir calls each with the names of a directory, but for "." and "..", whose
// cookies are greater than after, in the order of their cookies, until it returns
// false. It must not call the file system.
func (in *Inode) ReadDir(after int64, each func(DirEntry) bool) error {
	fs := in.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if in.mode&ModeFmt != ModeDir {
		return ENOTDIR
	}
	fs.cache.trim()
	if after < 0 {
		return nil
	}
	return fs.reading(func() error { return in.readDir(&after, each) })
}

// readDir is ReadDir; after is the last cookie that each was called with.
func (in *Inode) readDir(after *int64, each func(DirEntry) bool) error {
	shift := in.fs.shift
	if in.dead {
		return nil
	}
	for l := *after >> shift; l < int64(in.dirBlocks()); l++ {
		b, err := in.dirBlock(uint32(l))
		if err != nil {
			return err
		}
		if eachEntry(b.data, func(e dirent, _ int) bool {
			cookie := l<<shift + int64(e.off) + 1
			if e.ino == 0 || cookie <= *after || string(e.name) == "." || string(e.name) == ".." {
				return false
			}
			*after = cookie
			return !each(DirEntry{cookie, e.ino, modeOfType(e.typ), string(e.name)})
		}) {
			return nil
		}
	}
	return nil
}

// Create makes a file of the type and permissions of a.Mode, of a's owner, and of
// a.Rdev if it is a device. target is where a symbolic link leads.
func (in *Inode) Create(name string, a Attr, target string) (*Inode, error) {
	fs := in.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := in.directory(name); err != nil {
		return nil, err
	}
	if len(target) >= fs.bs {
		return nil, ENAMETOOLONG
	}
	if dirType(a.Mode) == 0 || a.Mode&ModeFmt == ModeLink && target == "" {
		return nil, EINVAL
	}
	if err := fs.begin(); err != nil {
		return nil, err
	}
	made, err := in.create(name, a, target)
	return made, fs.end(err)
}

func (in *Inode) create(name string, a Attr, target string) (*Inode, error) {
	if err := in.absent(name); err != nil {
		return nil, err
	}
	dir := a.Mode&ModeFmt == ModeDir
	if dir && in.links >= MaxLinks {
		return nil, EMLINK
	}
	if in.mode&modeSetGID != 0 { // whatever is made here is the group's, too
		a.GID = in.gid
		if dir {
			a.Mode |= modeSetGID
		}
	}
	made, err := in.fs.newInode(in, a.Mode&(ModeFmt|modePerm), a.UID, a.GID)
	if err == nil {
		err = in.addName(name, made.ino, dirType(a.Mode))
	}
	if err == nil && dir {
		if err = made.makeDir(in.ino); err == nil {
			err = in.addLinks(1)
		}
	}
	if err == nil && a.Mode&ModeFmt == ModeLink {
		err = made.setTarget(target)
	}
	if t := a.Mode & ModeFmt; err == nil && (t == ModeChar || t == ModeBlock) {
		made.setDevice(a.Rdev)
		err = made.store()
	}
	if err != nil {
		if made != nil {
			made.dead = true
			delete(in.fs.inodes.known, made.ino)
		}
		return nil, err
	}
	return made, nil
}

// absent returns an error unless a name can be added to a directory.
func (in *Inode) absent(name string) error {
	if in.dead {
		return ENOENT
	}
	_, ok, err := in.findName(name)
	if err == nil && ok {
		err = EEXIST
	}
	return err
}

// addLinks changes the number of links of a directory by n; 1 says that they are
// too many to be counted.
func (in *Inode) addLinks(n int) error {
	if in.links == 1 {
		return nil
	}
	in.touch()
	in.links = uint32(int(in.links) + n)
	return in.store()
}

// setTarget makes a symbolic link lead somewhere. A short target is in the inode.
func (in *Inode) setTarget(target string) error {
	in.size, in.stored = int64(len(target)), int64(len(target))
	if len(target) < blockBytes {
		in.flags &^= flagExtents
		clear(in.block[:])
		copy(in.block[:], target)
		return in.store()
	}
	b, err := in.fs.allocMeta(in.goal())
	if err != nil {
		return err
	}
	copy(b.data, target)
	in.sectors += uint64(in.fs.bs / 512)
	if err := in.insert(extent{n: 1, start: b.block}); err != nil {
		return err
	}
	return in.store()
}

// Readlink returns where a symbolic link leads.
func (in *Inode) Readlink() (string, error) {
	fs := in.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	switch {
	case in.mode&ModeFmt != ModeLink:
		return "", EINVAL
	case in.dead:
		return "", ENOENT
	case in.flags&flagStrange != 0:
		return "", EOPNOTSUPP
	case in.size >= int64(fs.bs) || in.size <= 0:
		return "", damage(inodeName(in.ino), "the link has an impossible size")
	case in.size < blockBytes && in.flags&flagExtents == 0:
		return string(in.block[:in.size]), nil
	}
	var target string
	err := fs.reading(func() error {
		e, err := in.lookup(0)
		if err != nil {
			return err
		}
		if e.start == 0 {
			return damage(inodeName(in.ino), "the link leads nowhere")
		}
		b, err := fs.bread(e.start)
		if err == nil {
			target = string(b.data[:in.size])
		}
		return err
	})
	return target, err
}

// Link gives a file another name.
func (in *Inode) Link(name string, n *Inode) error {
	fs := in.fs
	if n.fs != fs {
		return EXDEV
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := in.directory(name); err != nil {
		return err
	}
	if n.mode&ModeFmt == ModeDir {
		return EPERM
	}
	if err := fs.begin(); err != nil {
		return err
	}
	err := in.absent(name)
	switch {
	case err != nil:
	case n.dead || n.links == 0:
		err = ENOENT
	case n.links >= MaxLinks:
		err = EMLINK
	default:
		if err = in.addName(name, n.ino, dirType(n.mode)); err == nil {
			n.touch()
			n.links++
			n.ctime = fs.now()
			err = n.store()
		}
	}
	return fs.end(err)
}

// Unlink removes a name: that of an empty directory if dir, else of another file.
func (in *Inode) Unlink(name string, dir bool) error {
	fs := in.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := in.directory(name); err != nil {
		return err
	}
	if err := fs.begin(); err != nil {
		return err
	}
	n, err := in.unlink(name, dir)
	if fs.end(err) != nil {
		return err
	}
	fs.lost(n)
	return nil
}

func (in *Inode) unlink(name string, dir bool) (*Inode, error) {
	if in.dead {
		return nil, ENOENT
	}
	at, n, err := in.find(name)
	if err != nil {
		return nil, err
	}
	switch isDir := n.mode&ModeFmt == ModeDir; {
	case dir && !isDir:
		return nil, ENOTDIR
	case !dir && isDir:
		return nil, EISDIR
	case isDir:
		if err := n.removable(); err != nil {
			return nil, err
		}
	}
	if err := in.removeName(at); err != nil {
		return nil, err
	}
	return n, in.dropLink(n)
}

// removable returns an error unless a directory can be removed.
func (in *Inode) removable() error {
	empty, err := in.isEmpty()
	if err == nil && !empty {
		err = ENOTEMPTY
	}
	return err
}

// dropLink takes note that n has one name less, which was in the directory in. If
// it was the last it becomes an orphan; FS.lost is to be called at the end.
func (in *Inode) dropLink(n *Inode) error {
	n.touch()
	n.ctime = in.fs.now()
	if n.mode&ModeFmt == ModeDir {
		n.links, n.was = 0, in
		if err := in.addLinks(-1); err != nil {
			return err
		}
	} else {
		n.links--
	}
	if n.links > 0 {
		return n.store()
	}
	if n.hasMap() {
		return EOPNOTSUPP
	}
	if err := n.adopt(); err != nil {
		return err
	}
	return n.store()
}

// lost is called after an operation in which n lost a name.
func (fs *FS) lost(n *Inode) {
	if n == nil || n.links > 0 {
		return
	}
	fs.orphans = append(fs.orphans, n)
	if n.opens > 0 {
		return
	}
	if err := n.evict(); err != nil && fs.opts.Report != nil && fs.failed == nil {
		fs.opts.Report("ext4: " + inodeName(n.ino) + " was removed, but its blocks are not free before the next mount: " + err.Error())
	}
}
