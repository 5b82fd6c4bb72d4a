package ext4

// file is what an inode has as a file that is read and written.
type file struct {
	pages   map[uint32]*page
	dirty   int    // pages
	io      int    // reads and writes of its blocks that are under way
	flushes bool   // its pages are being written
	noted   bool   // it is in FS.unsynced
	unsaved bool   // fields were changed that are not in its block yet
	ahead   uint32 // the block where reading in order would go on
	behind  uint32 // blocks to be read ahead
	window  run    // blocks kept for the file to grow

	direct extent // blocks that are being written past the cache

	stretches map[uint32]int // pages by index/stretch, none that has none
}

const (
	directRead = 32 << 10  // bytes from which on reading goes past the cache
	maxAhead   = 128 << 10 // bytes
)

// regular returns an error unless in is a file with contents that can be read.
func (in *Inode) regular() error {
	switch {
	case in.mode&ModeFmt == ModeDir:
		return EISDIR
	case in.mode&ModeFmt != ModeReg:
		return EINVAL
	case in.dead:
		return EBADF
	case in.flags&flagStrange != 0:
		return EOPNOTSUPP
	}
	return nil
}

// ReadAt reads up to len(p) bytes of a file from off on. At its end it returns
// what there is, 0 behind it; that is no error.
func (in *Inode) ReadAt(p []byte, off int64) (int, error) {
	fs := in.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if err := in.regular(); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, EINVAL
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= in.size {
			break
		}
		k, err := in.readSome(p[n:min(int64(len(p)), int64(n)+in.size-at)], at)
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		n += k
	}
	fs.pages.trim()
	fs.cache.trim()
	return n, nil
}

// readSome reads some bytes of p: from a page, or from the device.
func (in *Inode) readSome(p []byte, off int64) (int, error) {
	fs := in.fs
	l, at := uint32(off>>fs.shift), int(off&int64(fs.bs-1))
	if pg := in.pages[l]; pg != nil {
		if pg.loading {
			fs.cond.Wait()
			return 0, nil
		}
		fs.pages.touch(pg)
		return copy(p, pg.data[at:]), nil
	}
	if in.overlaps(l) {
		fs.cond.Wait()
		return 0, nil
	}
	e, again, err := in.peek(l)
	if err != nil || again {
		return 0, err
	}
	if e.start == 0 || e.unwritten {
		return in.readHole(p, l, at, e), nil
	}
	n := e.n - (l - e.logical) // blocks on the device, in a row
	if at == 0 && len(p) >= directRead {
		return in.readDirect(p, l, e.start+uint64(l-e.logical), in.missing(l, min(n, uint32(len(p)>>fs.shift))))
	}
	return 0, in.load(l, e.start+uint64(l-e.logical), n)
}

// missing returns how many of n blocks from block l on are not in memory, nor about to
// be written past it; at least one.
func (in *Inode) missing(l, n uint32) uint32 {
	if d := &in.direct; d.n > 0 && d.logical > l {
		n = min(n, d.logical-l)
	}
	if len(in.pages) == 0 {
		return n
	}
	for i := uint32(1); i < n; i++ {
		if b := l + i; in.stretches[b/stretch] == 0 {
			i += stretch - 1 - b%stretch
		} else if in.pages[b] != nil {
			return i
		}
	}
	return n
}

// readHole fills p with zeros, as far as the hole e goes that block l is in.
func (in *Inode) readHole(p []byte, l uint32, at int, e extent) int {
	n := in.missing(l, min(uint32(len(p)>>in.fs.shift)+1, e.n-(l-e.logical)))
	k := min(len(p), int(n)<<in.fs.shift-at)
	clear(p[:k])
	return k
}

// readDirect reads n blocks into p. FS.mu is let go meanwhile.
func (in *Inode) readDirect(p []byte, l uint32, blk uint64, n uint32) (int, error) {
	fs := in.fs
	p = p[:min(int(n)<<fs.shift, 1<<20)]
	in.ahead = l + uint32(len(p)>>fs.shift)
	in.io++
	fs.mu.Unlock()
	err := fs.dev.ReadAt(p, int64(blk)<<fs.shift)
	fs.mu.Lock()
	in.io--
	fs.cond.Broadcast()
	return len(p), err
}

// load brings block l of a file into the cache, and some behind it if the file
// is read in order. n blocks are in a row from blk on. FS.mu is let go meanwhile.
func (in *Inode) load(l uint32, blk uint64, n uint32) error {
	fs := in.fs
	switch {
	case l == in.ahead && l != 0 || l == 0 && in.ahead == 0:
		in.behind = min(max(2*in.behind, 4), uint32(min(maxAhead, fs.bounceSize, fs.pages.limit*fs.bs/4)>>fs.shift))
	default:
		in.behind = 1
	}
	last := uint32((in.size + int64(fs.bs) - 1) >> fs.shift)
	n = in.missing(l, min(n, max(in.behind, 1), last-l))
	in.ahead = l + n
	var few [8]*page
	pages := few[:0]
	for i := range n {
		p := fs.pages.add(in, l+i)
		p.loading = true
		pages = append(pages, p)
	}
	in.io++
	var err error
	if n == 1 {
		fs.mu.Unlock()
		err = fs.dev.ReadAt(pages[0].data, int64(blk)<<fs.shift)
		fs.mu.Lock()
	} else {
		err = fs.loadAll(pages, blk)
	}
	in.io--
	for _, p := range pages {
		p.loading = false
		if err != nil {
			fs.pages.remove(p)
		}
	}
	fs.cond.Broadcast()
	return err
}

// loadAll reads pages whose blocks are in a row.
func (fs *FS) loadAll(pages []*page, blk uint64) error {
	b := fs.takeBounce()
	defer fs.giveBounce(b)
	b = b[:len(pages)<<fs.shift]
	fs.mu.Unlock()
	err := fs.dev.ReadAt(b, int64(blk)<<fs.shift)
	for i, p := range pages {
		copy(p.data, b[i<<fs.shift:])
	}
	fs.mu.Lock()
	return err
}

// takeBounce returns memory for a large request.
func (fs *FS) takeBounce() []byte {
	if b := fs.bounce; b != nil {
		fs.bounce = nil
		return b
	}
	return make([]byte, fs.bounceSize)
}

func (fs *FS) giveBounce(b []byte) {
	if fs.bounce == nil {
		fs.bounce = b[:fs.bounceSize]
	}
}

// takeSome returns memory for n blocks: one is what random writing asks for.
func (fs *FS) takeSome(n int) []byte {
	if n == 1 {
		return fs.cache.page(fs.bs)
	}
	return fs.takeBounce()
}

func (fs *FS) giveSome(b []byte) {
	if len(b) == fs.bs {
		fs.cache.recycle(b)
		return
	}
	fs.giveBounce(b)
}

// maxFile is the size that a file can have, in bytes.
func (fs *FS) maxFile() int64 { return maxFileBlock << fs.shift }

// WriteAt writes p to a file from off on, and makes it longer if need be. What was
// written is in memory until Sync, or until memory is needed.
func (in *Inode) WriteAt(p []byte, off int64) (int, error) {
	fs := in.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return in.writeAt(p, off)
}

// Append writes p at the end of a file, and returns where that was.
func (in *Inode) Append(p []byte) (n int, off int64, err error) {
	fs := in.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	off = in.size
	n, err = in.writeAt(p, off)
	return n, off, err
}

func (in *Inode) writeAt(p []byte, off int64) (int, error) {
	fs := in.fs
	if err := in.changeable(); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, EINVAL
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= fs.maxFile() {
		return 0, EFBIG
	}
	p = p[:min(int64(len(p)), fs.maxFile()-off)]
	if off > in.size {
		if err := in.zeroTail(); err != nil {
			return 0, err
		}
	}
	n := 0
	for n < len(p) {
		k, err := in.writeSome(p[n:], off+int64(n))
		n += k
		if err == nil && k == 0 {
			err = in.changeable() // it waited: things may have changed
		}
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
	}
	return n, nil
}

// changeable returns an error unless the contents of in can be changed.
func (in *Inode) changeable() error {
	if err := in.regular(); err != nil {
		return err
	}
	switch {
	case in.flags&flagImmutable != 0:
		return EPERM
	case in.flags&flagExtents == 0:
		return EOPNOTSUPP
	}
	return in.fs.writable()
}

// writeSome writes up to one page, or blocks past the cache. It returns 0 if it had to wait for something:
// everything may have changed then.
func (in *Inode) writeSome(p []byte, off int64) (int, error) {
	fs := in.fs
	l, at := uint32(off>>fs.shift), int(off&int64(fs.bs-1))
	if in.overlaps(l) {
		fs.cond.Wait()
		return 0, nil
	}
	if at == 0 && len(p) >= fs.directWrite {
		if n, waited, err := in.writeDirect(p, l); n > 0 || waited || err != nil {
			return n, err
		}
	}
	p = p[:min(len(p), fs.bs-at)]
	pg := in.pages[l]
	if pg == nil {
		if waited, err := fs.makeSpace(in); waited || err != nil {
			return 0, err
		}
		whole := len(p) == fs.bs || off&^int64(fs.bs-1) >= in.size || at == 0 && off+int64(len(p)) >= in.size
		var err error
		if pg, err = in.pageFor(l, whole); pg == nil {
			return 0, err
		}
	}
	if pg.loading {
		fs.cond.Wait()
		return 0, nil
	}
	fs.pages.touch(pg)
	fs.soil(pg)
	copy(pg.data[at:], p)
	in.size = max(in.size, off+int64(len(p)))
	in.mtime = fs.now()
	in.ctime = in.mtime
	in.unsaved = true
	return len(p), nil
}

// pageFor makes a page to be written to. If the disk has contents for it that are
// needed, it only begins to read them, and returns nil.
func (in *Inode) pageFor(l uint32, whole bool) (*page, error) {
	fs := in.fs
	e, again, err := in.peek(l)
	if err != nil || again {
		return nil, err
	}
	hole := e.start == 0
	if !hole && !e.unwritten && !whole {
		return nil, in.load(l, e.start+uint64(l-e.logical), 1)
	}
	if hole {
		if ok, err := fs.promise(); !ok || err != nil {
			return nil, err
		}
	}
	pg := fs.pages.add(in, l)
	clear(pg.data)
	pg.delayed = hole
	return pg, nil
}

// promise promises a block for data. It returns false if it waited for blocks to
// become free.
func (fs *FS) promise() (bool, error) {
	if fs.room() > 0 {
		fs.delayed++
		return true, nil
	}
	if fs.dying == 0 {
		return false, ENOSPC
	}
	return false, fs.commit()
}

// makeSpace writes pages if too many are dirty, those first that became so first. It
// reports whether it waited. An error of in's own pages is returned as it is.
func (fs *FS) makeSpace(in *Inode) (bool, error) {
	fs.pages.trim()
	if fs.pages.dirty <= fs.pages.limit*3/4 {
		return false, nil
	}
	list, dirty := fs.unsynced, fs.pages.dirty
	for i, o := range list {
		if dirty -= o.dirty; dirty <= fs.pages.limit/2 {
			list = list[:i+1]
			break
		}
	}
	who, err := fs.flushAll(list)
	fs.pages.trim()
	if err != nil && who != in {
		err = EIO
	}
	return true, err
}

// zeroTail clears what is behind the end of a file in its last block, before the
// file becomes longer: Linux leaves there what a program wrote through a mapping.
func (in *Inode) zeroTail() error {
	fs := in.fs
	at := int(in.size & int64(fs.bs-1))
	for at != 0 {
		size := in.size
		l := uint32(size >> fs.shift)
		if pg := in.pages[l]; pg != nil && !pg.loading {
			clear(pg.data[at:])
			fs.soil(pg)
			return nil
		} else if pg != nil || in.overlaps(l) {
			fs.cond.Wait()
		} else {
			e, again, err := in.peek(l)
			if again && err == nil {
				continue
			}
			if err != nil || e.start == 0 || e.unwritten {
				return err
			}
			if err := in.load(l, e.start+uint64(l-e.logical), 1); err != nil {
				return err
			}
		}
		at = int(in.size & int64(fs.bs-1))
	}
	return nil
}
