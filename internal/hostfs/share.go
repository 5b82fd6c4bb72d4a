// Package hostfs serves folders of the host to a guest: the server side of the
// FUSE protocol (include/uapi/linux/fuse.h, as virtio-fs carries it), for one
// folder a [Server].
//
// # What keeps the guest in the folder
//
// The guest names things by numbers that it was given and by single names, which
// have no slash and are not "." or "..". The server turns them into a path
// relative to the folder and opens that with openat2 and RESOLVE_BENEATH,
// RESOLVE_NO_SYMLINKS and RESOLVE_NO_MAGICLINKS: the kernel itself refuses what
// leads out, also while somebody renames things. No symbolic link is ever
// followed on the host: the guest reads it and follows it in its own tree. An
// operation on a name goes through the opened directory and that one name, with
// the flags that do not follow links. Only regular files and directories are
// opened; a device, pipe or socket is seen by its name and attributes alone.
//
// # Owners and permissions
//
// The guest's user is 0 and everything belongs to it. The permission bits are
// those of the host, and what the user who runs tailor may do is enforced by
// the host. The guest can give no file to another user, and set neither the
// set-user-ID nor the set-group-ID bit, with which a file would act for whoever
// runs it on the host.
package hostfs

import (
	"fmt"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// A Mode says what a guest may change in a share.
type Mode uint8

const (
	// ReadOnly lets the guest change nothing.
	ReadOnly Mode = iota
	// Named lets the guest create, write, truncate and remove the files that
	// Share.Names lists, and change nothing else.
	Named
	// ReadWrite lets the guest change everything in the share that the user who
	// runs tailor may change.
	ReadWrite
)

// A Share is a folder of the host that a guest may use.
type Share struct {
	Dir  string // the folder on the host
	Mode Mode
	// Names are files, by their slash-separated paths relative to Dir ("c.out",
	// "sub/cpu.prof"), for Mode Named. They need not exist, their folders must.
	Names []string
}

// Bounds of what a guest makes a server hold. A node takes some 200 bytes.
const (
	maxNodes   = 1 << 18
	maxHandles = 1024 // open files and directories
)

// A Server serves one share. [Server.Handle] is called by one goroutine at a
// time; the work that it returns to be done later may run beside it.
type Server struct {
	mode  Mode
	names map[string]bool
	root  int // O_PATH descriptor of the folder
	dev   uint64

	mu      sync.Mutex
	ready   bool // INIT was done
	nodes   map[uint64]*node
	lastID  uint64
	handles map[uint64]*handle
	lastFH  uint64
	closed  bool
}

// New makes a server for a share, whose folder must exist. [Server.Close] frees
// what it holds.
func New(share Share) (*Server, error) {
	s := &Server{mode: share.Mode, names: map[string]bool{}}
	for _, name := range share.Names {
		if !filepath.IsLocal(name) || filepath.Clean(name) != name || name == "." {
			return nil, fmt.Errorf("share %s: %q does not name a file in it", share.Dir, name)
		}
		s.names[name] = true
	}
	var err error
	s.root, err = unix.Open(share.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("share %s: %w", share.Dir, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(s.root, &st); err != nil {
		unix.Close(s.root)
		return nil, fmt.Errorf("share %s: %w", share.Dir, err)
	}
	if err := s.probe(); err != nil {
		unix.Close(s.root)
		return nil, fmt.Errorf("share %s: %w", share.Dir, err)
	}
	s.dev = st.Dev
	s.reset()
	return s, nil
}

// probe finds out whether the kernel has what keeps the guest in the folder.
func (s *Server) probe() error {
	fd, errno := s.open(".", unix.O_PATH|unix.O_DIRECTORY)
	if errno == unix.ENOSYS {
		return fmt.Errorf("sharing a folder needs openat2, of Linux 5.6: %w", errno)
	}
	if errno != 0 {
		return errno
	}
	unix.Close(fd)
	return nil
}

// reset forgets all nodes but the root, and all handles.
func (s *Server) reset() {
	for _, h := range s.handles {
		s.release(h)
	}
	s.ready = false
	s.nodes = map[uint64]*node{rootID: {id: rootID, typ: unix.S_IFDIR, refs: 1}}
	s.handles = map[uint64]*handle{}
	s.lastID = rootID
}

// Close frees what the server holds. A call of Handle fails from then on; work
// that is still being done later keeps the one file that it needs.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.reset()
	s.closed = true
	unix.Close(s.root)
}

// mayChange reports whether the guest may change the file at a path.
func (s *Server) mayChange(path string) bool {
	return s.mode == ReadWrite || s.mode == Named && s.names[path]
}
