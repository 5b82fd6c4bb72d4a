// Package fusefs is a file system of libos whose files are elsewhere: a client
// of the FUSE protocol (package virtio/fuse).
//
// # What is remembered
//
// Contents are never remembered: each read and write asks the server, in pieces
// of up to 1 MiB. Names and attributes are, for the time that the server allows
// (Tailor's allows a second), so that a walk through a tree, which asks for each
// name several times, costs one request for some hundred names. What the
// program itself changes is seen at once; what others change, when that time is
// over. A name that is not there is always asked for again.
//
// Nodes are told apart by the server's numbers. One that the program does not
// refer to any more is collected as any other memory, and the server is told.
//
// The server is not trusted: replies are decoded with bounds, and what cannot
// be true is EIO.
package fusefs

import (
	"sync"
	"sync/atomic"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/fuse"
)

// Conn carries requests to a server; it is a fsdev.Device.
type Conn interface {
	// Call sends the bytes of out and parks until the reply is in the buffers
	// of in. It returns the bytes of the reply. After an error, in must not be
	// used any more. No buffer is on a goroutine's stack.
	Call(out, in [2][]byte) (int, error)
	// Cast leaves a request for the server, to be sent with the next one, and
	// calls done when its reply is in the buffer in.
	Cast(out, in []byte, done func()) error
	// Forget sends a request that has no reply.
	Forget(out []byte) error
}

// Options say how a file system is used.
type Options struct {
	// ReadOnly refuses every change with EROFS without asking the server.
	ReadOnly bool
	// Fixed reports whether a buffer stays where it is while its goroutine is
	// parked, as one of a stack does not. Such a buffer is given to the server,
	// others are copied. nil: all are copied.
	Fixed func(p []byte) bool
}

// An FS is a file system behind a connection. It makes its first request when
// it is first used.
type FS struct {
	conn  Conn
	opts  Options
	root  libos.Directory
	start sync.Once
	fault libos.Errno // of start

	unique atomic.Uint64

	mu      sync.Mutex
	nodes   nodeTable // by the server's numbers
	linked  nodeTable // files with several links, by the file's number
	recent  recentNames
	forgets []ticket    // to be told
	spare   []*exchange // not in use
}

// New returns a file system on a connection that nobody else uses.
func New(c Conn, o Options) *FS {
	fs := &FS{conn: c, opts: o, nodes: nodeTable{}, linked: nodeTable{}}
	n := newNode(fs, fuse.RootNode, nil, "", libos.ModeDir)
	fs.root = n.self.(libos.Directory)
	return fs
}

// Root implements libos.FileSystem.
func (fs *FS) Root() libos.Directory { return fs.root }

// fuseMagic is FUSE_SUPER_MAGIC.
const fuseMagic = 0x65735546

// Usage implements libos.FileSystem.
func (fs *FS) Usage() libos.Usage {
	u := libos.Usage{Magic: fuseMagic, BlockSize: 4096, NameLength: fuse.MaxName}
	x := fs.begin(fuse.OpStatfs, fuse.RootNode)
	defer fs.end(x)
	if d, errno := fs.call(x, fuse.StatfsLen); errno == 0 {
		if s := d.Statfs(); d.OK() {
			u.Blocks, u.Free, u.Files, u.FreeFiles = s.Blocks, s.Free, s.Files, s.FreeFiles
			u.BlockSize, u.NameLength = uint64(s.BlockSize), uint64(s.NameLength)
		}
	}
	return u
}

// init begins the session.
func (fs *FS) init() {
	x := fs.begin(fuse.OpInit, 0)
	defer fs.end(x)
	in := fuse.Init{
		Major: fuse.Major, Minor: fuse.Minor, Readahead: fuse.MaxData,
		Flags: fuse.InitBigWrites | fuse.InitReaddirplus | fuse.InitMaxPages,
	}
	x.out = in.AppendIn(x.out)
	d, errno := fs.send(x, fuse.InitLen, nil, nil)
	if errno != 0 {
		fs.fault = errno
		return
	}
	// What we use besides version 7.31 is large requests and READDIRPLUS.
	out := d.InitOut()
	if !d.OK() || out.Major != fuse.Major || out.Minor < fuse.Minor || out.MaxWrite < fuse.MaxData ||
		out.Flags&fuse.InitReaddirplus == 0 {
		fs.fault = libos.EIO
	}
}
