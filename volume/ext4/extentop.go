package ext4

// insert adds an extent, where there is a hole. Blocks of the tree are allocated
// as it grows.
func (in *Inode) insert(e extent) error {
	for {
		way, err := in.path(e.logical)
		if err != nil {
			return err
		}
		leaf := way[len(way)-1]
		if in.merge(leaf, e) {
			return nil
		}
		if !leaf.n.full() {
			in.place(way, e)
			return nil
		}
		if err := in.makeRoom(way, e.logical); err != nil {
			return err
		}
	}
}

// follows reports whether b continues a, in one extent.
func follows(a, b extent) bool {
	limit := uint32(maxExtent)
	if a.unwritten {
		limit--
	}
	return a.end() == uint64(b.logical) && a.start+uint64(a.n) == b.start && a.unwritten == b.unwritten && a.n+b.n <= limit
}

// merge adds e to one of its neighbours in a leaf, if it continues it.
func (in *Inode) merge(leaf step, e extent) bool {
	if leaf.at >= 0 {
		if left := leaf.n.extent(leaf.at); follows(left, e) {
			in.prepare(leaf)
			left.n += e.n
			leaf.n.putExtent(leaf.at, left)
			in.seal(leaf)
			return true
		}
	}
	// At the front of a leaf the keys above would change.
	if i := leaf.at + 1; i > 0 && i < leaf.n.entries() {
		if right := leaf.n.extent(i); follows(e, right) {
			in.prepare(leaf)
			e.n += right.n
			leaf.n.putExtent(i, e)
			in.seal(leaf)
			return true
		}
	}
	return false
}

// place puts e into a leaf that has room.
func (in *Inode) place(way []step, e extent) {
	leaf := way[len(way)-1]
	in.prepare(leaf)
	leaf.n.open(leaf.at + 1)
	leaf.n.putExtent(leaf.at+1, e)
	in.seal(leaf)
	for i := len(way) - 2; i >= 0; i-- {
		s := way[i]
		if s.n.key(s.at) <= e.logical {
			break
		}
		in.prepare(s)
		put32(s.n.entry(s.at), 0, e.logical)
		in.seal(s)
	}
}

// makeRoom splits one node on a way whose leaf is full, or makes the tree higher.
func (in *Inode) makeRoom(way []step, l uint32) error {
	i := len(way) - 2
	for i >= 0 && way[i].n.full() {
		i--
	}
	if i < 0 {
		return in.grow(way[0])
	}
	return in.split(way[i], way[i+1], l)
}

// newNode allocates a block for a node.
func (in *Inode) newNode(depth int) (step, error) {
	b, err := in.fs.allocMeta(in.goal())
	if err != nil {
		return step{}, err
	}
	in.touch()
	in.sectors += uint64(in.fs.bs / 512)
	n := node(b.data)
	n.init((in.fs.bs-extentSize-4)/extentSize, depth)
	b.kind = kindExtents
	return step{n: n, b: b}, nil
}

// grow moves what is in the root to a block of its own.
func (in *Inode) grow(root step) error {
	if root.n.depth() >= maxDepth {
		return EFBIG
	}
	s, err := in.newNode(root.n.depth())
	if err != nil {
		return err
	}
	k, key := root.n.entries(), root.n.key(0)
	copy(s.n[extentSize:], root.n[extentSize:extentSize*(k+1)])
	s.n.setEntries(k)
	in.seal(s)
	in.touch()
	root.n.init(4, root.n.depth()+1)
	root.n.setEntries(1)
	root.n.putChild(0, key, s.b.block)
	return nil
}

// split moves the upper half of a node to a new one, which the node above has
// room for. What is written in order fills its nodes.
func (in *Inode) split(above, s step, l uint32) error {
	k := s.n.entries()
	cut, key := k/2, uint32(0)
	switch leaf := s.n.depth() == 0; {
	case leaf && s.at == k-1:
		cut, key = k, l
	case !leaf && s.at == k-1:
		cut = k - 1
	}
	if cut < k {
		key = s.n.key(cut)
	}
	right, err := in.newNode(s.n.depth())
	if err != nil {
		return err
	}
	in.prepare(s)
	copy(right.n[extentSize:], s.n[extentSize*(cut+1):extentSize*(k+1)])
	right.n.setEntries(k - cut)
	clear(s.n[extentSize*(cut+1) : extentSize*(k+1)])
	s.n.setEntries(cut)
	in.seal(s)
	in.seal(right)
	in.prepare(above)
	above.n.open(above.at + 1)
	above.n.putChild(above.at+1, key, right.b.block)
	in.seal(above)
	return nil
}

// cut frees the blocks from block l on, last first. It reports whether all are
// freed; if not, the operation has become long and it is to be called again in
// another.
func (in *Inode) cut(l uint64) (bool, error) {
	in.touch()
	for !in.fs.long() {
		way, err := in.path(maxFileBlock)
		if err != nil {
			return false, err
		}
		leaf := way[len(way)-1]
		k := leaf.n.entries()
		if k == 0 {
			if len(way) == 1 {
				return true, nil
			}
			if err := in.prune(way); err != nil {
				return false, err
			}
			continue
		}
		e := leaf.n.extent(k - 1)
		if err := in.checkExtent(e); err != nil {
			return false, err
		}
		if e.end() <= l {
			return true, nil
		}
		if err := in.cutExtent(leaf, k-1, e, l); err != nil {
			return false, err
		}
	}
	return false, nil
}

// cutExtent frees the blocks of an extent from l on.
func (in *Inode) cutExtent(leaf step, i int, e extent, l uint64) error {
	keep := uint32(0)
	if l > uint64(e.logical) {
		keep = uint32(l - uint64(e.logical))
	}
	in.prepare(leaf)
	freed := run{e.start + uint64(keep), int(e.n - keep)}
	if keep == 0 {
		leaf.n.remove(i)
	} else {
		e.n = keep
		leaf.n.putExtent(i, e)
	}
	in.seal(leaf)
	in.sectors -= min(in.sectors, uint64(freed.n)*uint64(in.fs.bs/512))
	if err := in.fs.free(freed); err != nil {
		return err
	}
	if in.mode&ModeFmt != ModeReg {
		for b := range freed.n {
			in.fs.forget(freed.start + uint64(b))
		}
	}
	return nil
}

// prune removes the last leaf, which is empty, and the nodes above that become so.
func (in *Inode) prune(way []step) error {
	for i := len(way) - 1; i > 0; i-- {
		if way[i].n.entries() > 0 {
			return nil
		}
		if err := in.fs.freeMeta(way[i].b.block); err != nil {
			return err
		}
		in.sectors -= min(in.sectors, uint64(in.fs.bs/512))
		above := way[i-1]
		in.prepare(above)
		above.n.remove(above.at)
		in.seal(above)
	}
	if way[0].n.entries() == 0 {
		in.initTree()
	}
	return nil
}

// wrote says that n blocks from block l on, which lie in one unwritten extent,
// have contents now.
func (in *Inode) wrote(l, n uint32) error {
	way, err := in.path(l)
	if err != nil {
		return err
	}
	leaf := way[len(way)-1]
	if leaf.at < 0 {
		return damage(inodeName(in.ino), "an extent is gone")
	}
	e := leaf.n.extent(leaf.at)
	if !e.unwritten || uint64(l)+uint64(n) > e.end() {
		return damage(inodeName(in.ino), "an unwritten extent is gone")
	}
	before, after := l-e.logical, e.n-(l-e.logical)-n
	pieces := make([]extent, 0, 3)
	if before > 0 {
		pieces = append(pieces, extent{e.logical, before, e.start, true})
	}
	pieces = append(pieces, extent{l, n, e.start + uint64(before), false})
	if after > 0 {
		pieces = append(pieces, extent{l + n, after, e.start + uint64(before) + uint64(n), true})
	}
	in.prepare(leaf)
	leaf.n.putExtent(leaf.at, pieces[0])
	in.seal(leaf)
	for _, p := range pieces[1:] {
		if err := in.insert(p); err != nil {
			return err
		}
	}
	return nil
}

// goal returns where a block for the end of a file would best be.
func (in *Inode) goal() uint64 {
	fs := in.fs
	if in.flags&flagExtents != 0 {
		if way, err := in.path(maxFileBlock); err == nil {
			if leaf := way[len(way)-1]; leaf.at >= 0 {
				e := leaf.n.extent(leaf.at)
				return e.start + uint64(e.n)
			}
		}
	}
	return fs.groupStart((in.ino - 1) / fs.inodesPer)
}
