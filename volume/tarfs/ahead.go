package tarfs

import "sync"

// Reads that are short come from pieces of the device that are remembered, so
// that a program that reads a file byte by byte does not ask the device for each.
const (
	pieceSize = 16 << 10 // bytes
	pieces    = 8
)

// A piece is a part of the device.
type piece struct {
	start int64
	n     int // bytes that there are, 0 for none
	data  [pieceSize]byte
}

// ahead has the pieces that were read last. The device does not change.
type ahead struct {
	mu   sync.Mutex
	list [pieces]*piece
	next int // is replaced next
}

var spare = sync.Pool{New: func() any { return new(piece) }}

// find copies bytes from at on, which are in the piece that begins at start. It
// returns how many there were.
func (a *ahead) find(p []byte, at, start int64) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.list {
		if b != nil && b.start == start && b.n > 0 {
			return copy(p, b.data[at-start:b.n])
		}
	}
	return 0
}

// remember keeps b in place of the one that was read longest ago.
func (a *ahead) remember(b *piece) {
	a.mu.Lock()
	old := a.list[a.next]
	a.list[a.next] = b
	a.next = (a.next + 1) % pieces
	a.mu.Unlock()
	if old != nil {
		spare.Put(old)
	}
}

// short reads some of p from byte at of the device, by way of a piece.
func (fs *FS) short(p []byte, at int64) (int, error) {
	start := at &^ (pieceSize - 1)
	if n := fs.ahead.find(p, at, start); n > 0 {
		return n, nil
	}
	b := spare.Get().(*piece)
	b.start, b.n = start, int(min(pieceSize, fs.d.Size()-start))
	if fs.d.ReadAt(b.data[:b.n], start) != nil {
		spare.Put(b)
		return fs.bounce(p, at) // what cannot be read may be beside what is asked for
	}
	n := copy(p, b.data[at-start:b.n])
	fs.ahead.remember(b)
	return n, nil
}
