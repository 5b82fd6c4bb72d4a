package hostfs

import (
	"maps"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/virtio/fuse"
)

// fuzzOps are operations by the byte that chooses them.
var fuzzOps = []uint32{
	fuse.OpLookup, fuse.OpForget, fuse.OpGetattr, fuse.OpSetattr, fuse.OpReadlink, fuse.OpSymlink, fuse.OpMknod,
	fuse.OpMkdir, fuse.OpUnlink, fuse.OpRmdir, fuse.OpRename, fuse.OpLink, fuse.OpOpen, fuse.OpRead, fuse.OpWrite,
	fuse.OpStatfs, fuse.OpRelease, fuse.OpFsync, fuse.OpFlush, fuse.OpOpendir, fuse.OpReaddir, fuse.OpReleasedir,
	fuse.OpCreate, fuse.OpBatchForget, fuse.OpReaddirplus, fuse.OpRename2, fuse.OpInterrupt,
}

// names are used by the arguments that a fuzzer makes up.
var fuzzNames = []string{"a", "sub", "b", "deep", "up", "out", "near", "new", "named.out", "..", ".", "", "sub/b", "../secret", "fifo"}

// A script turns bytes into requests that make some sense.
type script struct{ b []byte }

func (s *script) next() byte {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

func (s *script) name(b []byte) []byte { return fuse.Text(b, fuzzNames[int(s.next())%len(fuzzNames)]) }

// args makes the arguments of an operation.
func (s *script) args(op uint32) []byte {
	small := func() uint64 { return uint64(s.next() % 16) }
	switch op {
	case fuse.OpLookup, fuse.OpUnlink, fuse.OpRmdir:
		return s.name(nil)
	case fuse.OpSymlink:
		return s.name(s.name(nil))
	case fuse.OpRename:
		return s.name(s.name(fuse.U64(nil, small())))
	case fuse.OpRename2:
		return s.name(s.name(fuse.U32(fuse.U64(nil, small()), uint32(s.next()%4), 0)))
	case fuse.OpLink:
		return s.name(fuse.U64(nil, small()))
	case fuse.OpMkdir:
		return s.name(fuse.U32(nil, 0o700, 0))
	case fuse.OpMknod, fuse.OpCreate:
		return s.name(fuse.U32(nil, uint32(s.next()), uint32(s.next())|0o600, 0, 0))
	case fuse.OpOpen, fuse.OpOpendir:
		return fuse.U32(nil, uint32(s.next()%4)|uint32(s.next()%2)<<9, 0)
	case fuse.OpRead, fuse.OpReaddir, fuse.OpReaddirplus:
		return readArgs(small(), small(), uint32(s.next())*8)
	case fuse.OpWrite:
		n := uint32(s.next() % 32)
		return writeArgs(small(), small(), n, uint32(s.next()%2)<<10, strings.Repeat("w", int(n)))
	case fuse.OpSetattr:
		return setattrArgs(uint32(s.next()), small(), uint32(s.next())|0o600, 0)
	case fuse.OpGetattr:
		return make([]byte, 16)
	case fuse.OpReadlink, fuse.OpStatfs:
		return nil
	}
	return fuse.U64(nil, small(), small(), 0)
}

// FuzzRequests plays a guest that does whatever it likes, once by requests that
// make sense one by one, and once by bytes. What lies beside the share stays as
// it is and is never told; every reply has the right form; and where only one
// file may be changed, no other is.
func FuzzRequests(f *testing.F) {
	f.Add([]byte{0, 1, 0}, byte(2), false)
	f.Add([]byte{0, 1, 1, 0, 2, 2, 12, 3, 1, 0, 13, 3, 1, 0, 40, 10, 1, 2, 0, 7}, byte(2), false)
	f.Add([]byte{22, 1, 2, 0, 8, 14, 2, 1, 0, 9, 0, 16, 2, 1, 0}, byte(1), false)
	f.Add([]byte{0, 1, 5, 0, 2, 3, 19, 2, 0, 0, 24, 2, 1, 0, 255}, byte(0), true)
	f.Fuzz(func(t *testing.T, data []byte, mode byte, raw bool) {
		r := newRig(t, Mode(mode%3), "named.out")
		r.piece = int(mode / 3 % 32)
		before := r.tree(r.outer)
		s := &script{data}
		for range 200 {
			if len(s.b) == 0 {
				break
			}
			op := fuzzOps[int(s.next())%len(fuzzOps)]
			node := uint64(s.next() % 16)
			args := s.args(op)
			if raw {
				args = s.b[:min(int(s.next()), len(s.b))]
				s.b = s.b[len(args):]
			}
			r.send(op, node, args, 2048)
			if len(r.s.nodes) > 300 || len(r.s.handles) > 300 {
				t.Fatalf("%d nodes and %d handles for 200 requests", len(r.s.nodes), len(r.s.handles))
			}
		}
		r.unchanged(before)
	})
}

// unchanged compares what the guest may not have changed.
func (r *rig) unchanged(before map[string]string) {
	after := r.tree(r.outer)
	maps.DeleteFunc(before, func(path, _ string) bool { return r.mayDiffer(path) })
	maps.DeleteFunc(after, func(path, _ string) bool { return r.mayDiffer(path) })
	if !maps.Equal(before, after) {
		r.t.Errorf("mode %d: before\n%v\nafter\n%v", r.s.mode, before, after)
	}
	if st, err := os.Lstat(r.outer + "/private/deep"); err != nil || st.Sys() == nil {
		r.t.Error(err)
	}
}

func (r *rig) mayDiffer(path string) bool {
	switch r.s.mode {
	case ReadWrite:
		return path == r.dir || strings.HasPrefix(path, r.dir+"/")
	case Named:
		return path == r.dir+"/named.out"
	}
	return false
}

// A handle of a server that is gone is no descriptor of something else.
func TestNoStrayDescriptors(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(entries)
	}
	before := count()
	for range 20 {
		r := newRig(t, ReadWrite)
		a := r.find("a")
		for range 10 {
			if _, errno := r.open(a, unix.O_RDWR); errno != 0 {
				t.Fatal(errno)
			}
			r.send(fuse.OpOpendir, 1, fuse.U32(nil, 0, 0), 100)
			r.send(fuse.OpCreate, 1, append(fuse.U32(nil, 2, 0o644, 0, 0), "a\x00"...), 1000)
			r.send(fuse.OpRename, 1, append(fuse.U64(nil, 99), "a\x00b\x00"...), 100)
			r.send(fuse.OpGetattr, a, make([]byte, 16), 1000)
			r.send(fuse.OpSetattr, a, setattrArgs(fuse.SetattrMode, 0, 0o6755, 0), 1000)
		}
		r.s.Close()
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}
