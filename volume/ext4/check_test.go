package ext4_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/volume/cuttest"
	"github.com/tailor-os/tailor/volume/ext4"
)

// Check finds what is wrong, and says it.
func TestCheckFinds(t *testing.T) {
	const bs, gdt, blockMap, inodeMap, table = 1024, 2, 3, 4, 5
	clean := lax(t, false)
	if problems, err := ext4.Check(cuttest.From(bytes.Clone(clean))); err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	inode := func(b []byte, ino int) []byte { return b[table*bs+(ino-1)*256:][:256] }
	add16 := func(b []byte, off int, n uint16) {
		binary.LittleEndian.PutUint16(b[off:], binary.LittleEndian.Uint16(b[off:])+n)
	}
	root := func(b []byte) []byte { // the first block of the root directory
		return b[int(binary.LittleEndian.Uint32(inode(b, 2)[0x28+20:]))*bs:][:bs]
	}
	for want, damage := range map[string]func(b []byte){
		"is not in use, and marked so":     func(b []byte) { b[blockMap*bs+255] |= 0x40 },
		"is in use, and marked as free":    func(b []byte) { b[blockMap*bs] &^= 1 },
		"which is not in use":              func(b []byte) { b[inodeMap*bs+1] &^= 8 },
		"free blocks, and says":            func(b []byte) { add16(b, gdt*bs+0xC, 1) },
		"free inodes, and says":            func(b []byte) { add16(b, gdt*bs+0xE, 1) },
		"directories, and says":            func(b []byte) { add16(b, gdt*bs+0x10, 1) },
		"names, and says":                  func(b []byte) { add16(inode(b, 2), 0x1A, 1) },
		"blocks, and says":                 func(b []byte) { add16(inode(b, 12), 0x1C, 2) },
		"is of no known type":              func(b []byte) { inode(b, 12)[1] = 0 },
		"leads to inode 12, not to":        func(b []byte) { root(b)[12] = 12 },
		"has a wrong entry":                func(b []byte) { root(b)[4] = 9 },
		"has another type":                 func(b []byte) { root(b)[24+7] = 1 },
		"cannot be reached by any name":    func(b []byte) { copy(root(b)[24:], make([]byte, 4)) },
		"counts of free blocks and inodes": func(b []byte) { b[1024+0x10]++ },
		"its extent tree has no root":      func(b []byte) { inode(b, 2)[0x28] = 0 },
		"that something else has too":      func(b []byte) { copy(inode(b, 11)[0x28:0x28+60], inode(b, 2)[0x28:]) },
		"more than the device has":         func(b []byte) { b[1024+6] = 1 },
	} {
		b := bytes.Clone(clean)
		damage(b)
		problems, err := ext4.Check(cuttest.From(b))
		if all := strings.Join(problems, "\n"); err != nil || !strings.Contains(all, want) {
			t.Errorf("%q is not found, but %v %q", want, err, problems)
		}
	}
	// With checksums, any change of metadata is noticed.
	d := newDisk(t, 4<<20)
	for _, blk := range []int{1, 2, 3, 4, 5} {
		b := bytes.Clone(d.Bytes())
		b[blk*bs+20] ^= 1
		if problems, err := ext4.Check(cuttest.From(b)); err != nil || len(problems) == 0 && blk != 5 {
			t.Errorf("block %d: %v", blk, err)
		}
	}
}

// Names that would lead elsewhere, as parts of a path, are damage.
func TestImpossibleNames(t *testing.T) {
	for _, name := range []string{"./.", "../x", "/", "a/b", "a\x00b"} {
		d := cuttest.New(2 << 20)
		if err := ext4.Mkfs(d, ext4.MkfsOptions{}); err != nil {
			t.Fatal(err)
		}
		d.Bytes()[1024+0x65] &^= 4 // no checksums
		fs := open(t, d, ext4.Options{})
		root, err := fs.Root()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := root.Create(name, ext4.Attr{Mode: ext4.ModeReg}, ""); err != ext4.EINVAL {
			t.Errorf("create %q: %v", name, err)
		}
		good := strings.Repeat("x", len(name))
		if _, err := root.Create(good, ext4.Attr{Mode: ext4.ModeReg}, ""); err != nil {
			t.Fatal(err)
		}
		closeFS(t, fs)
		entry := string(rune(len(good))) + "\x01"
		data := bytes.ReplaceAll(d.Bytes(), []byte(entry+good), []byte(entry+name))
		fs = open(t, cuttest.From(data), ext4.Options{ReadOnly: true})
		if root, err = fs.Root(); err != nil {
			t.Fatal(err)
		}
		if err := root.ReadDir(0, func(ext4.DirEntry) bool { return true }); ext4.Code(err) != ext4.EUCLEAN {
			t.Errorf("a directory with %q: %v", name, err)
		}
		if problems, err := ext4.Check(cuttest.From(data)); err != nil || !strings.Contains(strings.Join(problems, "\n"), "has a wrong entry") {
			t.Errorf("check of %q: %q, %v", name, problems, err)
		}
	}
}

// Volumes that were cut short, or are none, are refused with the reason.
func TestOpenRefuses(t *testing.T) {
	whole := newDisk(t, 4<<20).Bytes()
	for _, data := range [][]byte{{}, make([]byte, 512), make([]byte, 1<<20), whole[:1<<20], whole[:2048]} {
		if _, err := ext4.Open(cuttest.From(bytes.Clone(data)), ext4.Options{}); ext4.Code(err) != ext4.EUCLEAN {
			t.Errorf("%d bytes: %v", len(data), err)
		}
	}
}
