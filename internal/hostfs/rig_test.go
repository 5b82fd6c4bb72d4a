package hostfs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/virtio/fuse"
)

// secret is what lies beside the shared folder.
const secret = "SECRET: nobody in the share may see this"

// A rig is a server with a guest that the test plays.
type rig struct {
	t      testing.TB
	s      *Server
	dir    string // the shared folder
	outer  string // what it is in
	unique uint64
	piece  int // bytes of each buffer; 0: as they are
}

// newRig shares a new folder with some files in it.
func newRig(t testing.TB, mode Mode, names ...string) *rig {
	t.Helper()
	outer := t.TempDir()
	r := &rig{t: t, outer: outer, dir: outer + "/shared"}
	for name, text := range map[string]string{
		"../secret": secret, "../private/deep": secret,
		"a": "contents of a", "sub/b": "contents of b", "sub/deep/c": "contents of c", "named.out": "named",
	} {
		path := filepath.Join(r.dir, name)
		r.must(os.MkdirAll(filepath.Dir(path), 0o755))
		r.must(os.WriteFile(path, []byte(text), 0o644))
	}
	r.must(os.Symlink("../secret", r.dir+"/up"))
	r.must(os.Symlink(outer+"/private", r.dir+"/out"))
	r.must(os.Symlink("a", r.dir+"/near"))
	r.must(unix.Mkfifo(r.dir+"/fifo", 0o666))
	var err error
	if r.s, err = New(Share{Dir: r.dir, Mode: mode, Names: names}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.s.Close)
	r.init()
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) init() {
	r.t.Helper()
	in := fuse.Init{Major: fuse.Major, Minor: fuse.Minor, Flags: fuse.InitReaddirplus}
	r.ok(r.send(fuse.OpInit, 0, in.AppendIn(nil), 1000))
}

// cut cuts a buffer into pieces.
func (r *rig) cut(b []byte) (bufs [][]byte) {
	for r.piece > 0 && len(b) > r.piece {
		bufs, b = append(bufs, b[:r.piece:r.piece]), b[r.piece:]
	}
	return append(bufs, b)
}

// raw sends bytes as a request with room for a reply.
func (r *rig) raw(request []byte, room int) []byte {
	r.t.Helper()
	in := make([]byte, room)
	n, later := r.s.Handle(r.cut(request), r.cut(in))
	if later != nil {
		n = copy(in, later())
	}
	if n > room || n < 0 {
		r.t.Fatalf("reply of %d bytes in %d", n, room)
	}
	return in[:n]
}

// A reply is a decoded one.
type reply struct {
	errno unix.Errno
	none  bool
	*fuse.Decoder
}

// send sends a request and checks the form of the reply.
func (r *rig) send(op uint32, node uint64, args []byte, room int) reply {
	r.t.Helper()
	r.unique += 2
	h := fuse.InHeader{Len: uint32(fuse.InHeaderLen + len(args)), Op: op, Unique: r.unique, Node: node}
	b := r.raw(append(h.Append(nil), args...), fuse.OutHeaderLen+room)
	if len(b) == 0 {
		return reply{none: true}
	}
	d := fuse.NewDecoder(b)
	out := d.OutHeader()
	if !d.OK() || int(out.Len) != len(b) || out.Unique != r.unique || out.Errno > 4095 || out.Errno != 0 && len(b) != fuse.OutHeaderLen {
		r.t.Fatalf("op %d: bad reply header %+v of %d bytes", op, out, len(b))
	}
	if bytes.Contains(b, []byte(secret)) {
		r.t.Fatalf("op %d: the reply has what is outside", op)
	}
	return reply{errno: unix.Errno(out.Errno), Decoder: d}
}

func (r *rig) ok(p reply) reply {
	r.t.Helper()
	if p.errno != 0 || p.none {
		r.t.Fatalf("%v (no reply: %v)", p.errno, p.none)
	}
	return p
}

// lookup returns a node's number.
func (r *rig) lookup(dir uint64, name string) (uint64, unix.Errno) {
	r.t.Helper()
	p := r.send(fuse.OpLookup, dir, fuse.Text(nil, name), 1000)
	if p.errno != 0 {
		return 0, p.errno
	}
	e := p.Entry()
	if !p.OK() || e.Node == 0 {
		r.t.Fatalf("lookup of %s: %+v", name, e)
	}
	return e.Node, 0
}

func (r *rig) find(names ...string) uint64 {
	r.t.Helper()
	at := uint64(fuse.RootNode)
	for _, name := range names {
		var errno unix.Errno
		if at, errno = r.lookup(at, name); errno != 0 {
			r.t.Fatalf("lookup of %s in %v: %v", name, names, errno)
		}
	}
	return at
}

// open returns a handle.
func (r *rig) open(node uint64, flags uint32) (uint64, unix.Errno) {
	p := r.send(fuse.OpOpen, node, fuse.U32(nil, flags, 0), 100)
	if p.errno != 0 {
		return 0, p.errno
	}
	return p.U64(), 0
}

func readArgs(fh, off uint64, size uint32) []byte {
	return fuse.U32(fuse.U64(fuse.U32(fuse.U64(nil, fh, off), size, 0), 0), 0, 0)
}

func writeArgs(fh, off uint64, size, flags uint32, data string) []byte {
	return append(fuse.U32(fuse.U64(fuse.U32(fuse.U64(nil, fh, off), size, 0), 0), flags, 0), data...)
}

func setattrArgs(valid uint32, size uint64, mode, uid uint32) []byte {
	b := fuse.U64(fuse.U32(nil, valid, 0), 0, size, 0, 0, 0, 0)
	return fuse.U32(b, 0, 0, 0, mode, 0, uid, 0, 0)
}

// tree returns what lies in and beside the share: names, modes and contents.
func (r *rig) tree(root string) map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		text := info.Mode().String()
		if d.Type().IsRegular() {
			b, _ := os.ReadFile(path)
			text += " " + string(b)
		}
		all[path] = text
		return nil
	})
	r.must(err)
	return all
}
