package extfs

import (
	"sync"

	"github.com/tailor-os/tailor/libos"
)

// Flags of open(2).
const (
	oACCMODE = 3
	oAPPEND  = 0x400
	oDSYNC   = 0x1000 // a part of O_SYNC
)

const maxInt64 = 1<<63 - 1

// Open implements libos.Node.
func (f file) Open(flags uint32) (libos.File, libos.Errno) {
	if flags&oACCMODE != 0 && f.fs.ReadOnly() != "" {
		return nil, libos.EROFS
	}
	if err := f.in.Open(); err != nil {
		return nil, errnoOf(err)
	}
	return &open{file: f, append: flags&oAPPEND != 0, sync: flags&oDSYNC != 0}, 0
}

// An open is an open regular file.
type open struct {
	file file
	sync bool // each write is made durable

	mu     sync.Mutex // orders the users of pos, as Linux does
	pos    int64
	append bool
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
	n, err := o.file.in.ReadAt(p, off)
	return n, errnoOf(err)
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
	o.mu.Lock()
	defer o.mu.Unlock()
	n, _, errno := o.write(p, off)
	return n, errno
}

// write writes p, and returns where what was written ends.
func (o *open) write(p []byte, off int64) (n int, end int64, errno libos.Errno) {
	if off > maxInt64-int64(len(p)) {
		return 0, 0, libos.EINVAL
	}
	var err error
	if o.append {
		n, off, err = o.file.in.Append(p)
	} else {
		n, err = o.file.in.WriteAt(p, off)
	}
	if err == nil && o.sync {
		err = o.file.in.Sync()
	}
	if err != nil {
		n = 0
	}
	return n, off + int64(n), errnoOf(err)
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
func (o *open) SetAppend(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.append = on
}

// Sync implements libos.Syncer.
func (o *open) Sync() libos.Errno { return o.file.Sync() }

// Close implements libos.File.
func (o *open) Close() libos.Errno { return errnoOf(o.file.in.Close()) }
