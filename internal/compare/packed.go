package compare

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/boot/files"
	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/libos"
)

// A File is one that an image carries.
type File struct {
	Mode   string `json:"mode"`             // octal, with its type
	Bytes  uint64 `json:"bytes"`            // of a file
	Time   int64  `json:"time"`             // seconds since 1970
	SHA256 string `json:"sha256,omitempty"` // of a file
	Target string `json:"target,omitempty"` // of a link
}

// A FileChange is one of a file that an image carries; nil where it does not.
type FileChange struct {
	Path string `json:"path"`
	A    *File  `json:"a"`
	B    *File  `json:"b"`
}

// packed compares the files that the images carry.
func (r *Report) packed(a, b *anatomy.Program) error {
	x, err := r.carried(a)
	if err != nil {
		return err
	}
	y, err := r.carried(b)
	if err != nil {
		return err
	}
	all := maps.Clone(x)
	maps.Copy(all, y)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		one, hasOne := x[path]
		two, hasTwo := y[path]
		if one == two && hasOne == hasTwo {
			continue
		}
		c := FileChange{Path: path}
		if hasOne {
			c.A = &one
		}
		if hasTwo {
			c.B = &two
		}
		r.Files = append(r.Files, c)
	}
	return nil
}

// carried lists the files of an image by path. An archive that cannot be read is
// something unknown: the guest would be the one to refuse it.
func (r *Report) carried(p *anatomy.Program) (map[string]File, error) {
	list := map[string]File{}
	img, err := image.Open(p.Path)
	if err != nil {
		return list, nil // it is no image, and has none; or its note is damaged, which is told
	}
	defer img.Close()
	data, err := img.MapFiles()
	if err != nil {
		return nil, err
	}
	if data != nil {
		defer unix.Munmap(data)
	} else if data, err = loadedArchive(img); data == nil || err != nil {
		return list, err
	}
	a, err := files.Parse(data)
	if err == nil {
		err = walk("/", a.Root(), list)
	}
	if err != nil {
		r.Unknown = append(r.Unknown, fmt.Sprintf("all files that %s carries: %v", p.Path, err))
	}
	return list, nil
}

// loadedArchive returns the archive of an image of target virtio, which is a segment
// of it that a loader puts into memory; nil if it has none.
func loadedArchive(img *image.Image) ([]byte, error) {
	for i, s := range img.Segments {
		magic := make([]byte, 8)
		if s.Prot != image.ProtRead || s.Filesz < abi.FilesHeadSize {
			continue
		}
		if _, err := img.File().ReadAt(magic, int64(s.Offset)); err != nil {
			return nil, err
		}
		if binary.LittleEndian.Uint64(magic) == abi.FilesMagic && s.Memsz == s.Filesz {
			data := make([]byte, s.Filesz)
			return data, img.LoadSegment(i, data)
		}
	}
	return nil, nil
}

// maxPath bounds what a file can ask for that has folders in folders, many times over.
const maxPath = 4096

// walk lists what is in d, whose path ends in a slash.
func walk(path string, d libos.Directory, list map[string]File) error {
	for after := int64(0); ; {
		e, ok, errno := d.Next(after)
		if errno != 0 {
			return fmt.Errorf("%s is damaged", path)
		}
		if !ok {
			return nil
		}
		after = e.Cookie
		if len(path)+len(e.Name) > maxPath {
			return fmt.Errorf("%.60s... has a path that is longer than %d bytes", path, maxPath)
		}
		n, errno := d.Lookup(e.Name)
		if errno != 0 {
			return fmt.Errorf("%s%s is damaged", path, e.Name)
		}
		f, err := fileOf(n)
		if err != nil {
			return fmt.Errorf("%s%s: %w", path, e.Name, err)
		}
		list[path+e.Name] = f
		if sub, ok := n.(libos.Directory); ok {
			if err := walk(path+e.Name+"/", sub, list); err != nil {
				return err
			}
		}
	}
}

func fileOf(n libos.Node) (f File, err error) {
	a, errno := n.Attr()
	if errno != 0 {
		return f, fmt.Errorf("its record is damaged")
	}
	f = File{Mode: fmt.Sprintf("%o", a.Mode), Time: a.Mtime.Sec}
	if l, ok := n.(libos.Symlink); ok {
		f.Target, errno = l.Readlink()
	} else if a.Mode&libos.ModeFmt == libos.ModeReg {
		f.Bytes = uint64(a.Size)
		f.SHA256, errno = contents(n)
	}
	if errno != 0 {
		return f, fmt.Errorf("its contents are damaged")
	}
	return f, nil
}

// contents is the hash of a file.
func contents(n libos.Node) (string, libos.Errno) {
	f, errno := n.Open(0)
	if errno != 0 {
		return "", errno
	}
	h, b := sha256.New(), make([]byte, 64<<10)
	for {
		n, errno := f.Read(b)
		if errno != 0 {
			return "", errno
		}
		if n == 0 {
			return hex.EncodeToString(h.Sum(nil)), 0
		}
		h.Write(b[:n])
	}
}
