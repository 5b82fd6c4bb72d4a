package files

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/libos"
)

const (
	reg = libos.ModeReg | 0o644
	dir = libos.ModeDir | 0o755
	lnk = libos.ModeLink | 0o777
)

// small is an archive by hand: /d with files a and b and link l, mounted at /d.
type small struct {
	head   abi.FilesHead
	nodes  []abi.FileNode
	mounts []uint32
	texts  string
	body   string
}

func newSmall() *small {
	s := &small{texts: "dabl/x", body: "contents", mounts: []uint32{1}}
	s.nodes = []abi.FileNode{
		{Mode: dir, Start: 1, Size: 1},
		{Mode: dir, Name: 0, NameLen: 1, Start: 2, Size: 3},
		{Mode: reg, Parent: 1, Name: 1, NameLen: 1, Size: 8, Mtime: 77},
		{Mode: reg, Parent: 1, Name: 2, NameLen: 1},
		{Mode: lnk, Parent: 1, Name: 3, NameLen: 1, Start: 4, Size: 2},
	}
	s.head = abi.FilesHead{
		Magic: abi.FilesMagic, Version: abi.FilesVersion,
		NumNodes: uint32(len(s.nodes)), NumMounts: 1, Nodes: abi.FilesHeadSize, TextsLen: uint64(len(s.texts)),
	}
	s.head.Mounts = s.head.Nodes + uint64(len(s.nodes))*abi.FileNodeSize
	s.head.Texts = s.head.Mounts + 4
	s.nodes[2].Start = s.head.Texts + uint64(len(s.texts))
	return s
}

func (s *small) bytes() []byte {
	var b bytes.Buffer
	for _, part := range []any{s.head, s.nodes, s.mounts, []byte(s.texts + s.body)} {
		binary.Write(&b, binary.LittleEndian, part)
	}
	return b.Bytes()
}

// TestLayout holds the sizes that both sides count on.
func TestLayout(t *testing.T) {
	if n := binary.Size(abi.FilesHead{}); n != abi.FilesHeadSize {
		t.Errorf("FilesHead has %d bytes, not %d", n, abi.FilesHeadSize)
	}
	if n := binary.Size(abi.FileNode{}); n != abi.FileNodeSize {
		t.Errorf("FileNode has %d bytes, not %d", n, abi.FileNodeSize)
	}
}

// use does with an archive all that a program can do, within limits, and
// returns what it found.
func use(data []byte) (names int, errno libos.Errno) {
	a, err := Parse(data)
	if err != nil {
		return 0, libos.EINVAL
	}
	for i := range uint32(min(len(a.mounts)/4, 20)) {
		a.path(le32(a.mounts[4*i:]))
	}
	u := user{left: 500}
	u.dir(a.Root())
	return u.names, u.errno
}

type user struct {
	names, left int
	errno       libos.Errno
}

func (u *user) note(errno libos.Errno) bool {
	if errno != 0 && errno != libos.ENOENT {
		u.errno = errno
	}
	return errno == 0
}

func (u *user) dir(d libos.Directory) {
	if u.left--; u.left < 0 {
		return
	}
	up, _ := d.Parent()
	_, errno := up.Attr()
	u.note(errno)
	for after := int64(0); u.left > 0; u.left-- {
		e, ok, errno := d.Next(after)
		if !u.note(errno) || !ok {
			return
		}
		if e.Cookie <= after || !validName([]byte(e.Name)) {
			panic("a cookie that does not grow, or a name that cannot be")
		}
		after = e.Cookie
		u.names++
		n, errno := d.Lookup(e.Name)
		if u.note(errno) {
			u.node(n)
		}
	}
}

func (u *user) node(n libos.Node) {
	t, errno := n.Attr()
	if !u.note(errno) {
		return
	}
	if sub, ok := n.(libos.Directory); ok {
		u.dir(sub)
		return
	}
	if l, ok := n.(libos.Symlink); ok {
		_, errno := l.Readlink()
		u.note(errno)
		return
	}
	f, errno := n.Open(0)
	if !u.note(errno) {
		return
	}
	var b [64]byte
	k, errno := f.Read(b[:])
	if u.note(errno) && int64(k) != min(64, t.Size) {
		panic("a file is not as long as it says")
	}
	f.(*open).Pages(0, abi.PageSize)
}

func TestBadArchives(t *testing.T) {
	if names, errno := use(newSmall().bytes()); names != 4 || errno != 0 {
		t.Fatalf("the good one: %d names, errno %d", names, errno)
	}
	for _, c := range []struct {
		name  string
		spoil func(s *small)
		want  libos.Errno
	}{
		{"magic", func(s *small) { s.head.Magic++ }, libos.EINVAL},
		{"version", func(s *small) { s.head.Version++ }, libos.EINVAL},
		{"no nodes", func(s *small) { s.head.NumNodes = 0 }, libos.EINVAL},
		{"many nodes", func(s *small) { s.head.NumNodes = 1<<32 - 1 }, libos.EINVAL},
		{"nodes beyond", func(s *small) { s.head.Nodes = 1<<64 - 1 }, libos.EINVAL},
		{"mounts beyond", func(s *small) { s.head.NumMounts = 1 << 20 }, libos.EINVAL},
		{"texts beyond", func(s *small) { s.head.TextsLen = 1<<64 - 1 }, libos.EINVAL},
		{"root is a file", func(s *small) { s.nodes[0].Mode = reg }, libos.EINVAL},
		{"root is its own child", func(s *small) { s.nodes[0].Start = 0 }, libos.EINVAL},
		{"children beyond", func(s *small) { s.nodes[1].Size = 4 }, libos.EIO},
		{"children wrap", func(s *small) { s.nodes[1].Start = 1<<64 - 1 }, libos.EIO},
		{"children are parents", func(s *small) { s.nodes[1].Start = 1 }, libos.EIO},
		{"child of another", func(s *small) { s.nodes[2].Parent = 0 }, libos.EIO},
		{"parent comes later", func(s *small) { s.nodes[2].Parent = 4 }, libos.EIO},
		{"name beyond", func(s *small) { s.nodes[2].Name = 6 }, libos.EIO},
		{"no name", func(s *small) { s.nodes[2].NameLen = 0 }, libos.EIO},
		{"name with a slash", func(s *small) { s.nodes[2].Name = 4 }, libos.EIO},
		{"contents beyond", func(s *small) { s.nodes[2].Size++ }, libos.EIO},
		{"contents wrap", func(s *small) { s.nodes[2].Size = 1<<64 - 1 }, libos.EIO},
		{"a device", func(s *small) { s.nodes[3].Mode = libos.ModeChar }, libos.EIO},
		{"link of no target", func(s *small) { s.nodes[4].Size = 0 }, libos.EIO},
		{"link beyond", func(s *small) { s.nodes[4].Size = 3 }, libos.EIO},
	} {
		s := newSmall()
		c.spoil(s)
		if _, errno := use(s.bytes()); errno != c.want {
			t.Errorf("%s: errno %d, want %d", c.name, errno, c.want)
		}
	}
	good := newSmall().bytes()
	for n := range good {
		if _, errno := use(good[:n:n]); errno == 0 {
			t.Errorf("cut at byte %d, all is well", n)
		}
	}
}

// FuzzArchive: whatever the bytes are, using them as files ends, stays within
// them, and gives names that a directory can have.
func FuzzArchive(f *testing.F) {
	f.Add(newSmall().bytes())
	f.Fuzz(func(t *testing.T, data []byte) { use(data[:len(data):len(data)]) })
}

func TestFile(t *testing.T) {
	a, err := Parse(newSmall().bytes())
	if err != nil {
		t.Fatal(err)
	}
	d, _ := a.Root().Lookup("d")
	n, errno := d.(libos.Directory).Lookup("a")
	if errno != 0 {
		t.Fatal(errno)
	}
	again, _ := d.(libos.Directory).Lookup("a")
	other, _ := d.(libos.Directory).Lookup("b")
	if n != again || n == other {
		t.Error("nodes do not compare as files do")
	}
	if _, ok := n.(libos.AttrSetter); ok {
		t.Error("attributes can be set")
	}
	if _, ok := d.(libos.WritableDirectory); ok {
		t.Error("the directory can be changed")
	}
	for _, flags := range []uint32{1, 2} {
		if _, errno := n.Open(flags); errno != libos.EROFS {
			t.Errorf("open with flags %d: errno %d", flags, errno)
		}
	}
	file, _ := n.Open(0)
	o := file.(libos.SeekFile)
	var b [20]byte
	if k, _ := o.Read(b[:3]); string(b[:k]) != "con" {
		t.Errorf("read %q", b[:k])
	}
	if k, _ := o.ReadAt(b[:], 6); string(b[:k]) != "ts" {
		t.Errorf("read at 6: %q", b[:k])
	}
	if pos, errno := o.SeekTo(-3, 2); pos != 5 || errno != 0 {
		t.Errorf("seek: %d, errno %d", pos, errno)
	}
	if k, _ := o.Read(b[:]); string(b[:k]) != "nts" {
		t.Errorf("read %q", b[:k])
	}
	if k, errno := o.Read(b[:]); k != 0 || errno != 0 {
		t.Errorf("at the end: %d, errno %d", k, errno)
	}
	if k, _ := o.ReadAt(b[:], 1<<62); k != 0 {
		t.Errorf("far behind the end: %d", k)
	}
}
