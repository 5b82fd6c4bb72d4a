// Package image reads and marks Tailor images: executables that Go's own
// linker made (ELF-64, System V ABI edition 4.1 chapters 4 and 5), with a note
// that says what the image is and what it needs.
//
// An image comes from anywhere, so nothing in it is believed: [Open] and
// [Parse] either return an image whose segments lie inside the file, inside
// the guest's address space, on pages of their own and are never both writable
// and executable, or one *[Error] that says what is wrong and what to do.
package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/tailor-os/tailor/abi"
)

// Limits of what is accepted. They are far above what a Go program needs and
// keep the work done for a hostile file small.
const (
	// AddrLimit is the end, in bytes, of the addresses an image may use: code
	// linked by Go reaches its data through 32-bit displacements.
	AddrLimit = 1 << 32
	// MaxSegments is the number of loadable segments at the most. Go's linker
	// makes three.
	MaxSegments = 16

	maxProgs = 64 // program headers of any kind
)

// Prot is what the guest may do with a segment's pages.
type Prot uint8

// The bits of [Prot].
const (
	ProtRead Prot = 1 << iota
	ProtWrite
	ProtExec
)

// String returns the bits the way /proc/self/maps shows them, such as "r-x".
func (p Prot) String() string {
	b := []byte("---")
	for i, c := range []byte("rwx") {
		if p&(1<<i) != 0 {
			b[i] = c
		}
	}
	return string(b)
}

// A Segment is one run of pages of the image. Vaddr and Offset are multiples
// of abi.PageSize; two segments never share a page.
type Segment struct {
	Vaddr  uint64 // guest address of the first byte
	Memsz  uint64 // bytes in memory, at least Filesz; what the file lacks is zero
	Offset uint64 // where in the file it begins, bytes
	Filesz uint64 // bytes in the file
	Prot   Prot
}

// End returns the first page boundary after the segment.
func (s Segment) End() uint64 { return pageUp(s.Vaddr + s.Memsz) }

// An Image is an executable that was checked. Its methods may be called by
// several goroutines at once, except Close.
type Image struct {
	Segments []Segment // ascending by address
	Entry    uint64    // address of the first instruction, in an executable segment
	End      uint64    // first address after the last segment, page aligned
	Note     Note

	r    io.ReaderAt
	file *os.File // nil after Parse
	path string
}

// Open opens and checks the image at path. Only its headers and its note are
// read: see [Image.LoadSegment] for the rest. The caller calls Close.
func Open(path string) (*Image, error) {
	// O_NONBLOCK: opening a FIFO would wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	m, err := openFile(f, path)
	if err != nil {
		f.Close()
		return nil, withPath(err, path)
	}
	return m, nil
}

func openFile(f *os.File, path string) (*Image, error) {
	return openWith(f, path, (*reader).note)
}

// openWith opens the image whose note readNote finds.
func openWith(f *os.File, path string, readNote noteReader) (*Image, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, openError(path, err)
	}
	switch {
	case st.IsDir():
		return nil, fail(NotELF, hintRunPackage, "is a directory")
	case !st.Mode().IsRegular():
		return nil, fail(NotELF, hintBuild, "is not a regular file")
	}
	m, err := parse(f, uint64(st.Size()), readNote)
	if err != nil {
		return nil, err
	}
	m.file, m.path = f, path
	return m, nil
}

func openError(path string, err error) error {
	// Only the cause: the path is in our own message already.
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	e := fail(Unreadable, "check the path and its permissions", "cannot be read: %v", err)
	e.Cause, e.Path = err, path
	return e
}

// Parse checks the image in b. The result refers to b, which must not change.
func Parse(b []byte) (*Image, error) {
	return parse(bytes.NewReader(b), uint64(len(b)), (*reader).note)
}

// File returns the open file of an image that Open made, for mapping segments;
// nil if Parse made it. It is closed by Close.
func (m *Image) File() *os.File { return m.file }

// Close closes the file. It is fine to call it on an image that Parse made.
func (m *Image) Close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}

// LoadSegment reads what the file has of segment i to the start of dst, which
// is the guest memory of that segment, Memsz bytes at least. The bytes after
// Filesz are not touched, so that fresh memory stays unbacked: they must be
// zero already.
func (m *Image) LoadSegment(i int, dst []byte) error {
	s := m.Segments[i]
	if uint64(len(dst)) < s.Memsz {
		return fmt.Errorf("image: load segment %d: %d bytes of memory, needs %d", i, len(dst), s.Memsz)
	}
	n, err := m.r.ReadAt(dst[:s.Filesz], int64(s.Offset))
	if uint64(n) == s.Filesz {
		return nil
	}
	if err == io.EOF {
		return withPath(truncated(s.Offset+uint64(n), s.Offset+s.Filesz, "segment %d", i), m.path)
	}
	return openError(m.path, err)
}

// MapFiles maps the files of an image that Open made, read-only and shared with
// the host's page cache; nil if it has none. The caller unmaps them.
func (m *Image) MapFiles() ([]byte, error) {
	f := m.Note.Files
	if f == nil {
		return nil, nil
	}
	if m.file == nil {
		return nil, fmt.Errorf("image: the files of an image without a file cannot be mapped")
	}
	b, err := syscall.Mmap(int(m.file.Fd()), int64(f.Offset), int(f.Size), syscall.PROT_READ, syscall.MAP_SHARED|syscall.MAP_NORESERVE)
	if err != nil {
		return nil, openError(m.path, fmt.Errorf("map its files: %w", err))
	}
	return b, nil
}

func pageUp(v uint64) uint64 { return (v + abi.PageSize - 1) &^ (abi.PageSize - 1) }
