// Package files is the guest's side of `tailor build --file`: it reads the
// archive that came with the image (abi.FilesHead) and mounts what is in it,
// read-only, where the command line said. Contents are not copied before the
// program reads them. It is linked into images that were built with --file.
//
// Nothing in the archive is believed: each record is checked when it is used,
// and what is wrong is EIO.
package files

import (
	"errors"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/libos"
)

// An Archive is the files of an image. It refers to the bytes it was made of,
// which do not change.
type Archive struct {
	data                 []byte
	nodes, mounts, texts []byte
}

// Parse checks the head of the archive in data.
func Parse(data []byte) (*Archive, error) {
	if len(data) < abi.FilesHeadSize || le64(data) != abi.FilesMagic {
		return nil, errors.New("no archive")
	}
	if le32(data[8:]) != abi.FilesVersion {
		return nil, errors.New("an archive of another version")
	}
	a := &Archive{data: data}
	ok := true
	part := func(off, n, size uint64) []byte {
		b, fits := a.slice(off, n*size)
		ok = ok && fits
		return b
	}
	a.nodes = part(le64(data[24:]), uint64(le32(data[12:])), abi.FileNodeSize)
	a.mounts = part(le64(data[32:]), uint64(le32(data[16:])), 4)
	a.texts = part(le64(data[40:]), le64(data[48:]), 1)
	if !ok || len(a.nodes) == 0 {
		return nil, errors.New("an archive whose parts lie outside of it")
	}
	if r, errno := a.record(0); errno != 0 || r.mode&libos.ModeFmt != libos.ModeDir {
		return nil, errors.New("an archive without a root")
	}
	return a, nil
}

// slice returns n bytes at off.
func (a *Archive) slice(off, n uint64) ([]byte, bool) { return slice(a.data, off, n) }

func slice(b []byte, off, n uint64) ([]byte, bool) {
	if off > uint64(len(b)) || n > uint64(len(b))-off {
		return nil, false
	}
	return b[off : off+n : off+n], true
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func le64(b []byte) uint64 { return uint64(le32(b)) | uint64(le32(b[4:]))<<32 }

// A record is an abi.FileNode that was checked: what it refers to is there.
type record struct {
	mode, parent uint32
	name         []byte
	mtime        int64
	start, size  uint64
	body         []byte // contents of a file, target of a link
}

// record returns node i. The parent of a node comes before it and its children
// after it, so that no walk goes in circles.
func (a *Archive) record(i uint32) (r record, errno libos.Errno) {
	b, ok := slice(a.nodes, uint64(i)*abi.FileNodeSize, abi.FileNodeSize)
	if !ok {
		return r, libos.EIO
	}
	r = record{
		mode: le32(b), parent: le32(b[4:]), mtime: int64(le64(b[16:])),
		start: le64(b[24:]), size: le64(b[32:]),
	}
	r.name, ok = slice(a.texts, uint64(le32(b[8:])), uint64(le32(b[12:])))
	if !ok || i > 0 && (r.parent >= i || !validName(r.name)) || i == 0 && r.parent != 0 {
		return r, libos.EIO
	}
	switch r.mode & libos.ModeFmt {
	case libos.ModeReg:
		r.body, ok = a.slice(r.start, r.size)
	case libos.ModeLink:
		r.body, ok = slice(a.texts, r.start, r.size)
		ok = ok && r.size > 0 && r.size < maxTarget
	case libos.ModeDir:
		count := uint64(len(a.nodes) / abi.FileNodeSize)
		ok = r.start > uint64(i) && r.start <= count && r.size <= count-r.start
	default:
		ok = false
	}
	if !ok {
		return r, libos.EIO
	}
	return r, 0
}

// maxTarget is PATH_MAX.
const maxTarget = 4096

// validName reports whether a directory can have the name.
func validName(name []byte) bool {
	if len(name) == 0 || len(name) > 255 || string(name) == "." || string(name) == ".." {
		return false
	}
	for _, c := range name {
		if c == '/' || c == 0 {
			return false
		}
	}
	return true
}

// Mount makes what the command line named visible at its paths.
func (a *Archive) Mount() error {
	for m := a.mounts; len(m) > 0; m = m[4:] {
		i := le32(m)
		path, errno := a.path(i)
		if errno == 0 {
			var n libos.Node
			if n, errno = a.node(i); errno == 0 {
				errno = libos.MountNode(path, a, n)
			}
		}
		if errno != 0 {
			return &mountError{path, errno}
		}
	}
	return nil
}

type mountError struct {
	path  string
	errno libos.Errno
}

func (e *mountError) Error() string {
	digits := ""
	for n := uint(e.errno); n > 0; n /= 10 {
		digits = string(rune('0'+n%10)) + digits
	}
	return "cannot mount " + e.path + ": errno " + digits
}

// path returns the path of node i from the root.
func (a *Archive) path(i uint32) (string, libos.Errno) {
	path := ""
	for i != 0 {
		r, errno := a.record(i)
		if errno != 0 {
			return path, errno
		}
		path = "/" + string(r.name) + path
		i = r.parent
	}
	return path, 0
}
