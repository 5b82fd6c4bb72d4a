package volume

import (
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tailor-os/tailor/internal/hint"
)

// A Node is a file, directory or link of a Tree, as that has it.
type Node any

// A Tree is what is in a volume. Errors are those of io/fs where they fit, such
// as fs.ErrNotExist.
type Tree interface {
	Root() (Node, error)
	Lookup(dir Node, name string) (Node, error)
	Stat(n Node) (Attr, error)
	// List returns the names in a directory, without "." and "..".
	List(dir Node) ([]string, error)
	// ReadAt reads until p is full or the file ends, which is no error.
	ReadAt(n Node, p []byte, off int64) (int, error)
	Readlink(n Node) (string, error)
}

// A Writer is a Tree that can be changed.
type Writer interface {
	Tree
	// Create makes what a.Mode says; target is where a symbolic link leads.
	Create(dir Node, name string, a Attr, target string) (Node, error)
	WriteAt(n Node, p []byte, off int64) error
	Truncate(n Node, size int64) error
	// SetAttr sets permissions and time.
	SetAttr(n Node, a Attr) error
	// Unlink removes a name: that of an empty directory if dir, else of
	// another file.
	Unlink(from Node, name string, dir bool) error
}

// An Attr is what there is to know of a file in a volume.
type Attr struct {
	Mode     fs.FileMode
	UID, GID uint32
	Links    uint32
	Size     int64 // in bytes
	Time     time.Time
}

// FS is a Tree as package io/fs has it. Symbolic links are followed within the
// volume, as those of a file system that is mounted at the root.
type FS struct{ Tree Tree }

// Once returns f for one walk: directories can be listed once each. In a damaged
// volume one may be in two places, even below itself, and a walk would not end.
func (f FS) Once() FS { return FS{onceTree{f.Tree, map[Node]bool{}}} }

// A onceTree is a Tree that lists each directory once.
type onceTree struct {
	Tree
	listed map[Node]bool // which also keeps nodes what they are
}

// List implements Tree.
func (t onceTree) List(dir Node) ([]string, error) {
	if t.listed[dir] {
		return nil, hint.Errorf("see what is damaged: tailor volume check FILE", "the directory is in two places")
	}
	t.listed[dir] = true
	return t.Tree.List(dir)
}

// Info is a file of a volume; it implements fs.FileInfo and fs.DirEntry.
type Info struct {
	Attr
	name string
	node Node
}

// Name implements fs.FileInfo.
func (i *Info) Name() string { return i.name }

// Size implements fs.FileInfo.
func (i *Info) Size() int64 { return i.Attr.Size }

// Mode implements fs.FileInfo.
func (i *Info) Mode() fs.FileMode { return i.Attr.Mode }

// ModTime implements fs.FileInfo.
func (i *Info) ModTime() time.Time { return i.Time }

// IsDir implements fs.FileInfo.
func (i *Info) IsDir() bool { return i.Attr.Mode.IsDir() }

// Sys implements fs.FileInfo.
func (i *Info) Sys() any { return i.Attr }

// Type implements fs.DirEntry.
func (i *Info) Type() fs.FileMode { return i.Attr.Mode.Type() }

// Info implements fs.DirEntry.
func (i *Info) Info() (fs.FileInfo, error) { return i, nil }

// String implements fmt.Stringer.
func (i *Info) String() string { return fs.FormatFileInfo(i) }

// maxLinks is how many links a path may lead over, as in Linux.
const maxLinks = 40

// find returns the file that name leads to; last says whether a link there is
// followed.
func (f FS) find(op, name string, last bool) (*Info, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	i, err := f.walk(name, last)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	i.name = path.Base(name)
	return i, nil
}

// walk goes along name from the root on.
func (f FS) walk(name string, last bool) (*Info, error) {
	root, err := f.Tree.Root()
	if err != nil {
		return nil, err
	}
	stack := []Node{root}
	rest := strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		dir := stack[len(stack)-1]
		switch part {
		case "", ".":
			continue
		case "..":
			stack = stack[:max(1, len(stack)-1)]
			continue
		}
		n, err := f.Tree.Lookup(dir, part)
		if err != nil {
			return nil, err
		}
		a, err := f.Tree.Stat(n)
		if err != nil {
			return nil, err
		}
		if a.Mode.Type() != fs.ModeSymlink || len(rest) == 0 && !last {
			if len(rest) > 0 && !a.IsDir() {
				return nil, fs.ErrNotExist
			}
			stack = append(stack, n)
			continue
		}
		if links++; links > maxLinks {
			return nil, errLoop
		}
		target, err := f.Tree.Readlink(n)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(target, "/") {
			stack = stack[:1]
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	n := stack[len(stack)-1]
	a, err := f.Tree.Stat(n)
	return &Info{Attr: a, node: n}, err
}

// IsDir reports whether a is a directory's.
func (a Attr) IsDir() bool { return a.Mode.IsDir() }

type loopError struct{}

func (loopError) Error() string { return "too many symbolic links" }

var errLoop error = loopError{}

// Lstat implements fs.ReadLinkFS.
func (f FS) Lstat(name string) (fs.FileInfo, error) { return asInfo(f.find("lstat", name, false)) }

// Stat implements fs.StatFS.
func (f FS) Stat(name string) (fs.FileInfo, error) { return asInfo(f.find("stat", name, true)) }

func asInfo(i *Info, err error) (fs.FileInfo, error) {
	if err != nil {
		return nil, err
	}
	return i, nil
}

// ReadLink implements fs.ReadLinkFS.
func (f FS) ReadLink(name string) (string, error) {
	i, err := f.find("readlink", name, false)
	if err != nil {
		return "", err
	}
	if i.Type() != fs.ModeSymlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return f.Tree.Readlink(i.node)
}

// ReadDir implements fs.ReadDirFS.
func (f FS) ReadDir(name string) ([]fs.DirEntry, error) {
	i, err := f.find("readdir", name, true)
	if err != nil {
		return nil, err
	}
	if !i.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotDir}
	}
	list, err := f.Tree.List(i.node)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	slices.Sort(list)
	var entries []fs.DirEntry
	for _, e := range list {
		n, err := f.Tree.Lookup(i.node, e)
		if err != nil {
			return entries, &fs.PathError{Op: "stat", Path: path.Join(name, e), Err: err}
		}
		a, err := f.Tree.Stat(n)
		if err != nil {
			return entries, &fs.PathError{Op: "stat", Path: path.Join(name, e), Err: err}
		}
		entries = append(entries, &Info{Attr: a, name: e, node: n})
	}
	return entries, nil
}

type notDirError struct{}

func (notDirError) Error() string { return "not a directory" }

var errNotDir error = notDirError{}

// Open implements fs.FS.
func (f FS) Open(name string) (fs.File, error) {
	i, err := f.find("open", name, true)
	if err != nil {
		return nil, err
	}
	o := &openFile{fs: f, name: name, info: i}
	if i.IsDir() {
		return &openDir{openFile: o}, nil
	}
	return o, nil
}

// An openFile is a file of an FS. It also implements io.ReaderAt and io.Seeker.
type openFile struct {
	fs   FS
	name string
	info *Info
	pos  int64
}

func (o *openFile) Stat() (fs.FileInfo, error) { return o.info, nil }
func (o *openFile) Close() error               { return nil }

func (o *openFile) Read(p []byte) (int, error) {
	if o.info.IsDir() {
		return 0, &fs.PathError{Op: "read", Path: o.name, Err: fs.ErrInvalid}
	}
	n, err := o.ReadAt(p, o.pos)
	o.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (o *openFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: o.name, Err: fs.ErrInvalid}
	}
	n, err := o.fs.Tree.ReadAt(o.info.node, p, off)
	if err != nil {
		return n, &fs.PathError{Op: "read", Path: o.name, Err: err}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (o *openFile) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += o.pos
	case io.SeekEnd:
		off += o.info.Size()
	}
	if off < 0 {
		return 0, &fs.PathError{Op: "seek", Path: o.name, Err: fs.ErrInvalid}
	}
	o.pos = off
	return off, nil
}

// An openDir is a directory of an FS.
type openDir struct {
	*openFile
	rest []fs.DirEntry
	read bool
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		list, err := d.fs.ReadDir(d.name)
		if err != nil {
			return nil, err
		}
		d.rest, d.read = list, true
	}
	if n <= 0 {
		list := d.rest
		d.rest = nil
		return list, nil
	}
	if len(d.rest) == 0 {
		return nil, io.EOF
	}
	list := d.rest[:min(n, len(d.rest))]
	d.rest = d.rest[len(list):]
	return list, nil
}
