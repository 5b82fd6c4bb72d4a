package ext4

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/tailor-os/tailor/block"
)

// maxProblems is how many problems Check lists.
const maxProblems = 100

// Check looks for contradictions on a volume that is not in use, without writing
// to it: in the superblock, the group descriptors and the bitmaps, the inodes and
// their blocks, the directories and the counts of links, and the list of orphans.
// What the journal holds is taken as if it had been replayed; what Open would do
// next, such as freeing orphans, is no problem. It returns what it found, one
// sentence each, at most 100; err is for a device that cannot be read.
//
// It keeps a bit for each block and some bytes for each file in memory.
func Check(dev block.Device) (problems []string, err error) {
	fs, err := Open(dev, Options{ReadOnly: true, CacheBytes: 16 << 20})
	if err != nil {
		return onlyDamage(nil, err)
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	c := &checker{fs: fs, used: make([]byte, (fs.blocks+63)/64*8), inodes: map[uint32]*checked{}, attrs: map[uint64]bool{}}
	for _, pass := range []func() error{c.orphans, c.layout, c.groups, c.tree, c.counts, c.bitmaps} {
		if err := pass(); err != nil {
			return onlyDamage(c.problems, err)
		}
	}
	return c.problems, nil
}

// onlyDamage adds err to problems if it tells of damage, else returns it.
func onlyDamage(problems []string, err error) ([]string, error) {
	var d *Damage
	if errors.As(err, &d) {
		return append(problems, strings.TrimPrefix(d.Error(), "ext4: ")), nil
	}
	return problems, err
}

// A checker checks a volume.
type checker struct {
	fs       *FS
	problems []string
	used     []byte // a bit for each block that something has
	inodes   map[uint32]*checked
	attrs    map[uint64]bool // blocks of attributes, which may be shared
	orphan   map[uint32]bool
}

// checked is what is known of an inode in use.
type checked struct {
	in    *Inode
	names uint32 // that lead to it, "." and ".." too
	subs  uint32
	seen  bool // a directory that was visited
}

// problem adds one, made of a place and what is wrong there.
func (c *checker) problem(where, what string) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, where+": "+what)
	}
}

// note adds err as a problem if it tells of damage; another one is returned.
func (c *checker) note(err error) error {
	var d *Damage
	if errors.As(err, &d) {
		c.problem(d.Where, d.What)
		return nil
	}
	return err
}

// claim marks blocks as used by somebody.
func (c *checker) claim(who string, start uint64, n int) error {
	if start >= c.fs.blocks || uint64(n) > c.fs.blocks-start {
		return damage(who, blockName(start)+" is beyond the end of the volume")
	}
	if start < 1<<62 && countBits(c.used, int(start), n) != 0 {
		return damage(who, "has blocks from "+strconv.FormatUint(start, 10)+" on that something else has too")
	}
	setBits(c.used, int(start), n)
	return nil
}

// orphans walks the list of orphans.
func (c *checker) orphans() error {
	c.orphan = map[uint32]bool{}
	for ino := u32(c.fs.super(), sbLastOrphan); ino != 0; {
		if c.orphan[ino] {
			c.problem("list of orphans", "has a loop at "+inodeName(ino))
			return nil
		}
		in, err := c.fs.inode(ino)
		if err != nil {
			return c.note(err)
		}
		c.orphan[ino] = true
		ino = in.dtime
	}
	return nil
}

// layout claims the blocks that the format itself needs.
func (c *checker) layout() error {
	fs := c.fs
	setBits(c.used, 0, int(fs.first))
	for g := range fs.groups {
		d, err := fs.group(g)
		if err != nil {
			return err
		}
		n := fs.baseBlocks(g)
		if fs.hasSuper(g) && fs.reservedGDT > 0 {
			n -= fs.reservedGDT // the resize inode has them
		}
		name := groupName(g)
		for _, r := range []run{
			{fs.groupStart(g), int(n)}, {d.block(gdBlockBitmap), 1}, {d.block(gdInodeBitmap), 1},
			{d.block(gdInodeTable), int(fs.itableBlocks())},
		} {
			if err := c.note(c.claim(name, r.start, r.n)); err != nil {
				return err
			}
		}
		fs.cache.trim()
	}
	return nil
}

// groups looks at all inodes that are in use.
func (c *checker) groups() error {
	fs := c.fs
	for g := range fs.groups {
		d, err := fs.group(g)
		if err != nil {
			return err
		}
		b, err := fs.inodeBitmap(d)
		if err != nil {
			if err := c.note(err); err != nil {
				return err
			}
			continue
		}
		end := int(fs.inodesPer)
		for i := nextSet(b.data, nil, 0, end); i < end; i = nextSet(b.data, nil, i+1, end) {
			if i >= end-int(d.count(gdUnused, gdUnusedHi)) {
				c.problem(groupName(g), "an inode is in use that the descriptor says never was")
			}
			if err := c.note(c.inode(g*fs.inodesPer + uint32(i) + 1)); err != nil {
				return err
			}
		}
		fs.cache.trim()
	}
	return nil
}

// inode looks at one inode that is in use.
func (c *checker) inode(ino uint32) error {
	if _, raw, err := c.fs.rawInode(ino); err != nil || ino < c.fs.firstIno && u16(raw, inMode) == 0 {
		return err
	}
	in, err := c.fs.inode(ino)
	if err != nil {
		return err
	}
	name := inodeName(ino)
	c.inodes[ino] = &checked{in: in}
	if dirType(in.mode) == 0 {
		return damage(name, "is of no known type")
	}
	if in.links == 0 && ino >= c.fs.firstIno && !c.orphan[ino] {
		c.problem(name, "is in use, but has no links and is no orphan")
	}
	return c.blocks(in)
}

// blocks claims the blocks of an inode, and compares their number and the size.
func (c *checker) blocks(in *Inode) error {
	name := inodeName(in.ino)
	n, last := uint64(0), uint64(0)
	claim := func(blk uint64, k int) error {
		n += uint64(k)
		return c.claim(name, blk, k)
	}
	var err error
	switch {
	case in.ino == resizeInode || in.hasMap() && in.flags&flagStrange == 0:
		err = in.mapBlocks(func(blk uint64) error { return claim(blk, 1) })
	case in.flags&flagExtents != 0:
		err = in.walkTree(func(e extent) error {
			if !e.unwritten {
				last = e.end()
			}
			return claim(e.start, int(e.n))
		}, func(blk uint64) error { return claim(blk, 1) })
	default:
		return nil
	}
	if err == nil && in.acl != 0 {
		n++
		if !c.attrs[in.acl] {
			c.attrs[in.acl] = true
			err = c.claim(name, in.acl, 1)
		}
	}
	if err != nil {
		return err
	}
	if n*uint64(c.fs.bs/512) != in.sectors {
		c.problem(name, "has "+strconv.FormatUint(n, 10)+" blocks, and says "+strconv.FormatUint(in.sectors*512>>c.fs.shift, 10))
	}
	if last > uint64(in.size+int64(c.fs.bs)-1)>>c.fs.shift && !c.orphan[in.ino] {
		c.problem(name, "has blocks behind its end")
	}
	return nil
}

// tree visits all directories from the root on.
func (c *checker) tree() error {
	root := c.inodes[rootInode]
	if root == nil {
		return damage(inodeName(rootInode), "the root directory is not in use")
	}
	root.seen = true
	parents := map[uint32]uint32{rootInode: rootInode}
	for list := []*checked{root}; len(list) > 0; {
		d := list[len(list)-1]
		list = list[:len(list)-1]
		more, err := c.directory(d, parents[d.in.ino])
		if err := c.note(err); err != nil {
			return err
		}
		for _, sub := range more {
			parents[sub.in.ino] = d.in.ino
		}
		list = append(list, more...)
		c.fs.cache.trim()
	}
	return nil
}

// directory checks one directory, and returns those in it.
func (c *checker) directory(d *checked, parent uint32) (subs []*checked, err error) {
	in := d.in
	if in.size&int64(c.fs.bs-1) != 0 || in.size == 0 || uint64(in.size)>>c.fs.shift > c.fs.blocks {
		return nil, damage(inodeName(in.ino), "the directory's size is impossible")
	}
	names := map[string]bool{}
	for l := range in.dirBlocks() {
		b, err := in.dirBlock(l)
		if err != nil {
			return subs, err
		}
		eachEntry(b.data, func(e dirent, _ int) bool {
			if e.ino != 0 {
				subs = append(subs, c.entry(d, parent, e, in.where(l), names)...)
			}
			return false
		})
	}
	if !names["."] || !names[".."] {
		c.problem(inodeName(in.ino), `the directory lacks "." or ".."`)
	}
	return subs, nil
}

// entry checks one entry, and returns the directory that it leads to.
func (c *checker) entry(d *checked, parent uint32, e dirent, where string, names map[string]bool) []*checked {
	name := string(e.name)
	where += ", name " + strconv.Quote(name)
	if names[name] {
		c.problem(where, "is there twice")
	}
	names[name] = true
	n := c.inodes[e.ino]
	if n == nil {
		c.problem(where, "leads to "+inodeName(e.ino)+", which is not in use")
		return nil
	}
	n.names++
	switch name {
	case ".", "..":
		if want := map[string]uint32{".": d.in.ino, "..": parent}[name]; e.ino != want {
			c.problem(where, "leads to "+inodeName(e.ino)+", not to "+inodeName(want))
		}
		return nil
	}
	if e.typ != 0 && e.typ != dirType(n.in.mode) {
		c.problem(where, "has another type than "+inodeName(e.ino))
	}
	if !isDir(n.in) {
		return nil
	}
	d.subs++
	if n.seen {
		c.problem(where, "is a second name of directory "+inodeName(e.ino))
		return nil
	}
	n.seen = true
	return []*checked{n}
}

// counts compares the numbers of links with the names that there are.
func (c *checker) counts() error {
	list := make([]uint32, 0, len(c.inodes))
	for ino := range c.inodes {
		list = append(list, ino)
	}
	slices.Sort(list)
	for _, ino := range list {
		n := c.inodes[ino]
		if ino < c.fs.firstIno && ino != rootInode || c.isOrphanFile(ino) {
			continue
		}
		switch {
		case n.names == 0 && !(c.orphan[ino] && n.in.links == 0):
			c.problem(inodeName(ino), "cannot be reached by any name")
		case isDir(n.in) && n.in.links == 1 && n.subs >= MaxLinks-2: // too many to be counted
		case n.names != n.in.links:
			c.problem(inodeName(ino), "has "+strconv.Itoa(int(n.names))+" names, and says "+strconv.Itoa(int(n.in.links)))
		}
	}
	return nil
}

// isOrphanFile reports whether an inode is the one that newer volumes keep orphans
// in.
func (c *checker) isOrphanFile(ino uint32) bool {
	return c.fs.compat&0x1000 != 0 && u32(c.fs.super(), sbOrphanFile) == ino
}

// bitmaps compares the bitmaps and the counts of the groups with what is in use.
func (c *checker) bitmaps() error {
	fs := c.fs
	dirs := make([]uint32, fs.groups)
	for ino, n := range c.inodes {
		if isDir(n.in) {
			dirs[(ino-1)/fs.inodesPer]++
		}
	}
	for g := range fs.groups {
		d, err := fs.group(g)
		if err != nil {
			return err
		}
		if n := d.count(gdUsedDirs, gdUsedDirsHi); n != dirs[g] {
			c.problem(groupName(g), "has "+strconv.Itoa(int(dirs[g]))+" directories, and says "+strconv.Itoa(int(n)))
		}
		if err := c.note(c.blockBits(d)); err != nil {
			return err
		}
		if err := c.note(c.inodeBits(d)); err != nil {
			return err
		}
		fs.cache.trim()
	}
	sb := fs.super()
	if fs.incompat&incompatRecover == 0 && (uint32(fs.freeBlocks) != u32(sb, sbFreeBlocksLo) || uint32(fs.freeInodes) != u32(sb, sbFreeInodes)) {
		c.problem(whereSuper, "its counts of free blocks and inodes are not those of the groups")
	}
	return nil
}

// blockBits compares a block bitmap with the blocks that are in use.
func (c *checker) blockBits(d group) error {
	fs := c.fs
	b, err := fs.blockBitmap(d)
	if err != nil {
		return err
	}
	n, start := int(fs.groupBlocks(d.g)), int(fs.groupStart(d.g))
	free := 0
	for i := range n {
		is, says := testBit(c.used, start+i), testBit(b.data, i)
		if !says {
			free++
		}
		switch where := blockName(uint64(start + i)); {
		case is && !says:
			c.problem(where, "is in use, and marked as free")
		case !is && says:
			c.problem(where, "is not in use, and marked so")
		}
	}
	if free != int(d.freeBlocks()) {
		c.problem(groupName(d.g), "has "+strconv.Itoa(free)+" free blocks, and says "+strconv.Itoa(int(d.freeBlocks())))
	}
	if pad := 8*fs.bs - n; countBits(b.data, n, pad) != pad {
		c.problem(groupName(d.g), "blocks beyond its end are marked as free")
	}
	return nil
}

// inodeBits compares an inode bitmap with the count of free ones.
func (c *checker) inodeBits(d group) error {
	b, err := c.fs.inodeBitmap(d)
	if err != nil {
		return err
	}
	free := int(c.fs.inodesPer) - countBits(b.data, 0, int(c.fs.inodesPer))
	if free != int(d.freeInodes()) {
		c.problem(groupName(d.g), "has "+strconv.Itoa(free)+" free inodes, and says "+strconv.Itoa(int(d.freeInodes())))
	}
	return nil
}
