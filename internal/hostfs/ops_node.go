package hostfs

import (
	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/virtio/fuse"
)

// modeBits are the permission bits that the guest may set: not those that lend
// the rights of the file's owner on the host.
const modeBits = 0o1777

// setIDs are those.
const setIDs = unix.S_ISUID | unix.S_ISGID

// attrOf turns the host's attributes into the guest's.
func (s *Server) attrOf(st *unix.Stat_t) fuse.Attr {
	a := fuse.Attr{
		Ino: st.Ino, Size: uint64(st.Size), Blocks: uint64(st.Blocks), Mode: st.Mode, Nlink: uint32(st.Nlink),
		Atime: timeOf(st.Atim), Mtime: timeOf(st.Mtim), Ctime: timeOf(st.Ctim), Unit: 4096,
	}
	if st.Dev != s.dev {
		// What is mounted inside the folder has numbers of its own.
		a.Ino ^= (st.Dev ^ s.dev) << 40
	}
	a.Ino &= 1<<62 - 1 // the upper ones are the guest's own
	return a
}

func timeOf(t unix.Timespec) fuse.Time { return fuse.Time{Sec: t.Sec, Nsec: uint32(t.Nsec)} }

// entry answers with a name that was found or made.
func (s *Server) entry(r *request, dir *node, name string, st *unix.Stat_t) unix.Errno {
	n, errno := s.remember(dir, name, st)
	if errno != 0 {
		return errno
	}
	e := fuse.Entry{Node: n.id, Valid: entryValid, Attr: s.attrOf(st)}
	r.reply = e.Append(r.reply)
	return 0
}

// attr answers with attributes.
func (s *Server) attr(r *request, st *unix.Stat_t) unix.Errno {
	a := s.attrOf(st)
	r.reply = fuse.AppendAttrOut(nil, &a, entryValid)
	return 0
}

// child returns the directory that a request is about, and the path of a name
// in it.
func (s *Server) child(id uint64, name string) (dir *node, path string, errno unix.Errno) {
	if dir, errno = s.node(id); errno != 0 {
		return nil, "", errno
	}
	path, errno = dir.childPath(name)
	return dir, path, errno
}

func (s *Server) lookup(r *request) unix.Errno {
	name := r.args.Text()
	if !r.args.OK() {
		return unix.EINVAL
	}
	dir, path, errno := s.child(r.Node, name)
	if errno != 0 {
		return errno
	}
	fd, errno := s.open(path, unix.O_PATH)
	if errno != 0 {
		if c := dir.children[name]; c != nil && errno == unix.ENOENT {
			s.detach(c)
		}
		return errno
	}
	defer unix.Close(fd)
	st, errno := stat(fd)
	if errno != 0 {
		return errno
	}
	return s.entry(r, dir, name, &st)
}

// pin opens what a node stands for, by its name or, once that is gone, by a
// handle that is open. The descriptor is only good for links to it (see
// reopen) and attributes; it must be closed.
func (s *Server) pin(n *node) (fd int, st unix.Stat_t, errno unix.Errno) {
	if n.open != nil {
		fd, err := unix.FcntlInt(uintptr(n.open.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return -1, st, errnoOf(err)
		}
		return pinned(fd)
	}
	fd, errno = s.openNode(n, unix.O_PATH)
	if errno != 0 {
		return -1, st, errno
	}
	return pinned(fd)
}

func pinned(fd int) (int, unix.Stat_t, unix.Errno) {
	st, errno := stat(fd)
	if errno != 0 {
		unix.Close(fd)
		return -1, st, errno
	}
	return fd, st, 0
}

func (s *Server) getattr(r *request) unix.Errno {
	n, errno := s.node(r.Node)
	if errno != 0 {
		return errno
	}
	fd, st, errno := s.pin(n)
	if errno != 0 {
		return errno
	}
	unix.Close(fd)
	return s.attr(r, &st)
}

func (s *Server) setattr(r *request) unix.Errno {
	c := decodeSetattr(&r.args)
	if !r.args.OK() {
		return unix.EINVAL
	}
	n, errno := s.node(r.Node)
	if errno != 0 {
		return errno
	}
	if errno := s.writable(n); errno != 0 {
		return errno
	}
	fd, st, errno := s.pin(n)
	if errno != 0 {
		return errno
	}
	defer unix.Close(fd)
	if errno := c.apply(fd, &st); errno != 0 {
		return errno
	}
	if st, errno = stat(fd); errno != 0 {
		return errno
	}
	return s.attr(r, &st)
}

// writable returns EROFS if the guest may not change a node. One that has no
// name any more, and is open for writing, it may.
func (s *Server) writable(n *node) unix.Errno {
	if s.mode == ReadWrite {
		return 0
	}
	for h := n.open; h != nil; h = h.next {
		if h.write {
			return 0
		}
	}
	if path, errno := n.path(); errno != 0 || !s.mayChange(path) || n.typ != unix.S_IFREG {
		return unix.EROFS
	}
	return 0
}

// changes are what SETATTR asks for.
type changes struct {
	valid          uint32
	size           uint64
	times          [2]unix.Timespec // access, modification
	mode, uid, gid uint32
}

func decodeSetattr(d *fuse.Decoder) (c changes) {
	c.valid = d.U32()
	d.Skip(4 + 8)
	c.size = d.U64()
	d.Skip(8)
	c.times[0].Sec, c.times[1].Sec = int64(d.U64()), int64(d.U64())
	d.Skip(8)
	c.times[0].Nsec, c.times[1].Nsec = int64(d.U32()), int64(d.U32())
	d.Skip(4)
	c.mode = d.U32()
	d.Skip(4)
	c.uid, c.gid = d.U32(), d.U32()
	return c
}

// apply makes the changes to what fd refers to.
func (c *changes) apply(fd int, st *unix.Stat_t) unix.Errno {
	has := func(bit uint32) bool { return c.valid&bit != 0 }
	if has(fuse.SetattrUID) && c.uid != 0 || has(fuse.SetattrGID) && c.gid != 0 {
		return unix.EPERM // all belongs to user 0 and stays with it
	}
	if has(fuse.SetattrMode) {
		if c.mode&^st.Mode&setIDs != 0 {
			return unix.EPERM
		}
		if err := unix.Fchmodat(unix.AT_FDCWD, link(fd), c.mode&(modeBits|setIDs), 0); err != nil {
			return errnoOf(err)
		}
	}
	if has(fuse.SetattrSize) {
		if st.Mode&unix.S_IFMT != unix.S_IFREG || int64(c.size) < 0 {
			return unix.EINVAL
		}
		if err := unix.Truncate(link(fd), int64(c.size)); err != nil {
			return errnoOf(err)
		}
	}
	if has(fuse.SetattrAtime | fuse.SetattrMtime) {
		return c.setTimes(fd)
	}
	return 0
}

func (c *changes) setTimes(fd int) unix.Errno {
	for i, bits := range [2][2]uint32{
		{fuse.SetattrAtime, fuse.SetattrAtimeNow},
		{fuse.SetattrMtime, fuse.SetattrMtimeNow},
	} {
		switch t := &c.times[i]; {
		case c.valid&bits[0] == 0:
			t.Nsec = unix.UTIME_OMIT
		case c.valid&bits[1] != 0:
			t.Nsec = unix.UTIME_NOW
		case t.Nsec < 0 || t.Nsec >= 1e9:
			return unix.EINVAL
		}
	}
	return errnoOf(unix.UtimesNanoAt(unix.AT_FDCWD, link(fd), c.times[:], 0))
}

func (s *Server) readlink(r *request) unix.Errno {
	n, errno := s.node(r.Node)
	if errno != 0 {
		return errno
	}
	fd, st, errno := s.pin(n)
	if errno != 0 {
		return errno
	}
	defer unix.Close(fd)
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return unix.EINVAL
	}
	target := make([]byte, fuse.MaxTarget+1)
	k, err := unix.Readlinkat(fd, "", target)
	if err != nil {
		return errnoOf(err)
	}
	r.reply = target[:k]
	return 0
}

func (s *Server) statfs(r *request) unix.Errno {
	var st unix.Statfs_t
	if err := unix.Fstatfs(s.root, &st); err != nil {
		return errnoOf(err)
	}
	out := fuse.Statfs{
		Blocks: st.Blocks, Free: st.Bfree, Available: st.Bavail, Files: st.Files, FreeFiles: st.Ffree,
		BlockSize: uint32(st.Bsize), NameLength: uint32(st.Namelen), FragmentSize: uint32(st.Frsize),
	}
	r.reply = out.Append(nil)
	return 0
}
