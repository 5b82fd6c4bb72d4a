// Package compare says what differs between two programs that are linked: images, or
// plain programs of Go, stripped or not.
//
// What is compared is read from the bytes (packages anatomy and inventory). What only
// the note of an image says is marked as such.
package compare

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/inventory"
)

// A Report is what differs between two programs, A and B. Its JSON form is documented
// in docs/cli.md and only ever grows.
type Report struct {
	A Side `json:"a"`
	B Side `json:"b"`
	// Same says that all bytes are. If they are, nothing else is filled in.
	Same bool `json:"same"`
	// First is the offset of the first byte that differs, and Where it is.
	First *int64 `json:"first,omitempty"`
	Where string `json:"where,omitempty"`

	Settings  []Change         `json:"settings"`
	Modules   []Change         `json:"modules"`
	Services  []ServiceChange  `json:"services"`
	Layers    []SizeChange     `json:"layers"`
	Packages  []PackageChange  `json:"packages"`
	Functions []FunctionChange `json:"functions"`
	Files     []FileChange     `json:"files"`
	Sections  []SectionChange  `json:"sections"`
	// Unknown is what cannot be told of these two.
	Unknown []string `json:"unknown"`
}

// A Side is one of the two.
type Side struct {
	File    string `json:"file"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
	Package string `json:"package"` // "" if not known
}

// A Change is one of a text; "" for what is not there.
type Change struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// A ServiceChange is one of a service or driver that is linked; an implementation is
// "" where it is not.
type ServiceChange struct {
	Name   string `json:"name"`
	A      string `json:"a"`
	B      string `json:"b"`
	ABytes uint64 `json:"a_bytes"`
	BBytes uint64 `json:"b_bytes"`
}

// A SizeChange is one of a number of bytes.
type SizeChange struct {
	Name string `json:"name"`
	A    uint64 `json:"a"`
	B    uint64 `json:"b"`
}

// Files compares the programs in two files. An error says which of them cannot be read.
// Two disks are compared as bytes.
func Files(a, b string) (*Report, error) {
	r, err := Bytes(a, b)
	if err != nil {
		return nil, err
	}
	if anatomy.IsDisk(a) && anatomy.IsDisk(b) {
		r.onlyBytes()
		return r, nil
	}
	one, err := anatomy.Open(a)
	if err != nil {
		return nil, err
	}
	two, err := anatomy.Open(b)
	if err != nil {
		return nil, err
	}
	x, y := inventory.New(one, "", nil), inventory.New(two, "", nil)
	r.A.Package, r.B.Package = x.Package, y.Package
	if r.Same {
		return r, nil
	}
	r.settings(one, two, x, y)
	r.modules(one, two)
	r.inventories(x, y)
	r.functions(one, two)
	if err := r.packed(one, two); err != nil {
		return nil, err
	}
	return r, r.bytes(one, two)
}

// Bytes compares two files as bytes, and finds their hashes.
func Bytes(a, b string) (*Report, error) {
	r := &Report{
		A: Side{File: a}, B: Side{File: b}, Same: true,
		Settings: []Change{}, Modules: []Change{}, Services: []ServiceChange{}, Layers: []SizeChange{}, Packages: []PackageChange{},
		Functions: []FunctionChange{}, Files: []FileChange{}, Sections: []SectionChange{}, Unknown: []string{},
	}
	one, err := openRegular(a)
	if err != nil {
		return nil, err
	}
	defer one.Close()
	two, err := openRegular(b)
	if err != nil {
		return nil, err
	}
	defer two.Close()
	return r, r.stream(one, two)
}

// openRegular opens a file that has an end.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return os.Open(path)
}

// stream reads both to their ends.
func (r *Report) stream(a, b io.Reader) error {
	x, y := sha256.New(), sha256.New()
	p, q := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, err := full(a, p)
		if err != nil {
			return fmt.Errorf("read %s: %w", r.A.File, err)
		}
		m, err := full(b, q)
		if err != nil {
			return fmt.Errorf("read %s: %w", r.B.File, err)
		}
		if n == 0 && m == 0 {
			break
		}
		if r.Same && !bytes.Equal(p[:n], q[:m]) {
			r.Same = false
			at := r.A.Bytes + int64(firstDifference(p[:n], q[:m]))
			r.First = &at
		}
		x.Write(p[:n])
		y.Write(q[:m])
		r.A.Bytes += int64(n)
		r.B.Bytes += int64(m)
	}
	r.A.SHA256, r.B.SHA256 = hex.EncodeToString(x.Sum(nil)), hex.EncodeToString(y.Sum(nil))
	return nil
}

// full reads as much as there is room for.
func full(r io.Reader, p []byte) (int, error) {
	n, err := io.ReadFull(r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

// firstDifference returns the index of the first byte that differs, or at which the
// shorter ends.
func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
