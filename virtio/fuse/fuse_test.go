package fuse

import (
	"encoding/binary"
	"testing"
)

var anAttr = Attr{
	Ino: 1, Size: 2, Blocks: 3, Atime: Time{4, 5}, Mtime: Time{6, 7}, Ctime: Time{8, 9},
	Mode: 10, Nlink: 11, UID: 12, GID: 13, Rdev: 14, Unit: 15,
}

// What is appended has the length that the kernel's header gives it, and is
// taken as it was.
func TestRoundTrip(t *testing.T) {
	in := InHeader{Len: 1, Op: 2, Unique: 3, Node: 4}
	out := OutHeader{Len: 1, Errno: 2, Unique: 3}
	entry := Entry{Node: 1, Valid: 3_500_000_000, Attr: anAttr}
	statfs := Statfs{1, 2, 3, 4, 5, 6, 7, 8}
	dirent := Dirent{Ino: 1, Off: 2, Type: 3, Name: "name of 15 byte"}
	initOut := Init{Major: 7, Minor: 31, Readahead: 1, Flags: 2, MaxWrite: 3, MaxPages: 4}
	initIn := Init{Major: 7, Minor: 31, Readahead: 1, Flags: 2}
	for name, tt := range map[string]struct {
		b    []byte
		n    int
		same func(d *Decoder) bool
	}{
		"in header":  {in.Append(nil), InHeaderLen, func(d *Decoder) bool { return d.InHeader() == in }},
		"out header": {out.Append(nil), OutHeaderLen, func(d *Decoder) bool { return d.OutHeader() == out }},
		"attr":       {anAttr.Append(nil), AttrLen, func(d *Decoder) bool { return d.Attr() == anAttr }},
		"entry":      {entry.Append(nil), EntryLen, func(d *Decoder) bool { return d.Entry() == entry }},
		"attr out": {AppendAttrOut(nil, &anAttr, 5), AttrOutLen, func(d *Decoder) bool {
			a, valid := d.AttrOut()
			return a == anAttr && valid == 5
		}},
		"statfs":   {statfs.Append(nil), StatfsLen, func(d *Decoder) bool { return d.Statfs() == statfs }},
		"dirent":   {dirent.Append(nil), 40, func(d *Decoder) bool { return d.Dirent() == dirent }},
		"init in":  {initIn.AppendIn(nil), InitLen, func(d *Decoder) bool { i := d.InitIn(); d.Skip(InitLen - 16); return i == initIn }},
		"init out": {initOut.AppendOut(nil), InitLen, func(d *Decoder) bool { i := d.InitOut(); d.Skip(InitLen - 32); return i == initOut }},
	} {
		d := NewDecoder(tt.b)
		if len(tt.b) != tt.n || !tt.same(d) || !d.OK() || d.Len() != 0 {
			t.Errorf("%s: %d bytes (want %d), decoded %v, %d left: %x", name, len(tt.b), tt.n, d.OK(), d.Len(), tt.b)
		}
		for n := range len(tt.b) {
			d := NewDecoder(tt.b[:n])
			tt.same(d)
			if d.OK() && !(name == "dirent" && n >= len(tt.b)-1) && n < len(tt.b)-1 {
				t.Errorf("%s: decoded from %d of %d bytes", name, n, len(tt.b))
			}
		}
	}
}

// Positions that the kernel's header fixes (include/uapi/linux/fuse.h).
func TestLayout(t *testing.T) {
	e := (&Entry{Node: 1, Valid: 2_000_000_003, Attr: anAttr}).Append(nil)
	for at, want := range map[int]uint64{0: 1, 16: 2, 24: 2, 40: 1, 48: 2, 56: 3, 64: 4} {
		if got := binary.LittleEndian.Uint64(e[at:]); got != want {
			t.Errorf("entry at %d: %d, want %d", at, got, want)
		}
	}
	for at, want := range map[int]uint32{32: 3, 36: 3, 88: 5, 92: 7, 96: 9, 100: 10, 104: 11, 108: 12, 112: 13, 116: 14, 120: 15} {
		if got := binary.LittleEndian.Uint32(e[at:]); got != want {
			t.Errorf("entry at %d: %d, want %d", at, got, want)
		}
	}
	h := (&OutHeader{Len: 16, Errno: 2, Unique: 9}).Append(nil)
	if got := int32(binary.LittleEndian.Uint32(h[4:])); got != -2 {
		t.Errorf("error %d", got)
	}
}

// FuzzDecoder takes all kinds of things off any bytes.
func FuzzDecoder(f *testing.F) {
	f.Add((&Dirent{Name: "x"}).Append(anAttr.Append(nil)), uint64(0x1234567))
	f.Fuzz(func(t *testing.T, b []byte, order uint64) {
		d := NewDecoder(b)
		for ; order > 0; order >>= 3 {
			before := d.Len()
			switch order & 7 {
			case 0:
				d.Text()
			case 1:
				if e := d.Dirent(); len(e.Name) > MaxName && d.OK() {
					t.Fatalf("a name of %d bytes", len(e.Name))
				}
			case 2:
				if e := d.Entry(); e.Valid < 0 || e.Valid > 2*maxValid*1e9 {
					t.Fatalf("valid for %d", e.Valid)
				}
			case 3:
				d.Bytes(int(int8(order >> 3)))
			case 4:
				d.InHeader()
			case 5:
				d.Statfs()
			case 6:
				d.InitOut()
			case 7:
				d.AttrOut()
			}
			if d.Len() > before || d.Len() < 0 {
				t.Fatalf("%d bytes are left of %d", d.Len(), before)
			}
		}
	})
}
