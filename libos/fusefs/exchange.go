package fusefs

import (
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/fuse"
)

// An exchange is one request and its reply. Its buffers are on the heap, for
// the server reaches into them.
type exchange struct {
	out  []byte // header, arguments and names of the request
	in   []byte // header of the reply, and what is short of its body
	data []byte // contents, on the way from or to a buffer that may move
}

// Bounds in bytes of what is kept of exchanges that are through.
const (
	pieceSize = 128 << 10 // of contents that are copied
	maxSpare  = 4
)

// begin returns an exchange with the header of a request, which call completes.
func (fs *FS) begin(op uint32, node uint64) *exchange {
	x := fs.takeSpare()
	h := fuse.InHeader{Op: op, Unique: fs.unique.Add(2), Node: node}
	x.out = h.Append(x.out[:0])
	return x
}

func (fs *FS) takeSpare() *exchange {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if n := len(fs.spare); n > 0 {
		x := fs.spare[n-1]
		fs.spare = fs.spare[:n-1]
		return x
	}
	return &exchange{out: make([]byte, 0, 512), in: make([]byte, 256)}
}

// end gives an exchange back. One that failed was emptied, see lost.
func (fs *FS) end(x *exchange) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if x.in != nil && len(fs.spare) < maxSpare {
		fs.spare = append(fs.spare, x)
	}
}

// lost leaves the buffers of an exchange to a server that may yet write to them.
func (x *exchange) lost() { x.out, x.in, x.data = nil, nil, nil }

// bounce returns n bytes of the exchange's own, n at most pieceSize.
func (x *exchange) bounce(n int) []byte {
	if cap(x.data) < n {
		size := 4096
		for size < n {
			size *= 2
		}
		x.data = make([]byte, size)
	}
	return x.data[:n]
}

// call sends a request whose reply's body has at most size bytes, and returns
// it.
func (fs *FS) call(x *exchange, size int) (*fuse.Decoder, libos.Errno) {
	fs.start.Do(fs.init)
	if fs.fault != 0 {
		return nil, fs.fault
	}
	return fs.send(x, size, nil, nil)
}

// callData is call with contents that follow the request, or are the reply's
// body; the latter's length is returned.
func (fs *FS) callData(x *exchange, size int, out, in []byte) (*fuse.Decoder, int, libos.Errno) {
	fs.start.Do(fs.init)
	if fs.fault != 0 {
		return nil, 0, fs.fault
	}
	d, errno := fs.send(x, size, out, in)
	if errno != 0 {
		return nil, 0, errno
	}
	if in == nil {
		return d, 0, 0
	}
	return d, d.Len(), 0
}

// send sends a request and checks the reply's header. The reply's body is at
// most size bytes and comes back in the decoder; or it is in the buffer in, and
// the decoder has as many bytes.
func (fs *FS) send(x *exchange, size int, out, in []byte) (*fuse.Decoder, libos.Errno) {
	d := fuse.NewDecoder(x.out)
	h := d.InHeader()
	h.Len = uint32(len(x.out) + len(out))
	h.Append(x.out[:0])
	if need := fuse.OutHeaderLen + size; cap(x.in) < need {
		x.in = make([]byte, need)
	}
	x.in = x.in[:fuse.OutHeaderLen+size]
	n, err := fs.conn.Call([2][]byte{x.out, out}, [2][]byte{x.in, in})
	if err != nil {
		x.lost()
		return nil, libos.EIO
	}
	return check(x.in, in, n, h.Unique)
}

// check checks a reply of n bytes in two buffers.
func check(head, in []byte, n int, unique uint64) (*fuse.Decoder, libos.Errno) {
	if n < fuse.OutHeaderLen || n > len(head)+len(in) {
		return nil, libos.EIO
	}
	d := fuse.NewDecoder(head[:min(n, len(head))])
	h := d.OutHeader()
	switch {
	case uint64(h.Len) != uint64(n) || h.Unique != unique || h.Errno > maxErrno:
		return nil, libos.EIO
	case h.Errno != 0:
		return nil, libos.Errno(h.Errno)
	case in != nil:
		return fuse.NewDecoder(in[:n-fuse.OutHeaderLen]), 0
	}
	return d, 0
}

// maxErrno is the greatest error number (MAX_ERRNO in include/linux/err.h).
const maxErrno = 4095

// cast sends a request some time, whose success nobody waits for.
func (fs *FS) cast(x *exchange) {
	d := fuse.NewDecoder(x.out)
	h := d.InHeader()
	h.Len = uint32(len(x.out))
	h.Append(x.out[:0])
	x.in = x.in[:fuse.OutHeaderLen]
	if fs.conn.Cast(x.out, x.in, func() { fs.end(x) }) != nil {
		x.lost()
	}
}
