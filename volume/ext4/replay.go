package ext4

import (
	"strconv"

	"github.com/tailor-os/tailor/block"
)

// A replayer reads what a crash left in the journal. It looks at each block of the
// journal a bounded number of times, whatever they hold.
type replayer struct {
	j      *journal
	dev    block.Device
	blocks uint64            // of the volume
	revoke map[uint64]uint32 // the last transaction that revoked a block
	end    uint32            // the transaction after the last whole one
	head   uint32            // the block of the journal where it would begin
	apply  func(blk uint64, p []byte) error
	pass   int
	count  int // blocks that were replayed
}

// The passes: find the end of the log, gather what was revoked, replay.
const (
	passScan = iota
	passRevoke
	passApply
)

// replay calls apply with each block that the journal holds, in order.
func (r *replayer) replay() error {
	start, tid := be32(r.j.super, jsStart), be32(r.j.super, jsSequence)
	r.end, r.head = tid, r.j.first
	if start == 0 {
		return nil
	}
	if start < r.j.first || start >= r.j.length {
		return damage(whereJournal, "the log begins outside of the journal")
	}
	r.revoke = map[uint64]uint32{}
	for r.pass = passScan; r.pass <= passApply; r.pass++ {
		if err := r.walk(start, tid); err != nil {
			return err
		}
	}
	return nil
}

// walk goes through the log, up to its end.
func (r *replayer) walk(at, tid uint32) error {
	b := make([]byte, r.j.bs)
	data := make([]byte, r.j.bs)
	for left := r.j.capacity(); left > 0 && (r.pass == passScan || tid != r.end); {
		if err := r.read(at, b); err != nil {
			return err
		}
		if be32(b, 0) != jMagic || be32(b, 8) != tid {
			break
		}
		n := uint32(1)
		switch be32(b, 4) {
		case jDescriptor:
			if !r.j.sealed(b) {
				return nil
			}
			k, err := r.descriptor(b, data, at, tid)
			if err != nil {
				return err
			}
			n += k
		case jRevoke:
			if !r.j.sealed(b) {
				return nil
			}
			if r.pass == passRevoke {
				r.revoked(b, tid)
			}
		case jCommit:
			if r.j.csum != 0 && without(r.j.seed, b, jcChecksum, 4) != be32(b, jcChecksum) {
				return nil
			}
			tid++
			if r.pass == passScan {
				r.end, r.head = tid, r.j.advance(at, 1)
			}
		default:
			return nil
		}
		if n > left {
			break
		}
		at, left = r.j.advance(at, n), left-n
	}
	return nil
}

// read reads block i of the journal.
func (r *replayer) read(i uint32, p []byte) error {
	blk, n := r.j.at(i)
	if n == 0 {
		return damage("journal", "has a hole")
	}
	return r.dev.ReadAt(p, int64(blk)*int64(r.j.bs))
}

// A tag says which block one of those behind a descriptor is.
type tag struct {
	block uint64
	flags uint32
	sum   uint32
}

// tags reads the tags of a descriptor block.
func (f *jformat) tags(b []byte, each func(t tag) error) error {
	size := f.tagSize()
	for off := jHeaderSize; off+size <= f.space(); off += size {
		t := tag{block: uint64(be32(b, off)), flags: be32(b, off+4)}
		if f.csum == 3 {
			t.block |= uint64(be32(b, off+8)) << 32
			t.sum = be32(b, off+12)
		} else {
			t.sum, t.flags = t.flags>>16, t.flags&0xFFFF
			if f.wide {
				t.block |= uint64(be32(b, off+8)) << 32
			}
		}
		if err := each(t); err != nil || t.flags&tagLast != 0 {
			return err
		}
		if t.flags&tagSameUUID == 0 {
			off += 16
		}
	}
	return nil
}

// descriptor goes through the blocks behind a descriptor block, at block at of the
// journal, and returns how many they are.
func (r *replayer) descriptor(b, data []byte, at, tid uint32) (uint32, error) {
	n := uint32(0)
	err := r.j.tags(b, func(t tag) error {
		n++
		if r.pass != passApply || t.flags&tagDeleted != 0 {
			return nil
		}
		if last, ok := r.revoke[t.block]; ok && int32(last-tid) >= 0 {
			return nil
		}
		at := r.j.advance(at, n)
		if err := r.read(at, data); err != nil {
			return err
		}
		return r.block(t, data, at, tid)
	})
	return n, err
}

// block applies one block, which is at block at of the journal.
func (r *replayer) block(t tag, data []byte, at, tid uint32) error {
	where := "journal block " + strconv.FormatUint(uint64(at), 10)
	if t.block >= r.blocks {
		return damage(where, "belongs to "+blockName(t.block)+", which is beyond the end of the volume")
	}
	sum := r.j.dataSum(tid, data)
	if r.j.csum == 3 && sum != t.sum || r.j.csum == 2 && sum&0xFFFF != t.sum {
		return damage(where, "checksum is wrong, in transaction "+strconv.FormatUint(uint64(tid), 10))
	}
	if t.flags&tagEscaped != 0 {
		putBE32(data, 0, jMagic)
	}
	r.count++
	return r.apply(t.block, data)
}

// revoked takes the block numbers of a revoke block.
func (r *replayer) revoked(b []byte, tid uint32) {
	size, end := r.j.revokeSize(), min(int(be32(b, jHeaderSize)), r.j.space())
	for off := 16; off >= 0 && off+size <= end; off += size {
		blk := uint64(be32(b, off+size-4))
		if r.j.wide {
			blk |= uint64(be32(b, off)) << 32
		}
		r.revoke[blk] = tid
	}
}

// A patched device is one with some blocks replaced, for reading only.
type patched struct {
	block.Device
	bs     int64
	blocks map[uint64][]byte
}

// ReadOnly implements block.Device.
func (d *patched) ReadOnly() bool { return true }

// WriteAt implements block.Device.
func (d *patched) WriteAt([]byte, int64) error { return block.ErrReadOnly }

// Flush implements block.Device.
func (d *patched) Flush() error { return block.ErrReadOnly }

// Discard implements block.Device.
func (d *patched) Discard(_, _ int64) error { return block.ErrReadOnly }

// ReadAt implements block.Device.
func (d *patched) ReadAt(p []byte, off int64) error {
	if err := d.Device.ReadAt(p, off); err != nil {
		return err
	}
	for i := off / d.bs; i*d.bs < off+int64(len(p)); i++ {
		b := d.blocks[uint64(i)]
		if b == nil {
			continue
		}
		if at := i*d.bs - off; at >= 0 {
			copy(p[at:], b)
		} else {
			copy(p, b[-at:])
		}
	}
	return nil
}
