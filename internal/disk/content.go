package disk

import (
	"io"
)

// An extent is bytes at an offset.
type extent struct {
	off  int64
	data []byte
}

func (e extent) end() int64 { return e.off + int64(len(e.data)) }

// A content is what is on a disk: extents in ascending order, zeros between them.
type content struct {
	size    int64
	extents []extent
}

// add appends an extent, which must not begin before the last one's end.
func (c *content) add(off int64, data []byte) {
	c.extents = append(c.extents, extent{off, data})
}

// zeros is what is written where nothing is.
var zeros [64 << 10]byte

// A sparse writer is a new file, where what was passed over is zero.
type sparse interface {
	io.Seeker
	Truncate(size int64) error
}

func writeZeros(w io.Writer, n int64) error {
	if s, ok := w.(sparse); ok {
		at, err := s.Seek(n, io.SeekCurrent)
		if err != nil {
			return err
		}
		return s.Truncate(at)
	}
	for n > 0 {
		m, err := w.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(m)
	}
	return nil
}

// writeRaw writes all of it. A new file takes no room for what is zero.
func (c *content) writeRaw(w io.Writer) error {
	at := int64(0)
	for _, e := range c.extents {
		if err := writeZeros(w, e.off-at); err != nil {
			return err
		}
		if _, err := w.Write(e.data); err != nil {
			return err
		}
		at = e.end()
	}
	return writeZeros(w, c.size-at)
}

// fill copies what is at off into p and reports whether anything but zeros is.
func (c *content) fill(p []byte, off int64) bool {
	clear(p)
	end, some := off+int64(len(p)), false
	for _, e := range c.extents {
		if e.end() <= off || e.off >= end {
			continue
		}
		from := max(e.off, off)
		part := p[from-off:]
		n := copy(part, e.data[from-e.off:])
		some = some || !allZero(part[:n])
	}
	return some
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
