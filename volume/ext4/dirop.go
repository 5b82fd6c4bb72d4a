package ext4

// addName adds an entry to a directory, which has none of that name.
func (in *Inode) addName(name string, ino uint32, typ byte) error {
	in.touch()
	if in.flags&flagIndex != 0 {
		if err := in.unindex(); err != nil {
			return err
		}
	}
	n := in.dirBlocks()
	if n > 1 {
		if err := in.makeIndex(); err != nil {
			return err
		}
	}
	for l := range n {
		if in.index != nil && n > 1 && int(in.index.room[l]) < need(len(name)) {
			continue
		}
		b, err := in.dirBlock(l)
		if err != nil {
			return err
		}
		if in.putName(l, b, name, ino, typ) {
			return in.dirChanged()
		}
	}
	b, err := in.addBlock(n)
	if err != nil {
		return err
	}
	in.putName(n, b, name, ino, typ)
	return in.dirChanged()
}

// dirChanged sets the times of a directory that was changed.
func (in *Inode) dirChanged() error {
	in.touch()
	in.mtime = in.fs.now()
	in.ctime = in.mtime
	return in.store()
}

// putName puts an entry into a block, if it has space.
func (in *Inode) putName(l uint32, b *buf, name string, ino uint32, typ byte) bool {
	size := need(len(name))
	return eachEntry(b.data, func(e dirent, _ int) bool {
		if e.len-e.used() < size || in.fs.isTail(e) {
			return false
		}
		in.fs.change(b)
		off := e.off
		if used := e.used(); used > 0 {
			put16(b.data, off+4, uint16(used))
			off += used
		}
		putEntry(b.data, off, e.off+e.len-off, ino, typ, name)
		in.sealDir(l, b.data)
		if in.index != nil {
			in.index.add(nameHash(name), l, off, in.fs.shift)
		}
		in.changed(l, b.data)
		return true
	})
}

func putEntry(p []byte, off, size int, ino uint32, typ byte, name string) {
	put32(p, off, ino)
	put16(p, off+4, uint16(size))
	p[off+6], p[off+7] = byte(len(name)), typ
	copy(p[off+entryHead:], name)
}

// addBlock adds an empty block to the end of a directory.
func (in *Inode) addBlock(l uint32) (*buf, error) {
	fs := in.fs
	b, err := fs.allocMeta(in.goal())
	if err != nil {
		return nil, err
	}
	in.touch()
	if err := in.insert(extent{logical: l, n: 1, start: b.block}); err != nil {
		return nil, err
	}
	put16(b.data, 4, uint16(fs.dirSpace()))
	in.sealDir(l, b.data)
	b.kind = kindDir
	in.size += int64(fs.bs)
	in.stored = in.size
	in.sectors += uint64(fs.bs / 512)
	if in.index != nil {
		in.index.room = append(in.index.room, uint16(fs.dirSpace()))
	}
	return b, nil
}

// removeName removes an entry.
func (in *Inode) removeName(at place) error {
	in.fs.change(at.b)
	in.touch()
	p := at.b.data
	if in.index != nil {
		in.index.remove(nameHash(string(at.e.name)), at.l, at.e.off, in.fs.shift)
	}
	if at.pre >= 0 {
		put16(p, at.pre+4, u16(p, at.pre+4)+uint16(at.e.len))
		clear(p[at.e.off : at.e.off+at.e.used()])
	} else {
		put32(p, at.e.off, 0)
		p[at.e.off+6], p[at.e.off+7] = 0, 0
	}
	in.sealDir(at.l, p)
	in.changed(at.l, p)
	return in.dirChanged()
}

// replaceName makes an entry lead to another inode.
func (in *Inode) replaceName(at place, ino uint32, typ byte) error {
	in.fs.change(at.b)
	put32(at.b.data, at.e.off, ino)
	at.b.data[at.e.off+7] = typ
	in.sealDir(at.l, at.b.data)
	return in.dirChanged()
}

// isEmpty reports whether a directory has no names but "." and "..".
func (in *Inode) isEmpty() (bool, error) {
	for l := range in.dirBlocks() {
		b, err := in.dirBlock(l)
		if err != nil {
			return false, err
		}
		if eachEntry(b.data, func(e dirent, _ int) bool {
			return e.ino != 0 && string(e.name) != "." && string(e.name) != ".."
		}) {
			return false, nil
		}
	}
	return true, nil
}

// makeDir gives a new directory its first block.
func (in *Inode) makeDir(parent uint32) error {
	b, err := in.addBlock(0)
	if err != nil {
		return err
	}
	putEntry(b.data, 0, need(1), in.ino, dirType(ModeDir), ".")
	putEntry(b.data, need(1), in.fs.dirSpace()-need(1), parent, dirType(ModeDir), "..")
	in.sealDir(0, b.data)
	in.touch()
	in.links = 2
	return in.store()
}

// setParent makes ".." of a directory lead to another one.
func (in *Inode) setParent(parent uint32) error {
	b, err := in.dirBlock(0)
	if err != nil {
		return err
	}
	e, ok := entryAt(b.data, need(1))
	if !ok || string(e.name) != ".." {
		return damage(in.where(0), `has no ".."`)
	}
	in.fs.change(b)
	put32(b.data, e.off, parent)
	in.sealDir(0, b.data)
	return nil
}

// Offsets in the root of an index (directory.rst, "Hash Tree Directories").
const (
	dxInfo    = 0x18 // of the root: reserved, hash version, length of this, levels
	dxRoot    = 0x20 // where the entries of the root begin
	dxNode    = 8    // where those of other nodes begin
	dxEntry   = 8
	maxLevels = 3
	maxNodes  = 48 // of an index that is dissolved: directories of 20,000 blocks
)

// sealRoot sets the checksum of the root of an index, whose ".." was changed.
func (in *Inode) sealRoot(p []byte) {
	limit, count := int(u16(p, dxRoot)), int(u16(p, dxRoot+2))
	off := dxRoot + limit*dxEntry
	if off+8 > len(p) || count > limit {
		return
	}
	c := crc(in.fs.inodeSeed(in.ino, in.gen), p[:dxRoot+count*dxEntry])
	c = crc(c, p[off:off+4])
	var zero [4]byte
	put32(p, off+4, crc(c, zero[:]))
}

// unindex turns a directory that has an index into a list: the blocks of the index
// become free space.
func (in *Inode) unindex() error {
	b, err := in.dirBlock(0)
	if err != nil {
		return err
	}
	levels := int(b.data[dxInfo+6])
	if levels > maxLevels {
		return damage(in.where(0), "its index is too high")
	}
	nodes := []uint32{0}
	for level, first := 0, 0; level < levels; level++ {
		last := len(nodes)
		for _, l := range nodes[first:last] {
			if nodes, err = in.indexChildren(nodes, l); err != nil {
				return err
			}
		}
		first = last
	}
	in.touch()
	in.flags &^= flagIndex
	in.index = nil
	for _, l := range nodes {
		if err := in.clearNode(l); err != nil {
			return err
		}
	}
	return in.store()
}

// indexChildren appends the blocks that a node of an index leads to.
func (in *Inode) indexChildren(nodes []uint32, l uint32) ([]uint32, error) {
	b, err := in.dirBlock(l)
	if err != nil {
		return nil, err
	}
	off := dxNode
	if l == 0 {
		off = dxRoot
	}
	count := int(u16(b.data, off+2))
	if off+count*dxEntry > in.fs.bs {
		return nil, damage(in.where(l), "its index is damaged")
	}
	for i := range count {
		nodes = append(nodes, u32(b.data, off+i*dxEntry+4)&0x0FFFFFFF)
	}
	if len(nodes) > maxNodes {
		return nil, EOPNOTSUPP
	}
	return nodes, nil
}

// clearNode makes free space of a node of an index.
func (in *Inode) clearNode(l uint32) error {
	b, err := in.dirBlock(l)
	if err != nil {
		return err
	}
	off := 0
	if l == 0 {
		off = need(1)
	} else if u32(b.data, 0) != 0 || int(u16(b.data, 4)) != in.fs.bs {
		return damage(in.where(l), "is no node of the index")
	}
	in.fs.change(b)
	put16(b.data, off+4, uint16(in.fs.dirSpace()-off))
	if l == 0 {
		clear(b.data[off+need(2):])
	} else {
		clear(b.data[6:])
	}
	in.sealDir(l, b.data)
	return nil
}
