package ext4

import "slices"

// commit makes all operations that have ended durable, and waits until they are. It
// returns with FS.mu held, but lets go of it meanwhile.
func (fs *FS) commit() error {
	return fs.commitTo(fs.running.tid)
}

// commitTo waits until transaction tid is durable. Whoever finds no commit under
// way makes one; so those who wait at the same time share one.
func (fs *FS) commitTo(tid uint32) error {
	j := &fs.journal
	for int32(j.committed-tid) < 0 {
		switch {
		case fs.failed != nil:
			return EIO
		case j.busy:
			fs.cond.Wait()
		case fs.running.empty():
			return nil
		default:
			fs.commitRunning()
		}
	}
	return nil
}

// commitRunning commits the running transaction; operations go on in the next.
func (fs *FS) commitRunning() {
	j, t := &fs.journal, fs.running
	fs.running = &txn{tid: t.tid + 1}
	j.busy = true
	p := j.image(t, fs.now())
	fs.detach(t)
	restart := j.used == 0
	head := j.head
	fs.mu.Unlock()
	err := fs.writeTxn(t, p, head, restart)
	fs.mu.Lock()
	j.busy = false
	fs.cond.Broadcast()
	if err != nil {
		fs.fail("cannot write the journal", err)
		return
	}
	if cap(p) <= fs.bounceSize {
		j.spare = p
	}
	n := uint32(len(p) / j.bs)
	j.head, j.used, j.committed = j.advance(head, n), j.used+n, t.tid
	fs.retire(t)
	if j.used > j.capacity()/2 || len(j.waiting) > fs.maxWaiting {
		fs.checkpoint()
	}
}

// detach says of the blocks of t, whose image is made, that they wait to be
// written to their places.
func (fs *FS) detach(t *txn) {
	for _, b := range t.bufs {
		b.txn = nil
		fs.cache.recycle(b.frozen)
		b.frozen = nil
		if !b.waiting {
			b.waiting = true
			fs.journal.waiting = append(fs.journal.waiting, b)
		}
	}
}

// writeTxn writes a transaction to the journal. The first flush is also what
// makes file contents durable that were written before.
func (fs *FS) writeTxn(t *txn, p []byte, head uint32, restart bool) error {
	j := &fs.journal
	if restart {
		if err := j.putSuper(fs.dev, head, t.tid); err != nil {
			return err
		}
	}
	n := len(p) - j.bs
	if err := j.write(fs.dev, p[:n], head); err != nil {
		return err
	}
	if err := fs.dev.Flush(); err != nil {
		return err
	}
	if err := j.write(fs.dev, p[n:], j.advance(head, uint32(n/j.bs))); err != nil {
		return err
	}
	return fs.dev.Flush()
}

// retire is called when t is durable.
func (fs *FS) retire(t *txn) {
	for _, blk := range t.revokes {
		if b := fs.cache.bufs[blk]; b != nil && b.dropped {
			fs.leave(b)
		}
	}
	for _, r := range t.freed {
		fs.release(r)
		fs.dying -= uint64(r.n)
		if fs.opts.Discard {
			_ = fs.dev.Discard(int64(r.start)<<fs.shift, int64(r.n)<<fs.shift) // only advice
		}
	}
}

// leave forgets a block that was freed and need not be written any more.
func (fs *FS) leave(b *buf) {
	j := &fs.journal
	if i := slices.Index(j.waiting, b); i >= 0 {
		j.waiting = slices.Delete(j.waiting, i, i+1)
	}
	fs.cache.recycle(b.frozen)
	b.waiting, b.dropped, b.frozen = false, false, nil
	fs.cache.remove(b)
}

// checkpoint writes all that is committed to its place, so that the log can begin
// anew. FS.mu is held, but not all the time.
func (fs *FS) checkpoint() {
	j := &fs.journal
	for j.busy {
		fs.cond.Wait()
	}
	if j.used == 0 || fs.failed != nil {
		return
	}
	j.busy = true
	list := j.waiting
	j.waiting = nil
	err := fs.writeHome(list)
	if err == nil {
		next := fs.running.tid
		fs.mu.Unlock()
		if err = fs.dev.Flush(); err == nil {
			if err = j.putSuper(fs.dev, 0, next); err == nil {
				err = fs.dev.Flush()
			}
		}
		fs.mu.Lock()
	}
	j.busy = false
	fs.cond.Broadcast()
	if err != nil {
		fs.fail("cannot write metadata", err)
		return
	}
	j.used = 0
	for _, b := range list {
		fs.arrived(b)
	}
}

// arrived is called when what was committed of b is at its place.
func (fs *FS) arrived(b *buf) {
	fs.cache.recycle(b.frozen)
	b.waiting, b.frozen = false, nil
	if b.dropped {
		b.dropped = false
		fs.cache.remove(b)
	}
}

// writeHome writes blocks to their places, neighbours together. FS.mu is held while
// they are copied.
func (fs *FS) writeHome(list []*buf) error {
	slices.SortFunc(list, func(a, b *buf) int {
		if a.block < b.block {
			return -1
		}
		return 1
	})
	bounce := fs.takeBounce()
	defer fs.giveBounce(bounce)
	for len(list) > 0 {
		n := 0
		for n < len(list) && list[n].block == list[0].block+uint64(n) && (n+1)*fs.bs <= len(bounce) {
			copy(bounce[n*fs.bs:], list[n].committed())
			n++
		}
		off := int64(list[0].block) << fs.shift
		fs.mu.Unlock()
		err := fs.dev.WriteAt(bounce[:n*fs.bs], off)
		fs.mu.Lock()
		if err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// fail makes the file system read-only: what was changed and not committed cannot
// be made durable any more.
func (fs *FS) fail(what string, err error) {
	if fs.failed != nil {
		return
	}
	fs.failed = err
	if fs.opts.Report != nil {
		fs.opts.Report("ext4: " + what + ": " + err.Error() + "; the file system is read-only from now on")
	}
	fs.cond.Broadcast()
}
