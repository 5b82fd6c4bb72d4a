package ext4

// An extent is blocks of a file that lie in a row (ifork.rst).
type extent struct {
	logical   uint32 // the first block, in the file
	n         uint32
	start     uint64 // on the volume; 0 for a hole
	unwritten bool   // it reads as zeros
}

func (e extent) end() uint64 { return uint64(e.logical) + uint64(e.n) }

const (
	extentSize   = 12 // bytes of an entry, and of the header
	extentMagic  = 0xF30A
	maxExtent    = 32768 // blocks; one less for unwritten ones
	maxDepth     = 5
	maxFileBlock = 1<<32 - 1
)

// A node is a node of an extent tree: a header and entries.
type node []byte

func (n node) entries() int       { return int(u16(n, 2)) }
func (n node) max() int           { return int(u16(n, 4)) }
func (n node) depth() int         { return int(u16(n, 6)) }
func (n node) setEntries(k int)   { put16(n, 2, uint16(k)) }
func (n node) full() bool         { return n.entries() >= n.max() }
func (n node) entry(i int) []byte { return n[extentSize*(i+1) : extentSize*(i+2)] }
func (n node) key(i int) uint32   { return u32(n.entry(i), 0) }

func (n node) init(max, depth int) {
	put16(n, 0, extentMagic)
	put16(n, 2, 0)
	put16(n, 4, uint16(max))
	put16(n, 6, uint16(depth))
	put32(n, 8, 0)
}

// check reports whether n can be a node of a depth: its entries are in it.
func (n node) check(depth int) bool {
	room := (len(n) - extentSize) / extentSize
	return u16(n, 0) == extentMagic && n.depth() == depth && depth <= maxDepth && n.max() <= room && n.max() > 0 && n.entries() <= n.max()
}

// extent returns entry i of a leaf.
func (n node) extent(i int) extent {
	e := n.entry(i)
	x := extent{logical: u32(e, 0), n: uint32(u16(e, 4)), start: uint64(u16(e, 6))<<32 | uint64(u32(e, 8))}
	if x.n > maxExtent {
		x.n, x.unwritten = x.n-maxExtent, true
	}
	return x
}

func (n node) putExtent(i int, x extent) {
	e := n.entry(i)
	put32(e, 0, x.logical)
	size := x.n
	if x.unwritten {
		size += maxExtent
	}
	put16(e, 4, uint16(size))
	put16(e, 6, uint16(x.start>>32))
	put32(e, 8, uint32(x.start))
}

// child returns where entry i of an index leads.
func (n node) child(i int) uint64 {
	e := n.entry(i)
	return uint64(u16(e, 8))<<32 | uint64(u32(e, 4))
}

func (n node) putChild(i int, key uint32, blk uint64) {
	e := n.entry(i)
	put32(e, 0, key)
	put32(e, 4, uint32(blk))
	put16(e, 8, uint16(blk>>32))
	put16(e, 10, 0)
}

// search returns the last entry whose key is not greater than l, -1 if there is
// none.
func (n node) search(l uint32) int {
	low, high := 0, n.entries()
	for low < high {
		mid := (low + high) / 2
		if n.key(mid) <= l {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low - 1
}

// open makes a gap at entry i.
func (n node) open(i int) {
	k := n.entries()
	copy(n[extentSize*(i+2):], n[extentSize*(i+1):extentSize*(k+1)])
	n.setEntries(k + 1)
}

// remove closes entry i.
func (n node) remove(i int) {
	k := n.entries()
	copy(n[extentSize*(i+1):], n[extentSize*(i+2):extentSize*(k+1)])
	clear(n.entry(k - 1))
	n.setEntries(k - 1)
}

// A step is a node on the way to a leaf: the entry taken there, and the buf that
// the node is in, nil for the root, which is in the inode.
type step struct {
	n  node
	at int
	b  *buf
}

// initTree makes an empty tree.
func (in *Inode) initTree() {
	clear(in.block[:])
	node(in.block[:]).init(4, 0)
}

// nodeBlock reads a node that has a block of its own.
func (in *Inode) nodeBlock(blk uint64, depth int) (*buf, error) {
	b, err := in.fs.bread(blk)
	if err != nil {
		return nil, err
	}
	n := node(b.data)
	if !n.check(depth) {
		return nil, damage(inodeName(in.ino)+", "+blockName(blk), "is no node of an extent tree")
	}
	if in.fs.checksums && b.kind != kindExtents && !in.nodeSealed(n) {
		return nil, damage(inodeName(in.ino)+", "+blockName(blk), "checksum of the extent tree is wrong")
	}
	b.kind = kindExtents
	return b, nil
}

// nodeSum returns the place of a node's checksum and what it should be.
func (in *Inode) nodeSum(n node) (off int, sum uint32) {
	off = extentSize * (n.max() + 1)
	if off+4 > len(n) {
		return -1, 0
	}
	return off, crc(in.fs.inodeSeed(in.ino, in.gen), n[:off])
}

func (in *Inode) nodeSealed(n node) bool {
	off, sum := in.nodeSum(n)
	return off >= 0 && u32(n, off) == sum
}

// seal sets the checksum of a step's node after a change.
func (in *Inode) seal(s step) {
	if s.b == nil || !in.fs.checksums {
		return
	}
	if off, sum := in.nodeSum(s.n); off >= 0 {
		put32(s.n, off, sum)
	}
}

// prepare says that a step's node will be changed.
func (in *Inode) prepare(s step) {
	if s.b == nil {
		in.touch()
		return
	}
	in.fs.change(s.b)
}

// path returns the way to the leaf where block l is or would be.
func (in *Inode) path(l uint32) ([]step, error) {
	root := node(in.block[:])
	if in.flags&flagExtents == 0 {
		return nil, EOPNOTSUPP
	}
	if !root.check(root.depth()) {
		return nil, damage(inodeName(in.ino), "its extent tree has no root")
	}
	way := make([]step, 0, maxDepth+1)
	s := step{n: root}
	for d := root.depth(); ; d-- {
		s.at = s.n.search(l)
		if d == 0 {
			return append(way, s), nil
		}
		if s.n.entries() == 0 {
			return nil, damage(inodeName(in.ino), "its extent tree has an empty index")
		}
		s.at = max(s.at, 0)
		way = append(way, s)
		b, err := in.nodeBlock(s.n.child(s.at), d-1)
		if err != nil {
			return nil, err
		}
		s = step{n: node(b.data), b: b}
	}
}

// lookup returns the extent that block l of a file is in, or the hole there, of
// at least one block.
func (in *Inode) lookup(l uint32) (extent, error) {
	if in.flags&flagExtents == 0 {
		return in.mapped(l)
	}
	way, err := in.path(l)
	if err != nil {
		return extent{}, err
	}
	leaf := way[len(way)-1]
	hole := extent{logical: l, n: maxFileBlock - l}
	if leaf.at >= 0 {
		e := leaf.n.extent(leaf.at)
		if uint64(l) < e.end() {
			return e, in.checkExtent(e)
		}
	}
	if leaf.at+1 < leaf.n.entries() {
		hole.n = leaf.n.key(leaf.at+1) - l
		return hole, nil
	}
	for i := len(way) - 2; i >= 0; i-- {
		if s := way[i]; s.at+1 < s.n.entries() {
			hole.n = max(s.n.key(s.at+1)-l, 1)
			break
		}
	}
	return hole, nil
}

// checkExtent checks that an extent is on the volume.
func (in *Inode) checkExtent(e extent) error {
	if e.n == 0 || e.start <= uint64(in.fs.first) || e.start >= in.fs.blocks || uint64(e.n) > in.fs.blocks-e.start || e.end() > maxFileBlock+1 {
		return damage(inodeName(in.ino), "has blocks beyond the end of the volume")
	}
	return nil
}

// extents calls each with all extents in order.
func (in *Inode) extents(each func(extent) error) error {
	if in.flags&flagExtents == 0 {
		return in.mappedExtents(each)
	}
	return in.walkTree(each, func(uint64) error { return nil })
}

// walkTree calls each with all extents in order, and index with the blocks of the
// tree. It ends whatever the tree looks like.
func (in *Inode) walkTree(each func(extent) error, index func(blk uint64) error) error {
	root := node(in.block[:])
	if !root.check(root.depth()) {
		return damage(inodeName(in.ino), "its extent tree has no root")
	}
	w := treeWalk{in: in, each: each, index: index, left: in.fs.blocks}
	return w.node(root)
}

// A treeWalk goes through an extent tree.
type treeWalk struct {
	in    *Inode
	each  func(extent) error
	index func(blk uint64) error
	next  uint64 // the least logical block that may follow
	left  uint64 // nodes that may follow
}

func (w *treeWalk) node(n node) error {
	if n.depth() == 0 {
		return w.leaf(n)
	}
	for i := range n.entries() {
		if w.left == 0 || uint64(n.key(i)) < w.next {
			return damage(inodeName(w.in.ino), "its extent tree is not in order")
		}
		w.left--
		blk := n.child(i)
		b, err := w.in.nodeBlock(blk, n.depth()-1)
		if err != nil {
			return err
		}
		if err := w.index(blk); err != nil {
			return err
		}
		if err := w.node(node(b.data)); err != nil {
			return err
		}
	}
	return nil
}

func (w *treeWalk) leaf(n node) error {
	for i := range n.entries() {
		e := n.extent(i)
		if uint64(e.logical) < w.next {
			return damage(inodeName(w.in.ino), "its extents overlap or are not in order")
		}
		if err := w.in.checkExtent(e); err != nil {
			return err
		}
		w.next = e.end()
		if err := w.each(e); err != nil {
			return err
		}
	}
	return nil
}
