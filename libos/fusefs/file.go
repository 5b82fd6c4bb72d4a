package fusefs

import (
	"runtime"
	"sync"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/fuse"
)

// An open is an open regular file.
type open struct {
	n  *inode
	fh uint64

	mu     sync.Mutex // orders the users of pos, as Linux does
	pos    int64
	append bool
	wrote  bool
}

// Open implements libos.Node.
func (f *file) Open(flags uint32) (libos.File, libos.Errno) {
	if f.fs.opts.ReadOnly && flags&oACCMODE != 0 {
		return nil, libos.EROFS
	}
	if o := f.takeOpen(); o != nil {
		o.append = flags&oAPPEND != 0
		return o, 0
	}
	x := f.fs.begin(fuse.OpOpen, f.id)
	defer f.fs.end(x)
	x.out = fuse.U32(x.out, flags&(oACCMODE|oSYNC), 0)
	d, errno := f.fs.call(x, fuse.OpenOutLen)
	if errno != 0 {
		return nil, errno
	}
	fh := d.U64()
	if !d.OK() {
		return nil, libos.EIO
	}
	return &open{n: &f.inode, fh: fh, append: flags&oAPPEND != 0}, 0
}

// keepOpen keeps a file open that was just made. If nobody opens it, it is
// closed when the node is not in use any more.
func (f *rwFile) keepOpen(fh uint64) {
	fs, id := f.fs, f.id
	o := &open{n: &f.inode, fh: fh}
	kept := &keeper{fh: fh}
	runtime.AddCleanup(&f.inode, func(k *keeper) {
		if k.take() {
			fs.releaseHandle(fuse.OpRelease, id, k.fh)
		}
	}, kept)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.made, f.kept = o, kept
}

// takeOpen returns what keepOpen kept, once.
func (f *file) takeOpen() *open {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	o := f.made
	f.made = nil
	if o == nil || !f.kept.take() {
		return nil
	}
	return o
}

// A keeper says whether a handle still waits to be taken.
type keeper struct {
	mu    sync.Mutex
	fh    uint64
	taken bool
}

func (k *keeper) take() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.taken {
		return false
	}
	k.taken = true
	return true
}

// releaseHandle closes a handle, some time.
func (fs *FS) releaseHandle(op uint32, node, fh uint64) {
	x := fs.begin(op, node)
	x.out = fuse.U64(x.out, fh)
	x.out = fuse.U32(x.out, 0, 0)
	x.out = fuse.U64(x.out, 0)
	fs.cast(x)
}

// Close implements libos.File. What was written and could not be stored is told
// here, as close(2) does.
func (o *open) Close() libos.Errno {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errno libos.Errno
	if o.wrote {
		errno = o.flush()
	}
	o.n.fs.releaseHandle(fuse.OpRelease, o.n.id, o.fh)
	return errno
}

func (o *open) flush() libos.Errno {
	x := o.n.fs.begin(fuse.OpFlush, o.n.id)
	defer o.n.fs.end(x)
	x.out = fuse.U64(x.out, o.fh, 0, 0)
	_, errno := o.n.fs.call(x, 0)
	return errno
}

// Sync implements libos.Syncer.
func (o *open) Sync() libos.Errno {
	x := o.n.fs.begin(fuse.OpFsync, o.n.id)
	defer o.n.fs.end(x)
	x.out = fuse.U64(x.out, o.fh)
	x.out = fuse.U32(x.out, 0, 0)
	_, errno := o.n.fs.call(x, 0)
	return errno
}

// Read implements libos.File.
func (o *open) Read(p []byte) (int, libos.Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, errno := o.ReadAt(p, o.pos)
	o.pos += int64(n)
	return n, errno
}

// ReadAt implements libos.SeekFile.
func (o *open) ReadAt(p []byte, off int64) (int, libos.Errno) {
	if o.n.endsBefore(off) {
		return 0, 0
	}
	return o.pieces(p, off, o.readPiece)
}

// pieces moves p piece by piece, until one is short.
func (o *open) pieces(p []byte, off int64, move func(p []byte, off int64, fixed bool) (int, libos.Errno)) (int, libos.Errno) {
	if off > 1<<63-1-int64(len(p)) {
		return 0, libos.EINVAL
	}
	size, fixed := pieceSize, false
	if f := o.n.fs.opts.Fixed; f != nil && len(p) >= minFixed && f(p) {
		size, fixed = fuse.MaxData, true
	}
	n := 0
	for n < len(p) {
		part := p[n:min(len(p), n+size)]
		k, errno := move(part, off+int64(n), fixed)
		if errno != 0 {
			if n > 0 {
				return n, 0
			}
			return 0, errno
		}
		if n += k; k < len(part) {
			break
		}
	}
	return n, 0
}

// minFixed is the size in bytes from which on it is cheaper to hand a buffer
// over than to copy.
const minFixed = 16 << 10

// readPiece reads into p, or into a buffer of ours if p may move.
func (o *open) readPiece(p []byte, off int64, fixed bool) (int, libos.Errno) {
	x := o.n.fs.begin(fuse.OpRead, o.n.id)
	defer o.n.fs.end(x)
	x.out = fuse.U64(x.out, o.fh, uint64(off))
	x.out = fuse.U32(x.out, uint32(len(p)), 0)
	x.out = fuse.U64(x.out, 0)
	x.out = fuse.U32(x.out, 0, 0)
	if fixed {
		_, n, errno := o.n.fs.callData(x, 0, nil, p)
		return n, errno
	}
	b := x.bounce(len(p))
	_, n, errno := o.n.fs.callData(x, 0, nil, b)
	if errno != 0 {
		return 0, errno
	}
	return copy(p, b[:n]), 0
}

// Write implements libos.File.
func (o *open) Write(p []byte) (int, libos.Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, errno := o.write(p, o.pos, o.append)
	if !o.append {
		o.pos += int64(n)
	} else if n > 0 {
		errno = o.toEnd()
	}
	return n, errno
}

// toEnd moves the position behind what was just appended. A reply does not tell
// where that is; others who append at the same time may have moved it on.
func (o *open) toEnd() libos.Errno {
	a, errno := o.n.ask()
	if errno == 0 {
		o.pos = a.Size
	}
	return errno
}

// WriteAt implements libos.SeekFile.
func (o *open) WriteAt(p []byte, off int64) (int, libos.Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.write(p, off, o.append)
}

func (o *open) write(p []byte, off int64, append bool) (int, libos.Errno) {
	o.wrote = true
	n, errno := o.pieces(p, off, func(p []byte, off int64, fixed bool) (int, libos.Errno) {
		return o.writePiece(p, off, fixed, append)
	})
	o.n.doubt()
	return n, errno
}

// writePiece writes p, or a copy if p may move.
func (o *open) writePiece(p []byte, off int64, fixed, append bool) (int, libos.Errno) {
	x := o.n.fs.begin(fuse.OpWrite, o.n.id)
	defer o.n.fs.end(x)
	flags := uint32(0)
	if append {
		flags = oAPPEND
	}
	x.out = fuse.U64(x.out, o.fh, uint64(off))
	x.out = fuse.U32(x.out, uint32(len(p)), 0)
	x.out = fuse.U64(x.out, 0)
	x.out = fuse.U32(x.out, flags, 0)
	if !fixed {
		b := x.bounce(len(p))
		copy(b, p)
		p = b
	}
	d, _, errno := o.n.fs.callData(x, fuse.WriteOutLen, p, nil)
	if errno != 0 {
		return 0, errno
	}
	n := d.U32()
	if !d.OK() || int(n) > len(p) {
		return 0, libos.EIO
	}
	return int(n), 0
}

// SeekTo implements libos.SeekFile.
func (o *open) SeekTo(off int64, whence int) (int64, libos.Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := int64(0)
	if whence > 1 {
		a, errno := o.n.ask()
		if errno != 0 {
			return 0, errno
		}
		size = a.Size
	}
	pos, errno := libos.Seek(off, whence, o.pos, size)
	if errno == 0 {
		o.pos = pos
	}
	return pos, errno
}

// SetAppend implements libos.Appender.
func (o *open) SetAppend(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.append = on
}
