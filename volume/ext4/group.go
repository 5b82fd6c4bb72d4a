package ext4

// A group is a group descriptor: d is its bytes in b.
type group struct {
	g  uint32
	b  *buf
	d  []byte
	fs *FS
}

// group returns the descriptor of a group.
func (fs *FS) group(g uint32) (group, error) {
	per := uint32(fs.bs / fs.descSize)
	b, err := fs.bread(uint64(fs.first) + 1 + uint64(g/per))
	if err != nil {
		return group{}, err
	}
	off := int(g%per) * fs.descSize
	return group{g, b, b.data[off : off+fs.descSize], fs}, nil
}

// block returns one of the block numbers of d.
func (d group) block(off int) uint64 {
	v := uint64(u32(d.d, off))
	if len(d.d) >= 64 {
		v |= uint64(u32(d.d, off+gdHigh)) << 32
	}
	return v
}

// count returns one of the counts of d, whose halves are at low and high.
func (d group) count(low, high int) uint32 {
	v := uint32(u16(d.d, low))
	if len(d.d) >= 64 {
		v |= uint32(u16(d.d, high)) << 16
	}
	return v
}

func (d group) putCount(low, high int, v uint32) {
	put16(d.d, low, uint16(v))
	if len(d.d) >= 64 {
		put16(d.d, high, uint16(v>>16))
	}
}

func (d group) freeBlocks() uint32 { return d.count(gdFreeBlocks, gdFreeBlksHi) }
func (d group) freeInodes() uint32 { return d.count(gdFreeInodes, gdFreeInosHi) }
func (d group) flags() uint16      { return u16(d.d, gdFlags) }

// sum is the checksum of d.
func (d group) sum() uint16 {
	return uint16(without(crc32of(d.fs.seed, d.g), d.d, gdChecksum, 2))
}

// seal sets the checksum of d, after a change.
func (d group) seal() {
	if d.fs.checksums {
		put16(d.d, gdChecksum, d.sum())
	}
}

// checkGroup checks a descriptor against what there is.
func (fs *FS) checkGroup(d group) error {
	where := groupName(d.g)
	if fs.checksums && d.sum() != u16(d.d, gdChecksum) {
		return damage(where, "checksum of its descriptor is wrong")
	}
	for _, off := range [...]int{gdBlockBitmap, gdInodeBitmap, gdInodeTable} {
		n := uint64(1)
		if off == gdInodeTable {
			n = uint64(fs.itableBlocks())
		}
		b := d.block(off)
		if b <= uint64(fs.first) || b >= fs.blocks || n > fs.blocks-b {
			return damage(where, "its descriptor leads beyond the volume")
		}
		if g, _ := fs.groupOf(b); !fs.flex && g != d.g {
			return damage(where, "its descriptor leads out of the group")
		}
	}
	if d.freeBlocks() > fs.groupBlocks(d.g) || d.freeInodes() > fs.inodesPer || d.count(gdUnused, gdUnusedHi) > fs.inodesPer {
		return damage(where, "its descriptor has more free than there is")
	}
	return nil
}

// Kinds of buf whose checksums were verified.
const (
	kindBlockBitmap = 1 + iota
	kindInodeBitmap
	kindDir
	kindExtents
)

// blockBitmap returns the block bitmap of a group.
func (fs *FS) blockBitmap(d group) (*buf, error) {
	b, err := fs.bread(d.block(gdBlockBitmap))
	if err != nil || b.kind == kindBlockBitmap {
		return b, err
	}
	if d.flags()&gdBlockUninit != 0 {
		if err := fs.layBlockBitmap(d, b.data); err != nil {
			return nil, err
		}
	} else if fs.checksums && !d.bitmapSealed(b.data, int(fs.perGroup/8), gdBlockCsum, gdBlockCsumHi) {
		return nil, damage(groupName(d.g), "checksum of its block bitmap is wrong")
	}
	b.kind = kindBlockBitmap
	return b, nil
}

// layBlockBitmap makes the bitmap of a group that nothing was ever allocated in:
// what is used is metadata.
func (fs *FS) layBlockBitmap(d group, p []byte) error {
	clear(p)
	setBits(p, 0, int(fs.baseBlocks(d.g)))
	start, end := fs.groupStart(d.g), fs.groupStart(d.g)+uint64(fs.groupBlocks(d.g))
	lay := func(b uint64, n uint32) {
		for ; n > 0; n, b = n-1, b+1 {
			if b >= start && b < end {
				setBits(p, int(b-start), 1)
			}
		}
	}
	// With flex_bg the bitmaps and tables of other groups may be in this one.
	first, last := d.g, d.g
	if fs.flex {
		first, last = 0, fs.groups-1
	}
	for g := first; g <= last; g++ {
		o, err := fs.group(g)
		if err != nil {
			return err
		}
		lay(o.block(gdBlockBitmap), 1)
		lay(o.block(gdInodeBitmap), 1)
		lay(o.block(gdInodeTable), fs.itableBlocks())
	}
	setBits(p, int(fs.groupBlocks(d.g)), 8*fs.bs-int(fs.groupBlocks(d.g)))
	return nil
}

// inodeBitmap returns the inode bitmap of a group.
func (fs *FS) inodeBitmap(d group) (*buf, error) {
	b, err := fs.bread(d.block(gdInodeBitmap))
	if err != nil || b.kind == kindInodeBitmap {
		return b, err
	}
	if d.flags()&gdInodeUninit != 0 {
		clear(b.data)
		setBits(b.data, int(fs.inodesPer), 8*fs.bs-int(fs.inodesPer))
	} else if fs.checksums && !d.bitmapSealed(b.data, int(fs.inodesPer/8), gdInodeCsum, gdInodeCsumHi) {
		return nil, damage(groupName(d.g), "checksum of its inode bitmap is wrong")
	}
	b.kind = kindInodeBitmap
	return b, nil
}

// bitmapSealed reports whether a bitmap of n bytes has the checksum that d says.
func (d group) bitmapSealed(p []byte, n, low, high int) bool {
	sum := crc(d.fs.seed, p[:n])
	if len(d.d) < 64 {
		return uint16(sum) == u16(d.d, low)
	}
	return sum == uint32(u16(d.d, low))|uint32(u16(d.d, high))<<16
}

// sealBitmap sets the checksum of a bitmap in d; d is to be sealed behind it.
func (d group) sealBitmap(p []byte, n, low, high int) {
	if !d.fs.checksums {
		return
	}
	sum := crc(d.fs.seed, p[:n])
	put16(d.d, low, uint16(sum))
	if len(d.d) >= 64 {
		put16(d.d, high, uint16(sum>>16))
	}
}
