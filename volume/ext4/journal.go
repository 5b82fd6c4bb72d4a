package ext4

import (
	"slices"

	"github.com/tailor-os/tailor/block"
)

// A txn is a transaction: changes that reach the disk together.
type txn struct {
	tid     uint32
	bufs    []*buf
	revokes []uint64
	freed   []run // blocks that may be used again once it is committed
}

// size bounds the blocks that a transaction takes in the journal.
func (t *txn) size() int { return len(t.bufs) + len(t.bufs)/32 + len(t.revokes)/64 + 4 }

func (t *txn) empty() bool { return len(t.bufs)+len(t.revokes)+len(t.freed) == 0 }

func (t *txn) remove(b *buf) {
	for i := len(t.bufs) - 1; i >= 0; i-- {
		if t.bufs[i] == b {
			t.bufs = slices.Delete(t.bufs, i, i+1)
			return
		}
	}
}

// A journal is where transactions are written before their blocks are written to
// their places.
type journal struct {
	jformat
	runs      []extent // where its blocks are
	super     []byte   // its superblock, a block
	head      uint32   // the next block of it to be written
	used      uint32   // blocks that would be replayed
	maxTxn    int      // blocks of a transaction at the most
	committed uint32   // the last transaction that is durable
	busy      bool     // a commit or a checkpoint is under way, without FS.mu
	waiting   []*buf   // that are committed and not at their places
	spare     []byte   // memory of the last image
}

// capacity is the number of blocks that the log has.
func (j *journal) capacity() uint32 { return j.length - j.first }

// at returns where block i of the journal is on the device, in blocks, and how
// many follow it there.
func (j *journal) at(i uint32) (blk uint64, n uint32) {
	for _, e := range j.runs {
		if i-e.logical < e.n {
			return e.start + uint64(i-e.logical), e.n - (i - e.logical)
		}
	}
	return 0, 0
}

// write writes blocks of the journal from block i on, to its end and from its
// beginning.
func (j *journal) write(dev block.Device, p []byte, i uint32) error {
	for len(p) > 0 {
		if i == j.length {
			i = j.first
		}
		blk, n := j.at(i)
		n = min(n, j.length-i, uint32(len(p)/j.bs))
		if n == 0 {
			return damage("journal", "has a hole")
		}
		if err := dev.WriteAt(p[:int(n)*j.bs], int64(blk)*int64(j.bs)); err != nil {
			return err
		}
		p, i = p[int(n)*j.bs:], i+n
	}
	return nil
}

// advance returns the block n blocks behind i.
func (j *journal) advance(i, n uint32) uint32 {
	return j.first + (i-j.first+n)%j.capacity()
}

// image returns the blocks of a transaction as the journal has them; the commit
// block, which is the last, is written after the others.
func (j *journal) image(t *txn, now int64) []byte {
	p := slices.Grow(j.spare[:0], t.size()*j.bs)
	p = j.appendRevokes(p, t)
	p = j.appendBlocks(p, t)
	p, c := j.next(p)
	jHeader(c, jCommit, t.tid)
	putBE32(c, jcSeconds, uint32(now/1e9>>32))
	putBE32(c, jcSeconds+4, uint32(now/1e9))
	putBE32(c, jcNanos, uint32(now%1e9))
	if j.csum != 0 {
		putBE32(c, jcChecksum, without(j.seed, c, jcChecksum, 4))
	}
	return p
}

// next appends a block of zeros to p and returns both.
func (j *journal) next(p []byte) (all, b []byte) {
	n := len(p)
	p = slices.Grow(p, j.bs)[:n+j.bs]
	b = p[n:]
	clear(b)
	return p, b
}

func (j *journal) appendRevokes(p []byte, t *txn) []byte {
	size := j.revokeSize()
	for list := t.revokes; len(list) > 0; {
		var b []byte
		p, b = j.next(p)
		jHeader(b, jRevoke, t.tid)
		n, off := min(len(list), (j.space()-16)/size), 16
		for _, blk := range list[:n] {
			if j.wide {
				putBE32(b, off, uint32(blk>>32))
			}
			putBE32(b, off+size-4, uint32(blk))
			off += size
		}
		putBE32(b, jHeaderSize, uint32(off))
		j.seal(b)
		list = list[n:]
	}
	return p
}

func (j *journal) appendBlocks(p []byte, t *txn) []byte {
	perBlock := (j.space() - jHeaderSize - 16) / j.tagSize()
	for list := t.bufs; len(list) > 0; {
		n := min(len(list), perBlock)
		first := len(p)
		p, _ = j.next(p)
		for _, b := range list[:n] {
			p = append(p, b.data...)
			if c := p[len(p)-j.bs:]; be32(c, 0) == jMagic {
				putBE32(c, 0, 0)
			}
		}
		j.describe(p[first:], t.tid, list[:n])
		list = list[n:]
	}
	return p
}

// describe fills a descriptor block, p's first, for the blocks behind it.
func (j *journal) describe(p []byte, tid uint32, list []*buf) {
	d, off, size := p[:j.bs], jHeaderSize, j.tagSize()
	jHeader(d, jDescriptor, tid)
	for i, b := range list {
		flags := uint32(0)
		if i > 0 {
			flags |= tagSameUUID
		}
		if i == len(list)-1 {
			flags |= tagLast
		}
		if be32(b.data, 0) == jMagic {
			flags |= tagEscaped
		}
		c := p[(i+1)*j.bs:][:j.bs]
		j.putTag(d[off:off+size], b.block, flags, j.dataSum(tid, c))
		off += size
		if i == 0 {
			off += copy(d[off:], j.super[jsUUID:jsUUID+16])
		}
	}
	j.seal(d)
}

func (j *journal) putTag(t []byte, blk uint64, flags, sum uint32) {
	putBE32(t, 0, uint32(blk))
	if j.csum == 3 {
		putBE32(t, 4, flags)
		putBE32(t, 8, uint32(blk>>32))
		putBE32(t, 12, sum)
		return
	}
	low := uint32(0)
	if j.csum == 2 {
		low = sum & 0xFFFF
	}
	putBE32(t, 4, low<<16|flags)
	if j.wide {
		putBE32(t, 8, uint32(blk>>32))
	}
}

// putSuper writes the journal's superblock: where the log begins, 0 if it is
// empty, and the first transaction in it.
func (j *journal) putSuper(dev block.Device, start, tid uint32) error {
	putBE32(j.super, jsStart, start)
	putBE32(j.super, jsSequence, tid)
	j.sealJSuper(j.super)
	blk, _ := j.at(0)
	return dev.WriteAt(j.super, int64(blk)*int64(j.bs))
}
