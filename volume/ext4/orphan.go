package ext4

import "slices"

// Orphans are inodes which something must be done with after a crash: those that
// have no name any more are freed, others cut to their size. The superblock leads
// to the first, each to the next by its dtime (orphan.rst).

// adopt puts in at the beginning of the list on the disk; the caller stores it and
// appends it to FS.orphans when the operation has ended.
func (in *Inode) adopt() error {
	fs := in.fs
	fs.change(fs.sb)
	in.touch()
	in.dtime = u32(fs.super(), sbLastOrphan)
	put32(fs.super(), sbLastOrphan, in.ino)
	fs.sealSuper(fs.super())
	return nil
}

// disown takes in off the list on the disk; the caller stores it and calls unlist.
func (in *Inode) disown() error {
	fs := in.fs
	i := slices.Index(fs.orphans, in)
	in.touch()
	next := in.dtime
	in.dtime = 0
	if i < 0 {
		return nil
	}
	if i == len(fs.orphans)-1 {
		fs.change(fs.sb)
		put32(fs.super(), sbLastOrphan, next)
		fs.sealSuper(fs.super())
		return nil
	}
	before := fs.orphans[i+1]
	before.touch()
	before.dtime = next
	return before.store()
}

// unlist takes in off the list in memory.
func (fs *FS) unlist(in *Inode) {
	if i := slices.Index(fs.orphans, in); i >= 0 {
		fs.orphans = slices.Delete(fs.orphans, i, i+1)
	}
}

// evict frees an inode that has no name and that nobody has open. It is an orphan.
func (in *Inode) evict() error {
	fs := in.fs
	in.dead = true // whoever still has it gets errors
	in.quiet()
	in.closeWindow()
	fs.forgetPages(in, 0)
	for done := false; !done; {
		if err := in.beginAlone(); err != nil {
			return err
		}
		var err error
		if done, err = in.cutAll(); err == nil && done {
			err = in.remove()
		} else if err == nil {
			err = in.store()
		}
		if fs.end(err) != nil {
			return err
		}
	}
	fs.unlist(in)
	delete(fs.inodes.known, in.ino)
	return nil
}

// cutAll frees blocks of an inode, see cut.
func (in *Inode) cutAll() (bool, error) {
	if in.flags&flagExtents == 0 {
		return true, nil
	}
	return in.cut(0)
}

// remove makes an inode without blocks free.
func (in *Inode) remove() error {
	fs := in.fs
	if err := in.freeAttributes(); err != nil {
		return err
	}
	if err := in.disown(); err != nil {
		return err
	}
	if err := fs.freeInode(in.ino, in.mode&ModeFmt == ModeDir); err != nil {
		return err
	}
	shown := in.fields // whoever still has it may look at its attributes
	in.size, in.stored, in.links, in.mode, in.flags = 0, 0, 0, 0, 0
	in.dtime = max(uint32(fs.now()/1e9), fs.geometry.inodes+1) // less would be an orphan's next
	clear(in.block[:])
	err := in.store()
	in.size, in.stored, in.mode = shown.size, shown.size, shown.mode
	in.unsaved = false
	return err
}

// Offsets in a block of extended attributes (attributes.rst).
const (
	xaMagic    = 0x0
	xaRefs     = 0x4
	xaChecksum = 0x10
	xaMagicN   = 0xEA020000
)

// freeAttributes frees the block of extended attributes, which several inodes may
// share.
func (in *Inode) freeAttributes() error {
	fs := in.fs
	if in.acl == 0 {
		return nil
	}
	b, err := fs.bread(in.acl)
	if err != nil {
		return err
	}
	refs := u32(b.data, xaRefs)
	if u32(b.data, xaMagic) != xaMagicN || refs == 0 {
		return damage(inodeName(in.ino), "its extended attributes are damaged")
	}
	in.touch()
	in.sectors -= min(in.sectors, uint64(fs.bs/512))
	in.acl = 0
	if refs == 1 {
		return fs.freeMeta(b.block)
	}
	fs.change(b)
	put32(b.data, xaRefs, refs-1)
	if fs.checksums {
		c := crc32of(crc32of(fs.seed, uint32(b.block)), uint32(b.block>>32))
		put32(b.data, xaChecksum, without(c, b.data, xaChecksum, 4))
	}
	return nil
}

// recoverOrphans does what a crash left to be done.
func (fs *FS) recoverOrphans() error {
	seen := map[uint32]bool{}
	for ino := u32(fs.super(), sbLastOrphan); ino != 0; {
		in, err := fs.inode(ino)
		if err != nil {
			return err
		}
		t := in.mode & ModeFmt
		if seen[ino] || ino < fs.firstIno || t == 0 {
			return damage("list of orphans", inodeName(ino)+" cannot be on it")
		}
		seen[ino] = true
		fs.orphans = append(fs.orphans, in)
		ino = in.dtime
	}
	slices.Reverse(fs.orphans)
	for len(fs.orphans) > 0 {
		in := fs.orphans[len(fs.orphans)-1]
		var err error
		if in.links == 0 {
			err = in.evict()
		} else {
			err = in.cutRest(uint64(in.size+int64(fs.bs)-1) >> fs.shift)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Open says that a file is in use: its contents stay when its last name is removed,
// until Close.
func (in *Inode) Open() error {
	in.fs.mu.Lock()
	defer in.fs.mu.Unlock()
	if in.dead {
		return ENOENT
	}
	in.opens++
	return nil
}

// Close reverts Open.
func (in *Inode) Close() error {
	fs := in.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if in.opens--; in.opens == 0 && !in.flushes {
		in.closeWindow()
	}
	if in.opens > 0 || in.links > 0 || in.dead || fs.writable() != nil {
		return nil
	}
	return in.evict()
}
