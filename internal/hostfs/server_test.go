package hostfs

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/virtio/fuse"
)

// Requests that a guest's FUSE client would not make.
func TestHostile(t *testing.T) {
	r := newRig(t, ReadWrite)
	a, sub, fifo, up := r.find("a"), r.find("sub"), r.find("fifo"), r.find("up")
	file, _ := r.open(a, unix.O_RDWR)
	rdonly, _ := r.open(a, unix.O_RDONLY)
	dir := r.ok(r.send(fuse.OpOpendir, sub, fuse.U32(nil, 0, 0), 100)).U64()
	name := func(s string) []byte { return fuse.Text(nil, s) }
	long := strings.Repeat("x", 256)
	const root = fuse.RootNode
	tests := []struct {
		what string
		op   uint32
		node uint64
		args []byte
		want unix.Errno
	}{
		{"parent", fuse.OpLookup, root, name(".."), unix.EINVAL},
		{"self", fuse.OpLookup, root, name("."), unix.EINVAL},
		{"empty name", fuse.OpLookup, root, name(""), unix.EINVAL},
		{"path", fuse.OpLookup, root, name("sub/b"), unix.EINVAL},
		{"path out", fuse.OpLookup, root, name("../secret"), unix.EINVAL},
		{"absolute path", fuse.OpLookup, root, name("/etc/passwd"), unix.EINVAL},
		{"name without end", fuse.OpLookup, root, []byte("a"), unix.EINVAL},
		{"long name", fuse.OpLookup, root, name(long), unix.ENAMETOOLONG},
		{"longer than any request", fuse.OpLookup, root, make([]byte, 100_000), unix.EINVAL},
		{"name in a file", fuse.OpLookup, a, name("x"), unix.ENOTDIR},
		{"name in a link that leads out", fuse.OpLookup, r.find("out"), name("deep"), unix.ELOOP},
		{"no such node", fuse.OpLookup, 1 << 60, name("x"), unix.ESTALE},
		{"node 0", fuse.OpGetattr, 0, make([]byte, 16), unix.ESTALE},
		{"no such operation", 4095, root, nil, unix.ENOSYS},
		{"cuse", 4096, root, nil, unix.ENOSYS},
		{"open a pipe", fuse.OpOpen, fifo, fuse.U32(nil, unix.O_RDWR, 0), unix.EACCES},
		{"open a link", fuse.OpOpen, up, fuse.U32(nil, 0, 0), unix.ELOOP},
		{"open a directory", fuse.OpOpen, sub, fuse.U32(nil, 0, 0), unix.EISDIR},
		{"open with an access mode of 3", fuse.OpOpen, a, fuse.U32(nil, 3, 0), unix.EINVAL},
		{"opendir of a file", fuse.OpOpendir, a, fuse.U32(nil, 0, 0), unix.ENOTDIR},
		{"opendir of a link", fuse.OpOpendir, r.find("out"), fuse.U32(nil, 0, 0), unix.ENOTDIR},
		{"truncate a link", fuse.OpSetattr, up, setattrArgs(fuse.SetattrSize, 0, 0, 0), unix.EINVAL},
		{"truncate a pipe", fuse.OpSetattr, fifo, setattrArgs(fuse.SetattrSize, 0, 0, 0), unix.EINVAL},
		{"negative size", fuse.OpSetattr, a, setattrArgs(fuse.SetattrSize, 1<<63, 0, 0), unix.EINVAL},
		{"set-user-ID", fuse.OpSetattr, a, setattrArgs(fuse.SetattrMode, 0, 0o4755, 0), unix.EPERM},
		{"set-group-ID", fuse.OpSetattr, a, setattrArgs(fuse.SetattrMode, 0, 0o2755, 0), unix.EPERM},
		{"another owner", fuse.OpSetattr, a, setattrArgs(fuse.SetattrUID, 0, 0, 1000), unix.EPERM},
		{"short setattr", fuse.OpSetattr, a, make([]byte, 80), unix.EINVAL},
		{"device", fuse.OpMknod, root, append(fuse.U32(nil, unix.S_IFCHR|0o666, 1<<8|3, 0, 0), "null\x00"...), unix.EPERM},
		{"pipe", fuse.OpMknod, root, append(fuse.U32(nil, unix.S_IFIFO|0o666, 0, 0, 0), "pipe\x00"...), unix.EPERM},
		{"file that lends rights", fuse.OpCreate, root, append(fuse.U32(nil, 2, 0o4755, 0, 0), "x\x00"...), unix.EPERM},
		{"create outside", fuse.OpCreate, root, append(fuse.U32(nil, 2, 0o644, 0, 0), "../x\x00"...), unix.EINVAL},
		{"create what is there", fuse.OpCreate, root, append(fuse.U32(nil, 2, 0o644, 0, 0), "up\x00"...), unix.EEXIST},
		{"mkdir outside", fuse.OpMkdir, root, append(fuse.U32(nil, 0o755, 0), "../x\x00"...), unix.EINVAL},
		{"rmdir the share", fuse.OpRmdir, root, name("."), unix.EINVAL},
		{"rmdir what it is in", fuse.OpRmdir, root, name(".."), unix.EINVAL},
		{"unlink outside", fuse.OpUnlink, root, name("../secret"), unix.EINVAL},
		{"unlink through a link", fuse.OpUnlink, r.find("out"), name("deep"), unix.ENOTDIR},
		{"rename to the outside", fuse.OpRename, root, append(fuse.U64(nil, root), "a\x00../a\x00"...), unix.EINVAL},
		{"rename of the outside", fuse.OpRename, root, append(fuse.U64(nil, root), "../secret\x00s\x00"...), unix.EINVAL},
		{"rename to a file", fuse.OpRename, root, append(fuse.U64(nil, a), "a\x00b\x00"...), unix.ENOTDIR},
		{"rename to nowhere", fuse.OpRename, root, append(fuse.U64(nil, 999), "a\x00b\x00"...), unix.ESTALE},
		{"rename with one name", fuse.OpRename, root, append(fuse.U64(nil, root), "a\x00"...), unix.EINVAL},
		{"rename into itself", fuse.OpRename, root, append(fuse.U64(nil, sub), "sub\x00x\x00"...), unix.EINVAL},
		{"whiteout", fuse.OpRename2, root, append(fuse.U32(fuse.U64(nil, root), 4, 0), "a\x00b\x00"...), unix.EINVAL},
		{"link of a directory", fuse.OpLink, root, append(fuse.U64(nil, sub), "l\x00"...), unix.EPERM},
		{"link of the share", fuse.OpLink, root, append(fuse.U64(nil, root), "l\x00"...), unix.ENOENT},
		{"link out", fuse.OpLink, root, append(fuse.U64(nil, a), "../l\x00"...), unix.EINVAL},
		{"readlink of a file", fuse.OpReadlink, a, nil, unix.EINVAL},
		{"no such handle", fuse.OpRead, a, readArgs(999, 0, 10), unix.EBADF},
		{"read of a directory", fuse.OpRead, sub, readArgs(dir, 0, 10), unix.EBADF},
		{"negative offset", fuse.OpRead, a, readArgs(file, 1<<63, 10), unix.EINVAL},
		{"short read", fuse.OpRead, a, make([]byte, 19), unix.EINVAL},
		{"long read", fuse.OpRead, a, make([]byte, 41), unix.EINVAL},
		{"write without the right", fuse.OpWrite, a, writeArgs(rdonly, 0, 1, 0, "x"), unix.EBADF},
		{"write of more than there is", fuse.OpWrite, a, writeArgs(file, 0, 2, 0, "x"), unix.EINVAL},
		{"write of less than there is", fuse.OpWrite, a, writeArgs(file, 0, 0, 0, "x"), unix.EINVAL},
		{"write of too much", fuse.OpWrite, a, writeArgs(file, 0, fuse.MaxData+1, 0, strings.Repeat("x", fuse.MaxData+1)), unix.EINVAL},
		{"write at a negative offset", fuse.OpWrite, a, writeArgs(file, 1<<63, 1, 0, "x"), unix.EINVAL},
		{"write to no handle", fuse.OpWrite, a, writeArgs(999, 0, 1, 0, "x"), unix.EBADF},
		{"readdir of a file", fuse.OpReaddir, a, readArgs(file, 0, 1000), unix.ENOTDIR},
		{"readdir at an impossible offset", fuse.OpReaddir, sub, readArgs(dir, 1<<63, 1000), unix.EINVAL},
		{"release of no handle", fuse.OpRelease, a, fuse.U64(nil, 999, 0, 0), unix.EBADF},
		{"fsync of no handle", fuse.OpFsync, a, fuse.U64(nil, 999, 0), unix.EBADF},
		{"flush of no handle", fuse.OpFlush, a, fuse.U64(nil, 999, 0, 0), unix.EBADF},
		{"old version", fuse.OpInit, 0, fuse.U32(nil, 7, 8, 0, 0), unix.EPROTO},
	}
	before := r.tree(r.outer)
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			for _, piece := range []int{0, 1, 7} {
				r.t, r.piece = t, piece
				if piece > 0 && len(tt.args) > 10_000 {
					continue
				}
				if p := r.send(tt.op, tt.node, tt.args, 4096); p.errno != tt.want || p.none {
					t.Errorf("in pieces of %d: %v, want %v", piece, p.errno, tt.want)
				}
			}
		})
	}
	r.t, r.piece = t, 0
	if after := r.tree(r.outer); !maps.Equal(before, after) {
		t.Errorf("something changed: %v, was %v", after, before)
	}
}

// Requests that are no requests, and replies that have no room.
func TestMalformed(t *testing.T) {
	r := newRig(t, ReadWrite)
	h := fuse.InHeader{Len: fuse.InHeaderLen, Op: fuse.OpStatfs, Unique: 9, Node: 1}
	good := h.Append(nil)
	for n := range len(good) {
		if b := r.raw(good[:n], 1000); len(b) != fuse.OutHeaderLen {
			t.Errorf("request of %d bytes: reply of %d", n, len(b))
		}
	}
	if b := r.raw(append(good, 0), 1000); len(b) != fuse.OutHeaderLen {
		t.Errorf("request longer than it says: reply of %d bytes", len(b))
	}
	for _, room := range []int{0, 1, 15} {
		if b := r.raw(good, room); len(b) != 0 {
			t.Errorf("%d bytes in room for %d", len(b), room)
		}
	}
	for _, room := range []int{16, 17, 16 + fuse.StatfsLen - 1} {
		b := r.raw(good, room)
		if len(b) != fuse.OutHeaderLen || fuse.NewDecoder(b).OutHeader().Errno != uint32(unix.EINVAL) {
			t.Errorf("room for %d bytes: %x", room, b)
		}
	}
	if b := r.raw(good, 16+fuse.StatfsLen); len(b) != 16+fuse.StatfsLen {
		t.Errorf("just enough room: reply of %d bytes", len(b))
	}
	if n, later := r.s.Handle(nil, nil); n != 0 || later != nil {
		t.Errorf("nothing at all: %d", n)
	}
}

// A session begins with INIT, and ends.
func TestSession(t *testing.T) {
	r := newRig(t, ReadOnly)
	r.ok(r.send(fuse.OpDestroy, 0, nil, 100))
	if _, errno := r.lookup(1, "a"); errno != unix.EIO {
		t.Errorf("before INIT: %v", errno)
	}
	r.init()
	a := r.find("a")
	if _, errno := r.open(a, 0); errno != 0 {
		t.Error(errno)
	}
	r.init() // forgets everything
	if _, errno := r.open(a, 0); errno != unix.ESTALE {
		t.Errorf("after INIT: %v", errno)
	}
	r.s.Close()
	if _, errno := r.lookup(1, "a"); errno != unix.ENODEV {
		t.Errorf("after Close: %v", errno)
	}
}

// A mode refuses every change that is not its own to make.
func TestModes(t *testing.T) {
	changes := func(r *rig) map[string]reply {
		const root = fuse.RootNode
		a, sub := r.find("a"), r.find("sub")
		return map[string]reply{
			"open":      r.send(fuse.OpOpen, a, fuse.U32(nil, unix.O_WRONLY, 0), 100),
			"open rw":   r.send(fuse.OpOpen, a, fuse.U32(nil, unix.O_RDWR, 0), 100),
			"truncate":  r.send(fuse.OpOpen, a, fuse.U32(nil, unix.O_TRUNC, 0), 100),
			"create":    r.send(fuse.OpCreate, root, append(fuse.U32(nil, 2, 0o644, 0, 0), "new\x00"...), 1000),
			"mknod":     r.send(fuse.OpMknod, root, append(fuse.U32(nil, unix.S_IFREG|0o644, 0, 0, 0), "new2\x00"...), 1000),
			"mkdir":     r.send(fuse.OpMkdir, root, append(fuse.U32(nil, 0o755, 0), "newdir\x00"...), 1000),
			"symlink":   r.send(fuse.OpSymlink, root, []byte("newlink\x00a\x00"), 1000),
			"link":      r.send(fuse.OpLink, root, append(fuse.U64(nil, a), "newname\x00"...), 1000),
			"setattr":   r.send(fuse.OpSetattr, a, setattrArgs(fuse.SetattrSize, 1, 0, 0), 1000),
			"chmod dir": r.send(fuse.OpSetattr, sub, setattrArgs(fuse.SetattrMode, 0, 0o700, 0), 1000),
			"chmod":     r.send(fuse.OpSetattr, root, setattrArgs(fuse.SetattrMode, 0, 0o700, 0), 1000),
			"rename":    r.send(fuse.OpRename, root, append(fuse.U64(nil, root), "a\x00z\x00"...), 100),
			"over":      r.send(fuse.OpRename, root, append(fuse.U64(nil, root), "a\x00named.out\x00"...), 100),
			"unlink":    r.send(fuse.OpUnlink, root, []byte("near\x00"), 100),
			"rmdir":     r.send(fuse.OpRmdir, sub, []byte("deep\x00"), 100),
		}
	}
	for _, r := range []*rig{newRig(t, ReadOnly), newRig(t, Named, "named.out", "sub/x")} {
		before := r.tree(r.outer)
		for what, p := range changes(r) {
			if p.errno != unix.EROFS {
				t.Errorf("mode %d, %s: %v", r.s.mode, what, p.errno)
			}
		}
		if after := r.tree(r.outer); !maps.Equal(before, after) {
			t.Errorf("mode %d: something changed", r.s.mode)
		}
	}
	for what, p := range changes(newRig(t, ReadWrite)) {
		if p.errno != 0 && what != "rmdir" && what != "over" {
			t.Errorf("read-write, %s: %v", what, p.errno)
		}
	}
}

// A named file that is something else on the host is not one that may be
// changed.
func TestNamedTraps(t *testing.T) {
	r := newRig(t, Named, "up", "sub", "out/deep", "fifo", "near")
	const root = fuse.RootNode
	for what, p := range map[string]reply{
		"open a link":        r.send(fuse.OpOpen, r.find("up"), fuse.U32(nil, unix.O_WRONLY, 0), 100),
		"create over a link": r.send(fuse.OpCreate, root, append(fuse.U32(nil, 2, 0o644, 0, 0), "up\x00"...), 1000),
		"rename a directory": r.send(fuse.OpRename, root, append(fuse.U64(nil, root), "sub\x00near\x00"...), 100),
		"chmod a directory":  r.send(fuse.OpSetattr, r.find("sub"), setattrArgs(fuse.SetattrMode, 0, 0o700, 0), 1000),
		"create through a link": r.send(fuse.OpCreate, r.find("out"),
			append(fuse.U32(nil, 2, 0o644, 0, 0), "deep\x00"...), 1000),
		"open a pipe": r.send(fuse.OpOpen, r.find("fifo"), fuse.U32(nil, unix.O_WRONLY, 0), 100),
	} {
		if p.errno == 0 {
			t.Errorf("%s: no error", what)
		}
	}
	if got, _ := os.ReadFile(r.outer + "/secret"); string(got) != secret {
		t.Errorf("the file outside has %q", got)
	}
}

// Somebody on the host swaps a directory for a link that leads out, all the
// time: no request may end up outside.
func TestRaces(t *testing.T) {
	r := newRig(t, ReadWrite)
	r.must(os.Mkdir(r.dir+"/swap", 0o755))
	r.must(os.WriteFile(r.dir+"/swap/deep", []byte("inside"), 0o644))
	r.must(os.Symlink(r.outer+"/private", r.dir+"/other"))
	var stop atomic.Bool
	done := make(chan int)
	go func() {
		n := 0
		for !stop.Load() {
			if unix.Renameat2(unix.AT_FDCWD, r.dir+"/swap", unix.AT_FDCWD, r.dir+"/other", unix.RENAME_EXCHANGE) == nil {
				n++
			}
		}
		done <- n
	}()
	inside, refused := 0, 0
	for i := range 3000 {
		dir, errno := r.lookup(fuse.RootNode, "swap")
		if errno != 0 {
			t.Fatal(errno)
		}
		node, errno := r.lookup(dir, "deep")
		if errno == 0 {
			var fh uint64
			if fh, errno = r.open(node, unix.O_RDWR); errno == 0 {
				inside++
				r.ok(r.send(fuse.OpRead, node, readArgs(fh, 0, 100), 100)) // send looks for the secret
				r.ok(r.send(fuse.OpWrite, node, writeArgs(fh, 0, 3, 0, "hit"), 100))
				r.ok(r.send(fuse.OpRelease, node, fuse.U64(nil, fh, 0, 0), 100))
			}
		}
		if errno != 0 {
			refused++
		}
		r.send(fuse.OpCreate, dir, append(fuse.U32(nil, 2, 0o644, 0, 0), fmt.Sprintf("new%d\x00", i%10)...), 1000)
		r.send(fuse.OpMkdir, dir, append(fuse.U32(nil, 0o755, 0), fmt.Sprintf("dir%d\x00", i%10)...), 1000)
		r.send(fuse.OpUnlink, dir, fmt.Appendf(nil, "new%d\x00", (i+5)%10), 100)
		r.send(fuse.OpRename, fuse.RootNode, append(fuse.U64(nil, dir), "a\x00a\x00"...), 100)
		r.send(fuse.OpRename, dir, append(fuse.U64(nil, fuse.RootNode), "a\x00a\x00"...), 100)
	}
	stop.Store(true)
	t.Logf("%d swaps; %d times inside, %d refused", <-done, inside, refused)
	if inside == 0 || refused == 0 {
		t.Error("there was no race")
	}
	entries, err := os.ReadDir(r.outer + "/private")
	if got, _ := os.ReadFile(r.outer + "/private/deep"); err != nil || len(entries) != 1 || string(got) != secret {
		t.Errorf("outside there are %v, %v, with %q", entries, err, got)
	}
}

// What is open stays usable when its name is gone, or stands for another file.
func TestUnlinkedFile(t *testing.T) {
	r := newRig(t, ReadWrite)
	a := r.find("a")
	fh, _ := r.open(a, unix.O_RDWR)
	r.must(os.Rename(r.dir+"/sub/b", r.dir+"/a")) // on the host
	if b := r.find("a"); b == a {
		t.Error("another file has the same node")
	}
	r.ok(r.send(fuse.OpUnlink, fuse.RootNode, []byte("a\x00"), 100))
	attr, _ := r.ok(r.send(fuse.OpGetattr, a, make([]byte, 16), 1000)).AttrOut()
	if attr.Size != uint64(len("contents of a")) {
		t.Errorf("size %d", attr.Size)
	}
	r.ok(r.send(fuse.OpSetattr, a, setattrArgs(fuse.SetattrSize, 8, 0, 0), 1000))
	p := r.ok(r.send(fuse.OpRead, a, readArgs(fh, 0, 100), 100))
	if got := string(p.Bytes(p.Len())); got != "contents" {
		t.Errorf("read %q", got)
	}
	again, errno := r.open(a, unix.O_RDONLY)
	if errno != 0 {
		t.Errorf("opened again: %v", errno)
	}
	r.ok(r.send(fuse.OpRelease, a, fuse.U64(nil, fh, 0, 0), 100))
	r.ok(r.send(fuse.OpRelease, a, fuse.U64(nil, again, 0, 0), 100))
	if p := r.send(fuse.OpGetattr, a, make([]byte, 16), 1000); p.errno != unix.ESTALE {
		t.Errorf("when it is closed: %v", p.errno)
	}
}

// Nodes and handles are bounded, and go when the guest forgets them.
func TestBounds(t *testing.T) {
	r := newRig(t, ReadWrite)
	sub := r.find("sub")
	r.lookup(sub, "b")
	b := r.find("sub", "b") // told of sub and b twice now
	forget := func(id, n uint64) { r.send(fuse.OpForget, id, fuse.U64(nil, n), 0) }
	forget(b, 1)
	forget(sub, 100) // more often than told of: it stays for b's path
	if _, errno := r.open(b, 0); errno != 0 {
		t.Errorf("b is forgotten too early: %v", errno)
	}
	forget(b, 1)
	forget(fuse.RootNode, 1<<63)
	if n := len(r.s.nodes); n != 1 {
		t.Errorf("%d nodes are left: %v", n, r.s.nodes)
	}
	a := r.find("a")
	batch := fuse.U32(nil, 3, 0)
	batch = fuse.U64(batch, a, 1, 1<<40, 1, a, 5)
	r.send(fuse.OpBatchForget, 0, batch, 0)
	r.send(fuse.OpBatchForget, 0, fuse.U32(nil, 1<<32-1, 0), 0)
	if n := len(r.s.nodes); n != 1 {
		t.Errorf("%d nodes are left after a batch", n)
	}

	a = r.find("a")
	for i := 0; ; i++ {
		_, errno := r.open(a, 0)
		if errno == unix.ENFILE {
			break
		}
		if errno != 0 || i > maxHandles {
			t.Fatalf("handle %d: %v", i, errno)
		}
	}
	if p := r.send(fuse.OpOpendir, 1, fuse.U32(nil, 0, 0), 100); p.errno != unix.ENFILE {
		t.Errorf("directory: %v", p.errno)
	}
	if p := r.send(fuse.OpCreate, 1, append(fuse.U32(nil, 2, 0o644, 0, 0), "x\x00"...), 1000); p.errno != unix.ENFILE {
		t.Errorf("new file: %v", p.errno)
	}
	r.init()
	if len(r.s.handles) != 0 {
		t.Errorf("%d handles are left", len(r.s.handles))
	}

	root := r.s.nodes[rootID]
	for i := len(r.s.nodes); i < maxNodes; i++ {
		if _, errno := r.s.remember(root, fmt.Sprint("n", i), &unix.Stat_t{Ino: uint64(i)}); errno != 0 {
			t.Fatal(errno)
		}
	}
	if _, errno := r.lookup(1, "a"); errno != unix.ENFILE {
		t.Errorf("too many nodes: %v", errno)
	}
	fh := r.ok(r.send(fuse.OpOpendir, 1, fuse.U32(nil, 0, 0), 100)).U64()
	p := r.ok(r.send(fuse.OpReaddirplus, 1, readArgs(fh, 0, 10_000), 10_000))
	if e := p.Entry(); e.Node != 0 || p.Dirent().Name == "" {
		t.Errorf("listed with node %d", e.Node)
	}
}

// A listing is complete whatever the size of its pieces, and can be continued
// at each entry.
func TestReaddir(t *testing.T) {
	r := newRig(t, ReadOnly)
	var want []string
	for i := range 300 {
		name := fmt.Sprintf("file %d %s", i, strings.Repeat("x", i%200))
		r.must(os.WriteFile(r.dir+"/sub/deep/"+name, nil, 0o644))
		want = append(want, name)
	}
	want = append(want, "c")
	slices.Sort(want)
	dir := r.find("sub", "deep")
	for _, op := range []uint32{fuse.OpReaddir, fuse.OpReaddirplus} {
		for _, room := range []int{400, 1000, 100_000} {
			fh := r.ok(r.send(fuse.OpOpendir, dir, fuse.U32(nil, 0, 0), 100)).U64()
			var got []string
			off, again := uint64(0), uint64(0)
			for {
				p := r.ok(r.send(op, dir, readArgs(fh, off, uint32(room)), room))
				if p.Len() == 0 {
					break
				}
				if again++; again == 3 { // from where it was
					p = r.ok(r.send(op, dir, readArgs(fh, off, uint32(room)), room))
				}
				for p.Len() > 0 {
					if op == fuse.OpReaddirplus {
						p.Entry()
					}
					e := p.Dirent()
					got, off = append(got, e.Name), e.Off
				}
				if !p.OK() {
					t.Fatal("malformed entry")
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("op %d, pieces of %d bytes: %d names, want %d", op, room, len(got), len(want))
			}
			r.ok(r.send(fuse.OpReleasedir, dir, fuse.U64(nil, fh, 0, 0), 100))
		}
	}
}

// Work that takes long keeps its file, also when everything else is closed.
func TestFsyncOutlives(t *testing.T) {
	r := newRig(t, ReadWrite)
	a := r.find("a")
	fh, _ := r.open(a, unix.O_RDWR)
	h := fuse.InHeader{Len: fuse.InHeaderLen + 16, Op: fuse.OpFsync, Unique: 8, Node: a}
	n, later := r.s.Handle([][]byte{fuse.U64(h.Append(nil), fh, 0)}, [][]byte{make([]byte, 16)})
	if n != 0 || later == nil {
		t.Fatalf("fsync was done at once: %d", n)
	}
	fd := r.s.handles[fh].fd
	r.ok(r.send(fuse.OpRelease, a, fuse.U64(nil, fh, 0, 0), 100))
	r.s.Close()
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("the descriptor is closed: %v", err)
	}
	if out := fuse.NewDecoder(later()).OutHeader(); out.Errno != 0 || out.Unique != 8 {
		t.Errorf("reply %+v", out)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("the descriptor is still open: %v", err)
	}
}
