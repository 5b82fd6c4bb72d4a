package tarmount

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/block/blocktest"
	"github.com/tailor-os/tailor/libos"
)

func device(t *testing.T) *blocktest.Mem {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "d", Mode: 0o750},
		{Typeflag: tar.TypeReg, Name: "d/a", Mode: 0o640, Size: 8, Uid: 3, ModTime: time.Unix(99, 0)},
		{Typeflag: tar.TypeLink, Name: "d/b", Linkname: "d/a"},
		{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "d/a"},
		{Typeflag: tar.TypeFifo, Name: "p"},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			w.Write([]byte("contents"))
		}
	}
	w.Close()
	return blocktest.Of(b.Bytes())
}

func find(t *testing.T, d libos.Directory, path string) libos.Node {
	t.Helper()
	var n libos.Node = d
	for name := range strings.SplitSeq(path, "/") {
		var errno libos.Errno
		if n, errno = n.(libos.Directory).Lookup(name); errno != 0 {
			t.Fatalf("%s: error %d", path, errno)
		}
	}
	return n
}

func TestNodes(t *testing.T) {
	fs, err := Open(device(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	root := fs.Root()
	if find(t, root, "d/a") != find(t, root, "d/b") || find(t, root, "d/a") == find(t, root, "l") {
		t.Error("nodes do not compare as files do")
	}
	if up, name := find(t, root, "d").(libos.Directory).Parent(); up != root || name != "d" {
		t.Errorf("parent %v, name %q", up, name)
	}
	if up, name := root.Parent(); up != root || name != "" {
		t.Errorf("parent of the root %v, name %q", up, name)
	}
	a, errno := find(t, root, "d/a").Attr()
	if errno != 0 || a.Mode != libos.ModeReg|0o640 || a.Size != 8 || a.Nlink != 2 || a.UID != 3 || a.Mtime.Sec != 99 || a.Blocks != 1 {
		t.Errorf("%+v, error %d", a, errno)
	}
	if target, _ := find(t, root, "l").(libos.Symlink).Readlink(); target != "d/a" {
		t.Errorf("link to %q", target)
	}
	if _, errno := root.Lookup("p"); errno != libos.ENOENT {
		t.Errorf("a pipe: error %d", errno)
	}
	if notes, n := fs.Notes(); n != 1 || !strings.Contains(notes[0], "is a pipe") {
		t.Errorf("notes %q", notes)
	}
	if u := fs.Usage(); u.Files != 5 || u.Free != 0 || u.Blocks == 0 {
		t.Errorf("%+v", u)
	}
	var names []string
	for at := int64(0); ; {
		e, ok, errno := root.Next(at)
		if errno != 0 || ok && e.Cookie <= at {
			t.Fatalf("%+v, error %d", e, errno)
		}
		if !ok {
			break
		}
		if b, _ := find(t, root, e.Name).Attr(); b.Ino != e.Ino || b.Mode&libos.ModeFmt != e.Mode {
			t.Errorf("%+v, %+v", e, b)
		}
		at, names = e.Cookie, append(names, e.Name)
	}
	if strings.Join(names, " ") != "d l" {
		t.Errorf("names %q", names)
	}
	for _, n := range []libos.Node{root, find(t, root, "d/a"), find(t, root, "l")} {
		_, set := n.(libos.AttrSetter)
		_, change := n.(libos.WritableDirectory)
		if set || change {
			t.Errorf("%v can be changed", n)
		}
	}
}

func TestFile(t *testing.T) {
	d := device(t)
	fs, err := Open(d, func([]byte) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	n := find(t, fs.Root(), "d/b")
	for _, flags := range []uint32{1, 2} {
		if _, errno := n.Open(flags); errno != libos.EROFS {
			t.Errorf("open with flags %d: error %d", flags, errno)
		}
	}
	f, errno := n.Open(0)
	if errno != 0 {
		t.Fatalf("open: error %d", errno)
	}
	o := f.(libos.SeekFile)
	b := make([]byte, 20)
	d.Fail = func(string, int64, int64) error { return block.ErrIO }
	if _, errno := o.ReadAt(b, 0); errno != libos.EIO {
		t.Errorf("on a device that fails: error %d", errno)
	}
	d.Fail = nil
	if k, _ := o.Read(b[:3]); string(b[:k]) != "con" {
		t.Errorf("read %q", b[:k])
	}
	if pos, _ := o.SeekTo(-3, 2); pos != 5 {
		t.Errorf("seek to %d", pos)
	}
	if k, _ := o.Read(b); string(b[:k]) != "nts" {
		t.Errorf("read %q", b[:k])
	}
	if k, errno := o.Read(b); k != 0 || errno != 0 {
		t.Errorf("at the end: %d, error %d", k, errno)
	}
	if _, errno := o.Write(b); errno != libos.EBADF {
		t.Errorf("write: error %d", errno)
	}
	d.Fail = func(string, int64, int64) error { return block.ErrIO }
	if k, errno := o.ReadAt(b, 0); errno != 0 || k != 8 {
		t.Errorf("what was read before, of a device that fails: %d, error %d", k, errno)
	}
}

// The tree is seen through libos's own walk, also below an overlay.
func TestMounted(t *testing.T) {
	fs, err := Open(device(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if errno := libos.Mount("/tar", fs); errno != 0 {
		t.Fatalf("mount: error %d", errno)
	}
	over, errno := libos.Overlay(fs.Root())
	if errno != 0 {
		t.Fatalf("overlay: error %d", errno)
	}
	f, errno := find(t, over.Root(), "d/a").Open(2)
	if errno != 0 {
		t.Fatalf("open for writing in the overlay: error %d", errno)
	}
	if _, errno := f.(libos.SeekFile).WriteAt([]byte("C"), 0); errno != 0 {
		t.Errorf("write: error %d", errno)
	}
	b := make([]byte, 8)
	if n, errno := f.(libos.SeekFile).ReadAt(b, 0); string(b[:n]) != "Contents" {
		t.Errorf("%q, error %d", b[:n], errno)
	}
}

func TestBad(t *testing.T) {
	if _, err := Open(blocktest.New(4096), nil); err != nil {
		t.Errorf("an archive of nothing: %v", err)
	}
	if _, err := Open(blocktest.New(0), nil); err == nil {
		t.Error("a device of nothing opens")
	}
}
