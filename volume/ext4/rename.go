package ext4

// Rename moves a name to a directory of the same file system, where it replaces
// what has the new name: a file by a file, an empty directory by a directory.
// flags are RenameNoReplace and RenameExchange.
func (in *Inode) Rename(name string, to *Inode, newName string, flags int) error {
	fs := in.fs
	if to.fs != fs {
		return EXDEV
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := in.directory(name); err != nil {
		return err
	}
	if err := to.directory(newName); err != nil {
		return err
	}
	if flags&^(RenameNoReplace|RenameExchange) != 0 || flags == RenameNoReplace|RenameExchange {
		return EINVAL
	}
	if err := fs.begin(); err != nil {
		return err
	}
	r := renaming{from: in, to: to, name: name, newName: newName}
	err := r.prepare(flags)
	if err == nil && !r.same() {
		if flags&RenameExchange != 0 {
			err = r.exchange()
		} else {
			err = r.move()
		}
	}
	if fs.end(err) != nil {
		return err
	}
	if r.replaced {
		fs.lost(r.old)
	}
	return nil
}

// A renaming is what takes part in a rename.
type renaming struct {
	from, to      *Inode
	name, newName string
	at, oldAt     place
	n, old        *Inode // what moves, and what has the new name, if anything
	replaced      bool
}

// same reports whether there is nothing to be done.
func (r *renaming) same() bool {
	return r.old == r.n
}

// prepare finds what takes part, and checks whether it may.
func (r *renaming) prepare(flags int) error {
	if r.from.dead {
		return ENOENT
	}
	var err error
	if r.at, r.n, err = r.from.find(r.name); err != nil {
		return err
	}
	err = ENOENT
	if !r.to.dead {
		r.oldAt, r.old, err = r.to.find(r.newName)
	}
	exchange := flags&RenameExchange != 0
	switch {
	case err == ENOENT:
		r.old = nil
	case err != nil:
		return err
	case flags&RenameNoReplace != 0:
		return EEXIST
	}
	if r.old == nil && exchange {
		return ENOENT
	}
	return r.may(exchange)
}

// may checks whether what moves may go there, in the order of Linux
// (do_renameat2 and vfs_rename in fs/namei.c).
func (r *renaming) may(exchange bool) error {
	inside, err := within(r.to, r.n)
	if err == nil && inside {
		err = EINVAL
	}
	if err != nil {
		return err
	}
	inside, err = within(r.from, r.old)
	switch {
	case err != nil:
		return err
	case inside && exchange:
		return EINVAL
	case inside:
		return ENOTEMPTY
	case r.to.dead:
		return ENOENT
	case exchange:
		return nil
	}
	return r.mayReplace()
}

func isDir(in *Inode) bool { return in.mode&ModeFmt == ModeDir }

// mayReplace checks whether what moves may take the place of what is there.
func (r *renaming) mayReplace() error {
	switch {
	case r.old == nil:
		if isDir(r.n) && r.from != r.to && r.to.links >= MaxLinks {
			return EMLINK
		}
		return nil
	case r.old == r.n:
		return nil
	case isDir(r.old) && !isDir(r.n):
		return EISDIR
	case !isDir(r.old) && isDir(r.n):
		return ENOTDIR
	case isDir(r.old):
		return r.old.removable()
	}
	return nil
}

// within reports whether dir is n or lies beneath it; n may be nil.
func within(dir, n *Inode) (bool, error) {
	if n == nil || !isDir(n) {
		return false, nil
	}
	for left := dir.fs.geometry.inodes; left > 0; left-- {
		if dir == n {
			return true, nil
		}
		if dir.ino == rootInode {
			return false, nil
		}
		var err error
		if dir, err = dir.above(); err != nil {
			return false, err
		}
	}
	return false, damage(inodeName(dir.ino), "the directory is not below the root")
}

// above returns the directory that a directory is in, or was when it was removed.
func (in *Inode) above() (*Inode, error) {
	if in.dead && in.was != nil {
		return in.was, nil
	} else if in.dead {
		return in.fs.inode(rootInode)
	}
	at, ok, err := in.findName("..")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, damage(in.where(0), `has no ".."`)
	}
	up, err := in.fs.inode(at.e.ino)
	if err == nil && (!isDir(up) || up == in) {
		err = damage(in.where(0), `".." leads to no directory`)
	}
	return up, err
}

// move does what rename does without flags.
func (r *renaming) move() error {
	if r.old != nil {
		if err := r.to.replaceName(r.oldAt, r.n.ino, dirType(r.n.mode)); err != nil {
			return err
		}
		r.replaced = true
		if err := r.to.dropLink(r.old); err != nil {
			return err
		}
	} else if err := r.to.addName(r.newName, r.n.ino, dirType(r.n.mode)); err != nil {
		return err
	}
	// The place of the old name may have changed.
	at, _, err := r.from.find(r.name)
	if err != nil {
		return err
	}
	if err := r.from.removeName(at); err != nil {
		return err
	}
	return r.moved(r.n, r.from, r.to)
}

// moved takes note that n is in another directory.
func (r *renaming) moved(n, from, to *Inode) error {
	n.touch()
	n.ctime = n.fs.now()
	if isDir(n) && from != to {
		if err := n.setParent(to.ino); err != nil {
			return err
		}
		if err := from.addLinks(-1); err != nil {
			return err
		}
		if err := to.addLinks(1); err != nil {
			return err
		}
	}
	return n.store()
}

// exchange makes each name stand for what the other one did.
func (r *renaming) exchange() error {
	if err := r.to.replaceName(r.oldAt, r.n.ino, dirType(r.n.mode)); err != nil {
		return err
	}
	if err := r.from.replaceName(r.at, r.old.ino, dirType(r.old.mode)); err != nil {
		return err
	}
	if err := r.moved(r.n, r.from, r.to); err != nil {
		return err
	}
	return r.moved(r.old, r.to, r.from)
}
