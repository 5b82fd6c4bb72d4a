package rngdev_test

import (
	"bytes"
	"errors"
	"testing"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/queue"
	"github.com/tailor-os/tailor/virtio/rngdev"
)

// rig is memory with the rings of a queue at its start.
func rig(features uint64) (mem []uint64, d *abi.Device) {
	mem = make([]uint64, 512)
	q := abi.Queue{Size: 4, Desc: 64, Notify: 5}
	q.Avail = q.Desc + virtio.DescBytes(q.Size)
	q.Used = (q.Avail + virtio.AvailBytes(q.Size) + 7) &^ 7
	return mem, &abi.Device{Type: abi.DeviceRNG, NumQueues: 1, Features: features, Queues: [abi.MaxQueues]abi.Queue{q}}
}

func ask(mem []uint64, d *abi.Device) (*rngdev.Request, int, error) {
	rung := 0
	r, err := rngdev.Ask(d, rngdev.Config{Origin: unsafe.Pointer(&mem[0]), Notify: func(v uint32) {
		if v == 5 {
			rung++
		}
	}})
	return r, rung, err
}

func TestBytes(t *testing.T) {
	for _, features := range []uint64{abi.FVersion1, abi.FVersion1 | abi.FEventIdx} {
		mem, d := rig(features)
		r, rung, err := ask(mem, d)
		if err != nil || rung != 1 || r.Answered() {
			t.Fatalf("%v, rung %d times", err, rung)
		}
		ring := unsafe.Slice((*byte)(unsafe.Pointer(&mem[0])), 8*len(mem))
		used := ring[d.Queues[0].Used:]
		used[8], used[2] = 20, 1 // 20 bytes of chain 0
		p, err := r.Bytes()
		if err != nil || !bytes.Equal(p, make([]byte, 20)) {
			t.Errorf("%v, %v", p, err)
		}
	}
}

func TestLies(t *testing.T) {
	for name, tc := range map[string]struct {
		id, n, idx byte
		want       error
	}{
		"nothing":   {0, 0, 1, rngdev.ErrEmpty},
		"too much":  {0, 33, 1, queue.ErrUsedLength},
		"other":     {1, 32, 1, queue.ErrUsedID},
		"too many":  {0, 32, 2, queue.ErrUsedIndex},
		"not there": {0, 0, 0, rngdev.ErrEmpty},
	} {
		mem, d := rig(abi.FVersion1)
		r, _, err := ask(mem, d)
		if err != nil {
			t.Fatal(err)
		}
		used := unsafe.Slice((*byte)(unsafe.Pointer(&mem[0])), 8*len(mem))[d.Queues[0].Used:]
		used[4], used[8], used[2] = tc.id, tc.n, tc.idx
		if p, err := r.Bytes(); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, %v, want %v", name, p, err, tc.want)
		}
	}
}

func TestRefused(t *testing.T) {
	mem, d := rig(0)
	if _, _, err := ask(mem, d); !errors.Is(err, rngdev.ErrQueue) {
		t.Error(err)
	}
	d.Type = abi.DeviceNet
	if _, _, err := ask(mem, d); !errors.Is(err, rngdev.ErrNotRNG) {
		t.Error(err)
	}
	mem, d = rig(abi.FVersion1)
	d.Queues[0].Size = 3
	if _, _, err := ask(mem, d); err == nil {
		t.Error("a queue of 3 entries")
	}
}
