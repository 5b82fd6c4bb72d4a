package disk

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// BenchmarkDisk reads and writes at random, from one goroutine and from 16 at once: the
// disk "data", if there is one, else a file. Compare
//
//	go test -bench . ./disk
//	tailor test -bench . --disk data=FILE ./disk
func BenchmarkDisk(b *testing.B) {
	var d *Disk
	var err error
	if slices.Contains(Names(), "data") {
		d, err = Open("data")
	} else {
		d, err = Open(file(b, 64<<20))
	}
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for _, n := range []int64{4 << 10, 1 << 20} {
		for _, users := range []int{1, 16} {
			for name, call := range map[string]func([]byte, int64) error{"read": d.ReadAt, "write": d.WriteAt} {
				b.Run(fmt.Sprintf("%s/%d/by%d", name, n, users), func(b *testing.B) { random(b, d.Size(), n, users, call) })
			}
		}
	}
}

// random makes b.N requests of n bytes.
func random(b *testing.B, size, n int64, users int, call func([]byte, int64) error) {
	b.SetBytes(n)
	var group sync.WaitGroup
	for u := range users {
		group.Go(func() {
			r, p := rand.New(rand.NewPCG(uint64(u), 1)), make([]byte, n)
			for range (b.N + users - 1 - u) / users {
				if err := call(p, r.Int64N(size/n)*n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
