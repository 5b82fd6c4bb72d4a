package ext4_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tailor-os/tailor/volume/cuttest"
	"github.com/tailor-os/tailor/volume/ext4"
)

// Volumes of all sizes are clean for e2fsck, before and after they were used, and
// over whatever was on the disk.
func TestMkfs(t *testing.T) {
	for _, size := range []int64{2 << 20, 3 << 20, 8<<20 + 512, 16<<20 - 4096, 32 << 20, 129 << 20, 300 << 20} {
		for _, bs := range []int{0, 1024, 2048, 4096} {
			t.Run(fmt.Sprintf("%dK-%d", size>>10, bs), func(t *testing.T) {
				d := cuttest.New(size)
				r := rand.New(rand.NewPCG(1, uint64(size)))
				for i := 0; i < 1<<20; i += 8 {
					d.Bytes()[i] = byte(r.Uint32())
				}
				err := ext4.Mkfs(d, ext4.MkfsOptions{UUID: [16]byte{9, 8, 7}, Time: 1e18, Label: "tailor", BlockSize: bs, UID: 5})
				if err != nil && size < 16<<20 && bs > 1024 {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				fsck(t, d.Bytes())
				closeFS(t, open(t, d, ext4.Options{}))
				fsck(t, d.Bytes())
			})
		}
	}
}

// The same options make the same bytes.
func TestMkfsDeterministic(t *testing.T) {
	a, b := newDisk(t, 8<<20), newDisk(t, 8<<20)
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two volumes made alike differ")
	}
}

func TestMkfsRefuses(t *testing.T) {
	for size, o := range map[int64]ext4.MkfsOptions{
		1 << 20: {}, 2<<20 - 512: {}, 4 << 20: {BlockSize: 4096}, 8 << 20: {BlockSize: 512}, 9 << 20: {Label: "seventeen letters"},
		10 << 20: {JournalBlocks: 20000},
	} {
		var damage *ext4.Damage
		if err := ext4.Mkfs(cuttest.New(size), o); !errors.As(err, &damage) {
			t.Errorf("%d bytes, %+v: %v", size, o, err)
		}
	}
}
