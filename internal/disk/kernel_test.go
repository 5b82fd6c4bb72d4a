package disk

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/hint"
)

func TestReadKernel(t *testing.T) {
	image, _ := testImage(t, 5000, 3000)
	k, err := readKernel(image)
	if err != nil {
		t.Fatal(err)
	}
	if k.load != testLoad || k.entry != testLoad || k.memory != testData-testLoad+8000 {
		t.Errorf("load %#x, entry %#x, memory %d", k.load, k.entry, k.memory)
	}
	if want := (testData - testLoad + 5000 + block - 1) / block * block; len(k.data) != want {
		t.Errorf("%d bytes, want %d", len(k.data), want)
	}
	if !bytes.Equal(k.data[testData-testLoad:][:5000], image[len(image)-5000:]) {
		t.Error("the data is not where it belongs")
	}
	if !bytes.Equal(k.data[20:4096], testKernelBehind(image)) || !allZero(k.data[4096:testData-testLoad]) {
		t.Error("the code is not where it belongs, with zeros behind it")
	}
}

// testKernelBehind returns the code of an image from byte 20 on.
func testKernelBehind(image []byte) []byte {
	at := bytes.Index(image, testKernel[28:100])
	return image[at-28+20 : at-28+4096]
}

func TestReadKernelErrors(t *testing.T) {
	good, _ := testImage(t, 4096, 0)
	const prog = 64 + 56 // the first PT_LOAD: type, flags, offset, vaddr, paddr, filesz, memsz, align
	for _, c := range []struct {
		name  string
		at    int
		value uint64
		want  string
	}{
		{"no ELF", 0, 0, "bad magic"},
		{"no PVH note", 64, 0, "no entry for a boot loader"},
		{"not in the file", prog + 8, 1 << 40, "not in the file"},
		{"offset wraps", prog + 8, 1<<64 - 100, ""},
		{"too low", prog + 24, 0x10000, "not between 1 MiB and 3 GiB"},
		{"too high", prog + 24, 1 << 32, "not between 1 MiB and 3 GiB"},
		{"memory wraps", prog + 40, 1<<64 - 1, ""},
		{"far from the others", prog + 56 + 24, 2 << 30, "too many for a disk"},
		{"entry outside", 64 + 3*56 + 16, 0x7fffffff, "not in its segments"},
	} {
		bad := bytes.Clone(good)
		if c.at >= 64 && c.at%8 == 0 && c.name != "no PVH note" {
			binary.LittleEndian.PutUint64(bad[c.at:], c.value)
		} else {
			binary.LittleEndian.PutUint32(bad[c.at:], uint32(c.value))
		}
		if _, err := readKernel(bad); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// What a segment without memory says of its bytes is not looked at.
func TestReadKernelEmptySegment(t *testing.T) {
	image, _ := testImage(t, 4096, 0)
	const prog = 64 + 2*56 // the second PT_LOAD
	binary.LittleEndian.PutUint64(image[prog+8:], 1<<40)
	binary.LittleEndian.PutUint64(image[prog+24:], 0)
	binary.LittleEndian.PutUint64(image[prog+40:], 0)
	k, err := readKernel(image)
	if err != nil || k.load != testLoad || k.memory != 4096 {
		t.Errorf("%+v, %v", k, err)
	}
}

func FuzzReadKernel(f *testing.F) {
	image, _ := testImage(f, 64, 4)
	f.Add(image)
	f.Fuzz(func(t *testing.T, image []byte) {
		k, err := readKernel(image)
		if err != nil {
			return
		}
		p := k.program()
		if p.Load < lowest || uint64(p.Load)+uint64(p.Memory) > memoryEnd+block || p.Bytes > p.Memory || p.Bytes%block != 0 ||
			p.Memory%4 != 0 || p.Entry < p.Load || p.Entry-p.Load >= p.Bytes {
			t.Errorf("accepted %+v", p)
		}
	})
}

func TestCheckParams(t *testing.T) {
	image, _ := testImage(t, 64, 0)
	for _, c := range []struct{ params, want string }{
		{strings.Repeat("x", abi.MaxCmdLine-1), ""},
		{strings.Repeat("x", abi.MaxCmdLine), "16383 are the most"},
		{"ip=10.0.0.1/8 -- 'ü' \"a b\"", ""},
		{"a\nb", `'\n'`},
		{"a\x00b", "at byte 1"},
	} {
		err := Write(io.Discard, Raw, image, c.params)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || hint.Of(err) == "") {
			t.Errorf("%.20q: got %v, want %q", c.params, err, c.want)
		}
	}
	if err := Write(io.Discard, "vmdk", image, ""); err == nil {
		t.Error("wrote an unknown format")
	}
}
