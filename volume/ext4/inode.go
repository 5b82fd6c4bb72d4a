package ext4

import (
	"weak"
)

// An Inode is a file, directory, symbolic link or device. The same file is always
// the same *Inode, as long as somebody has it.
type Inode struct {
	fs  *FS
	ino uint32
	fields
	file
	opens int       // open files
	dead  bool      // it was removed from the disk
	index *dirIndex // of a directory, if it is made
	was   *Inode    // the directory that a directory was in which was removed
	hint  string    // the name of a directory in the one it is in, perhaps
	tid   uint32    // the last transaction that changed it
}

// fields are what an inode on the disk has.
type fields struct {
	mode, uid, gid      uint32
	links, flags, gen   uint32
	size                int64 // bytes, as the program sees it
	stored              int64 // bytes, as the disk has it: never more than was written
	sectors             uint64
	atime, mtime, ctime int64 // nanoseconds since 1970
	acl                 uint64
	dtime               uint32 // when it was removed, or the next orphan
	block               [blockBytes]byte
}

// An inodeTable finds the inodes in memory by number.
type inodeTable struct {
	known map[uint32]weak.Pointer[Inode]
	limit int         // of known, before it is swept
	hot   [128]*Inode // some that were used last, so that they stay
	next  int
}

func (t *inodeTable) init() {
	*t = inodeTable{known: map[uint32]weak.Pointer[Inode]{}, limit: 512}
}

func (t *inodeTable) add(in *Inode) {
	t.known[in.ino] = weak.Make(in)
	t.hot[t.next%len(t.hot)] = in
	t.next++
	if len(t.known) < t.limit {
		return
	}
	for ino, p := range t.known {
		if p.Value() == nil {
			delete(t.known, ino)
		}
	}
	t.limit = max(512, 2*len(t.known))
}

// inode returns an inode by number. FS.mu is held.
func (fs *FS) inode(ino uint32) (*Inode, error) {
	if in := fs.inodes.known[ino].Value(); in != nil {
		return in, nil
	}
	b, raw, err := fs.rawInode(ino)
	if err != nil {
		return nil, err
	}
	if fs.checksums && !fs.inodeSealed(ino, raw) {
		return nil, damage(inodeName(ino), "checksum is wrong")
	}
	in := &Inode{fs: fs, ino: ino, tid: fs.tidOf(b)}
	if err := in.decode(raw); err != nil {
		return nil, err
	}
	fs.inodes.add(in)
	return in, nil
}

// tidOf returns the last transaction that may have changed b.
func (fs *FS) tidOf(b *buf) uint32 {
	switch {
	case fs.running == nil:
		return 0
	case b.txn != nil:
		return fs.running.tid
	}
	return fs.running.tid - 1
}

// rawInode returns the bytes of an inode, and the buf that they are in.
func (fs *FS) rawInode(ino uint32) (*buf, []byte, error) {
	if ino == 0 || ino > fs.geometry.inodes {
		return nil, nil, damage(inodeName(ino), "there is no such inode")
	}
	g, i := (ino-1)/fs.inodesPer, (ino-1)%fs.inodesPer
	d, err := fs.group(g)
	if err != nil {
		return nil, nil, err
	}
	per := uint32(fs.bs / fs.inodeSize)
	b, err := fs.bread(d.block(gdInodeTable) + uint64(i/per))
	if err != nil {
		return nil, nil, err
	}
	off := int(i%per) * fs.inodeSize
	return b, b.data[off : off+fs.inodeSize], nil
}

// inodeSeed is what checksums of an inode's blocks begin with.
func (fs *FS) inodeSeed(ino, gen uint32) uint32 { return crc32of(crc32of(fs.seed, ino), gen) }

// inodeSum computes the checksum of an inode.
func (fs *FS) inodeSum(ino uint32, raw []byte) uint32 {
	var zero [2]byte
	c := crc(fs.inodeSeed(ino, u32(raw, inGeneration)), raw[:inCsumLo])
	c = crc(c, zero[:])
	if !hasHighSum(raw) {
		return crc(c, raw[inCsumLo+2:])
	}
	c = crc(c, raw[inCsumLo+2:inCsumHi])
	c = crc(c, zero[:])
	return crc(c, raw[inCsumHi+2:])
}

// hasHighSum reports whether there is space for all of the checksum.
func hasHighSum(raw []byte) bool {
	return len(raw) > oldInodeSize && u16(raw, inExtraSize) >= inCsumHi+2-oldInodeSize
}

func (fs *FS) inodeSealed(ino uint32, raw []byte) bool {
	sum := fs.inodeSum(ino, raw)
	if !hasHighSum(raw) {
		return uint16(sum) == u16(raw, inCsumLo)
	}
	return sum == uint32(u16(raw, inCsumLo))|uint32(u16(raw, inCsumHi))<<16
}

func (fs *FS) sealInode(ino uint32, raw []byte) {
	if !fs.checksums {
		return
	}
	sum := fs.inodeSum(ino, raw)
	put16(raw, inCsumLo, uint16(sum))
	if hasHighSum(raw) {
		put16(raw, inCsumHi, uint16(sum>>16))
	}
}

// getTime reads a time, whose extra bits are at offset extra.
func getTime(raw []byte, off, extra int) int64 {
	sec, ns := int64(int32(u32(raw, off))), int64(0)
	if len(raw) > oldInodeSize && int(u16(raw, inExtraSize)) >= extra+4-oldInodeSize {
		x := u32(raw, extra)
		sec += int64(x&3) << 32
		ns = int64(x >> 2)
	}
	const last = (1<<63-1)/1_000_000_000 - 1 // an int64 of nanoseconds ends in 2262
	return min(sec, last)*1e9 + min(ns, 999_999_999)
}

func putTime(raw []byte, off, extra int, t int64) {
	sec, ns := t/1e9, t%1e9
	if ns < 0 {
		sec, ns = sec-1, ns+1e9
	}
	sec = min(max(sec, -1<<31), 1<<34-1<<31-1)
	put32(raw, off, uint32(sec))
	if len(raw) > oldInodeSize && int(u16(raw, inExtraSize)) >= extra+4-oldInodeSize {
		epoch := uint32((sec-int64(int32(sec)))>>32) & 3
		put32(raw, extra, uint32(ns)<<2|epoch)
	}
}

// decode takes the fields of an inode.
func (in *Inode) decode(raw []byte) error {
	f := &in.fields
	if len(raw) > oldInodeSize && int(u16(raw, inExtraSize)) > len(raw)-oldInodeSize {
		return damage(inodeName(in.ino), "its extra size is "+hex(uint32(u16(raw, inExtraSize))))
	}
	f.mode = uint32(u16(raw, inMode))
	f.uid = uint32(u16(raw, inUID)) | uint32(u16(raw, inUIDHi))<<16
	f.gid = uint32(u16(raw, inGID)) | uint32(u16(raw, inGIDHi))<<16
	f.links, f.flags, f.gen = uint32(u16(raw, inLinks)), u32(raw, inFlags), u32(raw, inGeneration)
	f.stored = int64(u32(raw, inSizeLo))
	if t := f.mode & ModeFmt; t == ModeReg || t == ModeDir {
		f.stored |= int64(u32(raw, inSizeHi)) << 32
	}
	if f.stored < 0 || f.stored>>in.fs.shift > 1<<32 {
		return damage(inodeName(in.ino), "its size is impossible")
	}
	if f.mode&ModeFmt == ModeDir && uint64(f.stored)>>in.fs.shift > in.fs.blocks {
		return damage(inodeName(in.ino), "the directory is larger than the volume")
	}
	f.size = f.stored
	f.sectors = uint64(u32(raw, inBlocksLo)) | uint64(u16(raw, inBlocksHi))<<32
	if f.flags&flagHuge != 0 {
		f.sectors <<= in.fs.shift - 9
	}
	f.atime = getTime(raw, inAtime, inAtimeExtra)
	f.ctime = getTime(raw, inCtime, inCtimeExtra)
	f.mtime = getTime(raw, inMtime, inMtimeExtra)
	f.dtime = u32(raw, inDtime)
	f.acl = uint64(u32(raw, inACLLo)) | uint64(u16(raw, inACLHi))<<32
	copy(f.block[:], raw[inBlock:])
	return nil
}

// touch says that the fields of in will be changed in this operation.
func (in *Inode) touch() {
	o := &in.fs.op
	for i := range o.inodes {
		if o.inodes[i].in == in {
			return
		}
	}
	o.inodes = append(o.inodes, savedInode{in, in.fields})
}

// store writes the fields of in to its block.
func (in *Inode) store() error {
	b, raw, err := in.fs.rawInode(in.ino)
	if err != nil {
		return err
	}
	in.fs.change(b)
	in.encode(raw)
	in.tid = in.fs.running.tid
	in.unsaved = in.stored != in.size
	return nil
}

func (in *Inode) encode(raw []byte) {
	f := &in.fields
	put16(raw, inMode, uint16(f.mode))
	put16(raw, inUID, uint16(f.uid))
	put16(raw, inUIDHi, uint16(f.uid>>16))
	put16(raw, inGID, uint16(f.gid))
	put16(raw, inGIDHi, uint16(f.gid>>16))
	put16(raw, inLinks, uint16(f.links))
	f.flags &^= flagHuge
	if sectors := f.sectors; sectors < 1<<48 {
		put32(raw, inBlocksLo, uint32(sectors))
		put16(raw, inBlocksHi, uint16(sectors>>32))
	}
	put32(raw, inFlags, f.flags)
	put32(raw, inGeneration, f.gen)
	put32(raw, inSizeLo, uint32(f.stored))
	if t := f.mode & ModeFmt; t == ModeReg || t == ModeDir {
		put32(raw, inSizeHi, uint32(f.stored>>32))
	}
	putTime(raw, inAtime, inAtimeExtra, f.atime)
	putTime(raw, inCtime, inCtimeExtra, f.ctime)
	putTime(raw, inMtime, inMtimeExtra, f.mtime)
	put32(raw, inDtime, f.dtime)
	put32(raw, inACLLo, uint32(f.acl))
	put16(raw, inACLHi, uint16(f.acl>>32))
	copy(raw[inBlock:inBlock+blockBytes], f.block[:])
	in.fs.sealInode(in.ino, raw)
}

// newInode makes an inode of a type and permissions near directory dir.
func (fs *FS) newInode(dir *Inode, mode, uid, gid uint32) (*Inode, error) {
	ino, err := fs.allocInode((dir.ino-1)/fs.inodesPer, mode)
	if err != nil {
		return nil, err
	}
	b, raw, err := fs.rawInode(ino)
	if err != nil {
		return nil, err
	}
	fs.change(b)
	clear(raw)
	in := &Inode{fs: fs, ino: ino}
	fs.generation = fs.generation*1664525 + 1013904223
	t := fs.now()
	in.fields = fields{mode: mode, uid: uid, gid: gid, links: 1, gen: fs.generation, atime: t, mtime: t, ctime: t}
	if fs.inodeSize > oldInodeSize {
		put16(raw, inExtraSize, uint16(min(extraSize, fs.inodeSize-oldInodeSize)))
		putTime(raw, inCrtime, inCrtimeEx, t)
	}
	if t := mode & ModeFmt; t == ModeReg || t == ModeDir || t == ModeLink {
		in.flags = flagExtents
		in.initTree()
	}
	if old := fs.inodes.known[ino].Value(); old != nil {
		old.dead = true
	}
	fs.inodes.add(in)
	return in, in.store()
}
