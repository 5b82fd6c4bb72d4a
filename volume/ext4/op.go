package ext4

// An operation changes metadata all or not at all, in one transaction. FS.mu is
// held from begin to end, so that operations do not overlap; an error takes
// everything back that was done. Between operations every buf is as it would be
// on the disk.
type operation struct {
	seq     uint64
	active  bool
	saved   []saved
	made    []*buf // bufs that were not there before
	listed  int    // bufs of the transaction before
	revokes int
	freed   []run  // blocks that were freed
	gone    []*buf // metadata that was freed
	inodes  []savedInode

	freeBlocks, freeInodes uint64 // before
}

// saved is what a buf held before the operation.
type saved struct {
	b      *buf
	data   []byte
	listed bool // it was in the transaction already
	kind   byte
}

// savedInode is what an inode held before the operation.
type savedInode struct {
	in *Inode
	fields
}

// A run is some blocks in a row.
type run struct {
	start uint64
	n     int
}

// opBlocks is how many blocks of metadata one operation changes at the most; long
// ones are made of several.
const opBlocks = 64

// begin begins an operation. It waits where a transaction must be committed
// first, so the caller may not have looked at anything yet.
func (fs *FS) begin() error {
	for {
		if err := fs.writable(); err != nil {
			return err
		}
		if fs.running.size()+opBlocks <= fs.journal.maxTxn {
			break
		}
		if err := fs.commit(); err != nil {
			return err
		}
	}
	fs.cache.trim()
	fs.beginOp()
	return nil
}

// beginOp begins an operation for which there is room.
func (fs *FS) beginOp() {
	o := &fs.op
	if o.active {
		panic("ext4: an operation within another")
	}
	o.active = true
	o.seq++
	o.saved, o.made, o.freed, o.gone, o.inodes = o.saved[:0], o.made[:0], o.freed[:0], o.gone[:0], o.inodes[:0]
	o.listed, o.revokes = len(fs.running.bufs), len(fs.running.revokes)
	o.freeBlocks, o.freeInodes = fs.freeBlocks, fs.freeInodes
}

// writable returns why nothing can be changed, or nil.
func (fs *FS) writable() error {
	if fs.closed || fs.failed != nil || fs.ro != "" {
		return EROFS
	}
	return nil
}

// change is to be called before the contents of b are changed.
func (fs *FS) change(b *buf) {
	o := &fs.op
	if !o.active {
		panic("ext4: a change outside of an operation")
	}
	if b.op == o.seq {
		return
	}
	b.op = o.seq
	p := fs.cache.page(fs.bs)
	copy(p, b.data)
	o.saved = append(o.saved, saved{b, p, b.txn != nil, b.kind})
	if b.txn == nil {
		b.txn = fs.running
		fs.running.bufs = append(fs.running.bufs, b)
	}
}

// end ends the operation: for good, or without a trace if there was an error,
// which it returns.
func (fs *FS) end(err error) error {
	o := &fs.op
	o.active = false
	if err != nil {
		fs.undo()
		return err
	}
	for i := range o.saved {
		s := &o.saved[i]
		if s.b.waiting && !s.listed {
			s.b.frozen = s.data
		} else {
			fs.cache.recycle(s.data)
		}
		s.data = nil
	}
	for _, b := range o.gone {
		fs.drop(b)
	}
	for _, r := range o.freed {
		fs.running.freed = append(fs.running.freed, r)
		fs.dying += uint64(r.n)
	}
	clear(o.inodes)
	if len(o.saved) > 0 {
		fs.changed()
	}
	return nil
}

// changed says that there is something to be made durable.
func (fs *FS) changed() {
	if !fs.told && fs.opts.Changed != nil {
		fs.told = true
		fs.opts.Changed()
	}
}

// undo makes everything as it was before the operation.
func (fs *FS) undo() {
	o := &fs.op
	for i := range o.saved {
		s := &o.saved[i]
		copy(s.b.data, s.data)
		s.b.kind = s.kind
		if !s.listed {
			s.b.txn = nil
		}
		fs.cache.recycle(s.data)
		s.data = nil
	}
	for _, b := range o.made {
		fs.cache.remove(b)
	}
	clear(fs.running.bufs[o.listed:])
	fs.running.bufs = fs.running.bufs[:o.listed]
	fs.running.revokes = fs.running.revokes[:o.revokes]
	for _, r := range o.freed {
		fs.release(r)
	}
	fs.freeBlocks, fs.freeInodes = o.freeBlocks, o.freeInodes
	for _, s := range o.inodes {
		s.in.fields, s.in.index = s.fields, nil
		s.in.unsaved = true // it may have been before
		fs.note(s.in)
	}
	clear(o.inodes)
}

// long reports whether an operation has changed so much that what is left should
// be done in another.
func (fs *FS) long() bool { return len(fs.op.saved) > opBlocks/2 }

// forget says that a block of metadata was freed. What the journal has of it
// must not be replayed over what comes to be there.
func (fs *FS) forget(blk uint64) {
	b := fs.cache.bufs[blk]
	if b == nil {
		return
	}
	if b.waiting {
		fs.running.revokes = append(fs.running.revokes, blk)
	}
	fs.op.gone = append(fs.op.gone, b)
}

// drop takes a block that was freed out of the transaction. Until that is
// committed, what was committed before counts and must still reach its place.
func (fs *FS) drop(b *buf) {
	if b.txn != nil {
		b.txn.remove(b)
		b.txn = nil
	}
	if b.waiting {
		b.dropped = true
		return
	}
	fs.cache.remove(b)
}
