package tarfs

import (
	"strconv"
	"strings"

	"github.com/tailor-os/tailor/block"
)

// A header is one entry of an archive, extended headers included.
type header struct {
	off        int64 // where it begins on the device
	name, link string
	kind       byte
	why        string // why it cannot be shown, "" if it can
	mode       uint32
	uid, gid   uint32
	sec        int64
	nsec       int32
	data, size int64 // where the contents are
}

// Kinds of entries: the type flags of ustar.
const (
	kindFile    = '0'
	kindHard    = '1'
	kindSymlink = '2'
	kindDir     = '5'
)

const (
	blockSize  = 512
	windowSize = 128 << 10 // what is read ahead of headers, in bytes
	maxSpecial = 1 << 20   // of an extended header, in bytes
)

// A reader reads the entries of an archive in order.
type reader struct {
	d      block.Device
	off    int64 // of the next header
	window []byte
	base   int64 // of window on the device
	global pax   // what global extended headers have set
}

// fail returns an error at byte off.
func fail(off int64, what string) error { return &Error{Off: off, What: what} }

// at returns n bytes at off, at most windowSize - 4096. They are valid until
// the next call.
func (r *reader) at(off int64, n int64) ([]byte, error) {
	if n > r.d.Size()-off {
		return nil, fail(off, "the archive is cut short: "+strconv.FormatInt(n, 10)+" bytes should follow, the device ends at byte "+strconv.FormatInt(r.d.Size(), 10))
	}
	if off < r.base || off+n > r.base+int64(len(r.window)) {
		r.base = off &^ int64(r.d.SectorSize()-1)
		if r.window == nil {
			r.window = make([]byte, windowSize)
		}
		r.window = r.window[:min(windowSize, r.d.Size()-r.base)]
		if err := r.d.ReadAt(r.window, r.base); err != nil {
			r.window = r.window[:0]
			return nil, &Error{off, "cannot be read", err}
		}
	}
	return r.window[off-r.base:][:n], nil
}

// next returns the next entry, nil at the end.
func (r *reader) next() (*header, error) {
	var local *pax
	longName, longLink := "", ""
	begin := r.off
	for {
		h, prefix, err := r.header()
		if h == nil || err != nil {
			if err == nil && r.off != begin && (local != nil || longName+longLink != "") {
				err = fail(begin, "the archive ends after an extended header")
			}
			return nil, err
		}
		switch h.kind {
		case 'x', 'g', 'L', 'K':
			b, err := r.special(h)
			if err != nil {
				return nil, err
			}
			switch h.kind {
			case 'L':
				longName = cString(b)
			case 'K':
				longLink = cString(b)
			case 'x':
				local = &pax{}
				err = local.parse(b)
			case 'g':
				err = r.global.parse(b)
			}
			if err != nil {
				return nil, &Error{h.off, "extended header: " + err.Error(), nil}
			}
			continue
		}
		if prefix != "" {
			h.name = prefix + "/" + h.name
		}
		h.off = begin
		r.global.apply(h)
		if local != nil {
			local.apply(h)
		}
		if longName != "" {
			h.name = longName
		}
		if longLink != "" {
			h.link = longLink
		}
		return h, r.classify(h)
	}
}

// special returns the contents of an extended header.
func (r *reader) special(h *header) ([]byte, error) {
	if h.size > maxSpecial {
		return nil, fail(h.off, "an extended header of "+strconv.FormatInt(h.size, 10)+" bytes is too long")
	}
	if err := r.skip(h); err != nil {
		return nil, err
	}
	b := make([]byte, h.size)
	if err := block.ReadBytes(r.d, b, h.data); err != nil {
		return nil, &Error{h.data, "cannot be read", err}
	}
	return b, nil
}

// skip moves behind the contents of h, which must be there.
func (r *reader) skip(h *header) error {
	if h.size < 0 || h.size > r.d.Size()-h.data {
		return fail(h.off, "the archive is cut short: "+strconv.Quote(h.name)+" has "+strconv.FormatInt(h.size, 10)+
			" bytes, the device ends at byte "+strconv.FormatInt(r.d.Size(), 10))
	}
	r.off = h.data + (h.size+blockSize-1)&^(blockSize-1)
	return nil
}

// classify finds out what h is, and skips its contents.
func (r *reader) classify(h *header) error {
	switch h.kind {
	case 0:
		h.kind = kindFile
		if strings.HasSuffix(h.name, "/") {
			h.kind = kindDir // as V7 has it
		}
	case '7':
		h.kind = kindFile // contiguous, whatever that is
	}
	switch h.kind {
	case kindHard, kindSymlink, kindDir, '3', '4', '6':
		h.size = 0
	}
	switch h.kind {
	case kindFile, kindDir:
	case kindHard, kindSymlink:
		if h.why == "" && (h.link == "" || len(h.link) > MaxPath || strings.IndexByte(h.link, 0) >= 0) {
			h.why = "is a link to nowhere"
		}
	case '3', '4':
		h.why = "is a device"
	case '6':
		h.why = "is a pipe"
	case 'S':
		h.why = "is a sparse file"
		if err := r.skipSparse(h); err != nil {
			return err
		}
	default:
		h.why = "is of the unknown type " + strconv.QuoteRune(rune(h.kind))
	}
	return r.skip(h)
}

// skipSparse moves behind the maps of an old GNU sparse file, which lie between
// its header and its contents. The last byte but seven of each tells whether
// another follows.
func (r *reader) skipSparse(h *header) error {
	const flagOfHeader, flagOfMap = 482, 504
	b, err := r.at(h.data-blockSize, blockSize)
	for flag := flagOfHeader; err == nil && b[flag] != 0; flag = flagOfMap {
		b, err = r.at(h.data, blockSize)
		h.data += blockSize
	}
	return err
}

// header reads one header block; it is nil at the end of the archive.
func (r *reader) header() (h *header, prefix string, err error) {
	b, err := r.block()
	if b == nil || err != nil {
		return nil, "", err
	}
	if !sumFits(b) {
		if r.off == 0 {
			return nil, "", &Error{0, "no tar archive", ErrNone}
		}
		return nil, "", fail(r.off, "this is no header: its checksum is wrong")
	}
	h, prefix, ok := parseHeader(b)
	if !ok {
		return nil, "", fail(r.off, "the header has numbers that are none")
	}
	h.off, h.data = r.off, r.off+blockSize
	r.off = h.data
	return h, prefix, nil
}

// block returns the next header block, nil at the end of the archive: two
// blocks of zeros, or one at the end of the device. Without any, nobody knows
// whether more entries have followed.
func (r *reader) block() ([]byte, error) {
	if r.off >= r.d.Size() {
		if r.off == 0 {
			return nil, &Error{0, "no tar archive", ErrNone}
		}
		return nil, fail(r.d.Size(), "the archive is cut short: no block of zeros ends it")
	}
	b, err := r.at(r.off, blockSize)
	if err != nil || !isZero(b) {
		return b, err
	}
	if r.off == 0 && r.d.Size() < 2*blockSize {
		return nil, &Error{0, "no tar archive", ErrNone}
	}
	r.off += blockSize
	if r.off < r.d.Size() {
		b, err = r.at(r.off, blockSize)
		if err == nil && !isZero(b) {
			err = fail(r.off, "something follows a block of zeros")
		}
		r.off += blockSize
	}
	return nil, err
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// Is reports whether b, at least the first 512 bytes of a device, begins a tar
// archive that is not empty: by its checksum or, if that is damaged, its magic.
func Is(b []byte) bool {
	return len(b) >= blockSize && !isZero(b[:blockSize]) && (sumFits(b[:blockSize]) || string(b[257:262]) == "ustar")
}

// sumFits reports whether the checksum of b is right: the sum of its bytes, with
// those of the sum itself taken for spaces. Some have added signed bytes.
func sumFits(b []byte) bool {
	want, ok := octal(b[148:156])
	sum, signed := int64(0), int64(0)
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum, signed = sum+int64(c), signed+int64(int8(c))
	}
	return ok && (want == sum || want == signed)
}

// parseHeader reads the fields of a header block; ok is false if numbers are
// malformed.
func parseHeader(b []byte) (h *header, prefix string, ok bool) {
	h = &header{name: cString(b[:100]), kind: b[156], link: cString(b[157:257])}
	ok = true
	number := func(b []byte) int64 {
		n, good := numeric(b)
		ok = ok && good
		return n
	}
	h.mode = uint32(number(b[100:108]))
	h.uid, h.gid = uint32(number(b[108:116])), uint32(number(b[116:124]))
	h.size, h.sec = number(b[124:136]), number(b[136:148])
	if string(b[257:263]) == "ustar\x00" {
		prefix = cString(b[345:500])
		if string(b[508:512]) == "tar\x00" {
			prefix = cString(b[345:476]) // star has times behind it
		}
	}
	return h, prefix, ok && h.size >= 0
}

// cString returns the bytes before the first zero.
func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
