package ext4

import (
	"strconv"
	"sync"

	"github.com/tailor-os/tailor/block"
)

// An FS is a file system in use. Any number of goroutines may use it at once.
type FS struct {
	geometry
	dev  block.Device
	opts Options
	ro   string // why it is read-only, "" if it is not

	mu      sync.Mutex // guards what is below
	cond    sync.Cond  // told when I/O that others may wait for has ended
	sb      *buf       // the block that the superblock is in
	sbOff   int
	cache   bufCache
	pages   pageCache
	op      operation
	running *txn
	journal journal
	failed  error // why nothing can be written any more
	closed  bool
	told    bool // Options.Changed was called
	looking bool // see reading

	freeBlocks, freeInodes uint64
	held                   map[uint32]*heldBlocks // by group
	dying                  uint64                 // blocks that were freed in transactions not committed yet
	delayed                uint64                 // blocks for data that is not allocated yet
	maxWaiting             int                    // blocks to be checkpointed, at the most
	generation             uint32

	inodes   inodeTable
	unsynced []*Inode // that have something to be written
	windows  []*Inode // that have blocks kept for them, the oldest first
	orphans  []*Inode // as listed on the disk, the first last

	bounce     []byte // for large requests; nil while somebody has it
	bounceSize int

	directWrite int // DirectWrite
}

// Open opens the file system on dev. What a crash left in the journal is replayed
// first: onto the device, or in memory if it is opened for reading only. A volume
// that can only be read is opened so, see [FS.ReadOnly]. Errors that are
// [Damage] say what is wrong with the volume.
func Open(dev block.Device, opts Options) (*FS, error) {
	fs := &FS{dev: dev, opts: opts, directWrite: DirectWrite}
	fs.cond.L = &fs.mu
	sb, g, torn, err := readSuperTorn(dev)
	if err != nil {
		return nil, err
	}
	fs.geometry = *g
	switch {
	case opts.ReadOnly || dev.ReadOnly():
		fs.ro = "it was opened for reading only"
	default:
		fs.ro = g.unwritable()
	}
	fs.setLimits()
	if err := fs.openJournal(sb, torn); err != nil {
		return nil, err
	}
	if err := fs.load(); err != nil {
		return nil, err
	}
	if fs.ro == "" {
		if err := fs.startWriting(); err != nil {
			return nil, err
		}
	}
	return fs, nil
}

// setLimits divides the memory that caches may take.
func (fs *FS) setLimits() {
	n := fs.opts.CacheBytes
	if n == 0 {
		n = 8 << 20
	}
	n = max(n, MinCache)
	fs.cache.init(n / 3 / fs.bs)
	fs.maxWaiting = max(n/4/fs.bs, 16)
	fs.pages.init(n/2/fs.bs, fs.bs)
	fs.bounceSize = min(max(n/8, 64<<10), 1<<20)
	fs.inodes.init()
	fs.held = map[uint32]*heldBlocks{}
}

// readSuperTorn reads the superblock. If the power failed while it was written, it
// may be half of each; torn says so. What matters for finding the journal never
// changes.
func readSuperTorn(dev block.Device) (sb []byte, g *geometry, torn bool, err error) {
	sb, g, err = readSuper(dev)
	if err == nil || sb == nil || u16(sb, sbMagic) != sbMagicN || u32(sb, sbROCompat)&roChecksums == 0 {
		return sb, g, false, err
	}
	fixed := append([]byte(nil), sb...)
	fixed[sbIncompat] ^= incompatRecover
	if u32(sb, sbCompat)&compatJournal == 0 || crc(^uint32(0), sb[:sbChecksum]) == u32(sb, sbChecksum) {
		return sb, g, false, err
	}
	put32(fixed, sbIncompat, u32(sb, sbIncompat)|incompatRecover)
	put32(fixed, sbChecksum, crc(^uint32(0), fixed[:sbChecksum]))
	g, again := parseSuper(fixed, dev.Size())
	if again != nil || dev.SectorSize() > g.bs {
		return sb, nil, false, err
	}
	return sb, g, true, nil
}

// mend makes a superblock that the power cut tore whole: the only bytes that are
// written in place, but for the journal's, are its flag and its checksum. It
// reports whether that is what is wrong.
func mend(sb []byte) bool {
	if crc(^uint32(0), sb[:sbChecksum]) == u32(sb, sbChecksum) {
		return true
	}
	sb[sbIncompat] ^= incompatRecover
	if crc(^uint32(0), sb[:sbChecksum]) == u32(sb, sbChecksum) {
		return true
	}
	sb[sbIncompat] ^= incompatRecover
	return false
}

// openJournal finds the journal and replays it.
func (fs *FS) openJournal(sb []byte, torn bool) error {
	if fs.geometry.journal == 0 {
		if fs.incompat&incompatRecover != 0 {
			return damage(whereSuper, "needs a journal to be replayed, and has none")
		}
		fs.running = &txn{}
		return nil
	}
	if err := fs.findJournal(); err != nil {
		return err
	}
	j := &fs.journal
	r := &replayer{j: j, dev: fs.dev, blocks: fs.blocks}
	p := &patched{Device: fs.dev, bs: int64(fs.bs), blocks: map[uint64][]byte{}}
	if fs.ro != "" {
		r.apply = func(blk uint64, b []byte) error {
			p.blocks[blk] = append([]byte(nil), b...)
			return nil
		}
	} else {
		r.apply = func(blk uint64, b []byte) error { return fs.dev.WriteAt(b, int64(blk)<<fs.shift) }
	}
	if err := r.replay(); err != nil {
		return err
	}
	if fs.ro != "" {
		fs.dev = p
	}
	j.head, j.committed = j.first, r.end
	fs.running = &txn{tid: r.end + 1}
	clear(fs.cache.bufs) // what was read to find the journal may be old
	fs.cache.init(fs.cache.limit)
	fs.inodes.init()
	return fs.afterReplay(r, p, torn)
}

// afterReplay looks at the superblock again, and makes the journal empty.
func (fs *FS) afterReplay(r *replayer, p *patched, torn bool) error {
	blk, off := superAt(fs.bs)
	b := make([]byte, fs.bs)
	if err := fs.dev.ReadAt(b, int64(blk)<<fs.shift); err != nil {
		return err
	}
	sb := b[off : off+sbSize]
	if torn && crc(^uint32(0), sb[:sbChecksum]) != u32(sb, sbChecksum) {
		if !mend(sb) {
			return damage(whereSuper, "checksum is wrong")
		}
		if fs.ro != "" {
			p.blocks[blk] = b
		} else if err := fs.dev.WriteAt(b, int64(blk)<<fs.shift); err != nil {
			return err
		}
	}
	g, err := parseSuper(sb, fs.dev.Size())
	if err != nil {
		return err
	}
	if g.blocks != fs.blocks || g.bs != fs.bs || g.inodes != fs.geometry.inodes || g.perGroup != fs.perGroup {
		return damage(whereJournal, "the journal is of another file system")
	}
	if fs.ro != "" || be32(fs.journal.super, jsStart) == 0 {
		return nil
	}
	if err := fs.dev.Flush(); err != nil {
		return err
	}
	if err := fs.journal.putSuper(fs.dev, 0, fs.running.tid); err != nil {
		return err
	}
	return fs.dev.Flush()
}

// findJournal reads the journal's inode and superblock.
func (fs *FS) findJournal() error {
	in, err := fs.inode(fs.geometry.journal)
	if err != nil {
		return err
	}
	where := "journal, " + inodeName(in.ino)
	if in.mode&ModeFmt != ModeReg || in.size < int64(fs.bs) || uint64(in.size)>>fs.shift > fs.blocks {
		return damage(where, "is no file, or its size is impossible")
	}
	j := &fs.journal
	err = in.extents(func(e extent) error {
		if e.unwritten || e.start+uint64(e.n) > fs.blocks {
			return damage(where, "has blocks beyond the end of the volume")
		}
		j.runs = append(j.runs, e)
		return nil
	})
	if err != nil {
		return err
	}
	j.bs = fs.bs
	j.super = make([]byte, fs.bs)
	blk, n := j.at(0)
	if n == 0 {
		return damage(where, "is empty")
	}
	if err := fs.dev.ReadAt(j.super, int64(blk)<<fs.shift); err != nil {
		return err
	}
	f, err := parseJSuper(j.super, fs.bs, uint64(in.size)>>fs.shift)
	if err != nil {
		return err
	}
	j.jformat = *f
	return nil
}

// load reads what is kept in memory of a file system.
func (fs *FS) load() error {
	blk, off := superAt(fs.bs)
	b, err := fs.bread(blk)
	if err != nil {
		return err
	}
	fs.sb, fs.sbOff = b, off
	b.pinned = true
	for g := range fs.groups {
		d, err := fs.group(g)
		if err != nil {
			return err
		}
		if err := fs.checkGroup(d); err != nil {
			return err
		}
		fs.freeBlocks += uint64(d.freeBlocks())
		fs.freeInodes += uint64(d.freeInodes())
		fs.cache.trim()
	}
	root, err := fs.inode(rootInode)
	if err != nil {
		return err
	}
	if root.mode&ModeFmt != ModeDir {
		return damage(inodeName(rootInode), "the root is not a directory")
	}
	return nil
}

// startWriting prepares a file system for being changed.
func (fs *FS) startWriting() error {
	j := &fs.journal
	if j.length < minJournal {
		return damage(whereJournal, "has only "+strconv.FormatUint(uint64(j.length), 10)+" blocks")
	}
	j.maxTxn = min(int(j.capacity()/4), 1024, max(2*opBlocks+16, fs.cache.limit))
	if err := fs.setJournalFeatures(); err != nil {
		return err
	}
	fs.generation = uint32(fs.now()) ^ uint32(fs.now()>>32)
	sb := fs.super()
	if u16(sb, sbState)&stateErrors != 0 && fs.opts.Report != nil {
		fs.opts.Report("ext4: the volume is marked as having errors; check it with e2fsck")
	}
	put32(sb, sbIncompat, u32(sb, sbIncompat)|incompatRecover)
	if err := fs.writeSuper(); err != nil {
		return err
	}
	if err := fs.recoverOrphans(); err != nil {
		return err
	}
	return nil
}

// setJournalFeatures gives a journal that is empty what is needed here: Linux's
// mke2fs leaves that to whoever mounts it first.
func (fs *FS) setJournalFeatures() error {
	j := &fs.journal
	if be32(j.super, 4) == jSuper1 {
		putBE32(j.super, 4, jSuper2)
		clear(j.super[jsCompat:jsUUID])
	}
	f := be32(j.super, jsIncompat)&^(jFeatureAsync|jFeatureCsum2|jFeatureCsum3) | jFeatureRevoke
	if fs.wide {
		f |= jFeature64
	}
	if fs.checksums {
		f |= jFeatureCsum3
		j.super[jsCsumType] = 4
	}
	putBE32(j.super, jsIncompat, f)
	putBE32(j.super, jsCompat, be32(j.super, jsCompat)&^jFeatureChecksum)
	if !fs.checksums {
		j.super[jsCsumType] = 0
		clear(j.super[jsChecksum : jsChecksum+4])
	} else {
		j.csum = 3 // for the checksum below
	}
	j.sealJSuper(j.super)
	n, err := parseJSuper(j.super, fs.bs, uint64(j.length))
	if err != nil {
		return err
	}
	j.jformat = *n
	return j.putSuper(fs.dev, 0, fs.running.tid)
}

// super returns the superblock.
func (fs *FS) super() []byte { return fs.sb.data[fs.sbOff : fs.sbOff+sbSize] }

// writeSuper writes the superblock to its place, and flushes. Nothing else may have
// changed in it since the last checkpoint but the flag for recovery.
func (fs *FS) writeSuper() error {
	fs.sealSuper(fs.super())
	if err := fs.dev.WriteAt(fs.sb.data, int64(fs.sb.block)<<fs.shift); err != nil {
		return err
	}
	return fs.dev.Flush()
}

// now returns the time in nanoseconds since 1970.
func (fs *FS) now() int64 {
	if fs.opts.Now == nil {
		return 0
	}
	return fs.opts.Now()
}

// ReadOnly says why the file system cannot be changed, "" if it can.
func (fs *FS) ReadOnly() string {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.failed != nil {
		return fs.failed.Error()
	}
	return fs.ro
}

// Close makes everything durable and marks the volume as clean. Files that are
// open cannot be used any more. If it fails, the next Open recovers.
func (fs *FS) Close() error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.closed {
		return nil
	}
	if fs.ro != "" {
		fs.closed = true
		return nil
	}
	err := fs.sync()
	if fs.closed {
		return err
	}
	fs.closed = true // nothing is begun from here on
	if err == nil && fs.failed == nil {
		fs.countFree()
		if err = fs.commit(); err == nil {
			fs.checkpoint()
		}
	}
	if fs.failed != nil {
		return EIO
	}
	if err != nil {
		return err
	}
	sb := fs.super()
	put32(sb, sbIncompat, u32(sb, sbIncompat)&^incompatRecover)
	return fs.writeSuper()
}

// countFree puts the numbers of what is free into the superblock. While a volume is
// in use only the group descriptors have them, as with Linux.
func (fs *FS) countFree() {
	fs.beginOp()
	fs.change(fs.sb)
	sb := fs.super()
	put32(sb, sbFreeBlocksLo, uint32(fs.freeBlocks))
	if fs.wide {
		put32(sb, sbFreeBlocksHi, uint32(fs.freeBlocks>>32))
	}
	put32(sb, sbFreeInodes, uint32(fs.freeInodes))
	put32(sb, sbWriteTime, uint32(fs.now()/1e9))
	fs.sealSuper(sb)
	_ = fs.end(nil)
}
