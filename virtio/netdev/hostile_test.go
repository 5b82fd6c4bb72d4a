package netdev_test

import (
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/netdev"
	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
	"github.com/tailor-os/tailor/virtio/queue"
	"gvisor.dev/gvisor/pkg/buffer"
)

// A script is a device that does what its bytes say each time the driver waits
// for it, and in the end breaks the rings, so that the driver must stop.
type script struct {
	t      testing.TB
	mu     sync.Mutex
	ops    []byte
	raw    *netdevtest.Raw
	refs   atomic.Int64
	broken chan error
	got    atomic.Int64
	wild   bool // descriptors may lead anywhere: the test must not follow them
}

// newScript runs a driver against ops.
func newScript(t testing.TB, features uint64, ops []byte) *script {
	s := &script{t: t, ops: ops, broken: make(chan error, 2)}
	raw, err := netdevtest.NewRaw(16, features, netdev.Config{Waiter: s, Broken: func(err error) { s.broken <- err }})
	if err != nil {
		t.Fatal(err)
	}
	s.raw = raw
	s.mu.Lock()
	err = raw.Device.Run(s.receive)
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *script) receive(buf buffer.Buffer, _ bool) {
	if n := buf.Size(); n > 65535+14+4 {
		s.t.Errorf("packet of %d bytes", n)
	}
	_ = buf.Flatten()
	buf.Release()
	s.got.Add(1)
}

// Wait implements [queue.Waiter].
func (s *script) Wait(w *queue.Waitable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !w.Pending() {
		if len(s.ops) == 0 {
			s.end()
			runtime.Gosched()
			return
		}
		s.step()
	}
}

// end breaks both queues for sure.
func (s *script) end() {
	for i := range s.raw.Queue {
		q := &s.raw.Queue[i]
		q.SetUsedIdx(q.AvailIdx() + 7)
	}
}

// take returns the next n bytes of the script, zero behind its end.
func (s *script) take(n int) []byte {
	b := make([]byte, n)
	s.ops = s.ops[copy(b, s.ops):]
	return b
}

// step does one thing.
func (s *script) step() {
	b := s.take(2)
	q := &s.raw.Queue[b[0]>>3&1]
	switch b[0] & 7 {
	case 0, 1, 2: // use a buffer honestly, with a header of the script's
		s.use(q, b[1])
	case 3: // lie about an entry
		e := s.take(6)
		q.SetUsed(uint16(b[1]), uint32(binary.LittleEndian.Uint16(e)), binary.LittleEndian.Uint32(e[2:]))
	case 4: // lie about how many there are
		q.SetUsedIdx(q.UsedIdx() + uint16(int8(b[1])))
	case 5: // scribble over the rings
		mem := q.Bytes()
		e := s.take(3)
		mem[int(binary.LittleEndian.Uint16(e))%len(mem)] = e[2]
		s.wild = true
	case 6, 7: // the stack sends, as it does when it answers what came in
		p := newPacket(payload(int(b[1]), 0), 1+int(b[1])%30, &s.refs)
		s.mu.Unlock()
		s.raw.Device.Send(p)
		s.mu.Lock()
	}
}

// use returns the next available buffer with n bytes of the script in it.
func (s *script) use(q *netdevtest.RawQueue, n byte) {
	i := q.UsedIdx()
	if i == q.AvailIdx() {
		return
	}
	head := q.Head(i)
	length := uint32(0)
	if q == &s.raw.Queue[abi.NetQueueRX] && !s.wild {
		buf := q.Buffer(head)
		length = uint32(copy(buf, s.take(int(n)%64)))
		if n >= 64 && len(buf) > 0 { // a long one
			length = uint32(len(buf)) - uint32(n)%4
		}
	}
	q.SetUsed(i, head, length)
	q.SetUsedIdx(i + 1)
}

// finish waits until the driver has given up, once.
func (s *script) finish() error {
	var err error
	select {
	case err = <-s.broken:
	case <-time.After(2 * time.Second):
		s.t.Fatal("the driver did not notice")
	}
	if s.raw.Device.Send(newPacket(nil, 1, &s.refs)) {
		s.t.Error("a broken device took a packet")
	}
	select {
	case err := <-s.broken:
		s.t.Errorf("reported again: %v", err)
	default:
	}
	return err
}

// honest completes the next receive buffer with a header.
func honest(h virtio.NetHdr, data ...byte) []byte {
	b := make([]byte, virtio.NetHdrLen)
	h.Encode(b)
	b = append(b, data...)
	return append([]byte{0, byte(len(b))}, b...)
}

// TestHostile covers each lie by name.
func TestHostile(t *testing.T) {
	frame := make([]byte, 20)
	one := virtio.NetHdr{NumBuffers: 1}
	for _, tc := range []struct {
		name string
		ops  []byte
		want error
		got  int64
	}{
		{"none until the end", honest(one, frame...), queue.ErrUsedIndex, 1},
		{"short buffer", []byte{0, 11}, netdev.ErrHeaderShort, 0},
		{"empty buffer", []byte{0, 0}, netdev.ErrHeaderShort, 0},
		{"no buffers", honest(virtio.NetHdr{}, frame...), netdev.ErrNumBuffers, 0},
		{"too many buffers", honest(virtio.NetHdr{NumBuffers: 17}, frame...), netdev.ErrNumBuffers, 0},
		{"frame too short", honest(one, frame[:13]...), queue.ErrUsedIndex, 0},
		{"checksum outside", honest(virtio.NetHdr{NumBuffers: 1, Flags: 1, CsumStart: 19}, frame...), queue.ErrUsedIndex, 0},
		{"unknown segmentation", honest(virtio.NetHdr{NumBuffers: 1, GSOType: 9}, frame...), queue.ErrUsedIndex, 0},
		{"segments of nothing", honest(virtio.NetHdr{NumBuffers: 1, GSOType: 1}, frame...), queue.ErrUsedIndex, 0},
		{"next packet after a bad one", append(honest(virtio.NetHdr{NumBuffers: 1, GSOType: 9}, frame...), honest(one, frame...)...), queue.ErrUsedIndex, 1},
		{"unknown id", []byte{3, 0, 99, 0, 1, 0, 0, 0, 4, 1}, queue.ErrUsedID, 0},
		{"longer than the buffer", []byte{3, 0, 0, 0, 1, 8, 0, 0, 4, 1}, queue.ErrUsedLength, 0},
		{"used twice", append(honest(one, frame...), 3, 1, 0, 0, 0, 0, 0, 0, 4, 1), nil, 1},
		{"index backwards", []byte{4, 0xff}, queue.ErrUsedIndex, 0},
		{"transmit index ahead", []byte{6, 9, 12, 1, 6, 9, 12, 5, 6, 9}, nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScript(t, netdevtest.AllFeatures, tc.ops)
			err := s.finish()
			if tc.want != nil && !errors.Is(err, tc.want) || s.got.Load() != tc.got {
				t.Errorf("%v after %d packets, want %v after %d", err, s.got.Load(), tc.want, tc.got)
			}
		})
	}
}

// TestHostileLong merges more than an IP packet.
func TestHostileLong(t *testing.T) {
	h := honest(virtio.NetHdr{NumBuffers: 16})
	h[1] = 64 + 12 // a full buffer
	ops := h
	for range 16 {
		ops = append(ops, 0, 64)
	}
	s := newScript(t, netdevtest.AllFeatures, ops)
	if err := s.finish(); s.got.Load() > 1 {
		t.Errorf("%v after %d packets", err, s.got.Load())
	}
}

func FuzzHostile(f *testing.F) {
	f.Add(uint8(0), honest(virtio.NetHdr{NumBuffers: 1}, make([]byte, 20)...))
	f.Add(uint8(1), []byte{0, 11, 3, 0, 99, 0, 1, 0, 0, 0, 4, 1})
	f.Add(uint8(2), []byte{6, 200, 6, 100, 8, 0, 8, 0, 12, 1, 5, 0, 1, 2, 3})
	features := []uint64{netdevtest.AllFeatures, netdevtest.AllFeatures &^ abi.NetFMrgRxBuf, abi.FVersion1 | abi.FEventIdx}
	f.Fuzz(func(t *testing.T, which uint8, ops []byte) {
		if len(ops) > 1<<12 {
			return
		}
		newScript(t, features[int(which)%len(features)], ops).finish()
	})
}
