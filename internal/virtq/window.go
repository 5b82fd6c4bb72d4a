package virtq

// A Window holds chains of a receive queue that are popped but not used yet, in
// order, so that a packet of unknown length can be read into several of them at
// once (mergeable buffers, virtio 1.2 section 5.1.6.4) and what it did not fill
// serves the next packet without being parsed again.
type Window struct {
	q      *Queue
	segs   [][]byte // the buffers of all chains, in order
	chains []windowChain
	bytes  int
	chain  Chain // scratch of Fill
}

type windowChain struct {
	head  uint16
	segs  int
	bytes int
}

// NewWindow returns an empty window on a queue of direction [In], which is then
// popped and pushed only through the window.
func NewWindow(q *Queue) *Window { return &Window{q: q} }

// Fill pops chains until the window has n bytes, and returns how many it has;
// fewer if the guest has not made enough available.
func (w *Window) Fill(n int) (int, error) {
	for w.bytes < n {
		ok, err := w.q.Pop(&w.chain)
		if !ok || err != nil {
			return w.bytes, err
		}
		w.segs = append(w.segs, w.chain.In...)
		w.chains = append(w.chains, windowChain{w.chain.Head, len(w.chain.In), w.chain.InLen})
		w.bytes += w.chain.InLen
	}
	return w.bytes, nil
}

// Len returns the bytes in the window.
func (w *Window) Len() int { return w.bytes }

// First returns the bytes of the window's first chain, 0 if it is empty: what a
// packet can have if buffers are not mergeable.
func (w *Window) First() int {
	if len(w.chains) == 0 {
		return 0
	}
	return w.chains[0].bytes
}

// Buffers returns the window's memory, valid until the next call.
func (w *Window) Buffers() [][]byte { return w.segs }

// Count returns how many chains a packet of n bytes takes; n is not more than
// the window has.
func (w *Window) Count(n int) int {
	k := 0
	for left := n; left > 0; k++ {
		left -= w.chains[k].bytes
	}
	return k
}

// Put copies p into the window's memory at offset at, as far as it reaches.
func (w *Window) Put(at int, p []byte) {
	for _, s := range w.segs {
		if at >= len(s) {
			at -= len(s)
			continue
		}
		n := copy(s[at:], p)
		p, at = p[n:], 0
		if len(p) == 0 {
			return
		}
	}
}

// Commit pushes the chains that the first n bytes fill, with those lengths. The
// rest stays in the window.
func (w *Window) Commit(n int) {
	k, segs := 0, 0
	for left := n; left > 0; k++ {
		c := w.chains[k]
		w.q.Push(c.head, min(left, c.bytes))
		left -= c.bytes
		w.bytes -= c.bytes
		segs += c.segs
	}
	w.chains = w.chains[:copy(w.chains, w.chains[k:])]
	w.segs = w.segs[:copy(w.segs, w.segs[segs:])]
}

// Return puts all chains back to where they were popped from.
func (w *Window) Return() {
	w.q.Unpop(len(w.chains))
	w.chains, w.segs, w.bytes = w.chains[:0], w.segs[:0], 0
}
