package ext4_test

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/tailor-os/tailor/volume/ext4"
)

// Whoever writes past the cache, and others who write and read the same blocks at the
// same time, lose nothing of what each other wrote.
func TestDirectTogether(t *testing.T) {
	d := newDisk(t, 40<<20)
	fs := open(t, d, ext4.Options{CacheBytes: ext4.MinCache})
	d.Yield = runtime.Gosched
	root, _ := fs.Root()
	in, err := root.Create("file", ext4.Attr{Mode: ext4.ModeReg}, "")
	if err != nil {
		t.Fatal(err)
	}
	const size, piece = 2 * ext4.DirectWrite, 100
	r := rand.New(rand.NewPCG(1, 1))
	for gen := byte(1); gen < 200; gen++ {
		large := bytes.Repeat([]byte{gen}, size)
		small := bytes.Repeat([]byte{gen | 0x80}, piece)
		at := r.Int64N(size - piece)
		from := int64(r.IntN(2)) * r.Int64N(3*4096)
		if gen%16 == 0 {
			if err := in.Truncate(0); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		all.Go(func() {
			if n, err := in.WriteAt(large, from); n != size || err != nil {
				t.Error(n, err)
			}
		})
		all.Go(func() {
			if n, err := in.WriteAt(small, from+at); n != piece || err != nil {
				t.Error(n, err)
			}
		})
		all.Go(func() {
			p := make([]byte, 5000)
			for range 3 {
				if _, err := in.ReadAt(p, from+max(0, at-r.Int64N(5000))); err != nil {
					t.Error(err)
				}
			}
		})
		if gen%3 == 0 {
			all.Go(func() {
				if err := in.Sync(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		got := make([]byte, size)
		if n, err := in.ReadAt(got, from); n != size || err != nil {
			t.Fatal(n, err)
		}
		for i, b := range got {
			if inside := int64(i) >= at && int64(i) < at+piece; b != gen && !(inside && b == gen|0x80) {
				t.Fatalf("round %d: byte %d of what was written at %d is %#x", gen, i, from, b)
			}
		}
	}
	d.Yield = nil
	closeFS(t, fs)
	check(t, d)
	fsck(t, d.Bytes())
}
