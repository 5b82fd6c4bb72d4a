package hostfs

import (
	"golang.org/x/sys/unix"
)

// A handle is a file or directory that the guest has open.
type handle struct {
	fd    int
	node  *node
	next  *handle // of the same node
	write bool    // opened for writing
	users int     // who must be done before fd is closed
	gone  bool    // released
	dir   *dirReader
}

// addHandle gives an open descriptor a number, which the guest uses from then on.
func (s *Server) addHandle(n *node, fd int, write bool) (uint64, *handle) {
	h := &handle{fd: fd, node: n, next: n.open, write: write}
	n.open = h
	s.lastFH++
	s.handles[s.lastFH] = h
	return s.lastFH, h
}

// room reports whether one more handle may be opened.
func (s *Server) room() unix.Errno {
	if len(s.handles) >= maxHandles {
		return unix.ENFILE
	}
	return 0
}

// handle returns what the guest means by a number.
func (s *Server) handle(fh uint64) (*handle, unix.Errno) {
	if h := s.handles[fh]; h != nil {
		return h, 0
	}
	return nil, unix.EBADF
}

// file returns the handle of an open regular file.
func (s *Server) file(fh uint64, write bool) (*handle, unix.Errno) {
	h, errno := s.handle(fh)
	if errno != 0 {
		return nil, errno
	}
	if h.dir != nil || write && !h.write {
		return nil, unix.EBADF
	}
	return h, 0
}

// remove takes a handle's number away and closes it when nobody uses it.
func (s *Server) removeHandle(fh uint64) unix.Errno {
	h, errno := s.handle(fh)
	if errno != 0 {
		return errno
	}
	delete(s.handles, fh)
	s.release(h)
	return 0
}

// release ends a handle whose number is gone.
func (s *Server) release(h *handle) {
	for at := &h.node.open; *at != nil; at = &(*at).next {
		if *at == h {
			*at = h.next
			break
		}
	}
	h.gone = true
	h.close()
}

// use keeps a handle's descriptor open until done is called, with s.mu held.
func (h *handle) use() { h.users++ }

func (h *handle) done() {
	h.users--
	h.close()
}

func (h *handle) close() {
	if h.gone && h.users == 0 {
		unix.Close(h.fd)
		h.fd = -1
	}
}
