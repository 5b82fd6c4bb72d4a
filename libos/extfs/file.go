package extfs

import (
	"sync"
	"sync/atomic"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/volume/ext4"
)

// Flags of open(2).
const (
	oAPPEND = 0x400
	oDSYNC  = 0x1000 // a part of O_SYNC
)

const maxInt64 = 1<<63 - 1

// Open implements libos.Node.
func (f file) Open(flags uint32) (libos.File, libos.Errno) {
	if libos.Writes(flags) && f.fs.ReadOnly() != "" {
		return nil, libos.EROFS
	}
	if err := f.in.Open(); err != nil {
		return nil, errnoOf(err)
	}
	o := &open{file: f, sync: flags&oDSYNC != 0}
	o.append.Store(flags&oAPPEND != 0)
	return o, 0
}

// SetAttr implements libos.AttrSetter.
func (f rwFile) SetAttr(which uint32, a *libos.Attr) libos.Errno {
	if which&libos.SetSize == 0 {
		return f.setAttr(which, a)
	}
	s := f.lock()
	defer f.unlock(s)
	if s == nil {
		return f.setAttr(which, a)
	}
	old := f.in.Attr().Size
	errno := f.setAttr(which, a)
	if errno == 0 {
		s.zero(min(old, a.Size), max(old, a.Size))
	}
	return errno
}

// Sync implements libos.Syncer.
func (f file) Sync() libos.Errno {
	if errno := f.save(); errno != 0 {
		return errno
	}
	return errnoOf(f.in.Sync())
}

// maxMoving is how many bytes are read at once into a buffer that may move: fewer
// than ext4 has the device put into a buffer, past its cache.
const maxMoving = 16 << 10

// read reads what is in the file itself, until p is full or the file ends.
func (f file) read(p []byte, off int64) (int, libos.Errno) {
	piece := len(p)
	if piece > maxMoving && f.fs.fixed != nil && !f.fs.fixed(p) {
		piece = maxMoving
	}
	n := 0
	for n < len(p) {
		part := p[n:min(len(p), n+piece)]
		k, err := f.in.ReadAt(part, off+int64(n))
		if err != nil && n == 0 {
			return 0, errnoOf(err)
		}
		n += k
		if err != nil || k < len(part) {
			break
		}
	}
	return n, 0
}

// An open is an open regular file.
type open struct {
	file   file
	sync   bool // each write is made durable
	append atomic.Bool

	mu  sync.Mutex // orders the users of pos, as Linux does
	pos int64
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
	if off > maxInt64-int64(len(p)) {
		return 0, libos.EINVAL
	}
	if o.file.fs.mapped.Load() > 0 {
		return o.file.readShown(p, off)
	}
	return o.file.read(p, off)
}

// Write implements libos.File.
func (o *open) Write(p []byte) (int, libos.Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, end, errno := o.write(p, o.pos)
	if n > 0 {
		o.pos = end
	}
	return n, errno
}

// WriteAt implements libos.SeekFile.
func (o *open) WriteAt(p []byte, off int64) (int, libos.Errno) {
	n, _, errno := o.write(p, off)
	return n, errno
}

// write writes p, and returns where what was written ends.
func (o *open) write(p []byte, off int64) (n int, end int64, errno libos.Errno) {
	if off > maxInt64-int64(len(p)) {
		return 0, 0, libos.EINVAL
	}
	n, off, errno = o.file.write(p, off, o.append.Load())
	if errno == 0 && o.sync {
		errno = o.Sync()
	}
	if errno != 0 {
		n = 0
	}
	return n, off + int64(n), errno
}

// write writes at off, or at the end, and returns where that was.
func (f file) write(p []byte, off int64, atEnd bool) (n int, at int64, errno libos.Errno) {
	s := f.lock()
	defer f.unlock(s)
	size := int64(0)
	if s != nil {
		size = f.in.Attr().Size
	}
	if len(p) >= ext4.DirectWrite && f.fs.fixed != nil && !f.fs.fixed(p) {
		p = append([]byte(nil), p...)
	}
	var err error
	if atEnd {
		n, off, err = f.in.Append(p)
	} else {
		n, err = f.in.WriteAt(p, off)
	}
	if s != nil && n > 0 {
		s.zero(size, off)
		s.put(p[:n], off)
	}
	return n, off, errnoOf(err)
}

// SeekTo implements libos.SeekFile.
func (o *open) SeekTo(off int64, whence int) (int64, libos.Errno) {
	o.mu.Lock()
	defer o.mu.Unlock()
	pos, errno := libos.Seek(off, whence, o.pos, o.file.in.Attr().Size)
	if errno == 0 {
		o.pos = pos
	}
	return pos, errno
}

// SetAppend implements libos.Appender.
func (o *open) SetAppend(on bool) { o.append.Store(on) }

// Sync implements libos.Syncer.
func (o *open) Sync() libos.Errno { return o.file.Sync() }

// Close implements libos.File.
func (o *open) Close() libos.Errno { return errnoOf(o.file.in.Close()) }
