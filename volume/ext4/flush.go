package ext4

import "slices"

// flush writes the dirty pages of a file and stores its fields. Blocks are found
// for those that have none; a block becomes part of the file only when its
// contents are on the device. FS.mu is held, but let go of meanwhile.
func (in *Inode) flush() error {
	fs := in.fs
	for in.flushes {
		fs.cond.Wait()
	}
	if in.dirty == 0 && !in.unsaved || in.dead {
		return nil
	}
	if err := fs.writable(); err != nil {
		return err
	}
	in.flushes = true
	size := in.size
	err := in.flushPages()
	if err == nil && (in.unsaved || in.stored < min(size, in.size)) {
		err = in.saveFields(size)
	}
	in.flushes = false
	fs.cond.Broadcast()
	return err
}

// saveFields stores the fields of a file, of which all is written that was dirty
// when it had a size.
func (in *Inode) saveFields(size int64) error {
	fs := in.fs
	if err := fs.begin(); err != nil {
		return err
	}
	in.touch()
	in.stored = max(in.stored, min(size, in.size))
	return fs.end(in.store())
}

// flushPages writes the pages that are dirty now.
func (in *Inode) flushPages() error {
	list := make([]uint32, 0, in.dirty)
	for l, p := range in.pages {
		if p.dirty {
			list = append(list, l)
		}
	}
	slices.Sort(list)
	f := flight{in: in}
	for len(list) > 0 && f.err == nil {
		n, err := in.flushSome(list, &f)
		if err != nil {
			f.err = err
			break
		}
		list = list[n:]
	}
	f.wait(1)
	return f.err
}

// A flight is writes of a file's pages that are under way at the same time. FS.mu
// guards it.
type flight struct {
	in  *Inode
	n   int
	err error // the first
}

// maxFlight is how many may be under way.
const maxFlight = 8

// wait waits until fewer than n are under way.
func (f *flight) wait(n int) {
	for f.n >= n {
		f.in.fs.cond.Wait()
	}
}

// write writes pages to blocks that the file has, while the caller goes on.
func (f *flight) write(list []uint32, e extent) {
	if len(list)<<f.in.fs.shift > f.in.fs.bounceSize/maxFlight {
		f.wait(2) // each has a copy of what it writes
	}
	f.wait(maxFlight)
	f.n++
	go func() {
		fs := f.in.fs
		fs.mu.Lock()
		defer fs.mu.Unlock()
		if err := f.in.writeRun(list, e, false); err != nil && f.err == nil {
			f.err = err
		}
		f.n--
		fs.cond.Broadcast()
	}()
}

// flushSome writes pages from the beginning of a list that go to blocks in a row,
// or lets f do it, and returns how many.
func (in *Inode) flushSome(list []uint32, f *flight) (int, error) {
	fs := in.fs
	l := list[0]
	limit := min(len(list), fs.bounceSize>>fs.shift)
	n := 1
	for n < limit && list[n] == l+uint32(n) {
		n++
	}
	var e extent
	err := fs.reading(func() (err error) {
		e, err = in.lookup(l)
		return err
	})
	if err != nil {
		return 0, err
	}
	n = min(n, int(e.n-(l-e.logical)))
	if e.start != 0 {
		part := extent{l, uint32(n), e.start + uint64(l-e.logical), e.unwritten}
		if n < len(list) && !e.unwritten && part.end()<<fs.shift <= uint64(in.stored) {
			f.write(list[:n], part)
			return n, nil
		}
		return n, in.writeRun(list[:n], part, false)
	}
	r, err := in.placeFor(l, n, e)
	if err != nil {
		return 0, err
	}
	err = in.writeRun(list[:r.n], extent{l, uint32(r.n), r.start, false}, true)
	fs.release(r)
	return r.n, err
}

// goalFor returns where block l of a file would best be: behind the block before.
func (in *Inode) goalFor(l uint32) uint64 {
	if l > 0 {
		if e, err := in.lookup(l - 1); err == nil && e.start != 0 {
			return e.start + uint64(l-e.logical)
		}
	}
	return in.goal()
}

// writeRun writes pages to the blocks of e, and then makes e part of the file if
// it is not yet. The pages are dirty again if that fails.
func (in *Inode) writeRun(list []uint32, e extent, fresh bool) error {
	fs := in.fs
	b := fs.takeSome(len(list))
	pages := make([]*page, len(list))
	for i, l := range list {
		p := in.pages[l]
		copy(b[i<<fs.shift:], p.data)
		fs.clean(p)
		p.writing = true
		pages[i] = p
	}
	end := min(in.size, int64(e.end())<<fs.shift)
	in.io++
	fs.mu.Unlock()
	err := fs.dev.WriteAt(b[:len(list)<<fs.shift], int64(e.start)<<fs.shift)
	fs.mu.Lock()
	in.io--
	fs.giveSome(b)
	if err == nil && (fresh || e.unwritten || end > in.stored) {
		err = in.attach(e, fresh, end)
	}
	for _, p := range pages {
		p.writing = false
		if err != nil {
			fs.soil(p)
		} else if fresh && p.delayed {
			p.delayed = false
			fs.delayed--
		}
	}
	fs.cond.Broadcast()
	return err
}

// attach makes blocks that were written part of the file, which has contents up to
// end now.
func (in *Inode) attach(e extent, fresh bool, end int64) error {
	fs := in.fs
	if err := fs.begin(); err != nil {
		return err
	}
	in.touch()
	var err error
	switch {
	case fresh:
		r := run{e.start, int(e.n)}
		in.sectors += uint64(e.n) * uint64(fs.bs/512)
		if err = fs.use(r); err == nil {
			err = in.insert(e)
		}
	case e.unwritten:
		err = in.wrote(e.logical, e.n)
	}
	if err == nil {
		in.stored = max(in.stored, min(end, in.size))
		err = in.store()
	}
	return fs.end(err)
}

// quiet waits until no block of a file is being read or written, so that they can
// be freed. The file must not be flushed meanwhile, which the caller sees to by
// not letting go of FS.mu.
func (in *Inode) quiet() {
	for in.io > 0 || in.flushes {
		in.fs.cond.Wait()
	}
}

// Sync makes the contents and the attributes of a file durable, and with them the
// names that lead to it as far as they were made before.
func (in *Inode) Sync() error {
	fs := in.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.ro != "" {
		return nil
	}
	if fs.failed != nil {
		return EIO
	}
	if in.dead {
		return nil
	}
	if err := in.flush(); err != nil {
		return err
	}
	return fs.durable(in.tid)
}

// durable waits until transaction tid is durable, or, if it is, until what was
// written to the device is.
func (fs *FS) durable(tid uint32) error {
	if tid == fs.running.tid && fs.running.empty() {
		// The one before may be under way; its flush may have been before our data.
		if err := fs.commitTo(tid - 1); err != nil {
			return err
		}
	} else if int32(fs.journal.committed-tid) < 0 {
		return fs.commitTo(tid)
	}
	if fs.failed != nil {
		return EIO
	}
	fs.mu.Unlock()
	err := fs.dev.Flush()
	fs.mu.Lock()
	return err
}

// Sync makes everything durable.
func (fs *FS) Sync() error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.ro != "" {
		return nil
	}
	return fs.sync()
}

func (fs *FS) sync() error {
	if fs.failed != nil {
		return EIO
	}
	_, err := fs.flushAll(fs.unsynced)
	if err == nil {
		err = fs.durable(fs.running.tid)
	}
	fs.told = false
	if len(fs.unsynced) > 0 || !fs.running.empty() {
		fs.changed() // meanwhile, or it failed
	}
	return err
}

// flushAll flushes files, some at the same time, and returns the first error and
// whose it is. Others may be doing the same, so all stay listed until they are
// written.
func (fs *FS) flushAll(list []*Inode) (who *Inode, first error) {
	n := 0
	for _, in := range slices.Clone(list) {
		if in.dirty == 0 && !in.unsaved && !in.flushes {
			continue
		}
		for n >= maxFlight {
			fs.cond.Wait()
		}
		n++
		go func() {
			fs.mu.Lock()
			defer fs.mu.Unlock()
			if err := in.flush(); err != nil && first == nil {
				who, first = in, err
			}
			n--
			fs.cond.Broadcast()
		}()
	}
	for n > 0 {
		fs.cond.Wait()
	}
	fs.unsynced = slices.DeleteFunc(fs.unsynced, func(in *Inode) bool {
		in.noted = !in.dead && (in.dirty > 0 || in.unsaved)
		return !in.noted
	})
	return who, first
}
