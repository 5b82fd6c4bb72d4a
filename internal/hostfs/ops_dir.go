package hostfs

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/virtio/fuse"
)

// A dirReader reads an open directory.
type dirReader struct {
	buf  []byte // struct linux_dirent64, not handed out yet
	next uint64 // offset of the first of them
}

func (s *Server) opendir(r *request) unix.Errno {
	n, errno := s.node(r.Node)
	if errno != 0 {
		return errno
	}
	if errno := s.room(); errno != 0 {
		return errno
	}
	fd, errno := s.openNode(n, unix.O_RDONLY|unix.O_DIRECTORY)
	if errno != 0 {
		return errno
	}
	fh, h := s.addHandle(n, fd, false)
	h.dir = &dirReader{}
	r.reply = fuse.U32(fuse.U64(nil, fh), 0, 0)
	return 0
}

// readdir answers READDIR and READDIRPLUS.
func (s *Server) readdir(r *request) unix.Errno {
	fh, off, want := r.args.U64(), r.args.U64(), r.args.U32()
	h, errno := s.handle(fh)
	switch {
	case !r.args.OK():
		return unix.EINVAL
	case errno != 0:
		return errno
	case h.dir == nil:
		return unix.ENOTDIR
	}
	room := min(int(min(want, fuse.MaxData)), r.room)
	reply := make([]byte, 0, room)
	for {
		e, errno := h.nextEntry(off)
		if errno != 0 && len(reply) == 0 {
			return errno
		}
		if errno != 0 || e.Name == "" {
			break
		}
		need := e.Size()
		if r.Op == fuse.OpReaddirplus {
			need += fuse.EntryLen
		}
		if len(reply)+need > room {
			break
		}
		off = e.Off
		h.dir.take()
		if e.Name == "." || e.Name == ".." {
			continue
		}
		if r.Op == fuse.OpReaddirplus {
			reply = s.entryPlus(h, e.Name, reply)
		}
		reply = e.Append(reply)
	}
	r.reply = reply
	return 0
}

// entryPlus appends what LOOKUP would tell of a name. Number 0 says that the
// guest has to ask for itself.
func (s *Server) entryPlus(h *handle, name string, b []byte) []byte {
	var e fuse.Entry
	if st, errno := statAt(h.fd, name); errno == 0 && checkName(name) == 0 {
		if n, errno := s.remember(h.node, name, &st); errno == 0 {
			e = fuse.Entry{Node: n.id, Valid: entryValid, Attr: s.attrOf(&st)}
		}
	}
	return e.Append(b)
}

// dirBuffer is the number of bytes that are read from a directory at a time.
const dirBuffer = 32 << 10

// nextEntry returns the entry at an offset that an entry gave as the next one,
// or 0; without a name at the end. It stays the next one until it is taken.
func (h *handle) nextEntry(off uint64) (fuse.Dirent, unix.Errno) {
	d := h.dir
	if off != d.next {
		if _, err := unix.Seek(h.fd, int64(off), 0); err != nil {
			return fuse.Dirent{}, errnoOf(err)
		}
		d.buf, d.next = nil, off
	}
	if len(d.buf) == 0 {
		buf := make([]byte, dirBuffer)
		n, err := unix.Getdents(h.fd, buf)
		if err != nil {
			return fuse.Dirent{}, errnoOf(err)
		}
		d.buf = buf[:n]
	}
	return d.first(), 0
}

// Offsets in struct linux_dirent64.
const (
	direntOff  = 8
	direntLen  = 16
	direntType = 18
	direntName = 19
)

// first returns the first entry in the buffer.
func (d *dirReader) first() (e fuse.Dirent) {
	if len(d.buf) == 0 {
		return e
	}
	e.Ino = binary.NativeEndian.Uint64(d.buf)
	e.Off = binary.NativeEndian.Uint64(d.buf[direntOff:])
	e.Type = uint32(d.buf[direntType])
	name := d.buf[direntName:d.size()]
	e.Name = string(name[:bytes.IndexByte(name, 0)])
	return e
}

func (d *dirReader) size() int { return int(binary.NativeEndian.Uint16(d.buf[direntLen:])) }

// take moves on behind the first entry.
func (d *dirReader) take() {
	d.next = binary.NativeEndian.Uint64(d.buf[direntOff:])
	d.buf = d.buf[d.size():]
}

// change opens the directory of a request to change a name in it, and checks
// that the guest may.
func (s *Server) change(id uint64, name string, needAll bool) (dir *node, fd int, errno unix.Errno) {
	dir, path, errno := s.child(id, name)
	if errno != 0 {
		return nil, -1, errno
	}
	if needAll && s.mode != ReadWrite || !s.mayChange(path) {
		return nil, -1, unix.EROFS
	}
	fd, errno = s.openDir(dir)
	return dir, fd, errno
}

// made answers with a name that was just made in an open directory.
func (s *Server) made(r *request, dir *node, at int, name string) unix.Errno {
	st, errno := statAt(at, name)
	if errno != 0 {
		return errno
	}
	return s.entry(r, dir, name, &st)
}

func (s *Server) mknod(r *request) unix.Errno {
	mode := r.args.U32()
	r.args.Skip(4)
	umask := r.args.U32()
	r.args.Skip(4)
	name := r.args.Text()
	if !r.args.OK() {
		return unix.EINVAL
	}
	if typ := mode & unix.S_IFMT; typ != unix.S_IFREG && typ != 0 {
		return unix.EPERM
	}
	mode, errno := newMode(mode, umask)
	if errno != 0 {
		return errno
	}
	dir, at, errno := s.change(r.Node, name, false)
	if errno != 0 {
		return errno
	}
	defer unix.Close(at)
	fd, errno := s.makeFile(dir, name, unix.O_WRONLY, mode)
	if errno != 0 {
		return errno
	}
	unix.Close(fd)
	return s.made(r, dir, at, name)
}

func (s *Server) mkdir(r *request) unix.Errno {
	mode, umask := r.args.U32(), r.args.U32()
	name := r.args.Text()
	if !r.args.OK() {
		return unix.EINVAL
	}
	mode, errno := newMode(mode, umask)
	if errno != 0 {
		return errno
	}
	dir, at, errno := s.change(r.Node, name, true)
	if errno != 0 {
		return errno
	}
	defer unix.Close(at)
	if err := unix.Mkdirat(at, name, mode); err != nil {
		return errnoOf(err)
	}
	if errno := chmodDir(at, name, mode); errno != 0 {
		return errno
	}
	return s.made(r, dir, at, name)
}

// chmodDir gives a directory just made its permissions, whatever the umask of
// the process.
func chmodDir(at int, name string, mode uint32) unix.Errno {
	fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return errnoOf(err)
	}
	defer unix.Close(fd)
	return errnoOf(unix.Fchmodat(unix.AT_FDCWD, link(fd), mode, 0))
}

func (s *Server) symlink(r *request) unix.Errno {
	name, target := r.args.Text(), r.args.Text()
	if !r.args.OK() {
		return unix.EINVAL
	}
	dir, at, errno := s.change(r.Node, name, true)
	if errno != 0 {
		return errno
	}
	defer unix.Close(at)
	if err := unix.Symlinkat(target, at, name); err != nil {
		return errnoOf(err)
	}
	return s.made(r, dir, at, name)
}

// hardLink gives a file a second name. Its first one is looked up by name, for
// a link to what has none needs a privilege.
func (s *Server) hardLink(r *request) unix.Errno {
	id, name := r.args.U64(), r.args.Text()
	if !r.args.OK() {
		return unix.EINVAL
	}
	old, errno := s.node(id)
	if errno != 0 {
		return errno
	}
	if old.parent == nil {
		return unix.ENOENT
	}
	dir, at, errno := s.change(r.Node, name, true)
	if errno != 0 {
		return errno
	}
	defer unix.Close(at)
	from, errno := s.openDir(old.parent)
	if errno != 0 {
		return errno
	}
	defer unix.Close(from)
	if err := unix.Linkat(from, old.name, at, name, 0); err != nil {
		return errnoOf(err)
	}
	return s.made(r, dir, at, name)
}

// unlink answers UNLINK and RMDIR.
func (s *Server) unlink(r *request) unix.Errno {
	name := r.args.Text()
	if !r.args.OK() {
		return unix.EINVAL
	}
	isDir := r.Op == fuse.OpRmdir
	dir, at, errno := s.change(r.Node, name, isDir)
	if errno != 0 {
		return errno
	}
	defer unix.Close(at)
	flags := 0
	if isDir {
		flags = unix.AT_REMOVEDIR
	}
	if err := unix.Unlinkat(at, name, flags); err != nil {
		return errnoOf(err)
	}
	if c := dir.children[name]; c != nil {
		s.detach(c)
	}
	return 0
}

// rename answers RENAME and RENAME2.
func (s *Server) rename(r *request) unix.Errno {
	to, flags := r.args.U64(), uint32(0)
	if r.Op == fuse.OpRename2 {
		flags = r.args.U32()
		r.args.Skip(4)
	}
	name, newName := r.args.Text(), r.args.Text()
	if !r.args.OK() || flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 {
		return unix.EINVAL
	}
	dir, at, errno := s.change(r.Node, name, false)
	if errno != 0 {
		return errno
	}
	defer unix.Close(at)
	newDir, newAt, errno := s.change(to, newName, false)
	if errno != 0 {
		return errno
	}
	defer unix.Close(newAt)
	if errno := s.movable(at, name); errno != 0 {
		return errno
	}
	if err := unix.Renameat2(at, name, newAt, newName, uint(flags)); err != nil {
		return errnoOf(err)
	}
	if flags&unix.RENAME_EXCHANGE != 0 {
		s.exchanged(dir, name, newDir, newName)
	} else {
		s.moved(dir, name, newDir, newName)
	}
	return 0
}

// movable refuses to move anything but a file where only files are named.
func (s *Server) movable(at int, name string) unix.Errno {
	if s.mode == ReadWrite {
		return 0
	}
	st, errno := statAt(at, name)
	if errno == 0 && st.Mode&unix.S_IFMT != unix.S_IFREG {
		errno = unix.EROFS
	}
	return errno
}
