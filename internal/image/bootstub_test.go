package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/tailor-os/tailor/abi"
)

var testStub = BootStub{
	Code:  bytes.Repeat([]byte{0x90}, 5000),
	Linux: abi.BootStubAddr,
	PVH:   abi.BootStubAddr + 16,
}

func bootable(t *testing.T, stub BootStub) ([]byte, *Image) {
	t.Helper()
	n := testNote()
	n.Target = "virtio"
	file, err := AddBootStub(linked(t), n, stub)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, m
}

// What a hypervisor finds: the stub as the lowest segment, where it enters it, and
// nothing behind a note that a reader could run over.
func TestAddBootStub(t *testing.T) {
	file, m := bootable(t, testStub)
	if m.Entry != testStub.Linux || m.Note.Target != "virtio" {
		t.Errorf("entry %#x, target %s", m.Entry, m.Note.Target)
	}
	s := m.Segments[0]
	if s.Vaddr != abi.BootStubAddr || s.End() != abi.BootStubEnd || s.Prot != ProtRead|ProtExec {
		t.Errorf("the stub's segment is %+v", s)
	}
	if !bytes.Equal(file[s.Offset:s.Offset+s.Filesz], testStub.Code) {
		t.Error("the stub's segment has other bytes")
	}
	f, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var entries []uint64
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Vaddr != p.Paddr {
			t.Errorf("virtual %#x at physical %#x", p.Vaddr, p.Paddr)
		}
		if p.Type != elf.PT_NOTE {
			continue
		}
		note := file[p.Off : p.Off+p.Filesz]
		if desc := findNote(note, p.Align, "Xen", 18); desc != nil {
			entries = append(entries, binary.LittleEndian.Uint64(desc))
		} else if after := file[p.Off+p.Filesz:]; len(after) < 4 || binary.LittleEndian.Uint32(after) != 1<<32-1 {
			t.Error("a note that is not the entry's has no end of notes behind it")
		}
	}
	if len(entries) != 1 || entries[0] != testStub.PVH {
		t.Errorf("entry notes %#x", entries)
	}
	again, _ := bootable(t, testStub)
	if !bytes.Equal(file, again) {
		t.Error("the same input gives other bytes")
	}
}

func TestBootStubWithFiles(t *testing.T) {
	stub := testStub
	stub.Files = bytes.Repeat([]byte("files..."), 3*abi.PageSize/8)
	_, plain := bootable(t, testStub)
	file, m := bootable(t, stub)
	last := m.Segments[len(m.Segments)-1]
	if last.Vaddr != plain.End || last.Prot != ProtRead || last.Memsz != uint64(len(stub.Files)) {
		t.Errorf("the files' segment is %+v, the image without ends at %#x", last, plain.End)
	}
	if !bytes.Equal(file[last.Offset:last.Offset+last.Filesz], stub.Files) {
		t.Error("the files' segment has other bytes")
	}
}

// Only an image of that target may have a segment below the image's base.
func TestBootStubOfAnotherTarget(t *testing.T) {
	file, _ := bootable(t, testStub)
	forged := bytes.Replace(file, []byte(`"target":"virtio"`), []byte(`"target":"hvt"   `), 1)
	if _, err := Parse(forged); err == nil {
		t.Error("an image for hvt with a segment at the boot stub's address was taken")
	}
}
