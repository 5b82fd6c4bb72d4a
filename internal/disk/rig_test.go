package disk

import (
	"bytes"
	"debug/elf"
	_ "embed"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/tailor-os/tailor/internal/disk/loader"
)

//go:embed testdata/kernel.bin
var testKernel []byte

const (
	testLoad = 0x100000
	testData = 0x110000
)

// testImage returns an image of the test's kernel with n bytes of data that a
// wrong copy would change, and zero bytes of zeros behind them; and the data's
// checksum. n is a multiple of 4.
func testImage(t testing.TB, n, zero uint32) (image []byte, sums [2]uint32) {
	t.Helper()
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(data)
	code := bytes.Clone(testKernel)
	for i, v := range []uint32{testData, testData + n, testData + n + zero} {
		binary.LittleEndian.PutUint32(code[16+4*i:], v)
	}
	note := append([]byte{4, 0, 0, 0, 4, 0, 0, 0, xenPhys32Entry, 0, 0, 0}, "Xen\x00\x00\x00\x10\x00"...)

	const headBytes = 64 + 3*56
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Entry: testLoad,
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 3,
	}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	prog := func(kind elf.ProgType, off int, addr, size, memory uint32) elf.Prog64 {
		return elf.Prog64{Type: uint32(kind), Off: uint64(off), Vaddr: uint64(addr), Paddr: uint64(addr), Filesz: uint64(size), Memsz: uint64(memory)}
	}
	noteOff := headBytes
	codeOff := noteOff + len(note)
	b := appendLE(nil, h)
	b = appendLE(b, prog(elf.PT_NOTE, noteOff, 0, uint32(len(note)), 0))
	b = appendLE(b, prog(elf.PT_LOAD, codeOff, testLoad, uint32(len(code)), uint32(len(code))))
	b = appendLE(b, prog(elf.PT_LOAD, codeOff+len(code), testData, n, n+zero))
	b = append(b, note...)
	b = append(b, code...)
	return append(b, data...), loader.Sums(data)
}

// write returns the disk of an image.
func write(t testing.TB, format string, image []byte, params string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, format, image, params); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
