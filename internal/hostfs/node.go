package hostfs

import (
	"golang.org/x/sys/unix"
)

const rootID = 1

// A node is a name that the guest was told of, and what it stood for then. It is
// kept as long as the guest refers to it, or to something beneath it.
type node struct {
	id       uint64
	parent   *node // nil for the root, and once its name is gone
	name     string
	children map[string]*node
	refs     uint64 // how often the guest was told
	dev, ino uint64
	typ      uint32  // S_IF*
	open     *handle // one of its open handles, if there is one
}

// maxPath bounds a path in bytes (PATH_MAX without the NUL).
const maxPath = 4095

// path returns the node's path relative to the folder, ESTALE if its name, or
// that of a directory above, is gone.
func (n *node) path() (string, unix.Errno) {
	if n.id == rootID {
		return ".", 0
	}
	size := -1
	for at := n; at.id != rootID; at = at.parent {
		if size += len(at.name) + 1; size > maxPath {
			return "", unix.ENAMETOOLONG
		}
		if at.parent == nil {
			return "", unix.ESTALE
		}
	}
	b := make([]byte, size)
	for at := n; at.id != rootID; at = at.parent {
		size -= len(at.name)
		copy(b[size:], at.name)
		if size > 0 {
			size--
			b[size] = '/'
		}
	}
	return string(b), 0
}

// childPath returns the path of a name in directory n.
func (n *node) childPath(name string) (string, unix.Errno) {
	if errno := checkName(name); errno != 0 {
		return "", errno
	}
	dir, errno := n.path()
	switch {
	case errno != 0:
		return "", errno
	case n.id == rootID:
		return name, 0
	case len(dir)+1+len(name) > maxPath:
		return "", unix.ENAMETOOLONG
	}
	return dir + "/" + name, 0
}

// node returns what the guest means by a number.
func (s *Server) node(id uint64) (*node, unix.Errno) {
	if n := s.nodes[id]; n != nil {
		return n, 0
	}
	return nil, unix.ESTALE
}

// remember returns the node for a name in directory n with the attributes st,
// and counts that the guest is told of it. A name that stands for another file
// than before is another node.
func (s *Server) remember(n *node, name string, st *unix.Stat_t) (*node, unix.Errno) {
	if c := n.children[name]; c != nil {
		if c.dev == st.Dev && c.ino == st.Ino && c.typ == st.Mode&unix.S_IFMT {
			c.refs++
			return c, 0
		}
		s.detach(c)
	}
	if len(s.nodes) >= maxNodes {
		return nil, unix.ENFILE
	}
	s.lastID++
	c := &node{id: s.lastID, refs: 1, dev: st.Dev, ino: st.Ino, typ: st.Mode & unix.S_IFMT}
	s.nodes[c.id] = c
	n.attach(c, name)
	return c, 0
}

// attach gives node c a name in directory n.
func (n *node) attach(c *node, name string) {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	n.children[name] = c
	c.parent, c.name = n, name
}

// detach takes a node's name away: it was removed or replaced. What is open
// stays open.
func (s *Server) detach(c *node) {
	p := c.parent
	if p == nil {
		return
	}
	delete(p.children, c.name)
	c.parent = nil
	s.drop(c)
	s.drop(p)
}

// forget takes away count of the times that the guest was told of a node.
func (s *Server) forget(id, count uint64) {
	n := s.nodes[id]
	if n == nil || id == rootID {
		return
	}
	n.refs -= min(count, n.refs)
	s.drop(n)
}

// drop removes a node that nothing refers to, and the directories above that
// were kept for its path alone.
func (s *Server) drop(n *node) {
	for n != nil && n.id != rootID && n.refs == 0 && len(n.children) == 0 {
		delete(s.nodes, n.id)
		p := n.parent
		if p != nil && p.children[n.name] == n {
			delete(p.children, n.name)
		}
		n.parent = nil
		n = p
	}
}

// moved follows a rename on the host. A directory that would come to lie in
// itself, because the host's tree changed meanwhile, loses its name instead.
func (s *Server) moved(from *node, name string, to *node, newName string) {
	c := from.children[name]
	if old := to.children[newName]; old != nil && old != c {
		s.detach(old)
	}
	if c == nil {
		return
	}
	for at := to; at != nil; at = at.parent {
		if at == c {
			s.detach(c)
			return
		}
	}
	delete(from.children, name)
	to.attach(c, newName)
	s.drop(from)
}

// exchanged follows the exchange of two names, which is rare: both are told
// anew when they are next asked for.
func (s *Server) exchanged(from *node, name string, to *node, newName string) {
	for _, c := range []*node{from.children[name], to.children[newName]} {
		if c != nil {
			s.detach(c)
		}
	}
}
