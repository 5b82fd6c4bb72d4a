package hostfs

import (
	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/virtio/fuse"
)

// maxFixed bounds what a request has besides the contents of a file: header,
// arguments and names.
const maxFixed = 8 << 10

// maxForgets bounds the nodes of one BATCH_FORGET.
const maxForgets = 4096

// entryValid is for how long the guest may believe a name and attributes, in
// nanoseconds. A walk through a tree asks once for each name in that time, and
// what others change on the host is seen after it at the latest; contents are
// always asked for.
const entryValid = 1e9

// A request is one message of the guest, copied: the guest may change its
// memory meanwhile. Only the contents of files are moved from and to it.
type request struct {
	fuse.InHeader
	args fuse.Decoder
	out  [][]byte // what follows the arguments: contents to write
	in   [][]byte // where the reply's body goes
	room int      // bytes in in
	// reply is the reply's body, if it is not contents that were put into in
	// already, whose length is then filled.
	reply  []byte
	filled int
	later  func() unix.Errno // what remains to be done
	mute   bool              // there is no reply to such a request
}

// An operation answers a request. s.mu is held.
type operation func(*Server, *request) unix.Errno

// fixed is the operations, and how many bytes their arguments have at most,
// names included, before contents follow.
var operations = map[uint32]struct {
	do    operation
	fixed int
}{
	fuse.OpInit:        {(*Server).init, 256},
	fuse.OpDestroy:     {(*Server).destroy, 256},
	fuse.OpLookup:      {(*Server).lookup, maxFixed},
	fuse.OpForget:      {(*Server).forgetOne, 8},
	fuse.OpBatchForget: {(*Server).forgetMany, 8 + maxForgets*fuse.ForgetOneLen},
	fuse.OpInterrupt:   {(*Server).interrupt, 8},
	fuse.OpGetattr:     {(*Server).getattr, 16},
	fuse.OpSetattr:     {(*Server).setattr, 88},
	fuse.OpReadlink:    {(*Server).readlink, 0},
	fuse.OpStatfs:      {(*Server).statfs, 0},
	fuse.OpOpen:        {(*Server).openFile, 8},
	fuse.OpCreate:      {(*Server).create, maxFixed},
	fuse.OpRead:        {(*Server).read, 40},
	fuse.OpWrite:       {(*Server).write, 40},
	fuse.OpFlush:       {(*Server).flush, 24},
	fuse.OpFsync:       {(*Server).fsync, 16},
	fuse.OpRelease:     {(*Server).releaseFile, 24},
	fuse.OpOpendir:     {(*Server).opendir, 8},
	fuse.OpReaddir:     {(*Server).readdir, 40},
	fuse.OpReaddirplus: {(*Server).readdir, 40},
	fuse.OpFsyncdir:    {(*Server).fsync, 16},
	fuse.OpReleasedir:  {(*Server).releaseFile, 24},
	fuse.OpMknod:       {(*Server).mknod, maxFixed},
	fuse.OpMkdir:       {(*Server).mkdir, maxFixed},
	fuse.OpSymlink:     {(*Server).symlink, maxFixed},
	fuse.OpLink:        {(*Server).hardLink, maxFixed},
	fuse.OpUnlink:      {(*Server).unlink, maxFixed},
	fuse.OpRmdir:       {(*Server).unlink, maxFixed},
	fuse.OpRename:      {(*Server).rename, maxFixed},
	fuse.OpRename2:     {(*Server).rename, maxFixed},
}

// Handle answers one request, which is in the buffers out. It puts the reply
// into the buffers in and returns its length in bytes; 0 if there is none,
// because the request has none, or in does not have the room for an error.
// Nothing is remembered of the buffers.
//
// A request that may take long is not done when Handle returns: it then returns
// a function that does the rest, on whatever goroutine, and returns the reply
// to be put into in.
func (s *Server) Handle(out, in [][]byte) (n int, later func() []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, errno := newRequest(out, in)
	if errno == 0 {
		errno = s.do(r)
	}
	if r.mute {
		return 0, nil
	}
	if work := r.later; work != nil && errno == 0 {
		unique := r.Unique
		return 0, func() []byte { return header(unique, work(), 0) }
	}
	return r.answer(in, errno), nil
}

// do carries out a request.
func (s *Server) do(r *request) unix.Errno {
	op, known := operations[r.Op]
	switch {
	case s.closed:
		return unix.ENODEV
	case !known:
		return unix.ENOSYS
	case !s.ready && r.Op != fuse.OpInit:
		return unix.EIO
	}
	return op.do(s, r)
}

// newRequest copies what is not contents. r is never nil.
func newRequest(out, in [][]byte) (*request, unix.Errno) {
	r := &request{}
	head, rest := take(out, fuse.InHeaderLen)
	d := fuse.NewDecoder(head)
	r.InHeader = d.InHeader()
	total := len(head) + size(rest)
	if !d.OK() || uint64(r.Len) != uint64(total) {
		return r, unix.EINVAL
	}
	r.mute = r.Op == fuse.OpForget || r.Op == fuse.OpBatchForget
	fixed := operations[r.Op].fixed
	if r.Op != fuse.OpWrite && fixed < total-len(head) {
		return r, unix.EINVAL
	}
	args, contents := take(rest, fixed)
	r.args, r.out = *fuse.NewDecoder(args), contents
	r.in = skip(in, fuse.OutHeaderLen)
	r.room = size(r.in)
	return r, 0
}

// answer puts the reply into in and returns its length.
func (r *request) answer(in [][]byte, errno unix.Errno) int {
	body := len(r.reply) + r.filled
	if errno == 0 && body > r.room {
		errno = unix.EINVAL // in has no room for what was asked for
	}
	if errno != 0 {
		body = 0
	}
	h := header(r.Unique, errno, body)
	if size(in) < len(h) {
		return 0
	}
	put(in, h)
	if errno == 0 {
		put(r.in, r.reply)
	}
	return len(h) + body
}

// header returns the header of a reply whose body has n bytes.
func header(unique uint64, errno unix.Errno, n int) []byte {
	h := fuse.OutHeader{Len: uint32(fuse.OutHeaderLen + n), Errno: uint32(errno), Unique: unique}
	return h.Append(make([]byte, 0, fuse.OutHeaderLen))
}

// init begins a session, or begins it anew.
func (s *Server) init(r *request) unix.Errno {
	in := r.args.InitIn()
	if !r.args.OK() || in.Major < fuse.Major || in.Major == fuse.Major && in.Minor < fuse.Minor {
		return unix.EPROTO
	}
	s.reset()
	s.ready = true
	out := fuse.Init{
		Major: fuse.Major, Minor: fuse.Minor, Readahead: min(in.Readahead, fuse.MaxData),
		Flags:    in.Flags & (fuse.InitBigWrites | fuse.InitReaddirplus | fuse.InitMaxPages),
		MaxWrite: fuse.MaxData, MaxPages: fuse.MaxPages,
	}
	r.reply = out.AppendOut(nil)
	return 0
}

func (s *Server) destroy(*request) unix.Errno {
	s.reset()
	return 0
}

// interrupt does nothing: no request waits for anything but the host's disk.
func (s *Server) interrupt(r *request) unix.Errno {
	r.mute = true
	return 0
}

func (s *Server) forgetOne(r *request) unix.Errno {
	s.forget(r.Node, r.args.U64())
	return 0
}

func (s *Server) forgetMany(r *request) unix.Errno {
	count := r.args.U32()
	r.args.Skip(4)
	for range min(count, maxForgets) {
		id, n := r.args.U64(), r.args.U64()
		if !r.args.OK() {
			return unix.EINVAL
		}
		s.forget(id, n)
	}
	return 0
}
