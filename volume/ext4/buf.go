package ext4

// A buf is a block of metadata in memory. FS.mu guards it.
type buf struct {
	block   uint64
	data    []byte
	txn     *txn   // the running transaction, if it was changed in that
	waiting bool   // committed, but not yet written to its place
	frozen  []byte // what was committed, while data has changed since
	kind    byte   // what its checksum was verified as
	op      uint64 // the operation that saved it last
	pinned  bool   // never thrown away
	dropped bool   // it was freed, and awaits the end of the transaction that freed it

	newer, older *buf // least recently used last
}

// committed returns the contents as of the last transaction that was committed.
func (b *buf) committed() []byte {
	if b.frozen != nil {
		return b.frozen
	}
	return b.data
}

// idle reports whether b may be thrown away.
func (b *buf) idle() bool { return b.txn == nil && !b.waiting && !b.dropped && !b.pinned }

// A bufCache holds the bufs.
type bufCache struct {
	bufs  map[uint64]*buf
	ends  buf // ends.older is the newest, ends.newer the oldest
	limit int // of idle bufs beyond which the oldest are thrown away
	spare [][]byte
	// removed counts the bufs that were thrown away.
	removed uint64
}

func (c *bufCache) init(limit int) {
	c.bufs, c.limit = map[uint64]*buf{}, limit
	c.ends.newer, c.ends.older = &c.ends, &c.ends
}

func (c *bufCache) unlink(b *buf) {
	b.newer.older, b.older.newer = b.older, b.newer
}

// touch makes b the newest.
func (c *bufCache) touch(b *buf) {
	if b.newer != nil {
		c.unlink(b)
	}
	b.newer, b.older = &c.ends, c.ends.older
	b.older.newer, c.ends.older = b, b
}

func (c *bufCache) add(b *buf) {
	c.bufs[b.block] = b
	c.touch(b)
}

func (c *bufCache) remove(b *buf) {
	c.removed++
	c.unlink(b)
	delete(c.bufs, b.block)
	b.newer, b.older = nil, nil
}

// page returns a block of memory with anything in it.
func (c *bufCache) page(size int) []byte {
	if n := len(c.spare); n > 0 {
		p := c.spare[n-1]
		c.spare = c.spare[:n-1]
		return p
	}
	return make([]byte, size)
}

// recycle takes a block of memory back.
func (c *bufCache) recycle(p []byte) {
	if p != nil && len(c.spare) < min(64, c.limit/4+8) {
		c.spare = append(c.spare, p)
	}
}

// trim throws old bufs away. No caller may hold one.
func (c *bufCache) trim() {
	b := c.ends.newer
	for n := len(c.bufs); n > c.limit && b != &c.ends; n-- {
		next := b.newer
		if b.idle() {
			c.remove(b)
			c.recycle(b.data)
		}
		b = next
	}
}

// bread returns a block of metadata. It waits for the device if it must.
func (fs *FS) bread(blk uint64) (*buf, error) {
	if b := fs.cache.bufs[blk]; b != nil {
		fs.cache.touch(b)
		return b, nil
	}
	if blk >= fs.blocks {
		return nil, damage(blockName(blk), "is beyond the end of the volume")
	}
	if fs.looking {
		return nil, &miss{blk}
	}
	data := fs.cache.page(fs.bs)
	if err := fs.dev.ReadAt(data, int64(blk)<<fs.shift); err != nil {
		fs.cache.recycle(data)
		return nil, err
	}
	b := &buf{block: blk, data: data}
	fs.cache.add(b)
	return b, nil
}

// fresh returns a buf of zeros for a block that was just allocated, changed in
// this operation.
func (fs *FS) fresh(blk uint64) *buf {
	b := fs.cache.bufs[blk]
	if b == nil {
		b = &buf{block: blk, data: fs.cache.page(fs.bs)}
		fs.cache.add(b)
		fs.op.made = append(fs.op.made, b)
	}
	fs.change(b)
	clear(b.data)
	b.kind = 0
	return b
}
