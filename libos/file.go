// Package libos answers Linux system calls with Go functions.
//
// Go's runtime and standard library stay as they are for GOOS=linux; package
// syscall calls [Enter] where it would execute a SYSCALL instruction. A system
// call therefore runs on the calling goroutine, may grow its stack, allocate
// and park, and never blocks another goroutine.
//
// libos lies beneath package syscall in the import graph: it may import only
// what does not itself import syscall (sync, errors, io, strings, path,
// unicode, internal/...; not os, time, io/fs, fmt). Sockets are a separate
// package that registers itself with [RegisterNetwork], so that a program
// which does not import net carries no TCP/IP.
package libos

// A File is an open file description: what open, socket and pipe make and dup
// shares. Its methods are called by several goroutines at once; each call may
// park its goroutine unless the description is non-blocking (see [Poller]).
//
// What a file can do beyond this is told by the optional interfaces below; a
// system call that needs one which is not there gets the errno Linux gives.
//
// A buffer given to a method may lie on the caller's stack, which moves when it
// grows. So a buffer, and slices of it, stay in locals and in arguments: they
// are never put into a heap object (a reader, a closure that escapes, a queue)
// or given to another goroutine, not even for the time of the call. What needs
// that copies the bytes first. This goes for all methods of Socket, too, and
// for the parts of Send and Recv one by one.
type File interface {
	// Read reads up to len(p) bytes at the file's own position; 0 and no error
	// is the end of the file.
	Read(p []byte) (int, Errno)
	// Write writes p at the file's own position.
	Write(p []byte) (int, Errno)
	// Close is called once, when the last descriptor is closed.
	Close() Errno
}

// A Poller is a File whose readiness can be waited for. Sockets, pipes and the
// console are; regular files are not (as on Linux, where epoll refuses them).
type Poller interface {
	// SetNonblock says whether Read and Write return EAGAIN (true) or park.
	SetNonblock(bool)
	// Ready returns what would not block now: a set of Ready* bits.
	Ready() uint32
	// SetNotify sets the function to be called on each change that may have
	// made a bit of Ready true (edge-triggered; spurious calls are fine, lost
	// ones are not). It is called on a goroutine, with no lock held that
	// Ready takes. nil removes it.
	SetNotify(func(ready uint32))
}

// Readiness bits, the values of poll(2).
const (
	ReadyIn  = 0x1
	ReadyOut = 0x4
	ReadyErr = 0x8
	ReadyHup = 0x10
)

// A Socket is a file made by [Network.Socket]. Socket addresses are raw Linux
// struct sockaddr bytes (sockaddr_in, sockaddr_in6, sockaddr_nl, sockaddr_un);
// integers in options are native-endian, as in the system calls.
type Socket interface {
	File
	Poller
	Bind(addr []byte) Errno
	Listen(backlog int) Errno
	// Accept returns a new connection and its peer's address.
	Accept() (Socket, []byte, Errno)
	// Connect starts (non-blocking: EINPROGRESS) or makes a connection.
	Connect(addr []byte) Errno
	// Shutdown takes SHUT_RD 0, SHUT_WR 1, SHUT_RDWR 2.
	Shutdown(how int) Errno
	LocalAddr() ([]byte, Errno)
	RemoteAddr() ([]byte, Errno)
	// Send writes the parts as one message (datagram) or as one run of bytes
	// (stream); to is nil on a connected socket. oob is ancillary data.
	Send(parts [][]byte, oob, to []byte, flags int) (int, Errno)
	// Recv fills the parts in order. flags out are MSG_TRUNC and the like.
	Recv(parts [][]byte, oob []byte, flags int) (r Received, errno Errno)
	GetOption(level, name int, value []byte) (int, Errno)
	SetOption(level, name int, value []byte) Errno
}

// Received is what Socket.Recv got.
type Received struct {
	N     int    // bytes put into the parts
	OOBN  int    // bytes put into oob
	Flags int    // MSG_* of recvmsg's msg_flags
	From  []byte // sender's address, nil on a stream
}

// A Network makes sockets.
type Network interface {
	// Socket is called with the flags SOCK_NONBLOCK and SOCK_CLOEXEC removed
	// from typ (non-blocking follows by SetNonblock).
	Socket(domain, typ, protocol int) (Socket, Errno)
}

var network Network

// RegisterNetwork sets what answers socket(2); without one it fails with
// EAFNOSUPPORT. It is called once, from the init function of the network
// package, before any goroutine of the program runs.
func RegisterNetwork(n Network) {
	network = n
	useSockets()
}
