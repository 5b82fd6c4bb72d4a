// Package archive makes the archive of files that an image carries
// (abi.FilesHead): what `tailor build --file SRC:DST` names, with permissions
// and symbolic links, owned by user 0. The same files give the same bytes.
package archive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/tailor-os/tailor/abi"
)

// A Mapping says where in the image a file or folder goes.
type Mapping struct {
	Src string // on this machine
	Dst string // in the image: absolute and clean
}

func (m Mapping) String() string { return m.Src + ":" + m.Dst }

// An Archive is what is to be written: names, attributes and sizes, no contents.
type Archive struct {
	nodes []*node // breadth-first, the root first
	head  []byte  // all but the contents, padded to where they begin
	size  uint64
	files int
}

// A node is a file, folder or link in the archive.
type node struct {
	name   string
	mode   uint32 // as in stat(2)
	mtime  int64  // seconds since 1970
	target string // of a link
	src    string // path of a file's contents
	size   uint64 // bytes of a file
	from   *Mapping
	mount  bool // a mapping named it
	parent *node
	kids   map[string]*node

	index uint32
	first uint32 // of a folder's children
	start uint64 // of a file's contents
}

// Bytes returns the size of the archive, a multiple of abi.PageSize.
func (a *Archive) Bytes() uint64 { return a.size }

// Files returns the number of files in it.
func (a *Archive) Files() int { return a.files }

// New reads the names and attributes of what the mappings name. epoch is what
// SOURCE_DATE_EPOCH says, seconds since 1970, or nil: it is the time of all files,
// since their own is that of a checkout (reproducible-builds.org/specs/source-date-epoch).
// Without it they have none but 0, which web servers take for unknown. Files have the
// permissions 0644, or 0755 if their owner may execute them, folders 0755.
func New(mappings []Mapping, epoch *int64) (*Archive, error) {
	s := scanner{root: newDir("", nil), epoch: epoch}
	for i := range mappings {
		if err := s.add(&mappings[i]); err != nil {
			return nil, err
		}
	}
	a := &Archive{}
	a.number(s.root)
	return a, a.layout()
}

// sorted returns the children in the order of their names' bytes.
func (n *node) sorted() []*node {
	return slices.SortedFunc(maps.Values(n.kids), func(a, b *node) int { return cmp.Compare(a.name, b.name) })
}

// number puts all nodes in breadth-first order.
func (a *Archive) number(root *node) {
	a.nodes = []*node{root}
	for i := 0; i < len(a.nodes); i++ {
		n := a.nodes[i]
		n.index, n.first = uint32(i), uint32(len(a.nodes))
		a.nodes = append(a.nodes, n.sorted()...)
	}
}

// mounts lists the nodes that mappings named, but those within another.
func (a *Archive) mounts() (list []uint32) {
	for _, n := range a.nodes {
		inner := false
		for p := n.parent; p != nil; p = p.parent {
			inner = inner || p.mount
		}
		if n.mount && !inner {
			list = append(list, n.index)
		}
	}
	return list
}

// layout decides where everything lies and writes the head. Files of less than
// a page follow the head one after the other, larger ones have pages of their
// own.
func (a *Archive) layout() error {
	mounts := a.mounts()
	var texts []byte
	records := make([]abi.FileNode, len(a.nodes))
	text := func(s string) uint64 {
		texts = append(texts, s...)
		return uint64(len(texts) - len(s))
	}
	for i, n := range a.nodes {
		records[i] = abi.FileNode{Mode: n.mode, Mtime: n.mtime, NameLen: uint32(len(n.name)), Name: uint32(text(n.name))}
		if n.parent != nil {
			records[i].Parent = n.parent.index
		}
		if n.target != "" {
			records[i].Start, records[i].Size = text(n.target), uint64(len(n.target))
		}
	}
	if uint64(len(texts)) > 1<<32-1 {
		return fmt.Errorf("the names of %d files take more than 4 GiB", len(a.nodes))
	}
	h := abi.FilesHead{
		Magic: abi.FilesMagic, Version: abi.FilesVersion,
		NumNodes: uint32(len(records)), NumMounts: uint32(len(mounts)),
		Nodes: abi.FilesHeadSize, TextsLen: uint64(len(texts)),
	}
	h.Mounts = h.Nodes + uint64(len(records))*abi.FileNodeSize
	h.Texts = h.Mounts + uint64(len(mounts))*4
	a.place(h.Texts + h.TextsLen)
	for i, n := range a.nodes {
		switch {
		case n.isDir():
			records[i].Start, records[i].Size = uint64(n.first), uint64(len(n.kids))
		case n.target == "":
			records[i].Start, records[i].Size = n.start, n.size
		}
	}
	var b bytes.Buffer
	for _, part := range []any{h, records, mounts, texts} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			return err
		}
	}
	a.head = b.Bytes()
	return nil
}

func (n *node) isDir() bool { return n.kids != nil }

// place gives contents their places, from off on.
func (a *Archive) place(off uint64) {
	for _, n := range a.nodes {
		if n.src != "" && n.size < abi.PageSize {
			n.start = off
			off += n.size
		}
	}
	for _, n := range a.nodes {
		if n.src != "" && n.size >= abi.PageSize {
			off = pageUp(off)
			n.start = off
			off += n.size
		}
	}
	a.size = pageUp(off)
	a.files = 0
	for _, n := range a.nodes {
		if n.src != "" {
			a.files++
		}
	}
}

func pageUp(n uint64) uint64 { return (n + abi.PageSize - 1) &^ (abi.PageSize - 1) }

// Write writes the archive, Bytes bytes, reading the files' contents now. A
// file whose size is not that which New saw is an error.
func (a *Archive) Write(ctx context.Context, w io.Writer) error {
	if _, err := w.Write(a.head); err != nil {
		return err
	}
	at := uint64(len(a.head))
	files := slices.DeleteFunc(slices.Clone(a.nodes), func(n *node) bool { return n.src == "" })
	slices.SortStableFunc(files, func(a, b *node) int { return cmp.Compare(a.start, b.start) })
	for _, n := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := pad(w, n.start-at); err != nil {
			return err
		}
		if err := n.copyTo(w); err != nil {
			return fmt.Errorf("--file %s: %w", n.from, err)
		}
		at = n.start + n.size
	}
	return pad(w, a.size-at)
}

// pad writes n zeros, less than a page.
func pad(w io.Writer, n uint64) error {
	_, err := w.Write(make([]byte, n))
	return err
}

// copyTo writes the contents of a file.
func (n *node) copyTo(w io.Writer) error {
	f, err := os.Open(n.src)
	if err != nil {
		return err
	}
	defer f.Close()
	copied, err := io.Copy(w, io.LimitReader(f, int64(n.size)))
	if err != nil {
		return fmt.Errorf("copy %s: %w", n.src, err)
	}
	if more, _ := f.Read(make([]byte, 1)); uint64(copied) < n.size || more > 0 {
		return fmt.Errorf("%s changed its size while it was read", n.src)
	}
	return nil
}
