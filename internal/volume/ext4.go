package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/tailor-os/tailor/volume/ext4"
)

// ext4Tree is an ext4 file system as a Writer. Its nodes are of type *ext4.Inode.
type ext4Tree struct{ fs *ext4.FS }

// posix turns the error numbers of package ext4 into those of the system, which
// packages errors and io/fs know.
func posix(err error) error {
	var e ext4.Errno
	if errors.As(err, &e) {
		return syscall.Errno(e)
	}
	return err
}

func inode(n *ext4.Inode, err error) (Node, error) {
	if err != nil {
		return nil, posix(err)
	}
	return n, nil
}

// Root implements Tree.
func (t ext4Tree) Root() (Node, error) { return inode(t.fs.Root()) }

// Lookup implements Tree.
func (t ext4Tree) Lookup(dir Node, name string) (Node, error) {
	return inode(dir.(*ext4.Inode).Lookup(name))
}

// Stat implements Tree.
func (t ext4Tree) Stat(n Node) (Attr, error) {
	a := n.(*ext4.Inode).Attr()
	return Attr{Mode: goMode(a.Mode), UID: a.UID, GID: a.GID, Links: a.Links, Size: a.Size, Time: time.Unix(0, a.Mtime)}, nil
}

// List implements Tree.
func (t ext4Tree) List(dir Node) (names []string, err error) {
	err = dir.(*ext4.Inode).ReadDir(0, func(e ext4.DirEntry) bool {
		names = append(names, e.Name)
		return true
	})
	return names, posix(err)
}

// ReadAt implements Tree.
func (t ext4Tree) ReadAt(n Node, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		k, err := n.(*ext4.Inode).ReadAt(p[done:], off+int64(done))
		if err != nil || k == 0 {
			return done, posix(err)
		}
		done += k
	}
	return done, nil
}

// Readlink implements Tree.
func (t ext4Tree) Readlink(n Node) (string, error) {
	s, err := n.(*ext4.Inode).Readlink()
	return s, posix(err)
}

// attrOf turns a into what ext4 has for it; owners are 0.
func attrOf(a Attr) ext4.Attr {
	mode := uint32(a.Mode.Perm())
	for kind, goKind := range unixTypes {
		if a.Mode.Type() == goKind {
			mode |= kind
		}
	}
	return ext4.Attr{Mode: mode, Atime: a.Time.UnixNano(), Mtime: a.Time.UnixNano()}
}

// Create implements Writer.
func (t ext4Tree) Create(dir Node, name string, a Attr, target string) (Node, error) {
	return inode(dir.(*ext4.Inode).Create(name, attrOf(a), target))
}

// WriteAt implements Writer.
func (t ext4Tree) WriteAt(n Node, p []byte, off int64) error {
	k, err := n.(*ext4.Inode).WriteAt(p, off)
	if err == nil && k < len(p) {
		err = syscall.ENOSPC
	}
	return posix(err)
}

// Truncate implements Writer.
func (t ext4Tree) Truncate(n Node, size int64) error { return posix(n.(*ext4.Inode).Truncate(size)) }

// SetAttr implements Writer.
func (t ext4Tree) SetAttr(n Node, a Attr) error {
	return posix(n.(*ext4.Inode).SetAttr(ext4.SetMode|ext4.SetAtime|ext4.SetMtime, attrOf(a)))
}

// Unlink implements Writer.
func (t ext4Tree) Unlink(from Node, name string, dir bool) error {
	return posix(from.(*ext4.Inode).Unlink(name, dir))
}

// Unmount makes all changes durable.
func (t ext4Tree) Unmount() error { return posix(t.fs.Close()) }

// ext4Reserved is how many numbers of files the format keeps for itself, besides
// the root's.
const ext4Reserved = 9

// hostCache is the memory for cached blocks, in bytes: the host has it.
const hostCache = 64 << 20

func (v *Volume) mountExt4(o Options) error {
	f, err := ext4.Open(v.Dev, ext4.Options{
		ReadOnly: !o.Write, CacheBytes: hostCache, Now: func() int64 { return time.Now().UnixNano() },
		Report: func(text string) { v.reports = append(v.reports, text) }, Discard: true,
	})
	if err != nil {
		return posix(err)
	}
	v.FS, v.ext4 = FS{ext4Tree{f}}, f
	if why := f.ReadOnly(); o.Write && why != "" {
		return errors.Join(fmt.Errorf("the file system can only be read: %s", why), f.Close())
	}
	return nil
}

// describeExt4 says how full the file system is, and what its superblock calls
// it.
func (v *Volume) describeExt4(r *Report) {
	u := v.ext4.Usage()
	r.Capacity, r.Free = int64(u.Blocks)*int64(u.BlockSize), int64(u.Free)*int64(u.BlockSize)
	r.Files, r.FreeFiles = int(u.Inodes-u.FreeInode)-ext4Reserved, int64(u.FreeInode)
	id, label := v.ext4.Identity()
	r.UUID, r.Label = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), label
}

// checkExt4 checks the structure of the file system, and reads all that is in it.
func (v *Volume) checkExt4(r *Report) error {
	problems, err := ext4.Check(v.Dev)
	r.Problems = append(r.Problems, problems...)
	if err != nil || len(problems) > 0 {
		return err
	}
	buf := make([]byte, copySize)
	err = fs.WalkDir(v.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			r.Problems = append(r.Problems, err.Error())
			return nil
		}
		i, ok := d.(*Info)
		if !ok || !d.Type().IsRegular() {
			return nil
		}
		for off := int64(0); off < i.Size(); off += int64(len(buf)) {
			if _, err := v.FS.Tree.ReadAt(i.node, buf[:min(int64(len(buf)), i.Size()-off)], off); err != nil {
				r.Problems = append(r.Problems, fmt.Sprintf("%s: %v", name, err))
				break
			}
		}
		return nil
	})
	r.Problems = append(r.Problems, v.reports...)
	return err
}
