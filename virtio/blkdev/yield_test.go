package blkdev

import (
	"sync"
	"testing"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
)

// Requests of goroutines that can run go with one ring of the doorbell: whoever
// goes on first rings for all, and the others find themselves answered.
func TestYield(t *testing.T) {
	const callers = 4
	r, err := newRig(t, unchanged)
	if err != nil {
		t.Fatal(err)
	}
	all := sync.NewCond(new(sync.Mutex))
	waiting := 0
	r.dev.yield = func() { // until all have a request in the ring
		all.L.Lock()
		defer all.L.Unlock()
		if waiting++; waiting == callers {
			all.Broadcast()
		}
		for waiting < callers {
			all.Wait()
		}
	}
	r.rings = 0 // New may have asked for the name
	r.answer = func(c *virtq.Chain) int {
		for _, p := range c.In[:len(c.In)-1] {
			p[0] = 7
		}
		return status(c, abi.BlkOK)
	}
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			p := make([]byte, 512)
			if err := r.dev.ReadAt(p, int64(i)*512); err != nil || p[0] != 7 {
				t.Errorf("caller %d: %v, %d", i, err, p[0])
			}
		})
	}
	group.Wait()
	if len(r.seen) != callers || r.rings != 1 {
		t.Errorf("%d requests with %d rings", len(r.seen), r.rings)
	}
}
