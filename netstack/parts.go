package netstack

import "io"

// A partsReader is a [tcpip.Payloader] over the pieces of a message.
type partsReader struct {
	parts [][]byte
	at    int // bytes of parts[0] that were read
	left  int // bytes in all
}

// reset starts over with parts, skip bytes into them.
func (r *partsReader) reset(parts [][]byte, skip int) {
	r.parts, r.at, r.left = parts, 0, total(parts)-skip
	for skip > 0 && skip >= len(r.parts[0]) {
		skip -= len(r.parts[0])
		r.parts = r.parts[1:]
	}
	r.at = skip
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
	for skip > 0 && skip >= len(parts[0]) {
		skip -= len(parts[0])
		parts = parts[1:]
	}
	w.parts, w.at = parts, skip
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

func total(parts [][]byte) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}
