package ext4

import "hash/crc32"

// Directories are blocks of entries (directory.rst): inode, length of the entry,
// length of the name, type, name. An entry's length reaches to the next one or to
// the end of the block; inode 0 is free space. With checksums the last twelve
// bytes of a block are an entry that holds its checksum.

const (
	entryHead = 8
	tailSize  = 12
	tailType  = 0xDE
)

// A dirent is an entry of a directory.
type dirent struct {
	ino  uint32
	typ  byte
	name []byte // in the block
	off  int    // in the block
	len  int    // to the next entry
}

// need is the least length of an entry with a name of n bytes.
func need(n int) int { return (entryHead + n + 3) &^ 3 }

// entryAt reads the entry at off of a block; ok is false if it is none.
func entryAt(p []byte, off int) (e dirent, ok bool) {
	if off+entryHead > len(p) {
		return e, false
	}
	n := int(p[off+6])
	e = dirent{ino: u32(p, off), typ: p[off+7], off: off, len: int(u16(p, off+4))}
	if e.len < entryHead || e.len&3 != 0 || off+e.len > len(p) || e.ino != 0 && (n == 0 || need(n) > e.len) {
		return e, false
	}
	if e.ino != 0 {
		e.name = p[off+entryHead : off+entryHead+n]
	}
	return e, !impossible(e.name)
}

// impossible reports whether a name has a byte that no name can have: whoever
// takes names for parts of a path would go elsewhere.
func impossible[T string | []byte](name T) bool {
	for i := range len(name) {
		if name[i] == '/' || name[i] == 0 {
			return true
		}
	}
	return false
}

// used is the part of an entry's length that is in use.
func (e dirent) used() int {
	if e.ino == 0 {
		return 0
	}
	return need(len(e.name))
}

// dirBlocks is the number of blocks of a directory.
func (in *Inode) dirBlocks() uint32 { return uint32(in.size >> in.fs.shift) }

// dirBlock returns block l of a directory, nil for a hole.
func (in *Inode) dirBlock(l uint32) (*buf, error) {
	if in.flags&flagStrange != 0 {
		return nil, EOPNOTSUPP
	}
	e, err := in.lookup(l)
	if err != nil {
		return nil, err
	}
	if e.start == 0 {
		return nil, damage(in.where(l), "is missing")
	}
	b, err := in.fs.bread(e.start + uint64(l-e.logical))
	if err != nil || b.kind == kindDir {
		return b, err
	}
	if err := in.checkDirBlock(l, b.data); err != nil {
		return nil, err
	}
	b.kind = kindDir
	return b, nil
}

func (in *Inode) where(l uint32) string {
	return "directory, " + inodeName(in.ino) + ", block " + hex(l)
}

// checkDirBlock checks that the entries of a block fill it, and its checksum. The
// blocks of an index have checksums of another kind; they look like free space.
func (in *Inode) checkDirBlock(l uint32, p []byte) error {
	for off := 0; off < len(p); {
		e, ok := entryAt(p, off)
		if !ok {
			return damage(in.where(l), "has a wrong entry at byte "+hex(uint32(off)))
		}
		off += e.len
	}
	if !in.fs.checksums || in.flags&flagIndex != 0 && (l == 0 || u32(p, 0) == 0 && int(u16(p, 4)) == len(p)) {
		return nil
	}
	off, sum := in.tailSum(p)
	if u32(p, off) != 0 || u16(p, off+4) != tailSize || p[off+7] != tailType || u32(p, off+8) != sum {
		return damage(in.where(l), "checksum is wrong")
	}
	return nil
}

func (in *Inode) tailSum(p []byte) (off int, sum uint32) {
	off = len(p) - tailSize
	return off, crc(in.fs.inodeSeed(in.ino, in.gen), p[:off])
}

// sealDir sets the checksum of a block after a change.
func (in *Inode) sealDir(l uint32, p []byte) {
	if !in.fs.checksums || in.flags&flagIndex != 0 && l == 0 {
		if in.fs.checksums {
			in.sealRoot(p)
		}
		return
	}
	off, sum := in.tailSum(p)
	clear(p[off:])
	put16(p, off+4, tailSize)
	p[off+7] = tailType
	put32(p, off+8, sum)
}

// dirSpace is the number of bytes of a block that entries may fill.
func (fs *FS) dirSpace() int {
	if fs.checksums {
		return fs.bs - tailSize
	}
	return fs.bs
}

// A place is where an entry is: the block, and its offset in that.
type place struct {
	l   uint32
	b   *buf
	e   dirent
	pre int // offset of the entry before it in the block, -1 if it is the first
}

// eachEntry calls each with the entries of a block, free ones too, until it
// returns true.
func eachEntry(p []byte, each func(e dirent, pre int) bool) bool {
	for off, pre := 0, -1; off < len(p); {
		e, ok := entryAt(p, off)
		if !ok {
			return false // dirBlock has checked; only a block that changed beneath us
		}
		if each(e, pre) {
			return true
		}
		pre = off
		off += e.len
	}
	return false
}

// isTail reports whether e is the entry that holds the checksum.
func (fs *FS) isTail(e dirent) bool {
	return fs.checksums && e.ino == 0 && e.off == fs.bs-tailSize && e.len == tailSize
}

// findName looks a name up; ok is false if it is not there.
func (in *Inode) findName(name string) (at place, ok bool, err error) {
	if n := in.dirBlocks(); n > 1 {
		if err := in.makeIndex(); err != nil {
			return place{}, false, err
		}
		return in.findIndexed(name)
	} else if n == 0 {
		return place{}, false, nil
	}
	b, err := in.dirBlock(0)
	if err != nil {
		return place{}, false, err
	}
	ok = eachEntry(b.data, func(e dirent, pre int) bool {
		at = place{0, b, e, pre}
		return e.ino != 0 && string(e.name) == name
	})
	return at, ok, nil
}

// findIndexed looks a name up in the index.
func (in *Inode) findIndexed(name string) (at place, ok bool, err error) {
	h := nameHash(name)
	for i := in.index.start(h); ; i = in.index.after(i) {
		slot := in.index.slots[i]
		if slot == 0 {
			return place{}, false, nil
		}
		if slot>>32 != uint64(h) || uint32(slot) == removedSlot {
			continue
		}
		l, off := in.index.where(uint32(slot), in.fs.shift)
		b, err := in.dirBlock(l)
		if err != nil {
			return place{}, false, err
		}
		ok := eachEntry(b.data, func(e dirent, pre int) bool {
			at = place{l, b, e, pre}
			return e.off >= off
		})
		if ok && at.e.off == off && string(at.e.name) == name {
			return at, true, nil
		}
	}
}

// A dirIndex finds the names of a directory of several blocks, in memory. It is
// made when the directory is first searched. Slots are found by hash, then one
// after the other; each is the hash and the place of an entry in units of 4 bytes,
// plus 1.
type dirIndex struct {
	slots []uint64
	used  int      // slots that are not 0
	names int      // slots that stand for names
	room  []uint16 // by block: the largest space for an entry
}

const removedSlot = 1<<32 - 1

func nameHash(name string) uint32 {
	h := ^uint32(0)
	var chunk [32]byte
	for len(name) > 0 {
		n := copy(chunk[:], name)
		h = crc32.Update(h, castagnoli(), chunk[:n])
		name = name[n:]
	}
	return h
}

func (x *dirIndex) start(h uint32) int { return int(h * 0x9E3779B1 % uint32(len(x.slots))) }

func (x *dirIndex) after(i int) int {
	if i++; i == len(x.slots) {
		return 0
	}
	return i
}

// where returns the place that a slot stands for.
func (x *dirIndex) where(v uint32, shift uint) (l uint32, off int) {
	pos := uint64(v-1) * 4
	return uint32(pos >> shift), int(pos & (1<<shift - 1))
}

// add notes an entry.
func (x *dirIndex) add(h uint32, l uint32, off int, shift uint) {
	if x.used*4 >= len(x.slots)*3 {
		x.rehash()
	}
	v := uint64(h)<<32 | (uint64(l)<<shift+uint64(off))/4 + 1
	i := x.start(h)
	for x.slots[i] != 0 {
		i = x.after(i)
	}
	x.slots[i] = v
	x.used++
	x.names++
}

// rehash makes space, and drops what was removed.
func (x *dirIndex) rehash() {
	old := x.slots
	x.slots = make([]uint64, max(64, 2*x.names+64))
	x.used = 0
	for _, v := range old {
		if v == 0 || uint32(v) == removedSlot {
			continue
		}
		i := x.start(uint32(v >> 32))
		for x.slots[i] != 0 {
			i = x.after(i)
		}
		x.slots[i] = v
		x.used++
	}
}

// remove forgets an entry.
func (x *dirIndex) remove(h uint32, l uint32, off int, shift uint) {
	v := uint64(h)<<32 | (uint64(l)<<shift+uint64(off))/4 + 1
	for i := x.start(h); x.slots[i] != 0; i = x.after(i) {
		if x.slots[i] == v {
			x.slots[i] = uint64(h)<<32 | removedSlot
			x.names--
			return
		}
	}
}

// makeIndex reads a directory. If it is left because a block must be read first,
// it goes on where it was; until then the index has fewer blocks than the directory.
func (in *Inode) makeIndex() error {
	n := in.dirBlocks()
	if in.index != nil && len(in.index.room) == int(n) {
		return nil
	}
	if uint64(n) > in.fs.blocks || uint64(n) >= 1<<34>>in.fs.shift-1 {
		return damage(inodeName(in.ino), "the directory's size is impossible")
	}
	x := in.index
	if x == nil || len(x.room) > int(n) {
		x = &dirIndex{slots: make([]uint64, 256)}
		in.index = x
	}
	for l := uint32(len(x.room)); l < n; l++ {
		b, err := in.dirBlock(l)
		if err != nil {
			return err
		}
		eachEntry(b.data, func(e dirent, _ int) bool {
			if e.ino != 0 {
				x.add(nameHash(string(e.name)), l, e.off, in.fs.shift)
			}
			return false
		})
		x.room = append(x.room, uint16(in.fs.largest(b.data)))
	}
	return nil
}

// largest returns the length of the largest entry that a block has space for.
func (fs *FS) largest(p []byte) int {
	n := 0
	eachEntry(p, func(e dirent, _ int) bool {
		if !fs.isTail(e) {
			n = max(n, e.len-e.used())
		}
		return false
	})
	return n
}

// changed notes a block that was changed.
func (in *Inode) changed(l uint32, p []byte) {
	if in.index != nil && int(l) < len(in.index.room) {
		in.index.room[l] = uint16(in.fs.largest(p))
	}
}
