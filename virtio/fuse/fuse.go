// Package fuse holds what both ends of the FUSE protocol agree on, as it goes
// over a virtio file system device (virtio 1.2 section 5.11): numbers and
// layouts of include/uapi/linux/fuse.h, kernel interface 7.31. Integers are
// little-endian, as on the machines Tailor runs on.
//
// It holds layouts and pure functions only. What is decoded comes from an end
// that is not trusted: decoding never reads past the bytes it was given, and
// says so when they are too few.
package fuse

// Version of the protocol: both ends speak at least this.
const (
	Major = 7
	Minor = 31
)

// Opcodes (enum fuse_opcode).
const (
	OpLookup      = 1
	OpForget      = 2
	OpGetattr     = 3
	OpSetattr     = 4
	OpReadlink    = 5
	OpSymlink     = 6
	OpMknod       = 8
	OpMkdir       = 9
	OpUnlink      = 10
	OpRmdir       = 11
	OpRename      = 12
	OpLink        = 13
	OpOpen        = 14
	OpRead        = 15
	OpWrite       = 16
	OpStatfs      = 17
	OpRelease     = 18
	OpFsync       = 20
	OpFlush       = 25
	OpInit        = 26
	OpOpendir     = 27
	OpReaddir     = 28
	OpReleasedir  = 29
	OpFsyncdir    = 30
	OpCreate      = 35
	OpInterrupt   = 36
	OpDestroy     = 38
	OpBatchForget = 42
	OpReaddirplus = 44
	OpRename2     = 45
)

// Flags of INIT.
const (
	InitBigWrites   = 1 << 5
	InitReaddirplus = 1 << 13
	InitMaxPages    = 1 << 22
)

// Bits of fuse_setattr_in.valid.
const (
	SetattrMode     = 1 << 0
	SetattrUID      = 1 << 1
	SetattrGID      = 1 << 2
	SetattrSize     = 1 << 3
	SetattrAtime    = 1 << 4
	SetattrMtime    = 1 << 5
	SetattrFH       = 1 << 6
	SetattrAtimeNow = 1 << 7
	SetattrMtimeNow = 1 << 8
	SetattrCtime    = 1 << 10
)

// GetattrFH in fuse_getattr_in.flags says that the request has a file handle.
const GetattrFH = 1 << 0

// FsyncData in fuse_fsync_in.flags asks for the contents only.
const FsyncData = 1 << 0

// Bounds of a request. A name is what stands between two slashes; MaxData are
// the bytes of one READ or WRITE, MaxPages the same in pages.
const (
	MaxName   = 255
	MaxTarget = 4095
	MaxData   = 1 << 20
	MaxPages  = MaxData / 4096
)

// RootNode is the number of the root directory.
const RootNode = 1

// Lengths in bytes of the structures that messages are made of.
const (
	InHeaderLen  = 40  // fuse_in_header
	OutHeaderLen = 16  // fuse_out_header
	AttrLen      = 88  // fuse_attr
	EntryLen     = 128 // fuse_entry_out
	AttrOutLen   = 104 // fuse_attr_out
	OpenOutLen   = 16  // fuse_open_out
	InitLen      = 64  // fuse_init_in and fuse_init_out
	WriteOutLen  = 8   // fuse_write_out
	StatfsLen    = 80  // fuse_kstatfs
	DirentLen    = 24  // fuse_dirent without its name
	ForgetOneLen = 16  // fuse_forget_one
)

// InHeader begins each request (struct fuse_in_header).
type InHeader struct {
	Len, Op      uint32
	Unique, Node uint64
}

// Append appends the header; user, group and process are 0.
func (h *InHeader) Append(b []byte) []byte {
	b = U32(b, h.Len, h.Op)
	b = U64(b, h.Unique, h.Node)
	return U32(b, 0, 0, 0, 0)
}

// InHeader takes a header.
func (d *Decoder) InHeader() InHeader {
	h := InHeader{Len: d.U32(), Op: d.U32(), Unique: d.U64(), Node: d.U64()}
	d.Skip(16)
	return h
}

// OutHeader begins each reply (struct fuse_out_header). Errno is positive or 0.
type OutHeader struct {
	Len    uint32
	Errno  uint32
	Unique uint64
}

// Append appends the header.
func (h *OutHeader) Append(b []byte) []byte {
	b = U32(b, h.Len, -h.Errno)
	return U64(b, h.Unique)
}

// OutHeader takes a header.
func (d *Decoder) OutHeader() OutHeader {
	return OutHeader{Len: d.U32(), Errno: -d.U32(), Unique: d.U64()}
}

// Time is a point in time since 1970 UTC.
type Time struct {
	Sec  int64
	Nsec uint32
}

// Attr is what is told of a node (struct fuse_attr).
type Attr struct {
	Ino, Size, Blocks    uint64 // Size in bytes, Blocks of 512 bytes
	Atime, Mtime, Ctime  Time
	Mode, Nlink          uint32
	UID, GID, Rdev, Unit uint32 // Unit is the best size of a read in bytes
}

// Append appends the attributes.
func (a *Attr) Append(b []byte) []byte {
	b = U64(b, a.Ino, a.Size, a.Blocks, uint64(a.Atime.Sec), uint64(a.Mtime.Sec), uint64(a.Ctime.Sec))
	b = U32(b, a.Atime.Nsec, a.Mtime.Nsec, a.Ctime.Nsec)
	return U32(b, a.Mode, a.Nlink, a.UID, a.GID, a.Rdev, a.Unit, 0)
}

// Attr takes attributes.
func (d *Decoder) Attr() (a Attr) {
	a.Ino, a.Size, a.Blocks = d.U64(), d.U64(), d.U64()
	a.Atime.Sec, a.Mtime.Sec, a.Ctime.Sec = int64(d.U64()), int64(d.U64()), int64(d.U64())
	a.Atime.Nsec, a.Mtime.Nsec, a.Ctime.Nsec = d.U32(), d.U32(), d.U32()
	a.Mode, a.Nlink, a.UID, a.GID = d.U32(), d.U32(), d.U32(), d.U32()
	a.Rdev, a.Unit = d.U32(), d.U32()
	d.Skip(4)
	return a
}

// Entry is a name that was found (struct fuse_entry_out). Valid are the
// nanoseconds for which the name and the attributes may be believed.
type Entry struct {
	Node  uint64
	Valid int64
	Attr  Attr
}

// Append appends the entry.
func (e *Entry) Append(b []byte) []byte {
	sec, nsec := uint64(e.Valid/1e9), uint32(e.Valid%1e9)
	b = U64(b, e.Node, 0, sec, sec)
	b = U32(b, nsec, nsec)
	return e.Attr.Append(b)
}

// Entry takes an entry; of the two times the shorter one counts.
func (d *Decoder) Entry() (e Entry) {
	e.Node = d.U64()
	d.Skip(8)
	s1, s2, n1, n2 := d.U64(), d.U64(), d.U32(), d.U32()
	e.Valid = min(nanoseconds(s1, n1), nanoseconds(s2, n2))
	e.Attr = d.Attr()
	return e
}

// maxValid bounds the time for which something is believed, in seconds.
const maxValid = 3600

func nanoseconds(sec uint64, nsec uint32) int64 {
	return int64(min(sec, maxValid))*1e9 + int64(min(nsec, 999_999_999))
}

// AppendAttrOut appends a struct fuse_attr_out.
func AppendAttrOut(b []byte, a *Attr, valid int64) []byte {
	b = U64(b, uint64(valid/1e9))
	b = U32(b, uint32(valid%1e9), 0)
	return a.Append(b)
}

// AttrOut takes a struct fuse_attr_out.
func (d *Decoder) AttrOut() (a Attr, valid int64) {
	sec, nsec := d.U64(), d.U32()
	d.Skip(4)
	return d.Attr(), nanoseconds(sec, nsec)
}

// Init is what both ends tell each other first: struct fuse_init_in, and
// fuse_init_out, which alone has MaxWrite and MaxPages.
type Init struct {
	Major, Minor, Readahead, Flags uint32
	MaxWrite                       uint32 // bytes
	MaxPages                       uint16 // of 4096 bytes
}

// AppendIn appends a struct fuse_init_in.
func (i *Init) AppendIn(b []byte) []byte {
	b = U32(b, i.Major, i.Minor, i.Readahead, i.Flags)
	return append(b, make([]byte, InitLen-16)...)
}

// InitIn takes the part of a struct fuse_init_in that all versions have.
func (d *Decoder) InitIn() Init {
	return Init{Major: d.U32(), Minor: d.U32(), Readahead: d.U32(), Flags: d.U32()}
}

// AppendOut appends a struct fuse_init_out.
func (i *Init) AppendOut(b []byte) []byte {
	b = U32(b, i.Major, i.Minor, i.Readahead, i.Flags)
	b = U32(b, 0, i.MaxWrite, 1)   // no background queue of ours; times in nanoseconds
	b = U32(b, uint32(i.MaxPages)) // and no alignment of mappings
	return append(b, make([]byte, InitLen-32)...)
}

// InitOut takes a struct fuse_init_out.
func (d *Decoder) InitOut() (i Init) {
	i.Major, i.Minor, i.Readahead, i.Flags = d.U32(), d.U32(), d.U32(), d.U32()
	d.Skip(4)
	i.MaxWrite = d.U32()
	d.Skip(4)
	i.MaxPages = uint16(d.U32())
	return i
}

// Statfs tells how full a file system is (struct fuse_kstatfs).
type Statfs struct {
	Blocks, Free, Available, Files, FreeFiles uint64
	BlockSize, NameLength, FragmentSize       uint32
}

// Append appends the structure.
func (s *Statfs) Append(b []byte) []byte {
	b = U64(b, s.Blocks, s.Free, s.Available, s.Files, s.FreeFiles)
	b = U32(b, s.BlockSize, s.NameLength, s.FragmentSize)
	return append(b, make([]byte, 28)...)
}

// Statfs takes the structure.
func (d *Decoder) Statfs() (s Statfs) {
	s.Blocks, s.Free, s.Available, s.Files, s.FreeFiles = d.U64(), d.U64(), d.U64(), d.U64(), d.U64()
	s.BlockSize, s.NameLength, s.FragmentSize = d.U32(), d.U32(), d.U32()
	d.Skip(28)
	return s
}

// Dirent is one name of a directory (struct fuse_dirent). Type is that of the
// mode's upper bits, shifted right by 12.
type Dirent struct {
	Ino, Off uint64 // Off is where to go on behind it
	Type     uint32
	Name     string
}

// Size returns the bytes that the entry takes, padding included.
func (e *Dirent) Size() int { return (DirentLen + len(e.Name) + 7) &^ 7 }

// Append appends the entry and its padding.
func (e *Dirent) Append(b []byte) []byte {
	end := len(b) + e.Size()
	b = U64(b, e.Ino, e.Off)
	b = U32(b, uint32(len(e.Name)), e.Type)
	b = append(b, e.Name...)
	return append(b, make([]byte, end-len(b))...)
}

// Dirent takes an entry and its padding, which the last entry may lack.
func (d *Decoder) Dirent() (e Dirent) {
	e.Ino, e.Off = d.U64(), d.U64()
	n := d.U32()
	e.Type = d.U32()
	e.Name = string(d.Bytes(int(min(n, MaxName+1))))
	if n > MaxName || n == 0 {
		d.bad = true
	}
	d.Bytes(min(int(-n&7), d.Len()))
	return e
}
