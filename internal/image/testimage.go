package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"

	"github.com/tailor-os/tailor/abi"
)

// A test binary is linked by go test, which gives Tailor no chance to add its
// note before it starts it. So the linker is asked for a GNU build ID (its flag
// -B) that says what the binary is:
//
//	offset  size
//	0       10    "tailortest"
//	10      1     1, the version of this layout
//	11      4     abi.Version, little-endian
//	15      16    which tool it was linked by
const (
	testMagic   = "tailortest"
	testVersion = 1
	testABI     = len(testMagic) + 1
	testTool    = testABI + 4
	testIDLen   = testTool + 16

	gnuOwner   = "GNU"
	gnuBuildID = 3 // NT_GNU_BUILD_ID
)

// networkSymbol begins the names of functions that an image has if, and only
// if, it holds the network stack.
const networkSymbol = "Tailor/boot/network."

// volumesSymbol is the same for what mounts volumes, disksSymbol for what shows disks.
const (
	volumesSymbol = "Tailor/boot/volumes.mount"
	disksSymbol   = "Tailor/libos/blockfile."
)

// TestBuildID returns the value of the linker's flag -B for a test binary that
// is to be an image. tool tells builds of the tool apart: the result of a test
// depends on the one that ran it.
func TestBuildID(tool [16]byte) string {
	id := append([]byte(testMagic), testVersion)
	id = binary.LittleEndian.AppendUint32(id, abi.Version)
	return "0x" + hex.EncodeToString(append(id, tool[:]...))
}

// IsTest reports whether the file at path is a test binary that was linked as
// an image. One that cannot be read or is something else is not.
func IsTest(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false
	}
	r, err := newReader(f, uint64(info.Size()))
	if err != nil {
		return false
	}
	h, err := r.header()
	if err != nil {
		return false
	}
	progs, err := r.progs(h)
	if err != nil {
		return false
	}
	_, err = r.testNote(progs)
	return err == nil
}

// OpenTest opens and checks a test binary that was linked as an image, as
// [Open] does an image. Its note is made up: the devices are those that its
// code can use. The caller calls Close.
func OpenTest(path string) (*Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	m, err := openTest(f, path)
	if err != nil {
		f.Close()
		return nil, withPath(err, path)
	}
	return m, nil
}

func openTest(f *os.File, path string) (*Image, error) {
	m, err := openWith(f, path, func(r *reader, _ elf.Header64, progs []elf.Prog64) (Note, error) {
		return r.testNote(progs)
	})
	if err != nil {
		return nil, err
	}
	m.Note.Devices = []Device{{Type: "fs"}}
	for _, d := range []struct{ kind, symbol string }{{"net", networkSymbol}, {"block", volumesSymbol}, {"disk", disksSymbol}} {
		found, err := m.contains(d.symbol)
		if err != nil {
			return m, err
		}
		if found {
			m.Note.Devices = append(m.Note.Devices, Device{Type: d.kind})
		}
	}
	return m, nil
}

// testNote returns the note of an image with a test's build ID.
func (f *reader) testNote(progs []elf.Prog64) (Note, error) {
	for i := range progs {
		p := &progs[i]
		if elf.ProgType(p.Type) != elf.PT_NOTE || p.Off >= uint64(len(f.head)) {
			continue
		}
		// Go's linker writes one header for two notes, with the size of one. They
		// are at the end of the page of headers.
		id := findNote(f.head[p.Off:], p.Align, gnuOwner, gnuBuildID)
		if len(id) == testIDLen && string(id[:len(testMagic)]) == testMagic && id[len(testMagic)] == testVersion {
			return Note{
				Format: FormatVersion, Tailor: "another build", Target: "hvt", Arch: "amd64",
				ABI: binary.LittleEndian.Uint32(id[testABI:]),
			}, nil
		}
	}
	return Note{}, fail(NoNote, "run the test with: tailor test", "was not linked by tailor test")
}

// contains reports whether the constants of the image have text in them.
func (m *Image) contains(text string) (bool, error) {
	const step = 256 << 10
	buf := make([]byte, step)
	for _, s := range m.Segments {
		if s.Prot != ProtRead {
			continue
		}
		r := io.NewSectionReader(m.r, int64(s.Offset), int64(s.Filesz))
		// Pieces overlap, so that no occurrence is cut in two.
		for off := int64(0); off < r.Size(); off += int64(step - len(text)) {
			n, err := r.ReadAt(buf, off)
			if bytes.Contains(buf[:n], []byte(text)) {
				return true, nil
			}
			if err != nil && err != io.EOF {
				return false, openError(m.path, err)
			}
		}
	}
	return false, nil
}
