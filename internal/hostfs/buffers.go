package hostfs

// Buffers are the guest's memory, in pieces as it chose them.

// size returns the number of bytes in buffers.
func size(bufs [][]byte) int {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	return n
}

// take copies up to n bytes off the front of buffers, and returns the rest.
func take(bufs [][]byte, n int) ([]byte, [][]byte) {
	p := make([]byte, 0, min(n, size(bufs)))
	for _, b := range bufs {
		if len(p) == cap(p) {
			break
		}
		p = append(p, b[:min(len(b), cap(p)-len(p))]...)
	}
	return p, skip(bufs, len(p))
}

// skip returns buffers without their first n bytes.
func skip(bufs [][]byte, n int) [][]byte {
	for i, b := range bufs {
		if n < len(b) {
			rest := append([][]byte{b[n:]}, bufs[i+1:]...)
			return rest
		}
		n -= len(b)
	}
	return nil
}

// limit returns the first n bytes of buffers.
func limit(bufs [][]byte, n int) [][]byte {
	var first [][]byte
	for _, b := range bufs {
		if n <= 0 {
			break
		}
		b = b[:min(n, len(b))]
		first = append(first, b)
		n -= len(b)
	}
	return first
}

// put copies p to the start of buffers, as far as they reach.
func put(bufs [][]byte, p []byte) {
	for _, b := range bufs {
		p = p[copy(b, p):]
	}
}
