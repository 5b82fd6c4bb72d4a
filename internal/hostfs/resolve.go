package hostfs

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// beneath are the rules by which the kernel resolves every path.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS

// resolveTries bounds how often a path is resolved again that the kernel could
// not be sure of, because something was renamed meanwhile.
const resolveTries = 64

// open opens a path relative to the folder, never outside of it and never
// through a link.
func (s *Server) open(path string, flags int) (int, unix.Errno) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_NOFOLLOW | unix.O_CLOEXEC), Resolve: beneath}
	for range resolveTries {
		fd, err := unix.Openat2(s.root, path, &how)
		if err == nil {
			return fd, 0
		}
		if err != unix.EAGAIN && err != unix.EINTR {
			return -1, errnoOf(err)
		}
	}
	return -1, unix.EAGAIN
}

// openNode opens a node by its path, for its attributes and as a directory to
// start from.
func (s *Server) openNode(n *node, flags int) (int, unix.Errno) {
	path, errno := n.path()
	if errno != 0 {
		return -1, errno
	}
	return s.open(path, flags)
}

// openDir opens a directory to do something with a name in it.
func (s *Server) openDir(n *node) (int, unix.Errno) {
	return s.openNode(n, unix.O_PATH|unix.O_DIRECTORY)
}

// reopen opens what an O_PATH descriptor refers to. The kernel's own link to it
// is the one that is followed: it leads to just that file, wherever its name
// has gone.
func reopen(fd, flags int) (int, unix.Errno) {
	opened, err := unix.Open(link(fd), flags|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	return opened, errnoOf(err)
}

// link returns the name of a descriptor's file in /proc.
func link(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// errnoOf returns the number of an error of package unix.
func errnoOf(err error) unix.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := err.(unix.Errno); ok {
		return errno
	}
	return unix.EIO
}

// stat returns the attributes behind a descriptor.
func stat(fd int) (st unix.Stat_t, errno unix.Errno) {
	return st, errnoOf(unix.Fstat(fd, &st))
}

// statAt returns the attributes of a name in a directory, not following a link.
func statAt(dir int, name string) (st unix.Stat_t, errno unix.Errno) {
	return st, errnoOf(unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW))
}

// checkName returns what is wrong with a name that the guest gave.
func checkName(name string) unix.Errno {
	switch {
	case name == "" || name == "." || name == "..":
		return unix.EINVAL
	case len(name) > 255:
		return unix.ENAMETOOLONG
	}
	for i := range len(name) {
		if name[i] == '/' || name[i] == 0 {
			return unix.EINVAL
		}
	}
	return 0
}
