package ext4

// Files of ext2 and ext3 have maps of their blocks (ifork.rst, "Direct/Indirect
// Block Addressing"): twelve blocks, and one block each with the numbers of
// further ones, of such blocks, and of blocks of such blocks. They are only read.

const directBlocks = 12

// hasMap reports whether an inode has, or may have, a map of blocks or something
// else in its place that is not known here.
func (in *Inode) hasMap() bool {
	switch in.mode & ModeFmt {
	case ModeReg, ModeDir:
		return in.flags&flagExtents == 0
	case ModeLink:
		return in.flags&flagExtents == 0 && in.size >= blockBytes
	}
	return false
}

// mapped returns the extent of one block that block l is in, or a hole of one.
func (in *Inode) mapped(l uint32) (extent, error) {
	if in.flags&flagStrange != 0 {
		return extent{}, EOPNOTSUPP
	}
	e := extent{logical: l, n: 1}
	i := uint64(l)
	if i < directBlocks {
		e.start = uint64(u32(in.block[:], int(4*i)))
		return e, in.checkMapped(e)
	}
	i -= directBlocks
	per := uint64(in.fs.bs / 4)
	level, span := 1, per
	for i >= span {
		i -= span
		level, span = level+1, span*per
		if level > 3 {
			return e, nil
		}
	}
	blk := uint64(u32(in.block[:], 4*(directBlocks+level-1)))
	for blk != 0 && level > 0 {
		b, err := in.fs.bread(blk)
		if err != nil {
			return e, err
		}
		span /= per
		blk = uint64(u32(b.data, int(4*(i/span))))
		i %= span
		level--
	}
	e.start = blk
	return e, in.checkMapped(e)
}

func (in *Inode) checkMapped(e extent) error {
	if e.start == 0 {
		return nil
	}
	return in.checkExtent(e)
}

// mappedExtents calls each with all blocks of a file that has a map.
func (in *Inode) mappedExtents(each func(extent) error) error {
	for l := int64(0); l < (in.size+int64(in.fs.bs)-1)>>in.fs.shift; l++ {
		e, err := in.mapped(uint32(l))
		if err == nil && e.start != 0 {
			err = each(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mapBlocks calls each with all blocks that a map leads to, those of the map too.
func (in *Inode) mapBlocks(each func(blk uint64) error) error {
	for i := range directBlocks + 3 {
		blk := uint64(u32(in.block[:], 4*i))
		if err := in.mapTree(blk, max(i-directBlocks+1, 0), each); err != nil {
			return err
		}
	}
	return nil
}

func (in *Inode) mapTree(blk uint64, level int, each func(blk uint64) error) error {
	if blk == 0 {
		return nil
	}
	if err := in.checkMapped(extent{n: 1, start: blk}); err != nil {
		return err
	}
	if err := each(blk); err != nil || level == 0 {
		return err
	}
	b, err := in.fs.bread(blk)
	if err != nil {
		return err
	}
	for off := 0; off < in.fs.bs; off += 4 {
		if err := in.mapTree(uint64(u32(b.data, off)), level-1, each); err != nil {
			return err
		}
	}
	return nil
}
