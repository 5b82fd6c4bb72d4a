package blockfile

import "sync"

// maxBounce is how many bytes go at once by way of a buffer that is ours: what is not
// of whole sectors, or is in memory that may move.
const maxBounce = 64 << 10

var buffers = sync.Pool{New: func() any { return new([maxBounce]byte) }}

// read fills p, as far as the device goes, and returns how much that was. p may lie
// on a stack.
func (d *Disk) read(p []byte, off int64) (n int, err error) {
	p = p[:min(int64(len(p)), max(d.size-off, 0))]
	for n < len(p) {
		k, err := d.readSome(p[n:], off+int64(n))
		if err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

// write writes p, as far as the device goes. Nobody else writes to its sectors
// meanwhile, so that two who write to parts of one both succeed.
func (d *Disk) write(p []byte, off int64) (n int, err error) {
	p = p[:min(int64(len(p)), max(d.size-off, 0))]
	r := d.sectors(off, int64(len(p)))
	d.writes.lock(r)
	defer d.writes.unlock(r)
	for n < len(p) {
		k, err := d.writeSome(p[n:], off+int64(n))
		if err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

// sectors returns the whole sectors around n bytes at off.
func (d *Disk) sectors(off, n int64) span {
	return span{off &^ d.mask, (off + n + d.mask) &^ d.mask}
}

// direct returns how many of the first bytes of p the device can be given as they
// are: whole sectors of memory that stays.
func (d *Disk) direct(p []byte, off int64) int {
	if off&d.mask != 0 || d.fixed != nil && !d.fixed(p) {
		return 0
	}
	return len(p) &^ int(d.mask)
}

// bounced returns how many of the first bytes of p go by way of a buffer, and their
// sectors.
func (d *Disk) bounced(p []byte, off int64) (int, span) {
	n := min(len(p), maxBounce-int(off&d.mask))
	return n, d.sectors(off, int64(n))
}

// readSome reads the first bytes of p and returns how many.
func (d *Disk) readSome(p []byte, off int64) (int, error) {
	if n := d.direct(p, off); n > 0 {
		return n, d.dev.ReadAt(p[:n], off)
	}
	n, r := d.bounced(p, off)
	b := buffers.Get().(*[maxBounce]byte)
	defer buffers.Put(b)
	if err := d.dev.ReadAt(b[:r.end-r.start], r.start); err != nil {
		return 0, err
	}
	copy(p[:n], b[off-r.start:])
	return n, nil
}

// writeSome writes the first bytes of p and returns how many. What is beside them in
// the first and the last sector is read before.
func (d *Disk) writeSome(p []byte, off int64) (int, error) {
	if n := d.direct(p, off); n > 0 {
		return n, d.dev.WriteAt(p[:n], off)
	}
	n, r := d.bounced(p, off)
	array := buffers.Get().(*[maxBounce]byte)
	defer buffers.Put(array)
	b := array[:r.end-r.start]
	first, last := r.start, r.end-d.mask-1
	if off != first {
		if err := d.dev.ReadAt(b[:d.mask+1], first); err != nil {
			return 0, err
		}
	}
	if off+int64(n) != r.end && (last != first || off == first) {
		if err := d.dev.ReadAt(b[last-first:], last); err != nil {
			return 0, err
		}
	}
	copy(b[off-first:], p[:n])
	return n, d.dev.WriteAt(b, first)
}

// zero writes zeros to whole sectors.
func (d *Disk) zero(r span) error {
	d.writes.lock(r)
	defer d.writes.unlock(r)
	zeros := buffers.Get().(*[maxBounce]byte)
	defer buffers.Put(zeros)
	clear(zeros[:])
	for at := r.start; at < r.end; at += maxBounce {
		if err := d.dev.WriteAt(zeros[:min(maxBounce, r.end-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// A span is a part of a device, in bytes.
type span struct{ start, end int64 }

// ranges are what is being written. New sets changed.L.
type ranges struct {
	mu      sync.Mutex
	changed sync.Cond
	busy    []span
}

// lock waits until nothing of r is being written.
func (l *ranges) lock(r span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.overlaps(r) {
		l.changed.Wait()
	}
	l.busy = append(l.busy, r)
}

func (l *ranges) overlaps(r span) bool {
	for _, b := range l.busy {
		if r.start < b.end && b.start < r.end {
			return true
		}
	}
	return false
}

// unlock says that r, or one like it, is written.
func (l *ranges) unlock(r span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range l.busy {
		if b == r {
			last := len(l.busy) - 1
			l.busy[i] = l.busy[last]
			l.busy = l.busy[:last]
			break
		}
	}
	l.changed.Broadcast()
}
