package ext4

// A page is a block of a file's contents in memory. FS.mu guards it, but for its
// bytes while it is loading.
type page struct {
	in    *Inode
	index uint32 // of the block, in the file
	data  []byte

	dirty   bool // newer than the disk
	loading bool // being read: nobody else may look at it
	writing bool // being written: it stays
	delayed bool // its block is not allocated yet, but promised

	newer, older *page
}

// stretch is how many blocks in a row of a file are counted together.
const stretch = 256

// A pageCache holds the pages of all files.
type pageCache struct {
	ends  page // ends.older is the newest, ends.newer the oldest
	count int
	dirty int
	limit int // of pages
	bs    int
	spare []*page
}

func (c *pageCache) init(limit, bs int) {
	c.limit, c.bs = max(limit, 16), bs
	c.ends.newer, c.ends.older = &c.ends, &c.ends
}

func (c *pageCache) unlink(p *page) {
	p.newer.older, p.older.newer = p.older, p.newer
}

// touch makes p the newest.
func (c *pageCache) touch(p *page) {
	if p.newer != nil {
		c.unlink(p)
	}
	p.newer, p.older = &c.ends, c.ends.older
	p.older.newer, c.ends.older = p, p
}

// add makes a page of a file; there is anything in it.
func (c *pageCache) add(in *Inode, index uint32) *page {
	var p *page
	if n := len(c.spare); n > 0 {
		p = c.spare[n-1]
		c.spare = c.spare[:n-1]
		*p = page{data: p.data}
	} else {
		p = &page{data: make([]byte, c.bs)}
	}
	p.in, p.index = in, index
	if in.pages == nil {
		in.pages, in.stretches = map[uint32]*page{}, map[uint32]int{}
	}
	in.pages[index] = p
	in.stretches[index/stretch]++
	c.count++
	c.touch(p)
	return p
}

// remove throws a page away.
func (c *pageCache) remove(p *page) {
	c.unlink(p)
	delete(p.in.pages, p.index)
	if s := p.index / stretch; p.in.stretches[s] > 1 {
		p.in.stretches[s]--
	} else {
		delete(p.in.stretches, s)
	}
	c.count--
	if p.dirty {
		p.dirty = false
		p.in.dirty--
		c.dirty--
	}
	p.in, p.newer, p.older = nil, nil, nil
	if len(c.spare) < min(64, c.limit/8+8) {
		c.spare = append(c.spare, p)
	}
}

// trim throws old pages away that are not in use.
func (c *pageCache) trim() {
	p := c.ends.newer
	for c.count > c.limit && p != &c.ends {
		next := p.newer
		if !p.dirty && !p.loading && !p.writing {
			c.remove(p)
		}
		p = next
	}
}

// soil marks a page as newer than the disk.
func (fs *FS) soil(p *page) {
	if p.dirty {
		return
	}
	p.dirty = true
	p.in.dirty++
	fs.pages.dirty++
	fs.note(p.in)
}

// clean marks a page as written.
func (fs *FS) clean(p *page) {
	if !p.dirty {
		return
	}
	p.dirty = false
	p.in.dirty--
	fs.pages.dirty--
}

// note remembers that something of an inode is to be written some time.
func (fs *FS) note(in *Inode) {
	fs.changed()
	if !in.noted {
		in.noted = true
		fs.unsynced = append(fs.unsynced, in)
	}
}

// forgetPages throws the pages of a file away from block l on. None of them is
// being read or written.
func (fs *FS) forgetPages(in *Inode, l uint64) {
	for index, p := range in.pages {
		if uint64(index) >= l {
			if p.delayed {
				fs.delayed--
			}
			fs.pages.remove(p)
		}
	}
}
