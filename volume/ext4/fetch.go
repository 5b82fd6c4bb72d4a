package ext4

// A miss is a block of metadata that is to be read first. It is an error inside
// of this package only.
type miss struct{ block uint64 }

// Error implements error.
func (m *miss) Error() string { return blockName(m.block) + " is not in memory" }

// reading calls look, which only looks at metadata and does not wait for anything,
// with FS.mu held. What is not in memory is read with FS.mu let go of, so that
// nobody else waits for that; then look is called again, and finds what it finds
// by then.
func (fs *FS) reading(look func() error) error {
	for {
		fs.looking = true
		err := look()
		fs.looking = false
		m, ok := err.(*miss)
		if !ok {
			return err
		}
		if err := fs.fetch(m.block); err != nil {
			return err
		}
	}
}

// fetch brings a block into memory. FS.mu is let go of meanwhile.
func (fs *FS) fetch(blk uint64) error {
	data := make([]byte, fs.bs)
	removed := fs.cache.removed
	fs.mu.Unlock()
	err := fs.dev.ReadAt(data, int64(blk)<<fs.shift)
	fs.mu.Lock()
	switch {
	case err != nil:
		return err
	case fs.cache.bufs[blk] != nil || fs.cache.removed != removed:
		return nil // it may have come, changed and gone since: then again
	}
	fs.cache.trim()
	fs.cache.add(&buf{block: blk, data: data})
	return nil
}

// peek is lookup, but again is true if FS.mu was let go of: everything may have
// changed.
func (in *Inode) peek(l uint32) (e extent, again bool, err error) {
	fs := in.fs
	fs.looking = true
	e, err = in.lookup(l)
	fs.looking = false
	if m, ok := err.(*miss); ok {
		return e, true, fs.fetch(m.block)
	}
	return e, false, err
}
