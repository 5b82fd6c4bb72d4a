package main

import (
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"path"
	"strings"
)

// A file is one that the tables name.
type file struct {
	lines map[int]bool // with instructions
	unit  bool         // compiled by itself, not included
}

// join adds what is known of the same file by another name.
func (f *file) join(o *file) {
	maps.Copy(f.lines, o.lines)
	f.unit = f.unit || o.unit
}

// tables are the files of some programs, by their names there.
type tables struct{ files map[string]*file }

func (t *tables) file(name string) *file {
	f := t.files[name]
	if f == nil {
		f = &file{lines: map[int]bool{}}
		t.files[name] = f
	}
	return f
}

// read adds the line tables of a program (DWARF 5, section 6.2).
func (t *tables) read(name string) error {
	exe, err := elf.Open(name)
	if err != nil {
		return err
	}
	defer exe.Close()
	data, err := exe.DWARF()
	if err != nil {
		return err
	}
	info, err := exe.Section(".debug_info").Data()
	if err != nil {
		return err
	}
	r := data.Reader()
	for _, at := range units(info) {
		r.Seek(at)
		e, err := r.Next()
		if err != nil {
			return err
		}
		if e == nil || e.Tag != dwarf.TagCompileUnit {
			continue
		}
		if err := t.unit(data, e); err != nil {
			return err
		}
	}
	return nil
}

// units returns where the first entry of each unit of .debug_info is (DWARF 5,
// section 7.5.1, and DWARF 4; its 32-bit format), since to skip entries one by one
// takes minutes for a kernel.
func units(info []byte) (list []dwarf.Offset) {
	const typeUnit, splitType = 2, 6 // the kinds that have longer headers, and no code
	for at := 0; at+12 <= len(info); {
		size := int(binary.LittleEndian.Uint32(info[at:]))
		version := binary.LittleEndian.Uint16(info[at+4:])
		head := 11
		if version >= 5 {
			head = 12
		}
		if kind := info[at+6]; version < 5 || kind != typeUnit && kind != splitType {
			list = append(list, dwarf.Offset(at+head))
		}
		at += 4 + size
	}
	return list
}

// unit adds the line table of one unit, and what it was compiled from.
func (t *tables) unit(data *dwarf.Data, e *dwarf.Entry) error {
	lines, err := data.LineReader(e)
	if err != nil || lines == nil {
		return err
	}
	dir, _ := e.Val(dwarf.AttrCompDir).(string)
	name, _ := e.Val(dwarf.AttrName).(string)
	whole := func(name string) string { return wholePath(dir, name) }
	linked := false
	for {
		var l dwarf.LineEntry
		if err := lines.Next(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if l.EndSequence || l.File == nil || l.Line == 0 {
			continue
		}
		linked = true
		t.file(whole(l.File.Name)).lines[l.Line] = true
	}
	if linked {
		t.file(unitPath(dir, name)).unit = true
	}
	// What is only declared in them has no lines, but they were compiled.
	for _, f := range lines.Files() {
		if f != nil && linked {
			t.file(whole(f.Name))
		}
	}
	return nil
}

// unitPath is the path of a unit compiled in dir.
func unitPath(dir, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(dir, name)
}

// wholePath is the path of a file in the line table of a unit compiled in dir, to
// which package dwarf has added dir for some of them only.
func wholePath(dir, name string) string {
	if clean := path.Clean(name); !path.IsAbs(dir) && strings.HasPrefix(clean, path.Clean(dir)+"/") {
		return clean
	}
	return unitPath(dir, name)
}
