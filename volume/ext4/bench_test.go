package ext4_test

import (
	"fmt"
	"io"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tailor-os/tailor/volume/cuttest"
	"github.com/tailor-os/tailor/volume/ext4"
)

// The disk is memory: what is measured is this package.

func benchFS(b *testing.B, size int64) (*cuttest.Disk, *ext4.FS, *ext4.Inode) {
	d := newDisk(b, size)
	f := open(b, d, ext4.Options{CacheBytes: 8 << 20})
	root, err := f.Root()
	if err != nil {
		b.Fatal(err)
	}
	return d, f, root
}

func BenchmarkCreate(b *testing.B) {
	_, _, root := benchFS(b, 512<<20)
	for i := 0; b.Loop(); i++ {
		if _, err := root.Create(fmt.Sprint("file ", i%20000), ext4.Attr{Mode: ext4.ModeReg | 0o644}, ""); err != nil {
			b.Fatal(err)
		}
		if i%20000 == 19999 {
			b.StopTimer()
			for k := range 20000 {
				if err := root.Unlink(fmt.Sprint("file ", k), false); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
	}
}

// BenchmarkFiles makes, looks at and removes 10,000 files of 100 bytes.
func BenchmarkFiles(b *testing.B) {
	_, f, root := benchFS(b, 512<<20)
	p := make([]byte, 100)
	for b.Loop() {
		for i := range 10000 {
			in, err := root.Create(fmt.Sprint("file ", i), ext4.Attr{Mode: ext4.ModeReg | 0o644}, "")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := in.WriteAt(p, 0); err != nil {
				b.Fatal(err)
			}
		}
		for i := range 10000 {
			if in, err := root.Lookup(fmt.Sprint("file ", i)); err != nil || in.Attr().Size != 100 {
				b.Fatal(err)
			}
		}
		for i := range 10000 {
			if err := root.Unlink(fmt.Sprint("file ", i), false); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10000, "ns/file")
}

func BenchmarkAppendSync(b *testing.B) {
	d, _, root := benchFS(b, 512<<20)
	in, err := root.Create("log", ext4.Attr{Mode: ext4.ModeReg | 0o644}, "")
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 200)
	before := d.Requests
	for b.Loop() {
		if _, _, err := in.Append(p); err != nil {
			b.Fatal(err)
		}
		if err := in.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(d.Requests.Writes-before.Writes)/float64(b.N), "writes/op")
	b.ReportMetric(float64(d.Requests.Flushes-before.Flushes)/float64(b.N), "flushes/op")
	b.ReportMetric(float64(d.Requests.BytesWritten-before.BytesWritten)/float64(b.N), "written/op")
}

func benchSequential(b *testing.B, write bool) {
	d, f, root := benchFS(b, 512<<20)
	in, err := root.Create("big", ext4.Attr{Mode: ext4.ModeReg | 0o644}, "")
	if err != nil {
		b.Fatal(err)
	}
	const size = 128 << 20
	p := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(p)) {
		if _, err := in.WriteAt(p, off); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(p)))
	before := d.Requests
	for i := int64(0); b.Loop(); i++ {
		off := i * int64(len(p)) % size
		if write {
			_, err = in.WriteAt(p, off)
		} else {
			_, err = in.ReadAt(p, off)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(d.Requests.Writes-before.Writes+d.Requests.Reads-before.Reads)/float64(b.N), "requests/op")
}

func BenchmarkWrite1M(b *testing.B) { benchSequential(b, true) }
func BenchmarkRead1M(b *testing.B)  { benchSequential(b, false) }

func benchRandom(b *testing.B, write bool) {
	_, f, root := benchFS(b, 512<<20)
	in, _ := root.Create("big", ext4.Attr{Mode: ext4.ModeReg | 0o644}, "")
	p := make([]byte, 1<<20)
	for off := int64(0); off < 128<<20; off += int64(len(p)) {
		if _, err := in.WriteAt(p, off); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	p = p[:4096]
	b.SetBytes(4096)
	for i := uint32(1); b.Loop(); i = i*1664525 + 1013904223 {
		off := int64(i>>8%(128<<8)) << 12
		var err error
		if write {
			_, err = in.WriteAt(p, off)
		} else {
			_, err = in.ReadAt(p, off)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRandomWrite4K(b *testing.B) { benchRandom(b, true) }
func BenchmarkRandomRead4K(b *testing.B)  { benchRandom(b, false) }

// dirFS shows a file system as package io/fs has them.
type dirFS struct{ root *ext4.Inode }

type openFile struct {
	in   *ext4.Inode
	name string
	off  int64
	next int64
}

func (f dirFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	in := f.root
	base := "."
	for rest := name; rest != "" && rest != "."; {
		base = rest
		next := ""
		for i := range rest {
			if rest[i] == '/' {
				base, next = rest[:i], rest[i+1:]
				break
			}
		}
		var err error
		if in, err = in.Lookup(base); err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		rest = next
	}
	return &openFile{in: in, name: base}, nil
}

type info struct {
	name string
	ext4.Attr
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.Attr.Size }
func (i info) ModTime() time.Time { return time.Unix(0, i.Mtime) }
func (i info) IsDir() bool        { return i.Mode().IsDir() }
func (i info) Sys() any           { return nil }
func (i info) Mode() fs.FileMode {
	m := fs.FileMode(i.Attr.Mode & 0o777)
	switch i.Attr.Mode & ext4.ModeFmt {
	case ext4.ModeDir:
		m |= fs.ModeDir
	case ext4.ModeLink:
		m |= fs.ModeSymlink
	}
	return m
}

func (f *openFile) Stat() (fs.FileInfo, error) { return info{f.name, f.in.Attr()}, nil }
func (f *openFile) Close() error               { return nil }

func (f *openFile) Read(p []byte) (int, error) {
	n, err := f.in.ReadAt(p, f.off)
	f.off += int64(n)
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

func (f *openFile) ReadDir(n int) (list []fs.DirEntry, err error) {
	var names []string
	err = f.in.ReadDir(f.next, func(e ext4.DirEntry) bool {
		names, f.next = append(names, e.Name), e.Cookie
		return n <= 0 || len(names) < n
	})
	for _, name := range names {
		in, err := f.in.Lookup(name)
		if err != nil {
			return list, err
		}
		list = append(list, fs.FileInfoToDirEntry(info{name, in.Attr()}))
	}
	if n > 0 && len(list) == 0 && err == nil {
		err = io.EOF
	}
	return list, err
}

func TestFS(t *testing.T) {
	d := newDisk(t, 8<<20)
	f := open(t, d, ext4.Options{})
	root, _ := f.Root()
	dir, err := root.Create("dir", ext4.Attr{Mode: ext4.ModeDir | 0o755}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"empty", "small", "large"} {
		in, err := dir.Create(name, ext4.Attr{Mode: ext4.ModeReg | 0o644}, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.WriteAt(make([]byte, map[string]int{"small": 10, "large": 300000}[name]), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := fstest.TestFS(dirFS{root}, "dir/empty", "dir/small", "dir/large", "lost+found"); err != nil {
		t.Fatal(err)
	}
}
