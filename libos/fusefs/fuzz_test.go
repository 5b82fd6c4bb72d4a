package fusefs

import (
	"errors"
	"testing"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/fuse"
)

// A liar is a server that answers with what the fuzzer says.
type liar struct {
	data []byte
	kind map[uint32]bool
}

var errOver = errors.New("nothing left to say")

func (l *liar) next() byte {
	if len(l.data) == 0 {
		return 0
	}
	c := l.data[0]
	l.data = l.data[1:]
	return c
}

func (l *liar) Call(out, in [2][]byte) (int, error) {
	h := fuse.NewDecoder(out[0]).InHeader()
	l.kind[h.Op] = true
	room := len(in[0]) + len(in[1])
	if h.Op == fuse.OpInit {
		return copy(in[0], reply(h.Unique, 0, (&fuse.Init{
			Major: 7, Minor: 31, Flags: fuse.InitReaddirplus, MaxWrite: fuse.MaxData}).AppendOut(nil))), nil
	}
	if len(l.data) == 0 {
		return 0, errOver
	}
	body, errno, n := []byte(nil), uint32(0), -1
	switch c := l.next(); c % 16 {
	case 0:
		errno = uint32(l.next())
	case 1:
		n = int(l.next()) // a lie about the length
	case 2:
		h.Unique += 2
	case 3, 4, 5:
		k := min(int(l.next())*4, len(l.data))
		body, l.data = l.data[:k], l.data[k:]
	default:
		body = l.truth(h.Op)
	}
	b := reply(h.Unique, errno, body)
	b = b[:min(len(b), room)]
	k := copy(in[0], b)
	copy(in[1], b[k:])
	if n < 0 {
		n = len(b)
	}
	return min(n, room), nil // the ring sees to that
}

func reply(unique uint64, errno uint32, body []byte) []byte {
	h := fuse.OutHeader{Len: uint32(fuse.OutHeaderLen + len(body)), Errno: errno, Unique: unique}
	return append(h.Append(nil), body...)
}

// truth is a reply that could be one, with numbers and types that need not fit.
func (l *liar) truth(op uint32) []byte {
	types := []uint32{libos.ModeReg, libos.ModeDir, libos.ModeLink, libos.ModeFIFO, 0}
	attr := fuse.Attr{Ino: uint64(l.next()), Size: uint64(l.next()), Mode: types[int(l.next())%len(types)] | 0o644, Nlink: uint32(l.next())}
	entry := fuse.Entry{Node: uint64(l.next() % 8), Valid: int64(l.next()) << 24, Attr: attr}
	switch op {
	case fuse.OpGetattr, fuse.OpSetattr:
		return fuse.AppendAttrOut(nil, &attr, 1e9)
	case fuse.OpReaddirplus:
		var b []byte
		for range l.next() % 8 {
			b = entry.Append(b)
			b = (&fuse.Dirent{Ino: 1, Off: uint64(l.next()), Type: uint32(l.next()), Name: string(rune('a'+l.next()%8)) + "/"[:l.next()%40/39]}).Append(b)
			entry.Node++
		}
		return b
	case fuse.OpOpen, fuse.OpOpendir:
		return fuse.U64(nil, 7, 0)
	case fuse.OpWrite:
		return fuse.U32(nil, uint32(l.next()), 0)
	case fuse.OpRead, fuse.OpReadlink:
		return make([]byte, l.next())
	case fuse.OpCreate:
		return fuse.U64(entry.Append(nil), 7, 0)
	}
	return entry.Append(nil)
}

func (l *liar) Cast(out, in []byte, done func()) error {
	done()
	return nil
}

func (l *liar) Forget([]byte) error { return nil }

// FuzzReplies uses a file system whose server lies. Nothing panics or goes on
// for ever, and what comes out is what can be.
func FuzzReplies(f *testing.F) {
	f.Add([]byte{6, 1, 5, 1, 1, 2, 60, 6, 1, 5, 0, 1, 3, 60, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7})
	f.Add([]byte{6, 1, 1, 1, 1, 2, 60, 6, 3, 3, 1, 9, 9, 9, 3, 1, 2, 1, 0, 2, 2, 1, 0, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6})
	f.Add([]byte{0, 5, 0, 13, 1, 200, 2, 3, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Fuzz(func(t *testing.T, data []byte) {
		l := &liar{data: data, kind: map[uint32]bool{}}
		fs := New(l, Options{Fixed: func([]byte) bool { return true }})
		nodes := []libos.Node{fs.Root()}
		buf := make([]byte, 40_000)
		for i := 0; i < 60 && len(l.data) > 0; i++ {
			n := nodes[i%len(nodes)]
			clock.Add(1e8)
			if a, errno := n.Attr(); errno == 0 && a.Size < 0 {
				t.Fatalf("size %d", a.Size)
			}
			switch n := n.(type) {
			case libos.WritableDirectory:
				nodes = append(nodes, useDirectory(t, n, i)...)
			case libos.Symlink:
				if s, errno := n.Readlink(); errno == 0 && s == "" {
					t.Fatal("a link that leads nowhere")
				}
			default:
				useFile(t, n, buf[:i*i*11])
			}
			if len(nodes) > 40 {
				nodes = nodes[:20]
			}
		}
	})
}

func useDirectory(t *testing.T, d libos.WritableDirectory, i int) (found []libos.Node) {
	add := func(n libos.Node, errno libos.Errno) {
		if errno == 0 && n == nil {
			t.Fatal("success without a node")
		}
		if errno == 0 {
			found = append(found, n)
		}
	}
	last := int64(0)
	for {
		e, ok, errno := d.Next(last)
		if !ok || errno != 0 {
			break
		}
		if e.Cookie <= last || !validName(e.Name) {
			t.Fatalf("entry %+v after %d", e, last)
		}
		last = e.Cookie
		add(d.Lookup(e.Name))
	}
	add(d.Lookup("x"))
	add(d.Create("f", &libos.Attr{Mode: libos.ModeReg}, ""))
	add(d.Create("d", &libos.Attr{Mode: libos.ModeDir}, ""))
	add(d.Create("l", &libos.Attr{Mode: libos.ModeLink}, "x"))
	d.Rename("a", d, "b", uint32(i%3))
	d.Unlink("b", i%2 == 0)
	p, _ := d.Parent()
	if p == nil {
		t.Fatal("no parent")
	}
	return found
}

func useFile(t *testing.T, n libos.Node, buf []byte) {
	f, errno := n.Open(oRDWR)
	if errno != 0 {
		return
	}
	s := f.(libos.SeekFile)
	for _, move := range []func() (int, libos.Errno){
		func() (int, libos.Errno) { return s.Read(buf) },
		func() (int, libos.Errno) { return s.Write(buf) },
		func() (int, libos.Errno) { return s.ReadAt(buf, 5) },
		func() (int, libos.Errno) { return s.WriteAt(buf, 5) },
	} {
		if n, _ := move(); n < 0 || n > len(buf) {
			t.Fatalf("%d of %d bytes", n, len(buf))
		}
	}
	s.SeekTo(0, 2)
	s.Close()
}
