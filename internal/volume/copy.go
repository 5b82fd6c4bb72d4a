package volume

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/tailor-os/tailor/internal/hint"
)

// copySize is what is copied at a time, in bytes.
const copySize = 1 << 20

// A Copy says what a copy has done.
type Copy struct {
	Files   int // directories and links included
	Skipped []string
}

// Out copies the file or directory at name in the volume to the host. If to is a
// folder, it comes to lie in it. Permissions and times are kept, but for the times
// of links; owners are not.
// Nothing is written outside of to, whatever links the volume has.
func (f FS) Out(name, to string, recursive bool) (c Copy, err error) {
	i, err := f.find("copy", name, true)
	if err != nil {
		return c, err
	}
	if i.IsDir() && !recursive {
		return c, hint.Errorf("add -r to copy it with all that is in it", "%s is a directory", name)
	}
	if st, err := os.Stat(to); err == nil && st.IsDir() && name != "." {
		to = filepath.Join(to, path.Base(name))
	} else if strings.HasSuffix(to, "/") && !i.IsDir() {
		return c, hint.Errorf("make it with: mkdir "+to, "there is no folder %s", to)
	}
	root, err := os.OpenRoot(filepath.Dir(filepath.Clean(to)))
	if err != nil {
		return c, err
	}
	defer root.Close()
	return c, c.out(f.Once(), i, root, name, filepath.Base(filepath.Clean(to)))
}

// out copies one file, and what is in it.
func (c *Copy) out(f FS, i *Info, root *os.Root, name, to string) error {
	if st, err := root.Lstat(to); err == nil && st.Mode().Type() == fs.ModeSymlink {
		if err := root.Remove(to); err != nil {
			return err
		}
	}
	c.Files++
	switch i.Type() {
	case 0:
		return outFile(f, i, root, name, to)
	case fs.ModeSymlink:
		target, err := f.Tree.Readlink(i.node)
		if err != nil {
			return err
		}
		return root.Symlink(target, to)
	case fs.ModeDir:
		return c.outDir(f, i, root, name, to)
	}
	c.Files--
	c.Skipped = append(c.Skipped, name)
	return nil
}

func outFile(f FS, i *Info, root *os.Root, name, to string) error {
	w, err := root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, i.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{&openFile{fs: f, name: name, info: i}}, make([]byte, copySize))
	err = errors.Join(err, w.Chmod(i.Mode().Perm()), w.Close())
	return errors.Join(err, root.Chtimes(to, i.Time, i.Time))
}

func (c *Copy) outDir(f FS, i *Info, root *os.Root, name, to string) error {
	// Until all is in it, it must be open to us.
	if err := root.Mkdir(to, i.Mode().Perm()|0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	sub, err := root.OpenRoot(to)
	if err != nil {
		return err
	}
	defer sub.Close()
	entries, err := f.ReadDir(name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !filepath.IsLocal(e.Name()) || strings.Contains(e.Name(), "/") {
			return fmt.Errorf("%s has the name %q in it, which cannot be", name, e.Name())
		}
		if err := c.out(f, e.(*Info), sub, path.Join(name, e.Name()), e.Name()); err != nil {
			return err
		}
	}
	return errors.Join(root.Chmod(to, i.Mode().Perm()), root.Chtimes(to, i.Time, i.Time))
}

// errReadOnly is for trees that are no Writer.
func errReadOnly() error {
	return hint.Errorf("pack it anew with: tailor volume pack FILE FOLDER", "the volume cannot be changed")
}

// parent returns the directory that name is in, and its name there.
func (f FS) parent(name string) (Writer, *Info, string, error) {
	w, ok := f.Tree.(Writer)
	if !ok {
		return nil, nil, "", errReadOnly()
	}
	if name == "." {
		return nil, nil, "", errors.New("the root of a volume is always there")
	}
	dir, err := f.find("change", path.Dir(name), true)
	if err == nil && !dir.IsDir() {
		err = &fs.PathError{Op: "change", Path: path.Dir(name), Err: errNotDir}
	}
	return w, dir, path.Base(name), err
}

// In copies the file or folder from of the host to name in the volume. If name
// is a directory, it comes to lie in it. Permissions and times are kept; owners
// are 0.
func (f FS) In(from, name string, recursive bool) (c Copy, err error) {
	st, err := os.Stat(from)
	if err != nil {
		return c, err
	}
	if st.IsDir() && !recursive {
		return c, hint.Errorf("add -r to copy it with all that is in it", "%s is a folder", from)
	}
	if i, err := f.find("copy", name, true); err == nil && i.IsDir() {
		abs, err := filepath.Abs(from)
		if err != nil {
			return c, err
		}
		name = path.Join(name, filepath.Base(abs))
	}
	w, dir, base, err := f.parent(name)
	if err != nil {
		return c, err
	}
	return c, c.in(w, dir.node, base, from, st)
}

// in copies what is at from on the host, of which info tells, to name in dir.
func (c *Copy) in(w Writer, dir Node, name, from string, info fs.FileInfo) error {
	c.Files++
	a := Attr{Mode: info.Mode().Type() | info.Mode().Perm(), Time: info.ModTime()}
	if err := makeWay(w, dir, name, a.Mode.Type()); err != nil {
		return named(name, err)
	}
	switch info.Mode().Type() {
	case 0:
		return inFile(w, dir, name, from, a)
	case fs.ModeDir:
		return c.inDir(w, dir, name, from, a)
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		n, err := w.Create(dir, name, a, target)
		if err == nil {
			err = w.SetAttr(n, a)
		}
		return named(name, err)
	}
	c.Files--
	c.Skipped = append(c.Skipped, from)
	return nil
}

// makeWay removes what a copy of the given type replaces, rather than changes: a
// link, and anything that a link is to take the place of.
func makeWay(w Writer, dir Node, name string, kind fs.FileMode) error {
	if kind != 0 && kind != fs.ModeDir && kind != fs.ModeSymlink {
		return nil // it is not copied
	}
	n, err := w.Lookup(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	a, err := w.Stat(n)
	if err != nil || kind != fs.ModeSymlink && a.Mode.Type() != fs.ModeSymlink {
		return err
	}
	return w.Unlink(dir, name, false)
}

// named says at which name of a volume something failed.
func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: "write", Path: name, Err: err}
}

func inFile(w Writer, dir Node, name, from string, a Attr) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	n, err := w.Lookup(dir, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		n, err = w.Create(dir, name, a, "")
	case err == nil:
		err = w.Truncate(n, 0)
	}
	if err != nil {
		return named(name, err)
	}
	if err := fillFile(w, n, name, r); err != nil {
		w.Unlink(dir, name, false) // a part of it is worse than nothing
		return err
	}
	return named(name, w.SetAttr(n, a))
}

// fillFile writes what is in r to file n of a volume, which is called name.
func fillFile(w Writer, n Node, name string, r io.Reader) error {
	b := make([]byte, copySize)
	for off := int64(0); ; {
		k, err := io.ReadFull(r, b)
		if k > 0 {
			if err := w.WriteAt(n, b[:k], off); err != nil {
				return named(name, err)
			}
			off += int64(k)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *Copy) inDir(w Writer, dir Node, name, from string, a Attr) error {
	n, err := w.Lookup(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		n, err = w.Create(dir, name, a, "")
	}
	if err != nil {
		return named(name, err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		if err := c.in(w, n, e.Name(), filepath.Join(from, e.Name()), info); err != nil {
			return err
		}
	}
	return named(name, w.SetAttr(n, a))
}

// Mkdir makes a directory; with parents, those above it that are missing too,
// and it may be there already.
func (f FS) Mkdir(name string, parents bool) error {
	if parents && name != "." {
		if i, err := f.find("mkdir", name, true); err == nil && i.IsDir() {
			return nil
		}
		if err := f.Mkdir(path.Dir(name), true); err != nil {
			return err
		}
	} else if parents {
		return nil
	}
	w, dir, base, err := f.parent(name)
	if err != nil {
		return err
	}
	if _, err := w.Lookup(dir.node, base); err == nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	}
	_, err = w.Create(dir.node, base, Attr{Mode: fs.ModeDir | 0o755}, "")
	return named(name, err)
}

// Remove removes a file, or with recursive a directory and all that is in it.
func (f FS) Remove(name string, recursive bool) error {
	w, dir, base, err := f.parent(name)
	if err != nil {
		return err
	}
	i, err := f.find("remove", name, false)
	if err != nil {
		return err
	}
	if i.IsDir() {
		if !recursive {
			return hint.Errorf("add -r to remove it with all that is in it", "%s is a directory", name)
		}
		if err := empty(w, f.Once().Tree, i.node, name); err != nil {
			return err
		}
	}
	return named(name, w.Unlink(dir.node, base, i.IsDir()))
}

// empty removes all that is in a directory; t lists each directory once.
func empty(w Writer, t Tree, dir Node, name string) error {
	list, err := t.List(dir)
	if err != nil {
		return named(name, err)
	}
	for _, e := range list {
		full := path.Join(name, e)
		n, err := w.Lookup(dir, e)
		if err != nil {
			return named(full, err)
		}
		a, err := w.Stat(n)
		if err != nil {
			return named(full, err)
		}
		if a.IsDir() {
			if err := empty(w, t, n, full); err != nil {
				return err
			}
		}
		if err := w.Unlink(dir, e, a.IsDir()); err != nil {
			return named(full, err)
		}
	}
	return nil
}
