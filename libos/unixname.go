package libos

import "unsafe"

// sizeofSockaddrUnix is the size of struct sockaddr_un; its path begins at
// pathOffset (include/uapi/linux/un.h).
const (
	sizeofSockaddrUnix = 110
	pathOffset         = 2
)

// noName is the address of a socket without a name.
var noName = []byte{afUnix, 0}

// An abstractName is a name that is not in the file tree. Sockets of different
// types may have the same.
type abstractName struct {
	typ  int
	name string
}

// unixAddress checks a socket address. It returns the path, or the abstract
// name with the NUL before it; both are empty for an address of the family
// alone, which stands for a name to be chosen.
func unixAddress(addr []byte) (name string, abstract bool, errno Errno) {
	if len(addr) < pathOffset || len(addr) > sizeofSockaddrUnix || addr[0] != afUnix || addr[1] != 0 {
		return "", false, EINVAL
	}
	path := addr[pathOffset:]
	if len(path) == 0 {
		return "", false, 0
	}
	if path[0] == 0 {
		return string(path), true, 0
	}
	n := 0
	for n < len(path) && path[n] != 0 {
		n++
	}
	return string(path[:n]), false, 0
}

// sockaddrUnix returns the address that stands for a name: a path ends in NUL.
func sockaddrUnix(name string, abstract bool) []byte {
	b := append([]byte{afUnix, 0}, name...)
	if !abstract {
		b = append(b, 0)
	}
	return b
}

// Bind implements Socket (unix_bind).
func (s *unixSocket) Bind(addr []byte) Errno {
	name, abstract, errno := unixAddress(addr)
	switch {
	case errno != 0:
		return errno
	case name == "":
		unixNet.mu.Lock()
		defer unlockUnix()
		return s.autobind()
	case abstract:
		unixNet.mu.Lock()
		defer unlockUnix()
		return s.bindAbstract(name)
	}
	return s.bindPath(name)
}

// bindAbstract gives s a name that is not in the file tree.
func (s *unixSocket) bindAbstract(name string) Errno {
	key := abstractName{s.typ, name}
	if s.name != nil {
		return EINVAL
	}
	if unixNet.abstract[key] != nil {
		return EADDRINUSE
	}
	if unixNet.abstract == nil {
		unixNet.abstract = make(map[abstractName]*unixSocket)
	}
	unixNet.abstract[key] = s
	s.key, s.name = key, sockaddrUnix(name, true)
	return 0
}

// autobind chooses an abstract name of five hexadecimal digits, unless s has a
// name already.
func (s *unixSocket) autobind() Errno {
	const digits = "0123456789abcdef"
	for range 1 << 20 {
		if s.name != nil {
			return 0
		}
		unixNet.auto = (unixNet.auto + 1) & (1<<20 - 1)
		var b [6]byte
		for i := range 5 {
			b[5-i] = digits[unixNet.auto>>(4*i)&15]
		}
		s.bindAbstract(string(b[:]))
	}
	return ENOSPC
}

// bindPath makes a socket node in the file tree.
func (s *unixSocket) bindPath(path string) Errno {
	UseFiles()
	l, errno := newName(atFDCWD, path, false)
	var p place
	if errno == 0 {
		p, errno = createAt(l, &Attr{Mode: ModeSocket | 0o777}, "")
	}
	if errno == EEXIST {
		return EADDRINUSE
	}
	if errno != 0 {
		return errno
	}
	unixNet.mu.Lock()
	defer unlockUnix()
	if s.name != nil {
		l.dir.node.(WritableDirectory).Unlink(l.name, false)
		return EINVAL
	}
	if unixNet.bound == nil {
		unixNet.bound = make(map[Node]*unixSocket)
	}
	unixNet.bound[p.node] = s
	s.node, s.name = p.node, sockaddrUnix(path, false)
	return 0
}

// unname takes the name of a closed socket out of use. A node stays, and
// refuses connections.
func (s *unixSocket) unname() {
	if s.node != nil {
		delete(unixNet.bound, s.node)
	}
	if s.key.name != "" {
		delete(unixNet.abstract, s.key)
	}
}

// lookUp returns what addr leads to: a node, or an abstract name. A socket that
// wants credentials gets a name of its own first. unixNet.mu is free, for a file
// system may be slow.
func (s *unixSocket) lookUp(addr []byte) (n Node, key abstractName, errno Errno) {
	name, abstract, errno := unixAddress(addr)
	if errno == 0 && name == "" {
		errno = EINVAL
	}
	if errno == 0 {
		errno = s.nameForCred()
	}
	if errno != 0 || abstract {
		return nil, abstractName{s.typ, name}, errno
	}
	UseFiles()
	p, errno := resolve(atFDCWD, name, followLast)
	return p.node, key, errno
}

// nameForCred gives a socket with SO_PASSCRED a name.
func (s *unixSocket) nameForCred() Errno {
	unixNet.mu.Lock()
	defer unlockUnix()
	if !s.passCred {
		return 0
	}
	return s.autobind()
}

// find returns the socket that lookUp's result stands for; unixNet.mu is held.
func (u *unixDomain) find(n Node, key abstractName, typ int) (*unixSocket, Errno) {
	if n == nil {
		if s := u.abstract[key]; s != nil {
			return s, 0
		}
		return nil, ECONNREFUSED
	}
	s := u.bound[n]
	switch {
	case s == nil:
		return nil, ECONNREFUSED
	case s.typ != typ:
		return nil, EPROTOTYPE
	}
	return s, 0
}

// LocalAddr implements Socket.
func (s *unixSocket) LocalAddr() ([]byte, Errno) {
	unixNet.mu.Lock()
	defer unlockUnix()
	return s.address(), 0
}

// address returns the socket's name or noName.
func (s *unixSocket) address() []byte {
	if s.name == nil {
		return noName
	}
	return s.name
}

// RemoteAddr implements Socket.
func (s *unixSocket) RemoteAddr() ([]byte, Errno) {
	unixNet.mu.Lock()
	defer unlockUnix()
	if s.peer == nil {
		return nil, ENOTCONN
	}
	return s.peer.address(), 0
}

// bytesOf returns the bytes of v, which must not hold pointers.
func bytesOf[T any](v *T) []byte {
	// SAFETY: v is that many bytes, and they live as long as it does.
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}
