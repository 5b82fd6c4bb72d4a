package blockfile

import (
	"encoding/binary"

	"github.com/tailor-os/tailor/libos"
)

// cachedBlock is what programs are told of a cache that there is not: bytes of a
// block of it, as Linux has them.
const cachedBlock = 4096

// Control implements libos.Controller.
func (o *open) Control(request uint32, arg []byte, write bool) libos.Errno {
	d, ne := o.disk, binary.NativeEndian
	switch request {
	case libos.BLKGETSIZE64:
		ne.PutUint64(arg, uint64(d.size))
	case libos.BLKGETSIZE:
		ne.PutUint64(arg, uint64(d.size/512))
	case libos.BLKSSZGET, libos.BLKPBSZGET:
		ne.PutUint32(arg, uint32(d.mask+1))
	case libos.BLKBSZGET:
		ne.PutUint32(arg, cachedBlock)
	case libos.BLKROGET:
		only := uint32(0)
		if d.dev.ReadOnly() {
			only = 1
		}
		ne.PutUint32(arg, only)
	case libos.BLKFLSBUF:
		return d.flush()
	case libos.BLKDISCARD, libos.BLKZEROOUT:
		return o.erase(request, ne.Uint64(arg), ne.Uint64(arg[8:]), write)
	default:
		return libos.ENOTTY
	}
	return 0
}

// erase discards a range of whole sectors, or fills it with zeros.
func (o *open) erase(request uint32, off, n uint64, write bool) libos.Errno {
	d := o.disk
	only, discard := d.dev.ReadOnly(), request == libos.BLKDISCARD
	switch {
	case !write:
		return libos.EBADF
	case only && discard:
		return libos.EPERM
	case (off|n)&uint64(d.mask) != 0, n == 0, off > uint64(d.size), n > uint64(d.size)-off:
		return libos.EINVAL
	case only:
		return libos.EPERM
	}
	r := span{int64(off), int64(off + n)}
	if !discard {
		return errnoOf(d.zero(r))
	}
	d.writes.lock(r)
	defer d.writes.unlock(r)
	return errnoOf(d.dev.Discard(r.start, r.end-r.start))
}

// Allocate implements libos.Allocator as blkdev_fallocate does.
func (o *open) Allocate(mode uint32, off, n int64) libos.Errno {
	d := o.disk
	if off >= d.size || n > d.size-off && mode&libos.FallocKeepSize == 0 {
		return libos.EINVAL
	}
	n = min(n, d.size-off)
	switch {
	case (off|n)&d.mask != 0:
		return libos.EINVAL
	case mode&libos.FallocZeroRange == 0:
		return libos.EOPNOTSUPP
	case d.dev.ReadOnly():
		return libos.EPERM
	}
	return errnoOf(d.zero(span{off, off + n}))
}
