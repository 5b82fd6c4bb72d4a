package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/licence"
)

// A Copied is a copy of a program's source in another folder.
type Copied struct {
	Dir    string   // where tailor build is to run
	Args   []string // what it takes besides flags
	GOWORK string   // the copy of the workspace's file, "off" if there is none
	Files  int      // that were copied
	moved  func(path string) string
}

// Moved returns where the copy of a file is.
func (c *Copied) Moved(path string) string { return c.moved(path) }

// CanMove returns an error if what is built depends on the place of the source, so that
// a copy of it cannot be built.
func (p *Plan) CanMove() error {
	if p.flags.moved != "" {
		return hint.Errorf("remove it from GOFLAGS", "a copy of the source cannot be built with %s in GOFLAGS, which names a file by its place", p.flags.moved)
	}
	_, err := p.packedFiles()
	return err
}

// CopySource copies what the program is made of to folder to: the files that go list
// names of packages that are not in the module cache, the go.mod and go.sum of their
// modules, the workspace, and what --file names. They keep their places to each other.
func (p *Plan) CopySource(ctx context.Context, to string) (*Copied, error) {
	if err := p.CanMove(); err != nil {
		return nil, err
	}
	files, err := p.copiedFiles(ctx)
	if err != nil {
		return nil, err
	}
	trees, err := p.packedFiles()
	if err != nil {
		return nil, err
	}
	root := p.src.dir
	if p.src.fetched {
		root = p.cfg.Dir
	}
	dir := root
	for _, f := range slices.Concat(files, trees) {
		root = commonFolder(root, filepath.Dir(f))
	}
	c := &Copied{GOWORK: "off", Files: len(files) + len(trees)}
	c.moved = func(path string) string {
		if rel, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(rel) {
			return filepath.Join(to, rel)
		}
		return path
	}
	c.Dir = c.Moved(dir)
	if p.env.GOWORK != "" && p.env.GOWORK != "off" {
		c.GOWORK = c.Moved(p.env.GOWORK)
	}
	if err := os.MkdirAll(c.Dir, 0o777); err != nil {
		return nil, err
	}
	if err := c.copyAll(ctx, files, copyContents); err != nil {
		return nil, err
	}
	if err := c.copyAll(ctx, trees, copyNode); err != nil {
		return nil, err
	}
	c.Args = p.movedArgs(c)
	return c, nil
}

// copyAll copies files by copyOne.
func (c *Copied) copyAll(ctx context.Context, files []string, copyOne func(from, to string) error) error {
	for _, f := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := os.MkdirAll(filepath.Dir(c.Moved(f)), 0o777); err != nil {
			return err
		}
		if err := copyOne(f, c.Moved(f)); err != nil {
			return fmt.Errorf("copy the source: %w", err)
		}
	}
	return nil
}

// movedArgs are the arguments of tailor build in the copy. A program that was fetched
// is asked for at the version that was found.
func (p *Plan) movedArgs(c *Copied) (list []string) {
	if p.pinned != "" {
		return []string{p.pinned}
	}
	for _, arg := range p.src.args {
		if filepath.Base(arg) == linkFile && p.src.files {
			continue // which the overlay adds
		}
		if filepath.IsAbs(arg) {
			arg = c.Moved(arg)
		}
		list = append(list, arg)
	}
	return list
}

// packedFiles lists what --file names, and what is below it.
func (p *Plan) packedFiles() (list []string, err error) {
	for _, m := range p.cfg.Files {
		tree, err := filesBelow(m.Src)
		if err != nil {
			return nil, err
		}
		list = append(list, tree...)
	}
	return list, nil
}

// copiedFiles lists the files that the go command reads.
func (p *Plan) copiedFiles(ctx context.Context) (list []string, err error) {
	if p.src.fetched {
		return nil, nil // it is in the module cache
	}
	for _, f := range sourceFiles(p.prog.all, &p.prog.listed, p.env.GOMODCACHE) {
		list = append(list, f.path)
	}
	for _, m := range p.modules {
		if m.dir != "" && !within(m.dir, p.env.GOMODCACHE) {
			list = append(list, present(licence.Files(m.dir)...)...) // which are in the note
		}
	}
	mods, err := p.moduleFiles(ctx)
	if err != nil {
		return nil, err
	}
	list = append(list, mods...)
	slices.Sort(list)
	return slices.Compact(list), nil
}

// moduleFiles lists the files by which the go command finds the modules of the source:
// those of main modules, and of what a folder replaces.
func (p *Plan) moduleFiles(ctx context.Context) (list []string, err error) {
	var mods []string
	if work := p.env.GOWORK; work != "" && work != "off" {
		list = append(list, present(work, work+".sum", filepath.Join(filepath.Dir(work), "vendor/modules.txt"))...)
		var w struct {
			Use     []struct{ DiskPath string }
			Replace []replacement
		}
		if err := p.edited(ctx, &w, "work", work); err != nil {
			return nil, err
		}
		for _, u := range w.Use {
			mods = append(mods, filepath.Join(abs(filepath.Dir(work), u.DiskPath), "go.mod"))
		}
		mods = append(mods, replacements(filepath.Dir(work), w.Replace)...)
	} else if p.env.GOMOD != "" && p.env.GOMOD != os.DevNull {
		mods = []string{p.env.GOMOD}
	}
	for i, main := 0, len(mods); i < len(mods); i++ {
		dir := filepath.Dir(mods[i])
		list = append(list, present(mods[i], filepath.Join(dir, "go.sum"), filepath.Join(dir, "vendor/modules.txt"))...)
		if i >= main {
			continue // of what is replaced, go takes no replacements
		}
		var m struct{ Replace []replacement }
		if err := p.edited(ctx, &m, "mod", mods[i]); err != nil {
			return nil, err
		}
		mods = append(mods, replacements(dir, m.Replace)...)
	}
	return list, nil
}

// A replacement is as go mod edit -json has it.
type replacement struct {
	New struct{ Path, Version string }
}

// replacements lists the go.mod of folders that replace modules.
func replacements(dir string, list []replacement) (mods []string) {
	for _, r := range list {
		if r.New.Version == "" {
			mods = append(mods, filepath.Join(abs(dir, r.New.Path), "go.mod"))
		}
	}
	return mods
}

// edited reads a go.mod or go.work.
func (p *Plan) edited(ctx context.Context, into any, verb, file string) error {
	out, err := p.g.output(ctx, p.src.dir, p.src.env, verb, "edit", "-json", file)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, into)
}

// present returns those files that are there.
func present(files ...string) (list []string) {
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
			list = append(list, f)
		}
	}
	return list
}

// filesBelow lists what is in a folder, or the file itself.
func filesBelow(src string) (list []string, err error) {
	if real, err := filepath.EvalSymlinks(src); err != nil || real != src {
		return nil, hint.Errorf("name it by its real path", "--file %s: a link, which a copy of the source would have to follow", src)
	}
	if info, err := os.Stat(src); err != nil || !info.IsDir() {
		return []string{src}, err
	}
	err = filepath.WalkDir(src+string(filepath.Separator), func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			list = append(list, filepath.Clean(path))
		}
		return err
	})
	return list, err
}

// commonFolder returns the folder that both lie in.
func commonFolder(a, b string) string {
	for !within(b, a) {
		a = filepath.Dir(a)
	}
	return a
}

// copyNode copies a link, a folder without what is in it, or a file.
func copyNode(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return copyContents(from, to)
	}
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	if err := os.Symlink(target, to); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// copyContents copies a file, or makes a folder. What others may do with it is left to
// the umask.
func copyContents(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.MkdirAll(to, 0o777)
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o666|info.Mode().Perm()&0o111)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
