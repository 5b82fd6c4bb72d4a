package ext4

// heldBlocks are blocks of a group that may not be allocated although its bitmap
// says that they are free: those that were freed in a transaction which is not
// committed yet, and those that data is being written to which nothing refers to
// yet.
type heldBlocks struct {
	bits []byte
	n    int
}

// hold keeps blocks, which lie in one group, from being allocated.
func (fs *FS) hold(r run) {
	g, at := fs.groupOf(r.start)
	h := fs.held[g]
	if h == nil {
		h = &heldBlocks{bits: make([]byte, fs.bs)}
		fs.held[g] = h
	}
	setBits(h.bits, int(at), r.n)
	h.n += r.n
}

// release reverts hold.
func (fs *FS) release(r run) {
	g, at := fs.groupOf(r.start)
	h := fs.held[g]
	clearBits(h.bits, int(at), r.n)
	if h.n -= r.n; h.n == 0 && len(fs.held) > 16 {
		delete(fs.held, g)
	}
}

// metaReserve is how many blocks data leaves free, so that files can be removed,
// and directories and extent trees grow a little, on a full volume.
func (fs *FS) metaReserve() uint64 { return min(32, fs.blocks/256) }

// room returns how many blocks may still be promised to data. Each promise also
// pays for what refers to the data, in the worst case.
func (fs *FS) room() uint64 {
	perLeaf := uint64(fs.bs/extentSize - 2)
	taken := fs.dying + fs.delayed + fs.delayed/perLeaf + fs.metaReserve()
	return fs.freeBlocks - min(fs.freeBlocks, taken)
}

// find looks for up to want free blocks in a row, at goal or near it. It returns
// the first place that has them all, else the best of some.
func (fs *FS) find(goal uint64, want int) (run, error) {
	if goal < uint64(fs.first) || goal >= fs.blocks {
		goal = uint64(fs.first)
	}
	home, at := fs.groupOf(goal)
	var best run
	fits := 0 // groups that had something
	for i := uint32(0); i <= fs.groups && fits < 8; i++ {
		g := (home + i) % fs.groups
		from := 0
		if i == 0 {
			from = int(at)
		}
		r, err := fs.findIn(g, from, want, i == 0)
		if err != nil {
			return run{}, err
		}
		if r.n > best.n {
			best = r
		}
		if best.n >= want {
			break
		}
		if r.n > 0 {
			fits++
		}
	}
	if best.n == 0 {
		return run{}, ENOSPC
	}
	return best, nil
}

// findIn looks in one group, from bit from on. What begins right there is taken
// even if it is short, if near is set: it continues a file.
func (fs *FS) findIn(g uint32, from, want int, near bool) (run, error) {
	d, err := fs.group(g)
	if err != nil || d.freeBlocks() == 0 {
		return run{}, err
	}
	b, err := fs.blockBitmap(d)
	if err != nil {
		return run{}, err
	}
	var held []byte
	if h := fs.held[g]; h != nil {
		held = h.bits
	}
	end := int(fs.groupBlocks(g))
	bestAt, bestN := 0, 0
	for i := nextClear(b.data, held, from, end); i < end; {
		n := nextSet(b.data, held, i, min(end, i+want)) - i
		if n > bestN {
			bestAt, bestN = i, n
		}
		if n >= want || near && i == from && n >= min(want, 8) {
			break
		}
		i = nextClear(b.data, held, i+n, end)
	}
	return run{fs.groupStart(g) + uint64(bestAt), min(bestN, want)}, nil
}

// use marks free blocks, which lie in one group, as used.
func (fs *FS) use(r run) error {
	g, at := fs.groupOf(r.start)
	d, b, err := fs.bitmapOf(g)
	if err != nil {
		return err
	}
	if countBits(b.data, int(at), r.n) != 0 || d.freeBlocks() < uint32(r.n) {
		return damage(groupName(g), "its block bitmap and its count disagree")
	}
	fs.change(b)
	fs.change(d.b)
	setBits(b.data, int(at), r.n)
	d.putCount(gdFreeBlocks, gdFreeBlksHi, d.freeBlocks()-uint32(r.n))
	put16(d.d, gdFlags, d.flags()&^gdBlockUninit)
	d.sealBitmap(b.data, int(fs.perGroup/8), gdBlockCsum, gdBlockCsumHi)
	d.seal()
	fs.freeBlocks -= uint64(r.n)
	return nil
}

func (fs *FS) bitmapOf(g uint32) (group, *buf, error) {
	d, err := fs.group(g)
	if err != nil {
		return d, nil, err
	}
	b, err := fs.blockBitmap(d)
	return d, b, err
}

// free marks blocks as free. They are not used again before that is committed.
func (fs *FS) free(r run) error {
	if r.start <= uint64(fs.first) || r.start >= fs.blocks || uint64(r.n) > fs.blocks-r.start {
		return damage(blockName(r.start), "is to be freed, and no such block is there")
	}
	for r.n > 0 {
		g, at := fs.groupOf(r.start)
		n := min(r.n, int(fs.groupBlocks(g)-at))
		if err := fs.freeIn(g, int(at), n); err != nil {
			return err
		}
		r.start, r.n = r.start+uint64(n), r.n-n
	}
	return nil
}

func (fs *FS) freeIn(g uint32, at, n int) error {
	d, b, err := fs.bitmapOf(g)
	if err != nil {
		return err
	}
	if countBits(b.data, at, n) != n {
		return damage(groupName(g), "blocks are freed twice")
	}
	fs.change(b)
	fs.change(d.b)
	clearBits(b.data, at, n)
	d.putCount(gdFreeBlocks, gdFreeBlksHi, d.freeBlocks()+uint32(n))
	put16(d.d, gdFlags, d.flags()&^gdBlockUninit)
	d.sealBitmap(b.data, int(fs.perGroup/8), gdBlockCsum, gdBlockCsumHi)
	d.seal()
	fs.freeBlocks += uint64(n)
	r := run{fs.groupStart(g) + uint64(at), n}
	fs.hold(r)
	fs.op.freed = append(fs.op.freed, r)
	return nil
}

// allocMeta allocates a block for metadata near goal.
func (fs *FS) allocMeta(goal uint64) (*buf, error) {
	// What was promised to data counts only as far as data was promised; the rest
	// of the reserve is for this.
	if fs.freeBlocks <= fs.dying+fs.delayed {
		return nil, ENOSPC
	}
	r, err := fs.findAny(goal, 1)
	if err != nil {
		return nil, err
	}
	if err := fs.use(r); err != nil {
		return nil, err
	}
	return fs.fresh(r.start), nil
}

// freeMeta frees a block of metadata.
func (fs *FS) freeMeta(blk uint64) error {
	if err := fs.free(run{blk, 1}); err != nil {
		return err
	}
	fs.forget(blk)
	return nil
}

// allocInode allocates an inode for a file of the type of mode, in a directory
// whose inode is in group near. Directories are spread.
func (fs *FS) allocInode(near uint32, mode uint32) (uint32, error) {
	dir := mode&ModeFmt == ModeDir
	if dir {
		near = fs.dirGroup(near)
	}
	for i := range fs.groups {
		d, err := fs.group((near + i) % fs.groups)
		if err != nil {
			return 0, err
		}
		if d.freeInodes() == 0 {
			continue
		}
		ino, err := fs.takeInode(d, dir)
		if ino != 0 || err != nil {
			return ino, err
		}
	}
	return 0, ENOSPC
}

// dirGroup chooses a group for a new directory: the parent's, unless that is well
// filled while the next ones are not.
func (fs *FS) dirGroup(near uint32) uint32 {
	for i := range min(fs.groups, 64) {
		g := (near + i) % fs.groups
		d, err := fs.group(g)
		if err != nil {
			break
		}
		if d.freeBlocks() > fs.groupBlocks(g)/4 && d.freeInodes() > fs.inodesPer/4 {
			return g
		}
	}
	return near
}

func (fs *FS) takeInode(d group, dir bool) (uint32, error) {
	b, err := fs.inodeBitmap(d)
	if err != nil {
		return 0, err
	}
	from := 0
	if d.g == 0 {
		from = int(fs.firstIno) - 1
	}
	i := nextClear(b.data, nil, from, int(fs.inodesPer))
	if i >= int(fs.inodesPer) {
		return 0, nil
	}
	fs.change(b)
	fs.change(d.b)
	setBits(b.data, i, 1)
	d.putCount(gdFreeInodes, gdFreeInosHi, d.freeInodes()-1)
	if dir {
		d.putCount(gdUsedDirs, gdUsedDirsHi, d.count(gdUsedDirs, gdUsedDirsHi)+1)
	}
	if unused := fs.inodesPer - uint32(i) - 1; d.count(gdUnused, gdUnusedHi) > unused {
		d.putCount(gdUnused, gdUnusedHi, unused)
	}
	put16(d.d, gdFlags, d.flags()&^gdInodeUninit)
	d.sealBitmap(b.data, int(fs.inodesPer/8), gdInodeCsum, gdInodeCsumHi)
	d.seal()
	fs.freeInodes--
	return d.g*fs.inodesPer + uint32(i) + 1, nil
}

// freeInode marks an inode as free.
func (fs *FS) freeInode(ino uint32, dir bool) error {
	g, i := (ino-1)/fs.inodesPer, int((ino-1)%fs.inodesPer)
	d, err := fs.group(g)
	if err != nil {
		return err
	}
	b, err := fs.inodeBitmap(d)
	if err != nil {
		return err
	}
	if !testBit(b.data, i) {
		return damage(inodeName(ino), "is freed twice")
	}
	fs.change(b)
	fs.change(d.b)
	clearBits(b.data, i, 1)
	d.putCount(gdFreeInodes, gdFreeInosHi, d.freeInodes()+1)
	if n := d.count(gdUsedDirs, gdUsedDirsHi); dir && n > 0 {
		d.putCount(gdUsedDirs, gdUsedDirsHi, n-1)
	}
	d.sealBitmap(b.data, int(fs.inodesPer/8), gdInodeCsum, gdInodeCsumHi)
	d.seal()
	fs.freeInodes++
	return nil
}
