package netstack

import "io"

// heapParts appends to dst, for each buffer of parts, the buffer itself or a
// new one as long if it lies on the stack, with the same contents if fill is
// set. It reports whether any was replaced.
func heapParts(dst, parts [][]byte, fill bool) (safe [][]byte, replaced bool) {
	for _, p := range parts {
		if onTheStack(p) {
			replaced = true
			h := make([]byte, len(p))
			if fill {
				copy(h, p)
			}
			dst = append(dst, h)
			continue
		}
		dst = append(dst, p)
	}
	return dst, replaced
}

// copyBack copies the first n bytes of safe to where heapParts replaced parts.
func copyBack(parts, safe [][]byte, n int) {
	for i, p := range parts {
		h := safe[i][:min(n, len(p))]
		if !sameStart(h, p) {
			copy(p, h)
		}
		n -= len(h)
	}
}

// A partsReader is a [tcpip.Payloader] over the pieces of a message.
type partsReader struct {
	parts [][]byte
	at    int // bytes of parts[0] that were read
	left  int // bytes in all
}

// reset starts over with parts, skip bytes into them.
func (r *partsReader) reset(parts [][]byte, skip int) {
	r.left = total(parts) - skip
	r.parts, r.at = skipParts(parts, skip)
}

// Len implements [tcpip.Payloader].
func (r *partsReader) Len() int { return r.left }

// Read implements [io.Reader].
func (r *partsReader) Read(p []byte) (n int, err error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	for n < len(p) && r.left > 0 {
		c := copy(p[n:], r.parts[0][r.at:])
		n += c
		r.left -= c
		if r.at += c; r.at == len(r.parts[0]) {
			r.parts, r.at = r.parts[1:], 0
		}
	}
	return n, nil
}

// A partsWriter scatters what the stack reads into the pieces of a buffer.
type partsWriter struct {
	parts [][]byte
	at    int // bytes of parts[0] that are filled
}

func (w *partsWriter) reset(parts [][]byte, skip int) {
	w.parts, w.at = skipParts(parts, skip)
}

// Write implements [io.Writer]; what does not fit is io.ErrShortWrite.
func (w *partsWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if len(w.parts) == 0 {
			return n, io.ErrShortWrite
		}
		c := copy(w.parts[0][w.at:], p[n:])
		n += c
		if w.at += c; w.at == len(w.parts[0]) {
			w.parts, w.at = w.parts[1:], 0
		}
	}
	return n, nil
}

// skipParts returns where byte number skip is.
func skipParts(parts [][]byte, skip int) ([][]byte, int) {
	for len(parts) > 0 && skip >= len(parts[0]) && skip > 0 {
		skip -= len(parts[0])
		parts = parts[1:]
	}
	return parts, skip
}

func total(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}
