package virtq

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tailor-os/tailor/virtio/queue"
)

// A model drives both sides of one queue by a random sequence of operations,
// and knows what must come out.
type model struct {
	t      testing.TB
	rig    *rig
	drv    *queue.Queue
	rnd    *rand.Rand
	bell   int
	armed  bool // the device asked to be notified, and has not been since
	serial byte

	added     []sent // not published
	published []sent // not popped
	held      []sent // popped, not pushed
	pushed    []queue.Completion
	flushed   []queue.Completion
	heap      int
}

type sent struct {
	token   uint32
	out, in int // bytes
	fill    byte
	head    uint16
	bufs    [][]byte
}

func newModel(t testing.TB, size uint32, seed uint64) *model {
	m := &model{t: t, rig: newRig(t, size, Both), rnd: rand.New(rand.NewPCG(seed, 1))}
	m.drv = m.rig.driver(t, func(uint32) { m.bell++ })
	m.armed = true // avail_event starts at 0
	return m
}

// buffers cuts n random pieces, some empty, from the heap.
func (m *model) buffers(n int, fill byte) (bufs [][]byte, total int) {
	for range n {
		ln := m.rnd.IntN(40)
		if m.heap+ln > memSize-heapAt {
			m.heap = 0
		}
		b := m.rig.ram[heapAt+m.heap:][:ln:ln]
		m.heap += 40
		for i := range b {
			b[i] = fill
		}
		bufs, total = append(bufs, b), total+ln
	}
	return bufs, total
}

func (m *model) add() {
	m.serial++
	out, no := m.buffers(m.rnd.IntN(4), m.serial)
	in, ni := m.buffers(m.rnd.IntN(4), 0)
	s := sent{token: m.rnd.Uint32(), out: no, in: ni, fill: m.serial}
	switch err := m.drv.Add(out, in, s.token); err {
	case nil:
		m.added = append(m.added, s)
	case queue.ErrEmpty:
		if no+ni > 0 {
			m.t.Fatalf("empty: %d bytes out, %d in", no, ni)
		}
	case queue.ErrFull, queue.ErrTooLong:
	default:
		m.t.Fatal(err)
	}
}

func (m *model) publish() {
	m.bell = 0
	rang := m.drv.Publish()
	if want := m.armed && len(m.added) > 0; rang != want || m.bell == 1 != want {
		m.t.Fatalf("rang %v (%d), armed %v, %d chains", rang, m.bell, m.armed, len(m.added))
	}
	if rang {
		m.armed = false
	}
	m.published, m.added = append(m.published, m.added...), nil
}

func (m *model) pop() {
	var c Chain
	ok, err := m.rig.Pop(&c)
	if err != nil || ok != (len(m.published) > 0) {
		m.t.Fatalf("popped %v, %v of %d", ok, err, len(m.published))
	}
	if !ok {
		return
	}
	s := m.published[0]
	s.head, s.bufs = c.Head, c.In
	if c.OutLen != s.out || c.InLen != s.in {
		m.t.Fatalf("chain of %d+%d bytes, want %d+%d", c.OutLen, c.InLen, s.out, s.in)
	}
	if got := bytes.Join(c.Out, nil); !bytes.Equal(got, bytes.Repeat([]byte{s.fill}, s.out)) {
		m.t.Fatalf("out bytes %x, want all %x", got, s.fill)
	}
	m.published, m.held = m.published[1:], append(m.held, s)
}

func (m *model) unpop() {
	n := m.rnd.IntN(len(m.held) + 1)
	m.rig.Unpop(n)
	back := m.held[len(m.held)-n:]
	m.published = append(append([]sent{}, back...), m.published...)
	m.held = m.held[:len(m.held)-n]
}

func (m *model) push() {
	if len(m.held) == 0 {
		return
	}
	i := m.rnd.IntN(len(m.held)) // out of order
	s := m.held[i]
	n := m.rnd.IntN(s.in + 1)
	m.rig.Push(s.head, n)
	m.pushed = append(m.pushed, queue.Completion{Token: s.token, Len: uint32(n)})
	m.held = append(append([]sent{}, m.held[:i]...), m.held[i+1:]...)
}

func (m *model) flush(wantWake bool) {
	n := len(m.pushed)
	m.flushed, m.pushed = append(m.flushed, m.pushed...), nil
	if wake := m.rig.Flush(); wake != (wantWake && n > 0) {
		m.t.Fatalf("wake %v, armed %v, %d entries", wake, wantWake, n)
	}
}

func (m *model) reap() {
	var done [3]queue.Completion
	n, err := m.drv.Reap(done[:])
	if err != nil || n != min(len(m.flushed), len(done)) {
		m.t.Fatalf("reaped %d, %v of %d", n, err, len(m.flushed))
	}
	for i, c := range done[:n] {
		if c != m.flushed[i] {
			m.t.Fatalf("completion %+v, want %+v", c, m.flushed[i])
		}
	}
	m.flushed = m.flushed[n:]
}

// step does one random operation.
func (m *model) step() {
	switch m.rnd.IntN(10) {
	case 0, 1, 2:
		m.add()
	case 3:
		m.publish()
	case 4, 5:
		m.pop()
	case 6:
		// Unpop is only for the chains popped last with none of them pushed.
		if len(m.held) == int(m.rig.inflight) && m.ordered() {
			m.unpop()
		}
	case 7:
		m.push()
	case 8:
		// Nothing may be on the way when the driver arms, for the model to
		// know the answer.
		m.flush(len(m.flushed) == 0 && len(m.pushed) > 0 && !m.drv.Arm())
		m.reap()
	case 9:
		if pending := m.rig.Arm(); pending != (len(m.published) > 0) {
			m.t.Fatalf("armed: pending %v, %d available", pending, len(m.published))
		} else if !pending {
			m.armed = true
		} else {
			// The event is at an entry already passed: no bell for it.
			m.armed = false
		}
	}
}

// ordered reports whether the held chains are the last popped, in order.
func (m *model) ordered() bool {
	at := m.rig.next - uint16(len(m.held))
	for i, s := range m.held {
		if m.rig.loadHead((at+uint16(i))&m.rig.mask) != s.head {
			return false
		}
	}
	return true
}

func TestRoundTrip(t *testing.T) {
	for _, size := range []uint32{2, 4, 16, 256} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			for seed := range uint64(4) {
				m := newModel(t, size, seed)
				for range 50_000 {
					m.step()
				}
				if m.drv.Free() < 0 || m.rig.usedIdx() == 0 {
					t.Fatalf("nothing happened: %d free, used.idx %d", m.drv.Free(), m.rig.usedIdx())
				}
			}
		})
	}
}
