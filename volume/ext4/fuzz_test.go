package ext4_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tailor-os/tailor/volume/cuttest"
	"github.com/tailor-os/tailor/volume/ext4"
)

// lax makes a volume that has no checksums, so that changes in it are not noticed
// at once. Its journal is not empty if dirty is set.
func lax(t testing.TB, dirty bool) []byte {
	d := cuttest.New(2 << 20)
	if err := ext4.Mkfs(d, ext4.MkfsOptions{BytesPerInode: 16 << 10}); err != nil {
		t.Fatal(err)
	}
	b := d.Bytes()
	binary.LittleEndian.PutUint32(b[1024+0x64:], binary.LittleEndian.Uint32(b[1024+0x64:])&^0x400)
	w := &walker{t: t, r: rand.New(rand.NewPCG(1, 1)), m: newModel(), max: 9000}
	w.fs = open(t, d, ext4.Options{})
	for range 150 {
		w.step()
	}
	root, _ := w.fs.Root()
	in, err := root.Create("fragments", ext4.Attr{Mode: ext4.ModeReg}, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(200) { // an extent tree of two levels
		if _, err := in.WriteAt([]byte("x"), i*2048); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 { // a directory of several blocks
		if _, err := root.Create(fmt.Sprintf("some name that is not short %d", i), ext4.Attr{Mode: ext4.ModeFIFO}, ""); err != nil && err != ext4.ENOSPC {
			t.Fatal(err)
		}
	}
	if err := w.fs.Sync(); err != nil {
		t.Fatal(err)
	}
	if !dirty {
		closeFS(t, w.fs)
	}
	return bytes.Clone(b)
}

// patch changes bytes of a volume as b says: which part of it, where there, how
// many, to what.
func patch(data, b []byte) {
	parts := []struct{ off, size int }{{1024, 1024}, {2048, 1024}, {3072, 64 << 10}, {0, 256 << 10}, {0, len(data)}}
	for len(b) >= 6 {
		p := parts[int(b[0])%len(parts)]
		off := p.off + int(uint32(b[1])|uint32(b[2])<<8|uint32(b[3])<<16)%p.size
		n := int(b[4])%8 + 1
		b = b[5:]
		n = copy(data[off:min(off+n, len(data))], b[:min(n, len(b))])
		b = b[n:]
	}
}

// FuzzVolume uses a volume that is damaged somewhere.
func FuzzVolume(f *testing.F) {
	volumes := [][]byte{lax(f, false), lax(f, true)}
	r := rand.New(rand.NewPCG(5, 5))
	for range 200 {
		b := make([]byte, 6+r.IntN(60))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		for _, v := range volumes {
			data := bytes.Clone(v)
			patch(data, b)
			useDamaged(data)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// useDamaged does everything with a volume; errors are fine.
func useDamaged(data []byte) {
	_, _ = ext4.Check(cuttest.From(data))
	for _, ro := range []bool{true, false} {
		fs, err := ext4.Open(cuttest.From(data), ext4.Options{ReadOnly: ro, CacheBytes: ext4.MinCache})
		if err != nil {
			continue
		}
		root, err := fs.Root()
		if err == nil {
			useDir(root, 0, ro)
		}
		_ = fs.Sync()
		_ = fs.Close()
	}
	_, _ = ext4.Check(cuttest.From(data))
}

func useDir(dir *ext4.Inode, depth int, ro bool) {
	var names []string
	_ = dir.ReadDir(0, func(e ext4.DirEntry) bool {
		names = append(names, e.Name)
		return len(names) < 60
	})
	for i, name := range names {
		in, err := dir.Lookup(name)
		if err != nil {
			continue
		}
		a := in.Attr()
		_, _ = in.Readlink()
		if a.Mode&ext4.ModeFmt == ext4.ModeDir && depth < 4 {
			useDir(in, depth+1, ro)
		}
		p := make([]byte, 5000)
		_, _ = in.ReadAt(p, 0)
		_, _ = in.ReadAt(p, a.Size-3000)
		if ro {
			continue
		}
		switch i % 5 {
		case 0:
			_, _ = in.WriteAt(p, a.Size/2)
			_ = in.Sync()
		case 1:
			_ = in.Truncate(a.Size / 2)
		case 2:
			_ = dir.Unlink(name, a.Mode&ext4.ModeFmt == ext4.ModeDir)
		case 3:
			_ = dir.Rename(name, dir, "new "+name[:min(len(name), 99)], 0)
		case 4:
			_, _ = dir.Create("made"+name[:min(len(name), 99)], ext4.Attr{Mode: ext4.ModeDir | 0o700}, "")
		}
	}
}
