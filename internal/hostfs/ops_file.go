package hostfs

import (
	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/virtio/fuse"
)

// openFlags are the flags of open that the guest decides on besides the access
// mode. O_APPEND is not among them: each WRITE says whether it appends.
const openFlags = unix.O_DSYNC | unix.O_SYNC | unix.O_NOATIME

// writes reports whether flags ask for writing. ok is false if they are none.
func writes(flags uint32) (write, ok bool) {
	switch flags & unix.O_ACCMODE {
	case unix.O_RDONLY:
		return flags&unix.O_TRUNC != 0, true
	case unix.O_WRONLY, unix.O_RDWR:
		return true, true
	}
	return false, false
}

func (s *Server) openFile(r *request) unix.Errno {
	flags := r.args.U32()
	write, ok := writes(flags)
	n, errno := s.node(r.Node)
	switch {
	case !r.args.OK() || !ok:
		return unix.EINVAL
	case errno != 0:
		return errno
	}
	if errno := s.room(); errno != 0 {
		return errno
	}
	if write {
		if errno := s.writable(n); errno != 0 {
			return errno
		}
	}
	fd, st, errno := s.pin(n)
	if errno != 0 {
		return errno
	}
	defer unix.Close(fd)
	if errno := openable(&st); errno != 0 {
		return errno
	}
	opened, errno := reopen(fd, int(flags&(unix.O_ACCMODE|unix.O_TRUNC|openFlags)))
	if errno != 0 {
		return errno
	}
	r.reply = s.opened(n, opened, write)
	return 0
}

// openable tells why a file is not opened.
func openable(st *unix.Stat_t) unix.Errno {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return unix.EISDIR
	case unix.S_IFLNK:
		return unix.ELOOP
	}
	return unix.EACCES // devices, pipes and sockets of the host
}

// opened returns a struct fuse_open_out for a descriptor.
func (s *Server) opened(n *node, fd int, write bool) []byte {
	fh, _ := s.addHandle(n, fd, write)
	return fuse.U32(fuse.U64(nil, fh), 0, 0)
}

func (s *Server) create(r *request) unix.Errno {
	flags, mode, umask := r.args.U32(), r.args.U32(), r.args.U32()
	r.args.Skip(4)
	name := r.args.Text()
	if _, ok := writes(flags); !r.args.OK() || !ok {
		return unix.EINVAL
	}
	dir, path, errno := s.child(r.Node, name)
	if errno != 0 {
		return errno
	}
	if errno := s.room(); errno != 0 {
		return errno
	}
	mode, errno = newMode(mode, umask)
	if errno != 0 {
		return errno
	}
	if !s.mayChange(path) {
		return unix.EROFS
	}
	fd, errno := s.makeFile(dir, name, int(flags&(unix.O_ACCMODE|openFlags)), mode)
	if errno != 0 {
		return errno
	}
	st, errno := stat(fd)
	if errno == 0 {
		errno = s.entry(r, dir, name, &st)
	}
	if errno != 0 {
		unix.Close(fd)
		return errno
	}
	r.reply = append(r.reply, s.opened(dir.children[name], fd, true)...)
	return 0
}

// newMode returns the permissions of a new file.
func newMode(mode, umask uint32) (uint32, unix.Errno) {
	if mode&setIDs != 0 {
		return 0, unix.EPERM
	}
	return mode & modeBits &^ umask, 0
}

// makeFile makes a file that did not exist and opens it. The permissions are
// the guest's to decide, not the umask's of the process.
func (s *Server) makeFile(dir *node, name string, flags int, mode uint32) (int, unix.Errno) {
	at, errno := s.openDir(dir)
	if errno != 0 {
		return -1, errno
	}
	defer unix.Close(at)
	flags |= unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NOCTTY
	fd, err := unix.Openat(at, name, flags, mode)
	if err != nil {
		return -1, errnoOf(err)
	}
	if err := unix.Fchmod(fd, mode); err != nil {
		unix.Close(fd)
		return -1, errnoOf(err)
	}
	return fd, 0
}

func (s *Server) read(r *request) unix.Errno {
	fh, off, want := r.args.U64(), r.args.U64(), r.args.U32()
	if !r.args.OK() || int64(off) < 0 {
		return unix.EINVAL
	}
	h, errno := s.file(fh, false)
	if errno != 0 {
		return errno
	}
	to := limit(r.in, int(min(want, fuse.MaxData)))
	if len(to) == 0 {
		return 0
	}
	n, err := unix.Preadv(h.fd, to, int64(off))
	if err != nil {
		return errnoOf(err)
	}
	r.filled = n
	return 0
}

func (s *Server) write(r *request) unix.Errno {
	fh, off, count := r.args.U64(), r.args.U64(), r.args.U32()
	r.args.Skip(4 + 8)
	flags := r.args.U32()
	r.args.Skip(4)
	if !r.args.OK() || int64(off) < 0 || count > fuse.MaxData || int(count) != size(r.out) {
		return unix.EINVAL
	}
	h, errno := s.file(fh, true)
	if errno != 0 {
		return errno
	}
	n := 0
	if count > 0 {
		how := 0
		if flags&unix.O_APPEND != 0 {
			how = unix.RWF_APPEND
		}
		var err error
		if n, err = unix.Pwritev2(h.fd, r.out, int64(off), how); err != nil {
			return errnoOf(err)
		}
	}
	r.reply = fuse.U32(nil, uint32(n), 0)
	return 0
}

// flush tells of errors that the host learns of when a file is closed.
func (s *Server) flush(r *request) unix.Errno {
	h, errno := s.handle(r.args.U64())
	if errno != 0 {
		return errno
	}
	fd, err := unix.FcntlInt(uintptr(h.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return errnoOf(err)
	}
	return errnoOf(unix.Close(fd))
}

// fsync may take as long as the host's disk: it is done later.
func (s *Server) fsync(r *request) unix.Errno {
	fh, flags := r.args.U64(), r.args.U32()
	h, errno := s.handle(fh)
	if errno != 0 {
		return errno
	}
	if !r.args.OK() {
		return unix.EINVAL
	}
	sync := unix.Fsync
	if flags&fuse.FsyncData != 0 {
		sync = unix.Fdatasync
	}
	h.use()
	r.later = func() unix.Errno {
		err := sync(h.fd)
		s.mu.Lock()
		defer s.mu.Unlock()
		h.done()
		return errnoOf(err)
	}
	return 0
}

func (s *Server) releaseFile(r *request) unix.Errno { return s.removeHandle(r.args.U64()) }
