package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
)

const (
	maxName = 255  // bytes, NAME_MAX
	maxPath = 4095 // bytes, PATH_MAX without the NUL
)

// Parse reads SRC:DST as --file has it. SRC, which is there, is relative to
// dir. A file whose DST ends in a slash keeps its name.
func Parse(arg, dir string) (m Mapping, err error) {
	i := strings.LastIndex(arg, ":/")
	if i <= 0 {
		return m, hint.Errorf("write --file SRC:DST, such as --file ./static:/srv/static",
			"--file %q does not name an absolute path in the image", arg)
	}
	m = Mapping{Src: arg[:i], Dst: arg[i+1:]}
	if !filepath.IsAbs(m.Src) {
		m.Src = filepath.Join(dir, m.Src)
	}
	info, err := os.Stat(m.Src)
	if err != nil {
		return m, fmt.Errorf("--file %s: %w", arg, err)
	}
	if strings.HasSuffix(m.Dst, "/") && !info.IsDir() {
		m.Dst += filepath.Base(m.Src)
	}
	m.Dst = path.Clean(m.Dst)
	return m, m.checkDst()
}

// checkDst refuses places that would take the guest's own away.
func (m *Mapping) checkDst() error {
	if err := cli.CheckPlace(m.Dst, true); err != nil {
		return fmt.Errorf("--file %s: %w", m, err)
	}
	if len(m.Dst) > maxPath {
		return fmt.Errorf("--file %s: a path of %d bytes, more than %d", m, len(m.Dst), maxPath)
	}
	return nil
}

// A scanner builds the tree.
type scanner struct {
	root  *node
	epoch *int64
}

const dirMode = unix.S_IFDIR | 0o755

func newDir(name string, parent *node) *node {
	return &node{name: name, mode: dirMode, parent: parent, kids: map[string]*node{}}
}

// add puts what m names into the tree.
func (s *scanner) add(m *Mapping) error {
	dir := s.root
	names := strings.Split(strings.TrimPrefix(m.Dst, "/"), "/")
	last := len(names) - 1
	for _, name := range names[:last] {
		next := dir.kids[name]
		if next == nil {
			next = newDir(name, dir)
			dir.kids[name] = next
		}
		if !next.isDir() {
			return collision(m, next)
		}
		dir = next
	}
	info, err := os.Stat(m.Src) // SRC itself is followed if it is a link
	if err != nil {
		return fmt.Errorf("--file %s: %w", m, err)
	}
	n, err := s.put(dir, names[last], m.Src, info, m)
	if err != nil {
		return err
	}
	n.mount = true
	return nil
}

// collision reports that m would put something where old is.
func collision(m *Mapping, old *node) error {
	where := old.name
	for p := old.parent; p != nil; p = p.parent {
		where = p.name + "/" + where
	}
	other := "another"
	if old.from != nil {
		other = "--file " + old.from.String()
	}
	return hint.Errorf("give them different places", "--file %s and %s both put something at %s", m, other, where)
}

// put adds the file, folder or link src to dir. A folder may join one that is
// only on the way to something else.
func (s *scanner) put(dir *node, name, src string, info fs.FileInfo, m *Mapping) (*node, error) {
	if len(name) > maxName {
		return nil, fmt.Errorf("--file %s: the name %.20q... has %d bytes, more than %d", m, name, len(name), maxName)
	}
	old := dir.kids[name]
	if old != nil && (old.from != nil || !info.IsDir()) {
		return nil, collision(m, old)
	}
	n := &node{name: name, parent: dir, from: m, mode: permissions(info), mtime: s.time()}
	switch t := info.Mode().Type(); t {
	case 0:
		n.mode |= unix.S_IFREG
		n.src, n.size = src, uint64(info.Size())
	case fs.ModeSymlink:
		target, err := os.Readlink(src)
		if err != nil {
			return nil, fmt.Errorf("--file %s: %w", m, err)
		}
		n.mode, n.target = unix.S_IFLNK|0o777, target
	case fs.ModeDir:
		n.mode |= unix.S_IFDIR
		n.kids = map[string]*node{}
		if old != nil {
			n.adopt(old)
		}
		if err := s.folder(n, src, m); err != nil {
			return nil, err
		}
	default:
		return nil, hint.Errorf("remove it, or name files and folders beside it one by one",
			"--file %s: %s is %s: only files, folders and symbolic links go into an image", m, src, typeName(t))
	}
	dir.kids[name] = n
	return n, nil
}

// adopt takes over the children of a folder that was only on the way.
func (n *node) adopt(old *node) {
	n.kids = old.kids
	for _, kid := range n.kids {
		kid.parent = n
	}
}

// folder adds what is in the folder src to n.
func (s *scanner) folder(n *node, src string, m *Mapping) error {
	entries, err := os.ReadDir(src)
	if err != nil {
		return fmt.Errorf("--file %s: %w", m, err)
	}
	for _, e := range entries {
		file := filepath.Join(src, e.Name())
		info, err := os.Lstat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went away meanwhile
		}
		if err != nil {
			return fmt.Errorf("--file %s: %w", m, err)
		}
		if _, err := s.put(n, e.Name(), file, info, m); err != nil {
			return err
		}
	}
	return nil
}

// permissions are those that a file or folder gets: what version control keeps of
// them, which is whether the owner may execute a file, and nothing that the umask of a
// machine decides.
func permissions(info fs.FileInfo) uint32 {
	if info.IsDir() || info.Mode().Perm()&0o100 != 0 {
		return 0o755
	}
	return 0o644
}

// time is the modification time that all files get.
func (s *scanner) time() int64 {
	if s.epoch == nil {
		return 0
	}
	return *s.epoch
}

func typeName(t fs.FileMode) string {
	switch {
	case t&fs.ModeSocket != 0:
		return "a socket"
	case t&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case t&fs.ModeDevice != 0:
		return "a device"
	}
	return "a special file"
}
