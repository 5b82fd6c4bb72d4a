package compare

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/libos"
)

// A deep is a folder that has one like itself.
type deep struct{ libos.Directory }

func (d deep) Next(after int64) (libos.Entry, bool, libos.Errno) {
	return libos.Entry{Name: "sub", Cookie: 1}, after == 0, 0
}
func (d deep) Lookup(string) (libos.Node, libos.Errno) { return d, 0 }
func (d deep) Attr() (*libos.Attr, libos.Errno) {
	return &libos.Attr{Mode: libos.ModeDir}, 0
}

// Folders in folders end somewhere, so that an archive cannot ask for memory by the
// square of its size.
func TestDeepFolders(t *testing.T) {
	list := map[string]File{}
	if err := walk("/", deep{}, list); err == nil || !strings.Contains(err.Error(), "longer than 4096 bytes") || len(list) != 1024 {
		t.Errorf("%d folders: %v", len(list), err)
	}
}

// A section that says it is compressed is compared as it is.
func TestCompressedSection(t *testing.T) {
	const size = 64 << 20
	var packed bytes.Buffer
	binary.Write(&packed, binary.LittleEndian, elf.Chdr64{Type: uint32(elf.COMPRESS_ZLIB), Size: size, Addralign: 1})
	w := zlib.NewWriter(&packed)
	w.Write(make([]byte, size))
	w.Close()
	file := filepath.Join(t.TempDir(), "x")
	names := "\x00.z\x00"
	var b bytes.Buffer
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 2}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	data := uint64(64 + len(names))
	h.Shoff = data + uint64(packed.Len())
	binary.Write(&b, binary.LittleEndian, h)
	b.WriteString(names)
	b.Write(packed.Bytes())
	binary.Write(&b, binary.LittleEndian, []elf.Section64{{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_COMPRESSED), Off: data, Size: uint64(packed.Len()), Addralign: 1},
		{Type: uint32(elf.SHT_STRTAB), Off: 64, Size: uint64(len(names))}})
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	exe, err := openBinary(&anatomy.Program{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	defer exe.file.Close()
	s := exe.Section(".z")
	if s == nil || s.Size != size {
		t.Fatalf("section %+v", s)
	}
	if got, err := exe.contents(s); err != nil || len(got) != packed.Len() {
		t.Errorf("%d bytes, want %d: %v", len(got), packed.Len(), err)
	}
	s.FileSize = 1 << 40 // beyond the end of the file
	if _, err := exe.contents(s); err == nil || !strings.Contains(err.Error(), "x is damaged: section .z: ") || hint.Of(err) == "" {
		t.Errorf("a section that is not there: %v, hint %q", err, hint.Of(err))
	}
}
