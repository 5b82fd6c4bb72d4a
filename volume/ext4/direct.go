package ext4

// Large writes of whole blocks go past the cache, from the caller's memory to the
// device: a copy of them would be two copies more than needed, and would take the
// cache from what is used often. For the rest they are what a flush does, and take
// its place: one at a time in a file, and a block becomes part of the file only when
// its contents are on the device.

// DirectWrite is the length in bytes from which on a write may be done past the
// cache. Its buffer must stay where it is until the call returns.
const DirectWrite = 128 << 10

// overlaps reports whether block l is being written past the cache: nobody may bring
// it into memory.
func (in *Inode) overlaps(l uint32) bool { return l-in.direct.logical < in.direct.n }

// writeDirect writes blocks from the beginning of p to block l and those behind it,
// as far as they are in a row on the device and not in memory, and returns how many
// bytes these are. With 0, the caller may write to the cache; or, if waited, everything
// may have changed.
func (in *Inode) writeDirect(p []byte, l uint32) (n int, waited bool, err error) {
	fs := in.fs
	if in.pages[l] != nil {
		return 0, false, nil
	}
	if in.flushes {
		fs.cond.Wait()
		return 0, true, nil
	}
	e, again, err := in.peek(l)
	if again || err != nil {
		return 0, true, err
	}
	count := in.missing(l, min(uint32(len(p)>>fs.shift), e.n-(l-e.logical), 1<<20>>fs.shift))
	if int(count)<<fs.shift < fs.directWrite {
		return 0, false, nil
	}
	// What the file has on the device ends before what was written to it first: that
	// is not to be passed over.
	at := int64(l) << fs.shift
	if at+int64(count)<<fs.shift > in.stored && (in.dirty > 0 || in.stored < min(in.size, at)) {
		return 0, true, in.flush()
	}
	fresh := e.start == 0
	if fresh {
		if fs.room() < uint64(count) {
			return 0, false, nil
		}
		fs.delayed += uint64(count)
		defer func() { fs.delayed -= uint64(count) }()
	}
	in.flushes, in.direct = true, extent{logical: l, n: count}
	n, err = in.writeRow(p, extent{l, count, e.start + uint64(l-e.logical), e.unwritten}, e)
	in.flushes, in.direct = false, extent{}
	fs.cond.Broadcast()
	return n, true, err
}

// writeRow writes p to blocks e, or fewer, which are found first if hole says that
// there are none. FS.mu is let go of meanwhile.
func (in *Inode) writeRow(p []byte, e, hole extent) (n int, err error) {
	fs := in.fs
	fresh := hole.start == 0
	if fresh {
		r, err := in.placeFor(e.logical, int(e.n), hole)
		if err != nil {
			return 0, err
		}
		defer fs.release(r)
		e.start, e.n = r.start, uint32(r.n)
	}
	n = int(e.n) << fs.shift
	in.io++
	fs.mu.Unlock()
	err = fs.dev.WriteAt(p[:n], int64(e.start)<<fs.shift)
	fs.mu.Lock()
	in.io--
	if err != nil {
		return 0, err
	}
	size, end := in.size, int64(e.end())<<fs.shift
	in.size = max(size, end)
	in.mtime = fs.now()
	in.ctime = in.mtime
	in.unsaved = true
	if fresh || e.unwritten || end > in.stored {
		if err := in.attach(e, fresh, end); err != nil {
			if in.size == end {
				in.size = size
			}
			return 0, err
		}
	}
	fs.note(in)
	return n, nil
}
